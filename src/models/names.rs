//! What a model may be called. Names that come from a person, a hub or a folder are confined here; `hf:` sources are
//! taken apart; a misspelt name finds its neighbour. Pure.

use std::fmt;

use crate::text::clean::{is_invisible, printable};

/// The longest name in the store, in bytes: file systems take 255, and the store adds endings.
pub const LONGEST: usize = 180;

/// Why a name is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Nothing, or only dots.
    #[error("a name cannot be empty or made of dots")]
    Empty,
    /// More than [`LONGEST`] bytes.
    #[error("a name of {0} bytes is longer than the {LONGEST} allowed")]
    Long(usize),
    /// A separator, a control character or one that other systems reserve.
    #[error("`{name}` contains {what}")]
    Character {
        /// The name, made safe to show.
        name: String,
        /// The offending character in words.
        what: String,
    },
    /// A device name of another system, or an ending that the store uses itself.
    #[error("`{0}` is a reserved name")]
    Reserved(String),
    /// It looks like a source and is none.
    #[error("`{0}` is not of the form `hf:owner/repo` or `hf:owner/repo/file`")]
    Source(String),
}

impl crate::error::Advise for NameError {
    fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Source(_) => "write for example `hf:Qwen/Qwen2.5-Coder-1.5B-Instruct`, with `@revision` after the repository if you need one".into(),
            _ => "use letters, digits, `.`, `-` and `_`".into(),
        })
    }
}

/// A name that is safe as one file name in the store.
///
/// # Errors
/// What [`NameError`] lists.
pub fn confine(name: &str) -> Result<&str, NameError> {
    component(name)?;
    let lower = name.to_ascii_lowercase();
    if name.starts_with('.') || [".toml", ".part", ".tmp", ".lock"].iter().any(|ending| lower.ends_with(ending)) {
        return Err(NameError::Reserved(name.into()));
    }
    Ok(name)
}

/// A part of a path inside a repository: like [`confine`], but any ending goes.
///
/// # Errors
/// What [`NameError`] lists.
pub fn component(name: &str) -> Result<&str, NameError> {
    if name.trim_matches(['.', ' ']).is_empty() {
        return Err(NameError::Empty);
    }
    if name.len() > LONGEST {
        return Err(NameError::Long(name.len()));
    }
    let bad = |c: &char| {
        c.is_control() || is_invisible(*c) || matches!(c, '/' | '\\' | ':' | '*' | '?' | '"' | '<' | '>' | '|')
    };
    if let Some(c) = name.chars().find(bad) {
        let what = if c.is_control() || is_invisible(c) { "a control character".into() } else { format!("`{c}`") };
        return Err(NameError::Character { name: printable(name), what });
    }
    // Trailing dots and spaces vanish on FAT, which is what /sdcard speaks.
    if name.ends_with(['.', ' ']) || name.starts_with(' ') {
        return Err(NameError::Reserved(name.into()));
    }
    let stem = name.split('.').next().unwrap_or_default().to_ascii_uppercase();
    let numbered = |prefix: &str| {
        stem.strip_prefix(prefix).is_some_and(|rest| rest.len() == 1 && rest.bytes().all(|b| b.is_ascii_digit()))
    };
    if matches!(stem.as_str(), "CON" | "PRN" | "AUX" | "NUL") || numbered("COM") || numbered("LPT") {
        return Err(NameError::Reserved(name.into()));
    }
    Ok(name)
}

/// Something on a hub: a repository, perhaps a revision, perhaps one file of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// `owner/name`.
    pub repo: String,
    /// A branch, tag or commit.
    pub revision: String,
    /// One file (with its folders inside the repository); `None`: the whole checkpoint.
    pub file: Option<String>,
}

impl Source {
    /// One file on the main branch.
    pub fn file(repo: impl Into<String>, file: impl Into<String>) -> Self {
        Self { repo: repo.into(), revision: "main".into(), file: Some(file.into()) }
    }

    /// Reads `hf:owner/repo[@revision][/file]`; the `hf:` must be there.
    ///
    /// # Errors
    /// [`NameError::Source`] for another form; each part is checked like a file name.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        let wrong = || NameError::Source(printable(text));
        let rest = text.strip_prefix("hf:").ok_or_else(wrong)?;
        let (owner, rest) = rest.split_once('/').ok_or_else(wrong)?;
        let (name, file) = match rest.split_once('/') {
            Some((name, file)) => (name, Some(file)),
            None => (rest, None),
        };
        let (name, revision) = match name.split_once('@') {
            Some((name, revision)) => (name, revision),
            None => (name, "main"),
        };
        let plain = |part: &str| part.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'));
        for part in [owner, name, revision] {
            component(part)?;
            if !plain(part) {
                return Err(wrong());
            }
        }
        if let Some(file) = file {
            file.split('/').try_for_each(|part| component(part).map(drop))?;
        }
        Ok(Self { repo: format!("{owner}/{name}"), revision: revision.into(), file: file.map(Into::into) })
    }

    /// What it is called in the store: the file's last part, or `owner--repo` for a checkpoint.
    ///
    /// # Errors
    /// A name the store does not take.
    pub fn stored_name(&self) -> Result<String, NameError> {
        let name = match &self.file {
            Some(file) => file.rsplit('/').next().unwrap_or(file).to_owned(),
            None => self.repo.replace('/', "--"),
        };
        confine(&name)?;
        Ok(name)
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "hf:{}", self.repo)?;
        if self.revision != "main" {
            write!(f, "@{}", self.revision)?;
        }
        self.file.as_ref().map_or(Ok(()), |file| write!(f, "/{file}"))
    }
}

