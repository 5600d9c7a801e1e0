//! A model's files: one, or the parts that llama.cpp's `gguf-split` makes, `NAME-00001-of-00003.gguf` and so on. The
//! first part has the metadata; each has tensors of its own.

use std::path::{Path, PathBuf};

use super::{GgufError, Header, TensorInfo};

/// The headers of a model's files, the first part's first; there is at least that.
#[derive(Clone, Debug)]
pub struct Parts {
    first: Header,
    rest: Vec<Header>,
}

impl From<Header> for Parts {
    fn from(first: Header) -> Self {
        Self { first, rest: Vec::new() }
    }
}

impl Parts {
    /// Reads a file's header, and of a model in several parts all headers.
    ///
    /// # Errors
    /// One of them cannot be read, or `path` is not the first part under the name that parts have.
    pub fn read(path: &Path) -> Result<Self, GgufError> {
        let first = Header::read(path)?;
        let count = first.u64("split.count").unwrap_or(1);
        if count <= 1 {
            return Ok(first.into());
        }
        let number = first.u64("split.no").unwrap_or(0) + 1;
        let wrong = || GgufError::Part { path: path.to_owned(), number, count };
        let name = path.to_string_lossy();
        let stem = name.strip_suffix(&suffix(1, count)).filter(|_| number == 1 && count < 100_000).ok_or_else(wrong)?;
        let rest = (2..=count).map(|n| Header::read(&part(Path::new(stem), n, count))).collect::<Result<_, _>>()?;
        Ok(Self { first, rest })
    }

    /// The first part, which has the metadata.
    pub fn first(&self) -> &Header {
        &self.first
    }

    /// All parts in order.
    pub fn headers(&self) -> impl Iterator<Item = &Header> {
        std::iter::once(&self.first).chain(&self.rest)
    }

    /// How many files there are.
    pub fn count(&self) -> usize {
        1 + self.rest.len()
    }

    /// Every tensor, in the parts' order.
    pub fn tensors(&self) -> impl Iterator<Item = &TensorInfo> {
        self.headers().flat_map(|header| &header.tensors)
    }

    /// A tensor by name.
    pub fn tensor(&self, name: &str) -> Option<&TensorInfo> {
        self.tensors().find(|tensor| tensor.name == name)
    }

    /// All files' sizes, in bytes.
    pub fn bytes(&self) -> u64 {
        self.headers().map(|header| header.file_len).sum()
    }
}

fn suffix(number: u64, count: u64) -> String {
    format!("-{number:05}-of-{count:05}.gguf")
}

/// What a file's name says of the parts it is one of: its number, counted from 1, and how many there are.
pub fn part_of(name: &str) -> Option<(u64, u64)> {
    let digits = |text: &str| text.len() == 5 && text.bytes().all(|byte| byte.is_ascii_digit());
    let stem = name.len().checked_sub(5).and_then(|at| name.split_at_checked(at));
    let (stem, _) = stem.filter(|(_, ending)| ending.eq_ignore_ascii_case(".gguf"))?;
    let (rest, count) = stem.rsplit_once("-of-")?;
    let (_, number) = rest.rsplit_once('-')?;
    if !digits(number) || !digits(count) {
        return None;
    }
    Some((number.parse().ok()?, count.parse().ok()?))
}

/// The name of part `number`, counted from 1, of `count`; `stem` is what all of them begin with.
pub fn part(stem: &Path, number: u64, count: u64) -> PathBuf {
    let mut name = stem.as_os_str().to_owned();
    name.push(suffix(number, count));
    name.into()
}

#[cfg(test)]
mod tests {
    use super::super::GgmlType;
    use super::super::write::HeaderWriter;
    use super::*;

    #[test]
    fn a_name_tells_which_part_a_file_is() {
        let stem = Path::new("a-00001-of-model");
        assert_eq!(part(stem, 2, 3).to_str().and_then(part_of), Some((2, 3)));
        assert_eq!(part_of("x-00001-of-00002.GGUF"), Some((1, 2)));
        for whole in ["x.gguf", "x-1-of-2.gguf", "x-00001-of-00002.bin", "x-0000a-of-00002.gguf", "-of-", "é.gguf"] {
            assert_eq!(part_of(whole), None, "{whole}");
        }
    }

    #[test]
    fn a_model_in_parts_is_read_as_one() {
        let folder = tempfile::tempdir().unwrap();
        let stem = folder.path().join("m");
        let write = |number: u64, tensor: &str| {
            let writer = HeaderWriter::new().u32("split.count", 2).u32("split.no", number as u32 - 1);
            writer.tensor(tensor, &[32, 4], GgmlType::F32).write_sparse(&part(&stem, number, 2)).unwrap();
        };
        write(1, "a");
        let missing = Parts::read(&part(&stem, 1, 2)).unwrap_err().to_string();
        assert!(missing.contains("m-00002-of-00002.gguf"), "{missing}");
        write(2, "b");
        let all = Parts::read(&part(&stem, 1, 2)).unwrap();
        assert_eq!(all.tensors().map(|tensor| tensor.name.as_str()).collect::<Vec<_>>(), ["a", "b"]);
        assert!(all.count() == 2 && all.tensor("b").is_some() && all.bytes() > 1024);
        let second = Parts::read(&part(&stem, 2, 2)).unwrap_err().to_string();
        assert!(second.contains("part 2 of 2"), "{second}");
        std::fs::rename(part(&stem, 1, 2), folder.path().join("other.gguf")).unwrap();
        assert!(Parts::read(&folder.path().join("other.gguf")).is_err());
    }
}
