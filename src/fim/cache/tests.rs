use super::*;

fn site(before: &str) -> Site {
    Site::new(Some("a.py"), None, before, "\nrest\n")
}

fn list(texts: &[&str]) -> Vec<Suggestion> {
    texts.iter().enumerate().map(|(i, text)| Suggestion { text: (*text).to_owned(), score: -(i as f32) }).collect()
}

fn texts(found: Option<Vec<Suggestion>>) -> Vec<String> {
    found.into_iter().flatten().map(|one| one.text).collect()
}

#[test]
fn typing_what_is_suggested_keeps_the_rest_of_it() {
    let mut cache = Cache::new();
    cache.put(1, &site("def f(x):\n    re"), list(&["turn x\n    # é", "ad(x)", "turn y"]));
    assert_eq!(texts(cache.get(1, &site("def f(x):\n    re"))).len(), 3);
    assert_eq!(texts(cache.get(1, &site("def f(x):\n    return "))), ["x\n    # é", "y"]);
    assert_eq!(texts(cache.get(1, &site("def f(x):\n    return x\n    # "))), ["é"]);
    // Nothing is left of it, or it went elsewhere.
    assert_eq!(cache.get(1, &site("def f(x):\n    return x\n    # é")), None);
    assert_eq!(cache.get(1, &site("def f(x):\n    rx")), None);
}

#[test]
fn taking_characters_back_gives_them_back_in_front() {
    let mut cache = Cache::new();
    cache.put(1, &site("def f(x):\n    retu"), list(&["rn x"]));
    assert_eq!(texts(cache.get(1, &site("def f(x):\n    r"))), ["eturn x"]);
    // Taken back and typed again, in part.
    assert_eq!(texts(cache.get(1, &site("def f(x):\n    ret"))), ["urn x"]);
    assert_eq!(cache.get(1, &site("def f(x):\n    rx")), None);
    // Not over the line's beginning.
    assert_eq!(cache.get(1, &site("def f(x):")), None);
}

#[test]
fn another_model_file_or_surrounding_is_another_place() {
    let mut cache = Cache::new();
    cache.put(1, &site("a = "), list(&["1"]));
    assert_eq!(cache.get(2, &site("a = ")), None);
    assert_eq!(cache.get(1, &Site { path: Some("b.py".into()), ..site("a = ") }), None);
    assert_eq!(cache.get(1, &Site { suffix: "\nother\n".into(), ..site("a = ") }), None);
    assert_eq!(cache.get(1, &site("b\na = ")), None);
    // What is far away does not count.
    let far = |first: &str| site(&format!("{first}\n{}a = ", "x\n".repeat(LINES)));
    cache.put(1, &far("one"), list(&["2"]));
    assert_eq!(texts(cache.get(1, &far("two"))), ["2"]);
}

#[test]
fn that_there_was_nothing_is_remembered_for_the_very_place() {
    let mut cache = Cache::new();
    cache.put(1, &site("abc"), Vec::new());
    assert_eq!(cache.get(1, &site("abc")), Some(Vec::new()));
    assert_eq!(cache.get(1, &site("abcd")), None);
    assert_eq!(cache.get(1, &site("ab")), None);
}

#[test]
fn the_place_not_used_for_longest_goes_first() {
    let mut cache = Cache::new();
    for i in 0..MOST {
        cache.put(1, &site(&format!("v{i} = ")), list(&["1"]));
    }
    assert!(cache.get(1, &site("v0 = ")).is_some());
    cache.put(1, &site("new = "), list(&["1"]));
    assert_eq!(cache.len(), MOST);
    assert!(cache.get(1, &site("v0 = ")).is_some());
    assert_eq!(cache.get(1, &site("v1 = ")), None);
    assert!(cache.back.values().all(|key| cache.entries.contains_key(key)));
}

#[test]
fn a_saved_cache_comes_back_and_a_clean_one_is_not_written() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("made/suggestions");
    let mut cache = Cache::new();
    cache.save(&file).unwrap();
    assert!(!file.exists());
    cache.put(1, &site("retu"), list(&["rn x\n\ty", "rned"]));
    cache.put(1, &site("b = "), Vec::new());
    cache.save(&file).unwrap();
    assert!(!cache.is_dirty());
    let mut again = Cache::load(&file);
    assert!(!again.is_dirty());
    assert_eq!(again.get(1, &site("ret")), cache.get(1, &site("ret")));
    assert_eq!(again.get(1, &site("return ")), cache.get(1, &site("return ")));
    assert_eq!(again.get(1, &site("b = ")), Some(Vec::new()));
}

