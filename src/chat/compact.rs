//! Which turns stay when the context is full. Pure: tokens are counted by whoever calls.
//!
//! The system message and the newest turns stay; whole exchanges (a question with its answer) go from the oldest on.
//! When something must go, more goes than needed: down to half the room, so that the beginning of the prompt then
//! stays the same for many turns and hits the KV cache. When the newest question alone is too long, its middle goes.

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
}

/// Chooses what fits into `room` tokens. `count` gives the tokens of a whole rendered prompt.
///
/// # Errors
/// Whatever `count` fails with (a template that refuses the turns).
pub fn fit<E>(turns: &[Message], room: usize, mut count: impl FnMut(&[Message]) -> Result<usize, E>) -> Result<Fit, E> {
    if count(turns)? <= room {
        return Ok(Fit { turns: turns.to_vec(), dropped: 0, trimmed_lines: 0 });
    }
    let system = usize::from(turns.first().is_some_and(|turn| turn.role == Role::System));
    let starts: Vec<usize> = (system + 1..turns.len()).filter(|&i| turns[i].role == Role::User).collect();
    let kept_from = |start: usize| [&turns[..system], &turns[start..]].concat();
    let mut best = None;
    for &start in &starts {
        let kept = kept_from(start);
        let tokens = count(&kept)?;
        if tokens <= room {
            best = Some(Fit { turns: kept, dropped: start - system, trimmed_lines: 0 });
        }
        if tokens <= room / 2 {
            break;
        }
    }
    if let Some(fit) = best {
        return Ok(fit);
    }
    let start = starts.last().copied().unwrap_or(system);
    trim(kept_from(start), start - system, room, count)
}

/// Takes lines (or, of a single line, characters) out of the middle of the last turn: a quarter of what stays is its
/// beginning, three quarters its end, since the newest output stands at the end.
fn trim<E>(
    mut turns: Vec<Message>,
    dropped: usize,
    room: usize,
    mut count: impl FnMut(&[Message]) -> Result<usize, E>,
) -> Result<Fit, E> {
    let Some(whole) = turns.last().map(|turn| turn.content.clone()) else {
        return Ok(Fit { turns, dropped, trimmed_lines: 0 });
    };
    let (mut low, mut high) = (0, whole.len());
    let mut trimmed_lines = 0;
    // The longest text that fits, found by halving: a dozen counts instead of one a line.
    while high - low > 16 {
        let middle = low.midpoint(high);
        let (text, lines) = shorten(&whole, middle);
        if let Some(last) = turns.last_mut() {
            last.content = text;
        }
        if count(&turns)? <= room {
            low = middle;
        } else {
            high = middle;
        }
        trimmed_lines = lines;
    }
    let (text, lines) = shorten(&whole, low);
    if let Some(last) = turns.last_mut() {
        last.content = text;
        trimmed_lines = lines.max(trimmed_lines.min(1));
    }
    Ok(Fit { turns, dropped, trimmed_lines })
}

/// At most `keep` bytes of `text` with a line in the middle that says what is missing, and how many lines that is.
pub fn shorten(text: &str, keep: usize) -> (String, usize) {
    if text.len() <= keep {
        return (text.to_owned(), 0);
    }
    let head = floor(text, keep / 4);
    let tail = ceil(text, text.len() - (keep - keep / 4));
    let head = text[..head].rfind('\n').map_or(head, |line| line + 1);
    let tail = text[tail..].find('\n').map_or(tail, |line| tail + line + 1);
    let lines = text[head..tail].matches('\n').count().max(1);
    let gap = if head == 0 || text[..head].ends_with('\n') { "" } else { "\n" };
    (format!("{}{gap}[… {lines} lines left out …]\n{}", &text[..head], &text[tail..]), lines)
}

fn floor(text: &str, at: usize) -> usize {
    (0..=at.min(text.len())).rev().find(|&i| text.is_char_boundary(i)).unwrap_or(0)
}

fn ceil(text: &str, at: usize) -> usize {
    (at..=text.len()).find(|&i| text.is_char_boundary(i)).unwrap_or(text.len())
}

/// Questions named in an outline, the newest ones.
const OUTLINE: usize = 8;
/// Characters of each.
const OUTLINE_LINE: usize = 80;

/// What was asked, a line each: the summary of somebody who did not read the answers.
pub fn outline(turns: &[Message]) -> String {
    let asked = turns.iter().rev().filter(|turn| turn.role == Role::User).take(OUTLINE);
    let mut lines: Vec<String> = asked
        .filter_map(|turn| turn.content.lines().rev().find(|line| !line.trim().is_empty()))
        .map(|line| format!("- {}", line.trim().chars().take(OUTLINE_LINE).collect::<String>()))
        .collect();
    lines.push("Asked before:".to_owned());
    lines.reverse();
    lines.join("\n")
}

/// The system message with a summary of what was left out.
pub fn with_summary(system: Option<&str>, summary: Option<&str>) -> Option<String> {
    match (system, summary) {
        (system, None) => system.map(str::to_owned),
        (None, Some(summary)) => Some(format!("Summary of the conversation so far:\n{summary}")),
        (Some(system), Some(summary)) => Some(format!("{system}\n\nSummary of the conversation so far:\n{summary}")),
    }
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
        assert_eq!(outline(&turns), format!("Asked before:\n- What is this?\n- {}", "x".repeat(80)));
    }

    #[test]
    fn even_no_room_at_all_ends() {
        let fit = fit(&conversation(2), 1, words).unwrap();
        assert_eq!(fit.turns.len(), 2);
    }
}
