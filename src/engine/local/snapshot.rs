//! The KV cache of a chat on disk: llama.cpp's own file, and beside it a note that says what it fits.
//!
//! A snapshot is a convenience and never trusted: whatever does not match the note (model, version, settings, length,
//! checksum) makes it worthless, and the chat is prefilled again.

use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::budget::Plan;
use crate::hex::hex;
use crate::weights::gguf::{Header, Parts, TensorInfo};

/// What a snapshot was made with. Two equal ones may share cells.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Fingerprint {
    /// This program's version; llama.cpp's state format may change with it.
    version: String,
    /// Of the model's files: their sizes, when they were written, and a checksum of parts of all of them.
    model: String,
    n_ctx: u32,
    kv_type: String,
    flash: bool,
    /// The same of each adapter, and its scale.
    lora: Vec<String>,
}

impl Fingerprint {
    /// # Errors
    /// When the model file cannot be read.
    pub(super) fn new(model: &Path, plan: &Plan, lora: &[(PathBuf, f32)]) -> io::Result<Self> {
        Ok(Self {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            model: identity(model)?,
            n_ctx: plan.n_ctx,
            kv_type: format!("{:?}", plan.kv_type),
            flash: plan.flash,
            lora: adapted(lora)?,
        })
    }

    /// What tells the files from others.
    pub(super) fn content(&self) -> String {
        joined(&self.model, &self.lora)
    }
}

fn adapted(lora: &[(PathBuf, f32)]) -> io::Result<Vec<String>> {
    lora.iter().map(|(path, scale)| Ok(format!("{} {scale}", identity(path)?))).collect()
}

fn joined(model: &str, lora: &[String]) -> String {
    std::iter::once(model).chain(lora.iter().map(String::as_str)).collect::<Vec<_>>().join("\n")
}

/// What tells a model's files and its adapters from others, also of the same names and sizes, without loading them; as
/// [`crate::engine::Facts::content`]. Reads a few megabytes.
///
/// # Errors
/// They cannot be read.
pub fn content(model: &Path, lora: &[(PathBuf, f32)]) -> io::Result<String> {
    Ok(joined(&identity(model)?, &adapted(lora)?))
}

/// Bytes at the beginning of a file that count: header and vocabulary.
const HEAD: u64 = 1 << 20;
/// Blocks of the rest that count, spread over all of it, the last one at its very end.
const BLOCKS: u64 = 256;
const BLOCK: u64 = 4 << 10;
/// Bytes of a tensor that count whole; of a larger one its first, middle and last block do.
const WHOLE: u64 = 4 * BLOCK;

/// Size and time of each of a model's files, and a checksum over parts of their contents: a model that was trained further
/// has the same header and size as the one before, and where only a few of its tensors were trained, only these differ.
/// Reads a few megabytes, whatever the model's size.
fn identity(file: &Path) -> io::Result<String> {
    let mut hash = Sha256::new();
    let mut told: Vec<String> = match Parts::read(file) {
        Ok(parts) => {
            parts.headers().map(|header| sample(header.path(), Some(header), &mut hash)).collect::<io::Result<_>>()?
        }
        // what is no model of ours is told apart by its bytes alone
        Err(_) => vec![sample(file, None, &mut hash)?],
    };
    told.push(hex(&hash.finalize()));
    Ok(told.join("-"))
}

/// Adds a file's samples to the checksum; gives its size and time.
fn sample(path: &Path, header: Option<&Header>, hash: &mut Sha256) -> io::Result<String> {
    let file = crate::small::open(path)?;
    let facts = file.metadata()?;
    let since = facts.modified()?.duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    let mut part = Vec::new();
    for (from, len) in spread(facts.len()).into_iter().chain(header.into_iter().flat_map(of_tensors)) {
        part.clear();
        (&file).seek(SeekFrom::Start(from))?;
        (&file).take(len).read_to_end(&mut part)?;
        hash.update(&part);
    }
    Ok(format!("{}-{}", facts.len(), since.as_nanos()))
}

/// Stretches of a file of `len` bytes, each with its length: the beginning, and blocks all over the rest.
fn spread(len: u64) -> Vec<(u64, u64)> {
    let rest = len.saturating_sub(HEAD);
    let last = rest.saturating_sub(BLOCK);
    let block = |block: u64| {
        let from = if rest <= BLOCKS * BLOCK { block * BLOCK } else { last / (BLOCKS - 1) * block };
        (HEAD + if block == BLOCKS - 1 { last } else { from }, BLOCK)
    };
    std::iter::once((0, HEAD)).chain((0..BLOCKS.min(rest.div_ceil(BLOCK))).map(block)).collect()
}

