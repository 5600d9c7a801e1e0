//! What the person is told besides the conversation: a few lines above the input.

use super::msg::Level;

/// Most notices kept.
const MOST: usize = 6;
/// Info notices disappear on the first key press once shown this long, in milliseconds.
const STALE: u64 = 4000;

/// One notice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// How loud.
    pub level: Level,
    /// What.
    pub text: String,
    at: u64,
}

/// The notices that are up.
#[derive(Clone, Debug, Default)]
pub struct Notices(Vec<Notice>);

impl Notices {
    /// Puts one up; a repetition only renews its time.
    pub fn add(&mut self, level: Level, text: String, now: u64) {
        self.0.retain(|notice| notice.text != text);
        if self.0.len() >= MOST {
            self.0.remove(0);
        }
        self.0.push(Notice { level, text, at: now });
    }

    /// Oldest first.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &Notice> + ExactSizeIterator {
        self.0.iter()
    }

    /// Whether none is up.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Takes all down.
    pub fn clear(&mut self) {
        self.0.clear();
    }

    /// A key was pressed: info notices that were shown long enough go. Warnings and errors stay until something is sent.
    pub(crate) fn age(&mut self, now: u64) {
        self.0.retain(|notice| notice.level != Level::Info || now.saturating_sub(notice.at) < STALE);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_stale_information_goes_with_a_key() {
        let mut notices = Notices::default();
        notices.add(Level::Info, "copied".into(), 0);
        notices.add(Level::Error, "no room".into(), 0);
        notices.age(STALE - 1);
        assert_eq!(notices.iter().count(), 2);
        notices.age(STALE);
        assert_eq!(notices.iter().map(|notice| notice.text.as_str()).collect::<Vec<_>>(), ["no room"]);
    }

    #[test]
    fn there_are_never_too_many() {
        let mut notices = Notices::default();
        for n in 0..20 {
            notices.add(Level::Info, n.to_string(), n);
            notices.add(Level::Info, n.to_string(), n);
        }
        assert_eq!(notices.iter().len(), MOST);
    }
}
