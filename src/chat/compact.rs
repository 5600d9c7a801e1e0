//! Which turns stay when the context is full. Pure: tokens are counted by whoever calls.
//!
//! The system message, the last answer with its question, and the newest question stay; of the rest, whole exchanges (a
//! question with its answer) go from the oldest on. When something must go, more goes than needed: down to half the
//! room, so that the beginning of the prompt then stays the same for many turns and hits the KV cache. Where even the
//! last exchange and the newest question are too long, what is longest of them loses its middle: "the same in
//! TypeScript" must find what it speaks of.

use super::{Message, Role};

/// What to send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fit {
    /// The turns that stay.
    pub turns: Vec<Message>,
    /// How many turns after the system message were left out.
    pub dropped: usize,
    /// How many lines of the newest question were left out.
    pub trimmed_lines: usize,
    /// How many lines of the exchange before it were left out.
    pub earlier_lines: usize,
}

impl Fit {
    /// Whether anything was left out.
    pub fn is_cut(&self) -> bool {
        self.dropped > 0 || self.trimmed_lines > 0 || self.earlier_lines > 0
    }
}

/// Less of a turn than so many bytes is not worth its place.
const LEAST: usize = 96;
/// Halving ends when the length is known to so many bytes.
const NEAR: usize = 16;

/// Chooses what fits into `room` tokens. `count` gives the tokens of a whole rendered prompt.
///
/// # Errors
/// Whatever `count` fails with (a template that refuses the turns).
pub fn fit<E>(turns: &[Message], room: usize, mut count: impl FnMut(&[Message]) -> Result<usize, E>) -> Result<Fit, E> {
    if count(turns)? <= room {
        return Ok(Fit { turns: turns.to_vec(), dropped: 0, trimmed_lines: 0, earlier_lines: 0 });
    }
    let system = usize::from(turns.first().is_some_and(|turn| turn.role == Role::System));
    let starts: Vec<usize> = (system + 1..turns.len()).filter(|&i| turns[i].role == Role::User).collect();
    let last = last_exchange(turns, system);
    let kept_from = |start: usize| [&turns[..system], &turns[start..]].concat();
    let mut best = None;
    for &start in starts.iter().filter(|start| last.is_none_or(|last| **start <= last)) {
        let kept = kept_from(start);
        let tokens = count(&kept)?;
        if tokens <= room {
            best = Some(Fit { turns: kept, dropped: start - system, trimmed_lines: 0, earlier_lines: 0 });
        }
        if tokens <= room / 2 {
            break;
        }
    }
    if let Some(fit) = best {
        return Ok(fit);
    }
    if let Some(start) = last
        && let Some(fit) = squeeze(kept_from(start), system, start - system, room, &mut count)?
    {
        return Ok(fit);
    }
    let start = starts.last().copied().unwrap_or(system);
    let newest = kept_from(start);
    if count(&newest)? <= room {
        return Ok(Fit { turns: newest, dropped: start - system, trimmed_lines: 0, earlier_lines: 0 });
    }
    trim(newest, start - system, room, count)
}

/// Where the last answered question stands; `None` when nothing was answered before the newest question.
fn last_exchange(turns: &[Message], system: usize) -> Option<usize> {
    let answer = turns.iter().rposition(|turn| turn.role == Role::Assistant).filter(|&at| at + 1 < turns.len())?;
    let asked = turns[..answer].iter().rposition(|turn| turn.role == Role::User);
    Some(asked.unwrap_or(answer).max(system))
}

