use super::*;

#[test]
fn a_mark_is_read_back_and_other_lines_are_none() {
    for step in Step::ALL {
        assert_eq!(Step::from_mark(&format!("{CRASHED}{}", step.word())), Some(step));
    }
    assert_eq!(Step::from_mark("crashed otherwise"), Some(Step::Other));
    assert_eq!(Step::from_mark("context 12"), None);
}
