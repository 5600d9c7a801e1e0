//! Bytes of tokens become text: characters are never split, stop texts never shown. Pure.

/// Collects the bytes of tokens and lets go of text that is certain: whole characters, and nothing that could still
/// turn out to be the beginning of a stop text.
#[derive(Debug, Default)]
pub(crate) struct Pieces {
    held: Vec<u8>,
    stops: Vec<String>,
    stopped: bool,
}

impl Pieces {
    /// Empty stop texts are ignored.
    pub(crate) fn new(stops: impl IntoIterator<Item = String>) -> Self {
        Self { stops: stops.into_iter().filter(|stop| !stop.is_empty()).collect(), ..Self::default() }
    }

    /// Takes the bytes of one token; gives the text that became certain. After a stop text nothing more comes.
    pub(crate) fn push(&mut self, bytes: &[u8]) -> String {
        if self.stopped {
            return String::new();
        }
        self.held.extend_from_slice(bytes);
        let (mut text, used) = decode(&self.held, false);
        if let Some(at) = self.stops.iter().filter_map(|stop| text.find(stop.as_str())).min() {
            text.truncate(at);
            self.stopped = true;
            self.held.clear();
            return text;
        }
        let keep = self.stops.iter().map(|stop| overlap(&text, stop)).max().unwrap_or(0);
        let rest = self.held.split_off(used);
        let tail = text.split_off(text.len() - keep);
        self.held = tail.into_bytes();
        self.held.extend_from_slice(&rest);
        text
    }

    /// Whether a stop text came up.
    pub(crate) fn stopped(&self) -> bool {
        self.stopped
    }

    /// What was held back; unfinished characters become U+FFFD.
    pub(crate) fn finish(&mut self) -> String {
        let held = std::mem::take(&mut self.held);
        decode(&held, true).0
    }
}

/// The text of `bytes` with invalid sequences replaced, and how many bytes it took; an unfinished character at the end
/// is left alone unless `last`.
fn decode(bytes: &[u8], last: bool) -> (String, usize) {
    let mut text = String::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        match std::str::from_utf8(&bytes[at..]) {
            Ok(valid) => {
                text.push_str(valid);
                at = bytes.len();
            }
            Err(error) => {
                let valid = &bytes[at..at + error.valid_up_to()];
                text.push_str(&String::from_utf8_lossy(valid));
                at += valid.len();
                match error.error_len() {
                    Some(len) => at += len,
                    None if last => at = bytes.len(),
                    None => break,
                }
                text.push(char::REPLACEMENT_CHARACTER);
            }
        }
    }
    (text, at)
}

/// The length of the longest end of `text` that begins `stop`, in bytes.
fn overlap(text: &str, stop: &str) -> usize {
    stop.char_indices()
        .map(|(at, _)| at)
        .skip(1)
        .chain(None)
        .filter(|&len| text.ends_with(&stop[..len]))
        .max()
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(stops: &[&str], tokens: &[&[u8]]) -> (Vec<String>, bool) {
        let mut pieces = Pieces::new(stops.iter().map(|stop| (*stop).to_string()));
        let mut out: Vec<String> = tokens.iter().map(|token| pieces.push(token)).collect();
        out.push(pieces.finish());
        (out, pieces.stopped())
    }

    #[test]
    fn a_character_split_over_tokens_comes_whole() {
        let snowman = "☃".as_bytes();
        let (out, _) = run(&[], &[b"a", &snowman[..1], &snowman[1..2], &snowman[2..], b"b"]);
        assert_eq!(out, ["a", "", "", "☃", "b", ""]);
    }

    #[test]
    fn invalid_bytes_become_replacement_characters() {
        let (out, _) = run(&[], &[b"a\xff", b"b", b"\xe2"]);
        assert_eq!(out, ["a\u{fffd}", "b", "", "\u{fffd}"]);
    }

    #[test]
    fn a_stop_text_over_several_tokens_is_not_shown() {
        let (out, stopped) = run(&["\nUser:"], &[b"hello\n", b"Us", b"er", b": x"]);
        assert_eq!(out.concat(), "hello");
        assert!(stopped);
    }

    #[test]
    fn what_only_began_like_a_stop_text_is_shown() {
        let (out, stopped) = run(&["\nUser:"], &[b"hello\n", b"Us", b"ual"]);
        assert_eq!(out.concat(), "hello\nUsual");
        assert!(!stopped);
        let (out, _) = run(&["###"], &[b"a #", b"#"]);
        assert_eq!(out.concat(), "a ##");
    }

    #[test]
    fn the_first_of_several_stop_texts_wins() {
        let (out, stopped) = run(&["b", "", "abc"], &[b"xxabc"]);
        assert_eq!(out.concat(), "xx");
        assert!(stopped);
    }

    proptest::proptest! {
        #[test]
        fn without_stop_texts_all_text_comes_through(text in "\\PC{0,40}", cuts in proptest::collection::vec(0usize..60, 0..6)) {
            let bytes = text.as_bytes();
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(bytes.len())).collect();
            cuts.extend([0, bytes.len()]);
            cuts.sort_unstable();
            let mut pieces = Pieces::new(["\u{1}never".to_string()]);
            let mut out = String::new();
            for pair in cuts.windows(2) {
                out += &pieces.push(&bytes[pair[0]..pair[1]]);
            }
            out += &pieces.finish();
            proptest::prop_assert_eq!(out, text);
        }
    }
}