/// Stretches of every tensor.
fn of_tensors(header: &Header) -> Vec<(u64, u64)> {
    let of = |tensor: &TensorInfo| {
        let (from, bytes) = (header.data_offset.saturating_add(tensor.offset), tensor.bytes);
        if bytes <= WHOLE {
            vec![(from, bytes)]
        } else {
            [0, bytes / 2, bytes - BLOCK].map(|at| (from.saturating_add(at), BLOCK)).to_vec()
        }
    };
    header.tensors.iter().flat_map(of).collect()
}

/// The note beside a snapshot.
#[derive(Serialize, Deserialize)]
struct Note {
    fits: Fingerprint,
    bytes: u64,
    sha256: String,
}

fn note_path(file: &Path) -> PathBuf {
    file.with_added_extension("json")
}

/// Writes through `write` (which gives the bytes written, zero for failure) and notes what it fits.
///
/// # Errors
/// A full disk, a folder that cannot be written; nothing is left behind.
pub(super) fn write(file: &Path, fits: &Fingerprint, write: impl FnOnce(&Path) -> usize) -> io::Result<()> {
    let part = file.with_added_extension("part");
    // A note without its snapshot is worthless, the other way round is dangerous.
    let _ = fs::remove_file(note_path(file));
    let written = write(&part);
    let done = (|| {
        if written == 0 {
            return Err(io::Error::other("llama.cpp could not write the snapshot"));
        }
        let data = File::open(&part)?;
        data.sync_all()?;
        let note = Note { fits: fits.clone(), bytes: data.metadata()?.len(), sha256: checksum(data)? };
        fs::rename(&part, file)?;
        crate::atomic::write(note_path(file), serde_json::to_string(&note)?.as_bytes())
    })();
    if done.is_err() {
        let _ = fs::remove_file(&part);
    }
    done
}

/// Whether the snapshot is whole and fits; a reason when not.
pub(super) fn check(file: &Path, fits: &Fingerprint) -> Result<(), String> {
    let note = crate::small::read(note_path(file), crate::small::TEXT).map_err(|error| error.to_string())?;
    let note: Note = serde_json::from_slice(&note).map_err(|error| error.to_string())?;
    if note.fits != *fits {
        return Err("it was made with another model, version or setting".into());
    }
    let data = File::open(file).map_err(|error| error.to_string())?;
    let len = data.metadata().map_err(|error| error.to_string())?.len();
    if len != note.bytes {
        return Err(format!("it has {len} bytes instead of {}", note.bytes));
    }
    match checksum(data) {
        Ok(sum) if sum == note.sha256 => Ok(()),
        Ok(_) => Err("its checksum differs".into()),
        Err(error) => Err(error.to_string()),
    }
}