/// Takes the middle out of what is longest: the last answer and the newest question keep equally much, and what was
/// asked before a quarter of that. `None` when not even their ends fit.
fn squeeze<E>(
    whole: Vec<Message>,
    system: usize,
    dropped: usize,
    room: usize,
    count: &mut impl FnMut(&[Message]) -> Result<usize, E>,
) -> Result<Option<Fit>, E> {
    let newest = whole.len() - 1;
    let shortened = |keep: usize| {
        let mut fit = Fit { turns: whole.clone(), dropped, trimmed_lines: 0, earlier_lines: 0 };
        for (at, turn) in fit.turns.iter_mut().enumerate().skip(system) {
            let is_question_before = at < newest && turn.role == Role::User;
            let keep = if is_question_before { keep / 4 } else { keep };
            let (text, lines) = if at == newest { shorten(&turn.content, keep) } else { halve(&turn.content, keep) };
            turn.content = text;
            let sum = if at == newest { &mut fit.trimmed_lines } else { &mut fit.earlier_lines };
            *sum += lines;
        }
        fit
    };
    let (mut low, mut high) = (LEAST, whole.iter().map(|turn| turn.content.len()).max().unwrap_or(0) * 4);
    if count(&shortened(low).turns)? > room {
        return Ok(None);
    }
    while high > low + NEAR {
        let middle = low.midpoint(high);
        if count(&shortened(middle).turns)? <= room {
            low = middle;
        } else {
            high = middle;
        }
    }
    Ok(Some(shortened(low)))
}

/// Takes lines (or, of a single line, characters) out of the middle of the last turn: a quarter of what stays is its
/// beginning, three quarters its end, since the newest output stands at the end.
fn trim<E>(
    mut turns: Vec<Message>,
    dropped: usize,
    room: usize,
    mut count: impl FnMut(&[Message]) -> Result<usize, E>,
) -> Result<Fit, E> {
    let whole = turns.last().map(|turn| turn.content.clone()).unwrap_or_default();
    let (mut low, mut high) = (0, whole.len());
    let put = |turns: &mut Vec<Message>, keep: usize| {
        let (text, lines) = shorten(&whole, keep);
        if let Some(last) = turns.last_mut() {
            last.content = text;
        }
        lines
    };
    // The longest text that fits, found by halving: a dozen counts instead of one a line.
    while high > low + NEAR {
        let middle = low.midpoint(high);
        put(&mut turns, middle);
        if count(&turns)? <= room {
            low = middle;
        } else {
            high = middle;
        }
    }
    let trimmed_lines = put(&mut turns, low);
    Ok(Fit { turns, dropped, trimmed_lines, earlier_lines: 0 })
}

/// At most `keep` bytes of `text` with a line in the middle that says what is missing, and how many lines that is.
pub fn shorten(text: &str, keep: usize) -> (String, usize) {
    without_middle(text, keep, keep / 4)
}

/// The same with as much of the beginning as of the end: code is known by its head.
fn halve(text: &str, keep: usize) -> (String, usize) {
    without_middle(text, keep, keep / 2)
}

fn without_middle(text: &str, keep: usize, head: usize) -> (String, usize) {
    if text.len() <= keep {
        return (text.to_owned(), 0);
    }
    let tail = text.ceil_char_boundary(text.len() - (keep - head));
    let head = text.floor_char_boundary(head);
    let head = text[..head].rfind('\n').map_or(head, |line| line + 1);
    let tail = text[tail..].find('\n').map_or(tail, |line| tail + line + 1);
    let lines = text[head..tail].matches('\n').count().max(1);
    let gap = if head == 0 || text[..head].ends_with('\n') { "" } else { "\n" };
    (format!("{}{gap}[… {lines} lines left out …]\n{}", &text[..head], &text[tail..]), lines)
}

/// Questions named in an outline, the newest ones.
const OUTLINE: usize = 8;
/// Characters of each.
const OUTLINE_LINE: usize = 80;

/// What stands above them.
const ASKED: &str = "Asked before:";

/// What was asked, a line each, behind what an earlier summary says: the summary of somebody who did not read the answers.
pub fn outline(earlier: Option<&str>, turns: &[Message]) -> String {
    let earlier = earlier.unwrap_or_default();
    let (told, listed) = earlier.rsplit_once(ASKED).unwrap_or((earlier, ""));
    let asked = turns.iter().rev().filter(|turn| turn.role == Role::User);
    let mut lines: Vec<String> = asked
        .filter_map(|turn| turn.content.lines().rev().find(|line| !line.trim().is_empty()))
        .map(|line| format!("- {}", line.trim().chars().take(OUTLINE_LINE).collect::<String>()))
        .chain(listed.lines().rev().filter(|line| line.starts_with("- ")).map(str::to_owned))
        .take(OUTLINE)
        .collect();
    lines.push(ASKED.to_owned());
    lines.extend(Some(told.trim().to_owned()).filter(|told| !told.is_empty()));
    lines.reverse();
    lines.join("\n")
}

