//! Files of importance matrices: llama.cpp's GGUF form and its older binary one, read and written, and several merged.
//!
//! For each matrix the sums of squares of its inputs, and how many inputs went into them; what quantizing wants is the mean.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use super::legacy;
use crate::atomic::{self, WriteError};
use crate::error::Advise;
use crate::small;
use crate::weights::gguf::write::HeaderWriter;
use crate::weights::gguf::{GgmlType, GgufError, Header, Metadata, Parts, read_exact};
use crate::weights::numbers;
use crate::weights::safetensors::Dtype;

/// The largest file read, in bytes: a 70 B model's takes 100 MB.
const LARGEST: u64 = 4 << 30;
/// Our own value beside llama.cpp's.
const SOURCE: &str = "zord.imatrix.source";
const SUMS: &str = ".in_sum2";
/// A column counts at least so much of what the mean one does.
const LEAST: f64 = 1e-10;
/// Means below this are raised; those of real models are above 1e-9.
const SMALL: f64 = 1e-12;
const COUNTS: &str = ".counts";

/// What was summed for one matrix, or for each of a stack of them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Entry {
    /// Sums of squares, a row of inputs for each matrix of the stack.
    pub sums: Vec<f32>,
    /// Inputs that were summed, for each matrix of the stack.
    pub counts: Vec<u64>,
}

/// Sums for a model's matrices by name, and where they come from.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Imatrix {
    /// By the tensor's name.
    pub entries: BTreeMap<String, Entry>,
    /// Names of the texts.
    pub datasets: Vec<String>,
    /// Windows of text that were evaluated.
    pub chunks: u32,
    /// Tokens of a window; 0 when unknown.
    pub chunk_size: u32,
    /// What it was summed over and how, as a digest; empty when unknown. Only the same can be gone on with.
    pub source: String,
}

/// A file that is no importance matrix, or not for this model.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)]
pub enum ImatrixError {
    #[error("cannot read `{}`: {source}", path.display())]
    Io { path: PathBuf, source: io::Error },
    #[error(transparent)]
    Gguf(#[from] GgufError),
    #[error(transparent)]
    Write(#[from] WriteError),
    #[error("`{}` is no importance matrix: {what}", path.display())]
    Damaged { path: PathBuf, what: String },
    #[error(
        "the importance matrix is of another model: it has {found} values for `{tensor}`, whose rows have {expected}"
    )]
    Size { tensor: String, expected: u64, found: usize },
    #[error(
        "the importance matrix is of another model: none of its {entries} entries names one of the {tensors} tensors"
    )]
    Foreign { entries: usize, tensors: usize },
    #[error("the sums for `{tensor}` are of {first} inputs in one file and of {second} in another")]
    Merge { tensor: String, first: usize, second: usize },
    #[error("the importance matrix has values that are no finite numbers, for `{tensor}`")]
    NotFinite { tensor: String },
}

impl Advise for ImatrixError {
    fn hint(&self) -> Option<String> {
        match self {
            Self::Io { .. } => None,
            Self::Gguf(error) => error.hint(),
            Self::Write(error) => error.hint(),
            Self::Damaged { .. } => Some("`zord-quantize imatrix` makes one".to_owned()),
            Self::Size { .. } | Self::Foreign { .. } => {
                Some("make one with `zord-quantize imatrix -m` and this very model".to_owned())
            }
            Self::Merge { .. } => Some("only sums of one and the same model can be merged".to_owned()),
            Self::NotFinite { .. } => Some("make it anew; the model's weights may be damaged".to_owned()),
        }
    }
}

impl Imatrix {
    /// Reads a file of either form.
    ///
    /// # Errors
    /// It is neither, is damaged, or cannot be read.
    pub fn read(path: &Path) -> Result<Self, ImatrixError> {
        let io = |source| ImatrixError::Io { path: path.to_owned(), source };
        let file = small::open(path).map_err(io)?;
        let facts = file.metadata().map_err(io)?;
        let len = facts.len();
        let mut magic = [0; 4];
        if !facts.is_file() || len > LARGEST || read_exact(&file, &mut magic, 0).is_err() {
            let what = format!("it has {len} bytes");
            return Err(ImatrixError::Damaged { path: path.to_owned(), what });
        }
        let all = if &magic == b"GGUF" { Self::of_gguf(path, &file)? } else { Self::of_legacy(path)? };
        let bad = all.entries.iter().find(|(_, entry)| entry.sums.iter().any(|sum| !sum.is_finite()));
        match bad {
            Some((tensor, _)) => Err(ImatrixError::NotFinite { tensor: tensor.clone() }),
            None => Ok(all),
        }
    }

