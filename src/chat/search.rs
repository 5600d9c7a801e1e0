//! Finds words in conversations. Pure; case does not matter, scripts without spaces work, nothing is indexed.

use std::ops::Range;

use super::Role;
use super::journal::SessionId;
use super::thinking::{Part, parts};
use super::tree::{Conversation, Node, NodeId};

/// Places reported for one session; the rest would push other sessions off the list.
const PER_SESSION: usize = 20;
/// Characters shown on each side of a place.
const AROUND: usize = 48;

/// A place where a search found all its words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hit {
    /// The session.
    pub id: SessionId,
    /// Its title.
    pub title: String,
    /// The message; `None`: the title itself.
    pub node: Option<NodeId>,
    /// Who said it.
    pub role: Role,
    /// When, in seconds since 1970.
    pub at: u64,
    /// The place on one line, without control characters.
    pub snippet: String,
    /// Where in `snippet` the first word is, in bytes.
    pub matched: Range<usize>,
}

/// What to look for: words that must all be in one message.
pub(crate) struct Query {
    words: Vec<String>,
}

impl Query {
    /// `None` for a blank text.
    pub(crate) fn new(text: &str) -> Option<Self> {
        // Longer queries find nothing and cost time.
        let words: Vec<String> = text.split_whitespace().take(32).map(fold).collect();
        (!words.is_empty()).then_some(Self { words })
    }

    /// The places in a conversation, newest first.
    pub(crate) fn hits(&self, conversation: &Conversation) -> Vec<Hit> {
        let title = conversation.title();
        let hit = |node: Option<&Node>, text: &str, at: Range<usize>| {
            let (snippet, matched) = snippet(text, at);
            Hit {
                id: conversation.id().clone(),
                title: title.clone(),
                node: node.map(|node| node.id),
                role: node.map_or(Role::User, |node| node.role),
                at: node.map_or(conversation.created(), |node| node.at),
                snippet,
                matched,
            }
        };
        let mut hits: Vec<Hit> = Vec::new();
        for node in conversation.nodes().iter().rev() {
            if hits.len() >= PER_SESSION {
                break;
            }
            if let Some((text, at)) = self.place(node) {
                hits.push(hit(Some(node), text, at));
            }
        }
        // A title made from the first message is found there already.
        if hits.is_empty()
            && let Some(at) = self.all_in(&title)
        {
            hits.push(hit(None, &title, at));
        }
        hits
    }

    fn place<'a>(&self, node: &'a Node) -> Option<(&'a str, Range<usize>)> {
        let attached = node.attachments.iter().flat_map(|a| [a.text.as_str(), a.name.as_str()]);
        let (text, at) = std::iter::once(node.text.as_str())
            .chain(attached)
            .find_map(|text| self.all_in(text).map(|at| (text, at)))?;
        // What was said is shown rather than what was thought, where both hold the words.
        let said = parts(&node.text, false).into_iter().find_map(|part| match part {
            Part::Text(text) => self.all_in(text).map(|at| (text, at)),
            Part::Thinking { .. } => None,
        });
        Some(said.unwrap_or((text, at)))
    }

    /// Where the first word is, if all are there.
    fn all_in(&self, text: &str) -> Option<Range<usize>> {
        let folded = fold(text);
        let mut places = self.words.iter().map(|word| folded.find(word).map(|at| at..at + word.len()));
        let first = places.next()??;
        places.all(|place| place.is_some()).then(|| unfold(text, &folded, first))
    }
}

/// Lower case letter by letter, so that places can be found again.
fn fold(text: &str) -> String {
    if text.is_ascii() {
        return text.to_ascii_lowercase();
    }
    let mut out = String::with_capacity(text.len());
    for letter in text.chars() {
        // Chinese, Japanese and Korean have no case; asking the tables for each letter is slow.
        if letter.is_ascii() {
            out.push(letter.to_ascii_lowercase());
        } else if ('\u{2e80}'..'\u{a640}').contains(&letter) {
            out.push(letter);
        } else {
            out.extend(letter.to_lowercase());
        }
    }
    out
}