/// What a summary begins with in the system message, at whose end it stands.
const SUMMARY: &str = "Summary of the conversation so far:\n";

/// The system message with a summary of what was left out; `None` when there is neither. A summary that `system` has
/// already stays: [`parted`] takes it away.
pub fn with_summary(system: Option<&str>, summary: Option<&str>) -> Option<String> {
    let summary = summary.map(|text| format!("{SUMMARY}{}", text.trim()));
    match (system, summary) {
        (system, None) => system.map(str::to_owned),
        (None, summary) => summary,
        (Some(system), Some(summary)) => Some(format!("{system}\n\n{summary}")),
    }
}

/// A system message without its summary, and the summary.
pub fn parted(system: &str) -> (Option<&str>, Option<&str>) {
    if let Some(summary) = system.strip_prefix(SUMMARY) {
        return (None, Some(summary));
    }
    let parts = system.rsplit_once(SUMMARY).and_then(|(own, summary)| Some((own.strip_suffix("\n\n")?, summary)));
    parts.map_or((Some(system), None), |(own, summary)| (Some(own), Some(summary)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn turn(role: Role, words: usize) -> Message {
        Message::new(role, vec!["word"; words].join(" "))
    }

    /// One token a word and two a turn.
    fn words(turns: &[Message]) -> Result<usize, ()> {
        Ok(turns.iter().map(|turn| turn.content.split_whitespace().count() + 2).sum())
    }

    fn conversation(exchanges: usize) -> Vec<Message> {
        let mut turns = vec![turn(Role::System, 8)];
        for _ in 0..exchanges {
            turns.extend([turn(Role::User, 8), turn(Role::Assistant, 28)]);
        }
        turns.push(turn(Role::User, 8));
        turns
    }

    #[test]
    fn what_fits_is_sent_whole() {
        let turns = conversation(3);
        let fit = fit(&turns, 1000, words).unwrap();
        assert_eq!((fit.turns, fit.dropped), (turns, 0));
    }

    #[test]
    fn whole_exchanges_go_from_the_oldest_down_to_half_the_room() {
        let turns = conversation(10);
        let fit = fit(&turns, 200, words).unwrap();
        assert_eq!(fit.dropped % 2, 0);
        assert_eq!(fit.turns[0], turns[0]);
        assert_eq!(fit.turns[1..], turns[1 + fit.dropped..]);
        let left = words(&fit.turns).unwrap();
        assert!(left <= 100 && left > 60, "{left} words left");
    }

    #[test]
    fn a_question_that_fits_alone_stays_whole() {
        let turns = conversation(2);
        let fit = fit(&turns, 24, words).unwrap();
        assert_eq!(fit.turns, [turns[0].clone(), turns[5].clone()]);
        assert_eq!((fit.dropped, fit.trimmed_lines, fit.earlier_lines), (4, 0, 0));
    }

    #[test]
    fn a_question_that_is_too_long_loses_its_middle() {
        let log: String = (0..1000).map(|i| format!("line {i}\n")).collect();
        let turns = [Message::new(Role::User, format!("what is wrong?\n{log}"))];
        let fit = fit(&turns, 300, words).unwrap();
        let text = &fit.turns[0].content;
        assert!(text.starts_with("what is wrong?\nline 0\n"), "{text}");
        assert!(text.ends_with("line 999\n"));
        assert!(fit.trimmed_lines > 800);
        assert!(text.contains(&format!("[… {} lines left out …]", fit.trimmed_lines)));
        let left = words(&fit.turns).unwrap();
        assert!(left <= 300 && left > 270, "{left} words left");
    }

    /// What a turn says of a numbered log.
    fn log(name: &str, lines: usize) -> String {
        (0..lines).map(|i| format!("{name} {i}\n")).collect()
    }

    #[test]
    fn the_last_answer_stays_with_its_question_and_the_newest() {
        let mut turns = conversation(6);
        turns.extend([turn(Role::Assistant, 150), turn(Role::User, 6)]);
        for room in [180, 200, 240, 300] {
            let fit = fit(&turns, room, words).unwrap();
            assert!(words(&fit.turns).unwrap() <= room);
            assert_eq!(fit.turns[0], turns[0], "the system message");
            assert!(fit.turns.ends_with(&turns[turns.len() - 3..]), "{room}: {fit:?}");
            assert_eq!((fit.trimmed_lines, fit.earlier_lines), (0, 0));
        }
    }

    #[test]
    fn what_is_longest_of_the_last_exchange_loses_its_middle() {
        let short = "Write it in TypeScript.";
        let table = [
            ("What is this?".to_owned(), log("class", 300), short.to_owned(), false, true),
            (log("asked", 300), log("class", 20), short.to_owned(), false, true),
            ("What is this?".to_owned(), log("class", 20), log("now", 300) + short, true, false),
            (log("asked", 300), log("class", 300), log("now", 300) + short, true, true),
        ];
        for (asked, answer, question, trimmed, earlier) in table {
            let turns = [
                Message::new(Role::System, "Be brief."),
                turn(Role::User, 9),
                turn(Role::Assistant, 90),
                Message::new(Role::User, asked),
                Message::new(Role::Assistant, answer.clone()),
                Message::new(Role::User, question.clone()),
            ];
            let fit = fit(&turns, 200, words).unwrap();
            let tokens = words(&fit.turns).unwrap();
            assert!((100..=200).contains(&tokens), "{tokens} tokens");
            assert_eq!((fit.dropped, fit.turns.len()), (2, 4));
            assert_eq!((fit.trimmed_lines > 0, fit.earlier_lines > 0), (trimmed, earlier), "{fit:?}");
            let [_, _, said, newest] = &fit.turns[..] else { panic!("{fit:?}") };
            assert!(said.content.starts_with("class 0\n") && said.content.contains(answer.lines().last().unwrap()));
            assert!(newest.content.ends_with(short));
            assert!(answer.lines().count() > 20 || said.content == answer, "the short one is whole");
        }
    }

    #[test]
    fn one_endless_line_is_cut_between_characters() {
        let (text, lines) = shorten(&"é".repeat(1000), 101);
        assert_eq!(lines, 1);
        assert!(text.len() < 150);
    }

    #[test]
    fn an_outline_has_the_last_line_of_each_question_in_order() {
        let turns = [
            Message::new(Role::User, "```\ncode\n```\nWhat is this?"),
            Message::new(Role::Assistant, "Code."),
            Message::new(Role::User, "x".repeat(200)),
        ];
        let asked = format!("- What is this?\n- {}", "x".repeat(80));
        assert_eq!(outline(None, &turns), format!("Asked before:\n{asked}"));
        // an earlier summary is not lost, and its list is gone on with
        assert_eq!(
            outline(Some("They build a parser."), &turns),
            format!("They build a parser.\nAsked before:\n{asked}")
        );
        let again = outline(Some("They build a parser.\nAsked before:\n- Why?"), &turns);
        assert_eq!(again, format!("They build a parser.\nAsked before:\n- Why?\n{asked}"));
        let long = (0..20).fold(String::new(), |earlier, n| {
            outline(Some(&earlier), &[Message::new(Role::User, format!("question {n}"))])
        });
        assert_eq!(long.lines().collect::<Vec<_>>()[..2], ["Asked before:", "- question 12"]);
        assert_eq!(long.lines().count(), 1 + OUTLINE);
    }

    #[test]
    fn a_summary_is_found_in_the_system_message_and_taken_away() {
        for system in [None, Some("be brief"), Some("be brief\n\nin a list")] {
            let with = with_summary(system, Some(" they asked why\n")).unwrap();
            assert_eq!(parted(&with), (system, Some("they asked why")));
        }
        for own in ["be brief", "Write a Summary of the conversation so far:\nin a list"] {
            assert_eq!(parted(own), (Some(own), None));
        }
        assert_eq!(with_summary(None, None), None);
    }

    #[test]
    fn even_no_room_at_all_ends() {
        let fit = fit(&conversation(2), 1, words).unwrap();
        assert_eq!(fit.turns.len(), 2);
    }
}