    fn of_gguf(path: &Path, file: &File) -> Result<Self, ImatrixError> {
        let io = |source| ImatrixError::Io { path: path.to_owned(), source };
        let damaged = |what: String| ImatrixError::Damaged { path: path.to_owned(), what };
        let header = Header::read(path)?;
        let mut all = Self {
            datasets: header.strings("imatrix.datasets").unwrap_or_default(),
            chunks: header.u32("imatrix.chunk_count").unwrap_or(0),
            chunk_size: header.u32("imatrix.chunk_size").unwrap_or(0),
            source: header.str(SOURCE).unwrap_or_default().to_owned(),
            ..Self::default()
        };
        let mut stacks = BTreeMap::new();
        for tensor in &header.tensors {
            let (name, counts) = match (tensor.name.strip_suffix(SUMS), tensor.name.strip_suffix(COUNTS)) {
                (Some(name), _) => (name, false),
                (_, Some(name)) => (name, true),
                _ => continue,
            };
            if tensor.kind != GgmlType::F32 {
                return Err(damaged(format!("`{}` is {} where f32 was expected", tensor.name, tensor.kind)));
            }
            let mut raw = vec![0; tensor.bytes as usize];
            read_exact(file, &mut raw, header.data_offset + tensor.offset).map_err(io)?;
            let numbers = numbers::decoded(Dtype::F32, &raw).into_iter();
            let entry = all.entries.entry(name.to_owned()).or_default();
            if counts {
                entry.counts = numbers.map(|count| count.round().max(0.0) as u64).collect();
            } else {
                entry.sums = numbers.collect();
                stacks.insert(name.to_owned(), tensor.dims.get(1).copied().unwrap_or(1));
            }
        }
        for (name, entry) in &all.entries {
            let stack = stacks.get(name).copied().unwrap_or(0);
            if entry.sums.is_empty() || entry.counts.len() as u64 != stack {
                return Err(damaged(format!("sums and counts of `{name}` do not match")));
            }
        }
        if all.entries.is_empty() { Err(damaged("it has no sums".into())) } else { Ok(all) }
    }

    fn of_legacy(path: &Path) -> Result<Self, ImatrixError> {
        let bytes = small::read(path, LARGEST).map_err(|source| ImatrixError::Io { path: path.to_owned(), source })?;
        legacy::read(&bytes).ok_or_else(|| {
            let what = "it is neither GGUF nor llama.cpp's older form".to_owned();
            ImatrixError::Damaged { path: path.to_owned(), what }
        })
    }

    /// Writes llama.cpp's GGUF form.
    ///
    /// # Errors
    /// The file cannot be written; nothing is left then.
    pub fn write(&self, path: &Path) -> Result<(), ImatrixError> {
        let mut metadata = Metadata::new();
        metadata.str("general.type", "imatrix");
        metadata.strs("imatrix.datasets", self.datasets.iter());
        metadata.u32("imatrix.chunk_count", self.chunks);
        metadata.u32("imatrix.chunk_size", self.chunk_size);
        if !self.source.is_empty() {
            metadata.str(SOURCE, &self.source);
        }
        let mut writer = HeaderWriter::new().metadata(&metadata);
        let mut data = Vec::new();
        let mut put = |numbers: &mut dyn Iterator<Item = f32>| {
            numbers.for_each(|number| data.extend(number.to_le_bytes()));
            data.resize(data.len().next_multiple_of(32), 0);
        };
        for (name, entry) in &self.entries {
            let stack = entry.counts.len().max(1) as u64;
            let columns = entry.sums.len() as u64 / stack;
            writer = writer.tensor(&format!("{name}{SUMS}"), &[columns, stack], GgmlType::F32);
            writer = writer.tensor(&format!("{name}{COUNTS}"), &[1, stack], GgmlType::F32);
            put(&mut entry.sums.iter().copied());
            put(&mut entry.counts.iter().map(|&count| count as f32));
        }
        let (head, _) = writer.bytes().map_err(|source| WriteError::Io { path: path.to_owned(), source })?;
        Ok(atomic::replace(path, &[head, data].concat())?)
    }