#[test]
fn two_programs_keep_each_others_suggestions() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("suggestions");
    let mut first = Cache::new();
    for i in 0..MOST {
        first.put(1, &site(&format!("v{i} = ")), list(&["1"]));
    }
    first.save(&file).unwrap();
    let (mut one, mut other) = (Cache::load(&file), Cache::load(&file));
    assert!(other.get(1, &site("v0 = ")).is_some());
    one.put(1, &site("one = "), list(&["1"]));
    one.put(1, &site("both = "), list(&["of one"]));
    other.put(1, &site("other = "), list(&["2"]));
    other.put(1, &site("both = "), list(&["of the other"]));
    one.save(&file).unwrap();
    other.save(&file).unwrap();
    let mut again = Cache::load(&file);
    assert_eq!(again.len(), MOST);
    assert_eq!(texts(again.get(1, &site("one = "))), ["1"]);
    assert_eq!(texts(again.get(1, &site("other = "))), ["2"]);
    assert_eq!(texts(again.get(1, &site("both = "))), ["of the other"], "the later one");
    // of what both had read, what was used stays and the oldest goes
    assert!(again.get(1, &site("v0 = ")).is_some());
    assert_eq!(again.get(1, &site("v1 = ")), None);
    assert!(again.get(1, &site(&format!("v{} = ", MOST - 1))).is_some());
    assert_eq!(again.len(), other.len());
}

#[test]
fn programs_that_end_at_the_same_time_keep_each_others_suggestions() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("suggestions");
    let start = std::sync::Barrier::new(8);
    std::thread::scope(|scope| {
        for i in 0..8 {
            let (file, start) = (&file, &start);
            scope.spawn(move || {
                let mut cache = Cache::load(file);
                cache.put(1, &site(&format!("v{i} = ")), list(&["1"]));
                start.wait();
                cache.save(file).unwrap();
            });
        }
    });
    assert_eq!(Cache::load(&file).len(), 8);
}

#[test]
fn the_file_stays_small_and_keeps_the_newest() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("suggestions");
    let mut cache = Cache::new();
    for i in 0..MOST {
        cache.put(1, &site(&format!("v{i} = ")), list(&[&"x".repeat(4000)]));
    }
    cache.save(&file).unwrap();
    assert!(std::fs::metadata(&file).unwrap().len() <= 512 << 10);
    let mut again = Cache::load(&file);
    assert!(again.len() > 50 && again.len() < MOST);
    assert!(again.get(1, &site(&format!("v{} = ", MOST - 1))).is_some());
}

#[test]
fn whatever_is_wrong_with_the_file_it_is_as_if_it_were_not_there() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("suggestions");
    let mut cache = Cache::new();
    cache.put(1, &site("a"), list(&["good"]));
    cache.put(1, &site("b"), list(&["good"]));
    cache.save(&file).unwrap();
    let good = std::fs::read_to_string(&file).unwrap();
    assert_eq!(Cache::load(&file).len(), 2);
    for bad in [
        String::new(),
        "{}".into(),
        good.replace("\"suggestions\":1", "\"suggestions\":2"),
        good[..good.len() - 20].to_owned(),
        good.lines().take(2).collect::<Vec<_>>().join("\n"),
        good.replace("good", "\\u001b[2J"),
        good.replace("-0.0", "1e999"),
        good.replace("good", &"x".repeat(9000)),
        good.clone() + &" ".repeat(600 << 10),
        good.replace("\"list\"", "\"lost\""),
        "\u{0}".repeat(100),
    ] {
        assert_ne!(bad, good);
        std::fs::write(&file, bad).unwrap();
        assert!(Cache::load(&file).is_empty());
    }
    std::fs::write(&file, [0xff, 0xfe]).unwrap();
    assert!(Cache::load(&file).is_empty());
    assert!(Cache::load(folder.path()).is_empty());
    assert!(Cache::load(&folder.path().join("none")).is_empty());
}

proptest::proptest! {
    #[test]
    fn every_beginning_of_a_suggestion_leaves_the_rest(
        before in "[a-zé\n ]{0,60}", text in "[a-zé\n]{1,60}", typed in 0usize..60, deleted in 0usize..16,
    ) {
        let mut cache = Cache::new();
        cache.put(7, &site(&before), list(&[&text]));
        let typed: String = text.chars().take(typed).collect();
        let rest = text[typed.len()..].to_owned();
        if !rest.trim().is_empty() {
            proptest::prop_assert_eq!(texts(cache.get(7, &site(&format!("{before}{typed}")))), [rest]);
        }
        let line = before.rsplit('\n').next().unwrap_or_default();
        let back: String = line.chars().rev().take(deleted).collect::<Vec<_>>().into_iter().rev().collect();
        let kept = &before[..before.len() - back.len()];
        if !text.trim().is_empty() {
            let whole = format!("{back}{text}");
            proptest::prop_assert_eq!(texts(cache.get(7, &site(kept))), [whole]);
        }
    }

    #[test]
    fn no_file_makes_it_fall(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..400)) {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("f");
        std::fs::write(&file, [&b"{\"suggestions\":1,\"places\":1}\n"[..], &bytes].concat()).unwrap();
        let _ = Cache::load(&file);
    }
}