/// The place in `text` of a place in its folded form.
fn unfold(text: &str, folded: &str, place: Range<usize>) -> Range<usize> {
    if text.len() == folded.len() && text.is_ascii() {
        return place;
    }
    let mut at = 0;
    let (mut start, mut end) = (text.len(), text.len());
    for (offset, letter) in text.char_indices() {
        if at <= place.start {
            start = offset;
        }
        if at >= place.end {
            end = offset;
            break;
        }
        at += letter.to_lowercase().map(char::len_utf8).sum::<usize>();
    }
    start..end
}

/// What is around a place, on one line, and the place in it.
fn snippet(text: &str, place: Range<usize>) -> (String, Range<usize>) {
    let before = text.get(..place.start).unwrap_or_default();
    let found = text.get(place.clone()).unwrap_or_default();
    let after = text.get(place.end..).unwrap_or_default();
    let from = before.char_indices().rev().nth(AROUND - 1).map_or(0, |(at, _)| at);
    let to = after.char_indices().nth(AROUND).map_or(after.len(), |(at, _)| at);
    let mut out = String::new();
    if from > 0 {
        out.push('…');
    }
    flatten(&mut out, before.get(from..).unwrap_or_default());
    let start = out.len();
    flatten(&mut out, found);
    let end = out.len();
    flatten(&mut out, after.get(..to).unwrap_or_default());
    out.truncate(out.trim_end().len().max(end));
    if to < after.len() {
        out.push('…');
    }
    (out, start..end)
}

fn flatten(out: &mut String, text: &str) {
    for letter in text.chars() {
        if letter.is_whitespace() {
            if !out.is_empty() && !out.ends_with([' ', '…']) {
                out.push(' ');
            }
        } else if !letter.is_control() {
            out.push(letter);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chat::journal::Entry;

    fn find(text: &str, query: &str) -> Option<(String, String)> {
        let mut conversation = Conversation::new(SessionId::new(0, 0), "m", 0);
        conversation.apply(&Entry::Title { text: "given".into() }).unwrap();
        let node = Entry::Node {
            id: NodeId(0),
            parent: None,
            role: Role::User,
            text: text.into(),
            attachments: vec![],
            at: 0,
        };
        conversation.apply(&node).unwrap();
        let hit = Query::new(query)?.hits(&conversation).into_iter().next()?;
        let matched = hit.snippet[hit.matched.clone()].to_owned();
        Some((hit.snippet, matched))
    }

    #[test]
    fn case_and_script_do_not_matter() {
        let table = [
            ("How do I SORT a Vec?", "sort", Some("SORT")),
            ("How do I SORT a Vec?", "vec sort", Some("Vec")),
            ("How do I SORT a Vec?", "sort map", None),
            ("请解释快速排序的实现", "排序", Some("排序")),
            ("İstanbul STRASSE straße", "straße", Some("straße")),
            ("ΟΔΟΣ", "οδοσ", Some("ΟΔΟΣ")),
            ("Über ÄRGER", "ärger", Some("ÄRGER")),
            ("ソートする", "ソート", Some("ソート")),
            ("x", "  ", None),
            ("x", "GIVEN", Some("given")),
        ];
        for (text, query, expected) in table {
            assert_eq!(find(text, query).map(|(_, matched)| matched).as_deref(), expected, "{text} / {query}");
        }
    }

    #[test]
    fn a_snippet_is_one_clean_line_around_the_place() {
        let text = format!("{}\n\x1b[2Jfn   main()\n{}", "a ".repeat(100), "漢".repeat(100));
        let (snippet, matched) = find(&text, "MAIN").unwrap();
        assert_eq!(matched, "main");
        assert!(snippet.starts_with("…a a ") && snippet.ends_with("漢…"), "{snippet}");
        assert!(snippet.contains("[2Jfn main() 漢"), "{snippet}");
        assert!(!snippet.contains('\x1b'));
    }

    proptest::proptest! {
        #[test]
        fn every_stretch_of_a_text_is_found_in_it(text in "[aAİßΣς漢字\n\t ]{1,60}", from in 0usize..60, length in 1usize..10) {
            let query: String = text.chars().skip(from).take(length).collect();
            if Query::new(&query).is_some() {
                let (snippet, _) = find(&text, &query).expect("found");
                proptest::prop_assert!(!snippet.contains('\n'));
            }
        }
    }
}
