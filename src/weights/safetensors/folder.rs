//! A checkpoint's folder: one file, or several with an index that must agree with them.

use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};

use serde::Deserialize;

use super::{Header, SafetensorsError, Tensor, open, printable};
use crate::small;

pub(super) const INDEX: &str = "model.safetensors.index.json";
/// What transformers looks for first.
pub(super) const WHOLE: &str = "model.safetensors";

/// All tensors of a checkpoint.
#[derive(Debug)]
pub struct Folder {
    /// Files in order, in each the tensors by place.
    pub tensors: Vec<Tensor>,
    /// Names of the files.
    pub files: Vec<PathBuf>,
    /// What the first file's header says besides.
    pub notes: BTreeMap<String, String>,
    /// What the person should know of how the files were chosen.
    pub notice: Option<String>,
}

#[derive(Deserialize)]
struct Index {
    weight_map: BTreeMap<String, String>,
}

impl Folder {
    /// Opens a folder, or a single file.
    ///
    /// # Errors
    /// There is nothing to open, a file is damaged, or the index and the files disagree.
    pub fn open(path: &Path) -> Result<Self, SafetensorsError> {
        if path.is_file() && !path.to_string_lossy().ends_with(".json") {
            return Self::of(&[path.to_owned()]);
        }
        let folder = if path.is_file() { path.parent().unwrap_or(path) } else { path };
        let (index, whole) = (folder.join(INDEX), folder.join(WHOLE));
        if whole.is_file() && !is_in_index(&index) {
            let mut all = Self::of(&[whole])?;
            all.notice = index.is_file().then(|| {
                format!(
                    "`{INDEX}` names other files than `{WHOLE}`, which lies beside it and counts, as in transformers"
                )
            });
            return Ok(all);
        }
        if index.is_file() {
            return Self::indexed(folder, &index);
        }
        let mut names = names(folder)?;
        let pickled = names.iter().any(|name| name.ends_with(".bin") || name.ends_with(".pt"));
        names.retain(|name| name.starts_with("model") && name.ends_with(".safetensors"));
        if names.is_empty() {
            return Err(SafetensorsError::Nothing { path: folder.to_owned(), pickled });
        }
        if let Some(missing) = missing_part(&names) {
            let index = folder.to_owned();
            return Err(SafetensorsError::MissingShard { index, shard: missing, tensors: 0 });
        }
        Self::of(&names.iter().map(|name| folder.join(name)).collect::<Vec<_>>())
    }

    fn of(paths: &[PathBuf]) -> Result<Self, SafetensorsError> {
        let mut folder = Self { tensors: Vec::new(), files: paths.to_vec(), notes: BTreeMap::new(), notice: None };
        let mut seen: BTreeMap<String, String> = BTreeMap::new();
        for path in paths {
            let (source, Header { tensors, notes, data_offset }) = open(path)?;
            if folder.notes.is_empty() {
                folder.notes = notes;
            }
            for (name, entry) in tensors {
                if let Some(first) = seen.insert(name.clone(), short(path)) {
                    let second = short(path);
                    return Err(SafetensorsError::Twice { tensor: printable(&name), first, second });
                }
                let (begin, end) = entry.data_offsets;
                folder.tensors.push(Tensor {
                    name,
                    dtype: entry.dtype,
                    shape: entry.shape,
                    offset: data_offset + begin,
                    bytes: end - begin,
                    file: source.clone(),
                });
            }
        }
        Ok(folder)
    }

    fn indexed(folder: &Path, path: &Path) -> Result<Self, SafetensorsError> {
        let wrong = |what: String| SafetensorsError::Index { path: path.to_owned(), what };
        let io = |source| SafetensorsError::Io { path: path.to_owned(), source };
        let text = small::read(path, small::TOKENIZER).map_err(io)?;
        let Index { weight_map } = serde_json::from_slice(&text).map_err(|error| wrong(error.to_string()))?;
        let mut shards: BTreeMap<&str, usize> = BTreeMap::new();
        for shard in weight_map.values() {
            *shards.entry(shard).or_default() += 1;
        }
        for (&shard, &tensors) in &shards {
            let plain = Path::new(shard).components().all(|part| matches!(part, Component::Normal(_)));
            if !plain || shard.is_empty() {
                return Err(wrong(format!("`{}` is no file of this folder", printable(shard))));
            }
            if !folder.join(shard).is_file() {
                return Err(SafetensorsError::MissingShard {
                    index: path.to_owned(),
                    shard: printable(shard),
                    tensors,
                });
            }
        }
        let all = Self::of(&shards.keys().map(|shard| folder.join(shard)).collect::<Vec<_>>())?;
        let found: BTreeMap<&str, String> =
            all.tensors.iter().map(|tensor| (tensor.name.as_str(), short(&tensor.file.path))).collect();
        for (tensor, shard) in &weight_map {
            let right = found.get(tensor.as_str()).is_some_and(|at| Path::new(shard).ends_with(at));
            if !right {
                let (tensor, shard) = (printable(tensor), printable(shard));
                return Err(SafetensorsError::MissingTensor { index: path.to_owned(), tensor, shard });
            }
        }
        match found.iter().find(|(name, _)| !weight_map.contains_key(**name)) {
            Some((tensor, shard)) => {
                let (tensor, shard) = (printable(tensor), shard.clone());
                Err(SafetensorsError::Unlisted { index: path.to_owned(), tensor, shard })
            }
            None => Ok(all),
        }
    }

    /// A tensor by name.
    pub fn get(&self, name: &str) -> Option<&Tensor> {
        self.tensors.iter().find(|tensor| tensor.name == name)
    }
}

/// Whether the index has the whole file among its parts: then it says more than the file alone.
fn is_in_index(index: &Path) -> bool {
    let text = small::read(index, small::TOKENIZER).ok();
    let index = text.and_then(|text| serde_json::from_slice::<Index>(&text).ok());
    index.is_some_and(|index| index.weight_map.values().any(|file| file == WHOLE))
}

fn names(folder: &Path) -> Result<Vec<String>, SafetensorsError> {
    let io = |source| SafetensorsError::Io { path: folder.to_owned(), source };
    let mut names = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(io)? {
        names.push(entry.map_err(io)?.file_name().to_string_lossy().into_owned());
    }
    names.sort();
    Ok(names)
}

/// Of files called `…-00001-of-00003.safetensors`, the first that is not there.
fn missing_part(names: &[String]) -> Option<String> {
    let part = |name: &str| {
        let stem = name.strip_suffix(".safetensors")?;
        let (rest, of) = stem.rsplit_once("-of-")?;
        let (head, number) = rest.rsplit_once('-')?;
        Some((head.to_owned(), number.parse::<u32>().ok()?, of.parse::<u32>().ok()?))
    };
    let (head, _, of) = names.iter().find_map(|name| part(name))?;
    let name = |number: u32| format!("{head}-{number:05}-of-{of:05}.safetensors");
    (1..=of.min(10_000)).map(name).find(|name| !names.contains(name))
}

fn short(path: &Path) -> String {
    path.file_name().map_or_else(String::new, |name| printable(&name.to_string_lossy()))
}