    /// Writes llama.cpp's older form, which knows one count for a whole stack.
    ///
    /// # Errors
    /// The file cannot be written; nothing is left then.
    pub fn write_legacy(&self, path: &Path) -> Result<(), ImatrixError> {
        Ok(atomic::replace(path, &legacy::bytes(self))?)
    }

    /// Adds what another one summed.
    ///
    /// # Errors
    /// It is of another model.
    pub fn merge(&mut self, other: Self) -> Result<(), ImatrixError> {
        for (name, entry) in other.entries {
            let Some(mine) = self.entries.get_mut(&name) else {
                self.entries.insert(name, entry);
                continue;
            };
            if mine.sums.len() != entry.sums.len() {
                let (first, second) = (mine.sums.len(), entry.sums.len());
                return Err(ImatrixError::Merge { tensor: name, first, second });
            }
            // The older form has one count for a whole stack.
            let stack = mine.counts.len().max(entry.counts.len());
            let spread = |counts: &[u64]| -> Vec<u64> { counts.iter().copied().cycle().take(stack).collect() };
            let entry = Entry { counts: spread(&entry.counts), ..entry };
            mine.counts = spread(&mine.counts);
            mine.sums.iter_mut().zip(&entry.sums).for_each(|(mine, theirs)| *mine += theirs);
            mine.counts.iter_mut().zip(&entry.counts).for_each(|(mine, theirs)| *mine += theirs);
        }
        self.chunks += other.chunks;
        for dataset in other.datasets {
            if !self.datasets.contains(&dataset) {
                self.datasets.push(dataset);
            }
        }
        self.chunk_size = self.chunk_size.max(other.chunk_size);
        if self.source != other.source {
            self.source.clear();
        }
        Ok(())
    }

    /// Makes evaluations of windows, which the older form counts, into inputs, so that sums of both can be added:
    /// `window` is how many inputs an evaluation had (llama.cpp's `imatrix.cpp` takes its own window for it too).
    pub fn count_inputs(&mut self, window: u32) {
        if self.chunk_size == 0 {
            for entry in self.entries.values_mut() {
                entry.sums.iter_mut().for_each(|sum| *sum *= window as f32);
                entry.counts.iter_mut().for_each(|count| *count *= u64::from(window));
            }
            self.chunk_size = window;
        }
    }

    /// Means of squares; ones for a matrix of a stack that no input reached.
    pub fn mean(&self, entry: &Entry) -> Vec<f32> {
        let columns = entry.sums.len() / entry.counts.len().max(1);
        let rows = entry.sums.chunks(columns.max(1)).zip(&entry.counts);
        rows.flat_map(|(row, &count)| row.iter().map(move |sum| if count > 0 { sum / count as f32 } else { 1.0 }))
            .collect()
    }

    /// Means as weights for quantizing, or nothing for a matrix of which nothing is known: all its inputs were zero.
    ///
    /// An input that was always zero says nothing of its column, and llama.cpp would make a block of such columns zero: it
    /// counts like the mean of the others. Columns that count next to nothing count enough for a scale to be found, and
    /// small sums are raised together, as their products with squares of weights would vanish in `f32`.
    pub fn weights(&self, entry: &Entry) -> Option<Vec<f32>> {
        let mut all = self.mean(entry);
        let columns = (all.len() / entry.counts.len().max(1)).max(1);
        if all.iter().all(|&mean| mean <= 0.0) {
            return None;
        }
        for row in all.chunks_mut(columns) {
            let (sum, count) = row
                .iter()
                .filter(|&&mean| mean > 0.0)
                .fold((0.0, 0), |(sum, count), &mean| (sum + f64::from(mean), count + 1));
            let typical = if count > 0 { sum / f64::from(count) } else { 1.0 };
            let raised = if typical < SMALL { 1.0 / typical } else { 1.0 };
            for mean in row {
                let own = if *mean > 0.0 { f64::from(*mean).max(typical * LEAST) } else { typical };
                *mean = (own * raised) as f32;
            }
        }
        Some(all)
    }