fn checksum(mut data: File) -> io::Result<String> {
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 1 << 18];
    loop {
        match data.read(&mut buffer)? {
            0 => return Ok(hex(&hash.finalize())),
            n => hash.update(&buffer[..n]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::weights::gguf::GgmlType;
    use crate::weights::gguf::write::HeaderWriter;

    fn fixture() -> (tempfile::TempDir, PathBuf, Fingerprint) {
        let dir = tempfile::tempdir().unwrap();
        let model = dir.path().join("model");
        fs::write(&model, b"weights").unwrap();
        let fits = Fingerprint::new(&model, &Plan::default(), &[]).unwrap();
        let file = dir.path().join("a.kv");
        write(&file, &fits, |part| {
            fs::write(part, b"cells").unwrap();
            5
        })
        .unwrap();
        (dir, file, fits)
    }

    #[test]
    fn a_whole_snapshot_with_the_same_settings_fits() {
        let (_dir, file, fits) = fixture();
        assert_eq!(check(&file, &fits), Ok(()));
    }

    #[test]
    fn a_snapshot_of_other_settings_or_with_other_bytes_is_refused() {
        let (dir, file, fits) = fixture();
        let other = Fingerprint::new(&dir.path().join("model"), &Plan { n_ctx: 7, ..Plan::default() }, &[]).unwrap();
        assert!(check(&file, &other).unwrap_err().contains("another model"));
        let lora = dir.path().join("lora");
        fs::write(&lora, b"one").unwrap();
        let adapted =
            |scale| Fingerprint::new(&dir.path().join("model"), &Plan::default(), &[(lora.clone(), scale)]).unwrap();
        let (before, weaker) = (adapted(1.0), adapted(0.5));
        fs::write(&lora, b"two").unwrap();
        assert!(before != fits && before != weaker && before != adapted(1.0), "the same name is not the same adapter");
        fs::write(&file, b"celLs").unwrap();
        assert!(check(&file, &fits).unwrap_err().contains("checksum"));
        fs::write(&file, b"cell").unwrap();
        assert!(check(&file, &fits).unwrap_err().contains("4 bytes instead of 5"));
        fs::remove_file(note_path(&file)).unwrap();
        assert!(check(&file, &fits).is_err());
    }

    #[test]
    fn a_model_trained_further_is_another_model() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("model");
        let before = (HEAD + 3 * BLOCKS * BLOCK + 77) as usize;
        let written = std::time::SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1_700_000_000);
        let identify = |bytes: &[u8]| {
            fs::write(&file, bytes).unwrap();
            // As a copy that keeps its time: the content alone must tell.
            File::options().write(true).open(&file).unwrap().set_modified(written).unwrap();
            identity(&file).unwrap()
        };
        let mut weights = vec![7; before];
        let first = identify(&weights);
        assert_eq!(identify(&weights), first);
        // Training changes all weights, a little each.
        weights[HEAD as usize..].iter_mut().step_by(BLOCK as usize).for_each(|byte| *byte += 1);
        let trained = identify(&weights);
        assert_ne!(trained, first);
        weights[before - 1] += 1;
        assert_ne!(identify(&weights), trained, "the last bytes count");
        for len in [0, 5, HEAD as usize, HEAD as usize + 1, (HEAD + BLOCKS * BLOCK) as usize] {
            let mut small = vec![7; len];
            let first = identify(&small);
            if let Some(last) = small.last_mut() {
                *last = 8;
                assert_ne!(identify(&small), first, "{len}");
            }
        }
        fs::write(&file, b"x").unwrap();
        let now = identity(&file).unwrap();
        File::options().write(true).open(&file).unwrap().set_modified(written).unwrap();
        assert_ne!(identity(&file).unwrap(), now, "another time is another file");
    }

    /// Writes over a byte of a tensor, and gives the file its time back.
    fn train(file: &Path, tensor: &str, byte: u8) {
        use std::os::unix::fs::FileExt;
        let header = Header::read(file).unwrap();
        let tensor = header.tensors.iter().find(|one| one.name == tensor).unwrap();
        let written = fs::metadata(file).unwrap().modified().unwrap();
        let open = File::options().write(true).open(file).unwrap();
        open.write_all_at(&[byte], header.data_offset + tensor.offset + tensor.bytes / 2).unwrap();
        open.set_modified(written).unwrap();
    }

    #[test]
    fn a_model_of_which_one_small_tensor_was_trained_is_another_model() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("model.gguf");
        let tensor = |writer: HeaderWriter, name: &str, dims: &[u64]| writer.tensor(name, dims, GgmlType::F32);
        // the norm lies between two of the blocks that are spread over the file
        let writer = tensor(HeaderWriter::new(), "a", &[1024, 2056]);
        let writer = tensor(tensor(writer, "norm", &[256]), "b", &[1024, 2048]);
        writer.write_sparse(&file).unwrap();
        let header = Header::read(&file).unwrap();
        let norm = header.data_offset + header.tensors[1].offset + header.tensors[1].bytes / 2;
        assert!(spread(header.file_len).iter().all(|(from, len)| !(*from..from + len).contains(&norm)));
        let first = identity(&file).unwrap();
        assert_eq!(content(&file, &[]).unwrap(), first);
        assert_ne!(content(&file, &[(file.clone(), 1.0)]).unwrap(), content(&file, &[(file.clone(), 0.5)]).unwrap());
        let fits = Fingerprint::new(&file, &Plan::default(), &[(file.clone(), 0.5)]).unwrap();
        assert_eq!(fits.content(), content(&file, &[(file.clone(), 0.5)]).unwrap());
        for tensor in ["norm", "a", "b"] {
            let before = identity(&file).unwrap();
            train(&file, tensor, 1);
            assert_ne!(identity(&file).unwrap(), before, "{tensor}");
            train(&file, tensor, 0);
        }
        assert_eq!(identity(&file).unwrap(), first);
    }

    #[test]
    fn all_files_of_a_model_in_parts_count() {
        let dir = tempfile::tempdir().unwrap();
        let stem = dir.path().join("m");
        for number in 1..=2 {
            let writer = HeaderWriter::new().u32("split.count", 2).u32("split.no", number - 1);
            let name = if number == 1 { "a" } else { "b" };
            let file = crate::weights::gguf::part(&stem, u64::from(number), 2);
            writer.tensor(name, &[32, 4], GgmlType::F32).write_sparse(&file).unwrap();
        }
        let first = crate::weights::gguf::part(&stem, 1, 2);
        let before = identity(&first).unwrap();
        train(&crate::weights::gguf::part(&stem, 2, 2), "b", 1);
        assert_ne!(identity(&first).unwrap(), before);
    }

    #[test]
    fn a_failed_write_leaves_nothing_behind() {
        let (dir, file, fits) = fixture();
        fs::remove_file(&file).unwrap();
        assert!(write(&file, &fits, |_| 0).is_err());
        let left: Vec<_> = fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(left, ["model"]);
    }
}