/// The known words nearest to a misspelt one, best first, at most three; none when nothing is near. Case does not count.
pub fn nearest<'a>(wanted: &str, known: impl IntoIterator<Item = &'a str>) -> Vec<&'a str> {
    let wanted: String = wanted.to_lowercase().chars().take(200).collect();
    let length = wanted.chars().count();
    let limit = (length / 3).max(2);
    let mut near: Vec<(usize, &str)> = known
        .into_iter()
        .filter_map(|word| {
            let other = word.to_lowercase();
            let inside = length >= 4 && other.contains(&wanted);
            let far = strsim::levenshtein(&wanted, &other);
            if far <= limit {
                Some((far, word))
            } else if inside {
                Some((limit + 1, word))
            } else {
                None
            }
        })
        .collect();
    near.sort();
    near.dedup();
    near.into_iter().take(3).map(|(_, word)| word).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn names_that_leave_the_store_are_refused() {
        let long = "a".repeat(LONGEST + 1);
        let bad = [
            "",
            ".",
            "..",
            "...",
            " ",
            "a/b",
            "../a",
            "a\\b",
            "c:x",
            "a\0b",
            "a\nb",
            "a\u{1b}[2J",
            "a\u{202e}b",
            "nul",
            "NUL.gguf",
            "com1.gguf",
            "a.gguf.part",
            "a.TOML",
            ".hidden",
            "end.",
            "end ",
            &long,
        ];
        for name in bad {
            assert!(confine(name).is_err(), "{name:?} was taken");
        }
        for name in ["a.gguf", "Qwen--x", "com10.gguf", "模型.gguf", "a b.gguf", "console.gguf"] {
            assert_eq!(confine(name), Ok(name));
        }
    }

    #[test]
    fn a_source_is_taken_apart_and_put_together() {
        let whole = Source::parse("hf:Qwen/Qwen2.5-Coder-1.5B").unwrap();
        assert_eq!(
            (whole.repo.as_str(), whole.revision.as_str(), &whole.file),
            ("Qwen/Qwen2.5-Coder-1.5B", "main", &None)
        );
        assert_eq!(whole.stored_name().unwrap(), "Qwen--Qwen2.5-Coder-1.5B");
        let file = Source::parse("hf:a/b@v1/sub/x.gguf").unwrap();
        assert_eq!((file.revision.as_str(), file.file.as_deref()), ("v1", Some("sub/x.gguf")));
        assert_eq!(file.stored_name().unwrap(), "x.gguf");
        assert_eq!(file.to_string(), "hf:a/b@v1/sub/x.gguf");
        for bad in [
            "a/b",
            "hf:",
            "hf:a",
            "hf:a/",
            "hf:/b",
            "hf:../b",
            "hf:a/b/../c",
            "hf:a/b//c",
            "hf:a/b@/c",
            "hf:a%2f/b",
            "hf:a/b?x/c",
            "hf:a/b/",
        ] {
            assert!(Source::parse(bad).is_err(), "{bad} was taken");
        }
    }

    #[test]
    fn a_misspelt_word_finds_its_neighbours() {
        let known = ["smollm2-135m-instruct", "qwen2.5-coder-1.5b-instruct", "phi-2"];
        assert_eq!(nearest("smolm2-135m-instruct", known), ["smollm2-135m-instruct"]);
        assert_eq!(nearest("SMOLLM2", known), ["smollm2-135m-instruct"]);
        assert!(nearest("entirely-else", known).is_empty());
    }

    proptest! {
        #[test]
        fn a_confined_name_is_one_part_of_a_path(name in any::<String>()) {
            if confine(&name).is_ok() {
                let path = std::path::Path::new("store").join(&name);
                prop_assert_eq!(path.parent(), Some(std::path::Path::new("store")));
                prop_assert_eq!(path.file_name().and_then(|n| n.to_str()), Some(name.as_str()));
            }
        }

        #[test]
        fn a_parsed_source_reads_back_the_same(text in "hf:[a-z./@-]{1,20}") {
            if let Ok(source) = Source::parse(&text) {
                prop_assert_eq!(Source::parse(&source.to_string()), Ok(source));
            }
        }
    }
}