    /// What of a model it says nothing about, in words; nothing where it covers every matrix.
    pub fn gaps(&self, model: &Parts) -> Option<String> {
        let counts = |name: &str| {
            let own = name.ends_with(".weight") && !name.ends_with("norm.weight");
            own && !["token_embd.weight", "output.weight"].contains(&name)
        };
        let matrices: Vec<&str> = model
            .tensors()
            .filter(|tensor| tensor.dims.len() >= 2 && counts(&tensor.name))
            .map(|tensor| tensor.name.as_str())
            .collect();
        let known = |name: &&str| self.entries.get(*name).is_some_and(|entry| self.weights(entry).is_some());
        let missing: Vec<&str> = matrices.iter().copied().filter(|name| !known(name)).collect();
        let first = missing.first()?;
        let (missing, all) = (missing.len(), matrices.len());
        Some(format!(
            "the importance matrix says nothing about {missing} of {all} matrices, the first of them `{first}`; they are \
             quantized as without one"
        ))
    }

    /// Holds it against a model.
    ///
    /// # Errors
    /// It is of another one.
    pub fn fits(&self, model: &Parts) -> Result<(), ImatrixError> {
        let mut known = 0;
        for tensor in model.tensors() {
            let Some(entry) = self.entries.get(&tensor.name) else { continue };
            known += 1;
            let expected = tensor.dims.first().copied().unwrap_or(1) * tensor.dims.get(2).copied().unwrap_or(1);
            if entry.sums.len() as u64 != expected && tensor.name != "token_embd.weight" {
                let (tensor, found) = (tensor.name.clone(), entry.sums.len());
                return Err(ImatrixError::Size { tensor, expected, found });
            }
        }
        if known == 0 {
            return Err(ImatrixError::Foreign { entries: self.entries.len(), tensors: model.tensors().count() });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn small() -> Imatrix {
        let entry = |sums: &[f32], counts: &[u64]| Entry { sums: sums.to_vec(), counts: counts.to_vec() };
        Imatrix {
            entries: [
                ("blk.0.attn_q.weight".to_owned(), entry(&[2.0, 4.0, 8.0], &[4])),
                ("blk.0.ffn_up_exps.weight".to_owned(), entry(&[1.0, 2.0, 3.0, 4.0], &[2, 0])),
            ]
            .into(),
            datasets: vec!["a.txt".into()],
            chunks: 3,
            chunk_size: 512,
            source: "texts".to_owned(),
        }
    }

    #[test]
    fn both_forms_come_back_as_they_went() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("i.gguf");
        small().write(&path).unwrap();
        let back = Imatrix::read(&path).unwrap();
        assert_eq!(back, small());
        let old = folder.path().join("i.dat");
        small().write_legacy(&old).unwrap();
        let legacy = Imatrix::read(&old).unwrap();
        let (a, b) = (&legacy.entries["blk.0.attn_q.weight"], &back.entries["blk.0.attn_q.weight"]);
        assert_eq!(legacy.mean(a), back.mean(b));
        assert_eq!((legacy.chunks, &legacy.datasets[0]), (3, &back.datasets[0]));
    }

    #[test]
    fn means_are_of_what_was_counted() {
        let all = small();
        assert_eq!(all.mean(&all.entries["blk.0.attn_q.weight"]), [0.5, 1.0, 2.0]);
        assert_eq!(all.mean(&all.entries["blk.0.ffn_up_exps.weight"]), [0.5, 1.0, 1.0, 1.0]);
        let mut twice = small();
        twice.merge(small()).unwrap();
        assert_eq!(twice.mean(&twice.entries["blk.0.attn_q.weight"]), [0.5, 1.0, 2.0]);
        assert_eq!((twice.chunks, twice.datasets.len()), (6, 1));
        let mut other = small();
        other.chunk_size = 0;
        other.entries.get_mut("blk.0.ffn_up_exps.weight").unwrap().counts = vec![2];
        other.count_inputs(512);
        other.merge(small()).unwrap();
        assert_eq!(other.entries["blk.0.attn_q.weight"].counts, [512 * 4 + 4]);
        assert_eq!(other.entries["blk.0.ffn_up_exps.weight"].counts, [1026, 1024]);
        assert_eq!(other.mean(&other.entries["blk.0.attn_q.weight"]), [0.5, 1.0, 2.0]);
        let mut other = small();
        other.entries.get_mut("blk.0.attn_q.weight").unwrap().sums.push(1.0);
        assert!(small().merge(other).unwrap_err().to_string().contains("of 3 inputs in one file and of 4"));
    }

    #[test]
    fn zeros_are_no_information() {
        let all = Imatrix::default();
        let weights =
            |sums: &[f32], counts: &[u64]| all.weights(&Entry { sums: sums.to_vec(), counts: counts.to_vec() });
        assert_eq!(weights(&[0.0; 4], &[9]), None);
        assert_eq!(weights(&[2.0, 4.0, 0.0, 6.0], &[2]), Some(vec![1.0, 2.0, 2.0, 3.0]));
        // A matrix of a stack that only zeros reached counts evenly, beside one that is known.
        assert_eq!(weights(&[0.0, 0.0, 2.0, 4.0], &[5, 1]), Some(vec![1.0, 1.0, 2.0, 4.0]));
        let tiny = weights(&[1e-38, 3e-38], &[1]).unwrap();
        assert!((tiny[0] - 0.5).abs() < 1e-3 && (tiny[1] - 1.5).abs() < 1e-3, "{tiny:?}");
        let uneven = weights(&[1e-30, 1.0], &[1]).unwrap();
        assert!(uneven[0] > 1e-11 && uneven[1] == 1.0, "{uneven:?}");
        // What is ordinary stays as it is, to the bit.
        let ordinary = [0.3_f32, 1e-6, 7.0];
        assert_eq!(weights(&ordinary, &[1]), Some(ordinary.to_vec()));
    }

    #[test]
    fn what_a_matrix_does_not_cover_is_told() {
        let writer = HeaderWriter::new()
            .tensor("blk.0.attn_q.weight", &[3, 2], GgmlType::F16)
            .tensor("blk.0.attn_k.weight", &[3, 2], GgmlType::F16)
            .tensor("token_embd.weight", &[3, 2], GgmlType::F16);
        let (mut bytes, data) = writer.bytes().unwrap();
        bytes.resize(bytes.len() + data as usize, 0);
        let model = Parts::from(Header::parse(Path::new("m.gguf"), &bytes.as_slice(), bytes.len() as u64).unwrap());
        let mut all = small();
        assert!(all.gaps(&model).unwrap().contains("1 of 2 matrices, the first of them `blk.0.attn_k.weight`"));
        all.entries.insert("blk.0.attn_k.weight".into(), Entry { sums: vec![0.0; 3], counts: vec![1] });
        assert!(all.gaps(&model).unwrap().contains("1 of 2 matrices"));
        all.entries.insert("blk.0.attn_k.weight".into(), Entry { sums: vec![1.0; 3], counts: vec![1] });
        assert_eq!(all.gaps(&model), None);
    }

    #[test]
    fn one_of_another_model_is_refused_by_name() {
        let model = |columns: u64, name: &str| {
            let writer = HeaderWriter::new().tensor(name, &[columns, 2], GgmlType::F16);
            let (mut bytes, data) = writer.bytes().unwrap();
            bytes.resize(bytes.len() + data as usize, 0);
            Parts::from(Header::parse(Path::new("m.gguf"), &bytes.as_slice(), bytes.len() as u64).unwrap())
        };
        small().fits(&model(3, "blk.0.attn_q.weight")).unwrap();
        let error = small().fits(&model(4, "blk.0.attn_q.weight")).unwrap_err().to_string();
        assert!(error.contains("it has 3 values for `blk.0.attn_q.weight`, whose rows have 4"), "{error}");
        let error = small().fits(&model(3, "blk.0.attn_k.weight")).unwrap_err().to_string();
        assert!(error.contains("none of its 2 entries"), "{error}");
    }

    #[test]
    fn damage_is_an_error_not_a_panic() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("i.dat");
        small().write_legacy(&path).unwrap();
        let whole = std::fs::read(&path).unwrap();
        for len in [0, 3, 4, 20, whole.len() / 2] {
            std::fs::write(&path, &whole[..len]).unwrap();
            assert!(Imatrix::read(&path).is_err(), "{len}");
        }
        let mut state = 5u32;
        for _ in 0..3000 {
            let mut bytes = whole.clone();
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let at = (state >> 8) as usize % bytes.len();
            bytes[at] = (state >> 24) as u8;
            let _ = legacy::read(&bytes);
        }
    }
}
