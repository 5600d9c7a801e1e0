//! From a request to a file: checked beforehand, done in a child, and named only when it is whole.

use std::path::{Path, PathBuf};

use regex::Regex;

use super::native::Job;
use super::types::Mixture;
use crate::atomic::Partial;
use crate::atomic::{WriteError, spare};
use crate::device::free_space;
use crate::engine::Cancel;
use crate::error::{Advise, ExitCode};
use crate::llama::child::{self, ChildError};
use crate::quantize::imatrix::{Imatrix, ImatrixError};
use crate::weights::gguf::{GgmlType, GgufError, Parts, part};

/// What is wanted of one output.
#[derive(Clone, Debug)]
pub struct Request {
    /// The model, or the first of its parts.
    pub input: PathBuf,
    /// The file type.
    pub kind: Mixture,
    /// Types of tensors by pattern of their name; the first that matches counts.
    pub kinds: Vec<(String, GgmlType)>,
    /// `output.weight`.
    pub output_kind: Option<GgmlType>,
    /// `token_embd.weight`.
    pub embedding_kind: Option<GgmlType>,
    /// An importance matrix.
    pub imatrix: Option<PathBuf>,
    /// Quantize what is quantized already.
    pub requantize: bool,
    /// Leave `output.weight` as it is.
    pub leave_output: bool,
    /// No better types for sensitive tensors.
    pub pure: bool,
    /// As many files as the input has.
    pub keep_split: bool,
    /// Layers to leave out.
    pub prune: Vec<u32>,
    /// Threads.
    pub threads: u16,
    /// Bytes of rows in memory at once.
    pub buffer: u64,
}

/// A quantization that was refused or broke off.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)]
pub enum ShrinkError {
    #[error(transparent)]
    Gguf(#[from] GgufError),
    #[error(transparent)]
    Imatrix(#[from] ImatrixError),
    #[error(transparent)]
    Child(#[from] ChildError),
    #[error(transparent)]
    Write(#[from] WriteError),
    #[error("`{tensor}` is {kind} already")]
    Requantize { tensor: String, kind: GgmlType },
    #[error("`{pattern}` is no pattern: {what}")]
    Pattern { pattern: String, what: String },
    #[error("no tensor's name matches `{pattern}`")]
    Unused { pattern: String },
    #[error("there is no layer {layer}: the model has {layers}")]
    Layer { layer: u32, layers: u32 },
    #[error("all {layers} layers are to be left out: nothing of the model would remain")]
    Bare { layers: u32 },
    #[error("`{kind}` needs an importance matrix")]
    Guide { kind: &'static str },
    #[error("`{kind}` stores every matrix alike, so that types of single tensors would change nothing")]
    Plain { kind: &'static str },
    #[error("llama.cpp tells of {found} tensors where the model has {expected}")]
    Log { expected: usize, found: usize },
    #[error("{} are wanted, and the smallest mixture takes {}", crate::size::bytes(*have), crate::size::bytes(*need))]
    Fit { have: u64, need: u64 },
    #[error("{0}")]
    Shape(String),
}

impl Advise for ShrinkError {
    fn hint(&self) -> Option<String> {
        let text = match self {
            Self::Gguf(error) => return error.hint(),
            Self::Imatrix(error) => return error.hint(),
            Self::Child(error) => return error.hint(),
            Self::Write(error) => return error.hint(),
            Self::Requantize { .. } => "start from the 16-bit file, or say `--allow-requantize` and lose quality twice",
            Self::Pattern { .. } => "patterns are regular expressions, like `ffn_down` or `blk\\.[0-3]\\.attn_v`",
            Self::Unused { .. } => "`zord-quantize inspect --tensors` lists their names",
            Self::Layer { .. } => "layers count from 0",
            Self::Bare { .. } => "leave at least one layer",
            Self::Guide { .. } => "`zord-quantize imatrix` makes one, and `--imatrix FILE` uses it",
            Self::Plain { .. } => "leave them out, or take a type like Q8_0",
            Self::Fit { .. } => "a model with fewer weights would fit; an importance matrix allows smaller types",
            Self::Log { .. } | Self::Shape(_) => return None,
        };
        Some(text.to_owned())
    }

    fn code(&self) -> ExitCode {
        if let Self::Child(error) = self { error.code() } else { ExitCode::Failed }
    }
}

/// What a dry run foresees, or what was done.
#[derive(Clone, Debug, Default)]
pub struct Planned {
    /// Tensors with the types they had and get, in llama.cpp's order.
    pub tensors: Vec<(String, GgmlType, GgmlType)>,
    /// Tensors that cannot have their type, as a row is not a whole number of its blocks: name, row, wanted, got.
    pub fallen_back: Vec<(String, u64, String, String)>,
    /// Bytes of the data.
    pub bytes: u64,
    /// It would be useless without an importance matrix.
    pub wants_imatrix: bool,
    /// What the person should know.
    pub notices: Vec<String>,
}

/// What a dry run foresees.
///
/// # Errors
/// As [`ShrinkError`].
pub fn dry(request: &Request, cancel: &Cancel) -> Result<Planned, ShrinkError> {
    let model = Parts::read(&request.input)?;
    let notices = check(request, &model, true)?;
    let done = work(request, &model, Path::new("/dev/null"), true, cancel, |_, _| ())?;
    Ok(Planned { notices, ..done })
}

/// The files that a run makes: one, or with [`Request::keep_split`] as many as the input has.
///
/// # Errors
/// The input cannot be read.
pub fn outputs(request: &Request, output: &Path) -> Result<Vec<PathBuf>, ShrinkError> {
    Ok(names(request, &Parts::read(&request.input)?, output))
}

fn names(request: &Request, model: &Parts, output: &Path) -> Vec<PathBuf> {
    let count = model.count() as u64;
    if !request.keep_split || count == 1 {
        return vec![output.to_owned()];
    }
    let stem = output.with_extension("");
    (1..=count).map(|number| part(&stem, number, count)).collect()
}

/// Makes the file or files; `show` is told tensors done and all.
///
/// # Errors
/// As [`ShrinkError`]; nothing is under the final name then.
pub fn run(
    request: &Request,
    output: &Path,
    cancel: &Cancel,
    show: impl FnMut(u64, u64),
) -> Result<Planned, ShrinkError> {
    let names = outputs(request, output)?;
    if names.len() > 1 {
        let (partial, done) = begin(request, &names, cancel, show)?;
        return settle(&partial, &names, done);
    }
    let (partial, done) = draft(request, output, cancel, show)?;
    partial.finish()?;
    Ok(done)
}

/// Makes a single file that is whole but does not have its name yet. Dropped unfinished, it is removed.
///
/// # Errors
/// As [`run`].
pub fn draft(
    request: &Request,
    output: &Path,
    cancel: &Cancel,
    show: impl FnMut(u64, u64),
) -> Result<(Partial, Planned), ShrinkError> {
    let (partial, done) = begin(request, &[output.to_owned()], cancel, show)?;
    match done {
        Ok(done) => Ok((partial, done)),
        Err(error) => Err(full(&partial, error)),
    }
}

/// Lets llama.cpp write, beside the first of the names.
fn begin(
    request: &Request,
    names: &[PathBuf],
    cancel: &Cancel,
    mut show: impl FnMut(u64, u64),
) -> Result<(Partial, Result<Planned, ShrinkError>), ShrinkError> {
    let model = Parts::read(&request.input)?;
    for name in names {
        spare(name, model.headers().map(|header| header.path()).chain(request.imatrix.as_deref()))?;
    }
    let notices = check(request, &model, false)?;
    let mut partial = Partial::create(names.first().map_or(Path::new(""), PathBuf::as_path))?;
    let file = partial.file().and_then(|file| file.try_clone()).map_err(|error| partial.fault(error))?;
    let mut eighths = 0;
    let done = work(request, &model, partial.path(), false, cancel, |done, all| {
        show(done, all);
        let now = done * 8 / all.max(1);
        if now > eighths {
            // What goes to the disk while the child computes need not be waited for in the end, which tells of errors.
            let _ = file.sync_data();
            eighths = now;
        }
    });
    Ok((partial, done.map(|done| Planned { notices, ..done })))
}

/// llama.cpp says of a full disk only that its stream failed.
fn full(partial: &Partial, error: ShrinkError) -> ShrinkError {
    let said = matches!(&error, ShrinkError::Child(ChildError::Refused { last } | ChildError::Aborted { last, .. })
        if last.iter().any(|line| line.contains("iostream")));
    if said && free_space(partial.path()).is_some_and(|free| free < 64 << 20) {
        return ShrinkError::Write(partial.fault(std::io::ErrorKind::StorageFull.into()));
    }
    error
}

/// Gives the parts their names, after all of them are on disk: llama.cpp appended part numbers to the name it was given.
fn settle(partial: &Partial, names: &[PathBuf], done: Result<Planned, ShrinkError>) -> Result<Planned, ShrinkError> {
    let count = names.len() as u64;
    let made: Vec<PathBuf> = (1..=count).map(|number| part(partial.path(), number, count)).collect();
    let settled = done.and_then(|done| {
        let fault = |source| ShrinkError::Write(partial.fault(source));
        for from in &made {
            std::fs::File::open(from).and_then(|file| file.sync_all()).map_err(fault)?;
        }
        for (from, to) in made.iter().zip(names) {
            std::fs::rename(from, to).map_err(fault)?;
        }
        Ok(done)
    });
    // What has its name is not there any more.
    made.iter().for_each(|from| drop(std::fs::remove_file(from)));
    settled.map_err(|error| full(partial, error))
}

/// Refuses what makes no sense; gives what the person should know.
fn check(request: &Request, model: &Parts, dry: bool) -> Result<Vec<String>, ShrinkError> {
    let mut notices = Vec::new();
    let quantized = |kind: GgmlType| kind.block() > 1;
    if !request.requantize && request.kind != Mixture::COPY {
        let tensor = model.tensors().find(|tensor| quantized(tensor.kind));
        if let Some(tensor) = tensor.filter(|_| !dry) {
            return Err(ShrinkError::Requantize { tensor: tensor.name.clone(), kind: tensor.kind });
        }
    }
    if request.kind.wants_imatrix && request.imatrix.is_none() && !dry {
        return Err(ShrinkError::Guide { kind: request.kind.name });
    }
    if let Some(path) = &request.imatrix {
        let matrix = Imatrix::read(path)?;
        matrix.fits(model)?;
        notices.extend(matrix.gaps(model));
    }
    let chosen = !request.kinds.is_empty() || request.output_kind.is_some() || request.embedding_kind.is_some();
    if chosen && request.kind.is_plain() {
        return Err(ShrinkError::Plain { kind: request.kind.name });
    }
    for (pattern, _) in &request.kinds {
        let wrong = |what: &str| ShrinkError::Pattern { pattern: pattern.clone(), what: what.to_owned() };
        // llama.cpp reads it as ECMAScript does.
        if let Some(only) =
            ["(?i", "(?m", "(?s", "(?x", "(?P", "(?<", "\\p", "\\A", "\\z"].iter().find(|only| pattern.contains(**only))
        {
            return Err(wrong(&format!("`{only}` is unknown to llama.cpp")));
        }
        let regex = Regex::new(pattern).map_err(|error| {
            wrong(error.to_string().lines().last().unwrap_or_default().trim_start_matches("error: "))
        })?;
        if !model.tensors().any(|tensor| regex.is_match(&tensor.name)) {
            return Err(ShrinkError::Unused { pattern: pattern.clone() });
        }
    }
    let architecture = model.first().str("general.architecture").unwrap_or_default();
    let layers = model.first().u32(&format!("{architecture}.block_count")).unwrap_or(u32::MAX);
    if let Some(&layer) = request.prune.iter().find(|&&layer| layer >= layers) {
        return Err(ShrinkError::Layer { layer, layers });
    }
    let pruned: std::collections::BTreeSet<u32> = request.prune.iter().copied().collect();
    if pruned.len() as u64 == u64::from(layers) {
        return Err(ShrinkError::Bare { layers });
    }
    Ok(notices)
}

fn work(
    request: &Request,
    model: &Parts,
    output: &Path,
    dry: bool,
    cancel: &Cancel,
    mut show: impl FnMut(u64, u64),
) -> Result<Planned, ShrinkError> {
    let mut prune: Vec<i32> = request.prune.iter().map(|&layer| layer as i32).collect();
    prune.sort_unstable();
    let job = Job {
        input: request.input.clone(),
        output: output.to_owned(),
        kind: (request.kind != Mixture::COPY).then_some(request.kind.number),
        threads: request.threads.into(),
        output_kind: request.output_kind.map(GgmlType::id),
        embedding_kind: request.embedding_kind.map(GgmlType::id),
        requantize: request.requantize || dry,
        leave_output: request.leave_output,
        pure: request.pure,
        keep_split: request.keep_split && model.count() > 1,
        dry,
        imatrix: request.imatrix.clone(),
        guided: request.kind.wants_imatrix || request.kinds.iter().any(|(_, kind)| kind.name().starts_with("iq")),
        kinds: request.kinds.iter().map(|(pattern, kind)| (pattern.clone(), kind.id())).collect(),
        prune,
        buffer: usize::try_from(request.buffer).unwrap_or(usize::MAX),
    };
    let mut planned = Planned::default();
    child::run(
        &crate::quantize::work::Work::Quantize(job),
        cancel,
        |_| (),
        |line| {
            if let Some((done, all)) = planned.hear(line) {
                show(done, all);
            }
        },
    )?;
    let (expected, found) = (model.tensors().count(), planned.tensors.len());
    if found == 0 || (request.prune.is_empty() && found != expected) {
        return Err(ShrinkError::Log { expected, found });
    }
    for (name, _, kind) in &planned.tensors {
        let dims = model.tensor(name).map(|tensor| tensor.dims.as_slice());
        // Pruned models have other numbers; their rows are alike.
        planned.bytes += dims.and_then(|dims| kind.bytes(dims)).unwrap_or_default().next_multiple_of(32);
    }
    Ok(planned)
}

impl Planned {
    /// Takes a line of llama.cpp's log in; gives tensors done and all where it tells them.
    fn hear(&mut self, line: &str) -> Option<(u64, u64)> {
        if let Some(rest) = line.trim_start().strip_prefix("warning: ")
            && let Some((name, rest)) = rest.split_once(" - ncols")
        {
            let row = rest.split_whitespace().next().and_then(|word| word.parse().ok()).unwrap_or(0);
            let wanted = rest.split_once("required for type").and_then(|(_, rest)| rest.split_once(')'));
            let got = rest.rsplit_once("falling back to").map_or("", |(_, got)| got.trim());
            let wanted = wanted.map_or("", |(wanted, _)| wanted.trim());
            self.fallen_back.push((name.trim().to_owned(), row, wanted.to_owned(), got.to_owned()));
            return None;
        }
        self.wants_imatrix |= line.contains("will require an imatrix");
        let (count, rest) = line.trim_start().strip_prefix('[')?.split_once(']')?;
        let (done, all) = count.split_once('/')?;
        let (done, all) = (done.trim().parse().ok()?, all.trim().parse().ok()?);
        let (name, rest) = rest.split_once(" - [")?;
        let (_, rest) = rest.split_once("type =")?;
        let (old, rest) = rest.split_once(',')?;
        let old = super::tensor_type(old.trim()).ok()?;
        // A dry run names the type at the end, a real one before the dots.
        let new =
            rest.rsplit_once('(').and_then(|(_, kind)| super::tensor_type(kind.trim_end_matches(')').trim()).ok());
        let new =
            new.or_else(|| super::tensor_type(rest.split_once("converting to ")?.1.split_whitespace().next()?).ok());
        self.tensors.push((name.trim().to_owned(), old, new.unwrap_or(old)));
        Some((done, all))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_log_tells_types_and_fallbacks() {
        let mut planned = Planned::default();
        let lines = [
            "[   1/ 272] output_norm.weight                   - [  576,     1,     1,     1], type =    f32, size =    0.002 MiB",
            "[   2/ 272] token_embd.weight                    - [  576, 49152,     1,     1], type =   bf16, size =    54.00 MiB ->    28.69 MiB (q8_0)",
            "[   3/ 272] blk.0.attn_k.weight                  - [  576,   192,     1,     1], type =    f16, converting to q5_0 .. size =     0.21 MiB ->     0.07 MiB",
            "warning: blk.0.attn_k.weight                  - ncols    576 not divisible by 256 (required for type    q4_K) -> falling back to    q5_0",
        ];
        let heard: Vec<_> = lines.iter().map(|line| planned.hear(line)).collect();
        assert_eq!(heard, [Some((1, 272)), Some((2, 272)), Some((3, 272)), None]);
        let kinds: Vec<_> = planned.tensors.iter().map(|(_, old, new)| (*old, *new)).collect();
        assert_eq!(
            kinds,
            [(GgmlType::F32, GgmlType::F32), (GgmlType::BF16, GgmlType::Q8_0), (GgmlType::F16, GgmlType::Q5_0)]
        );
        let fallen = ("blk.0.attn_k.weight".to_owned(), 576, "q4_K".to_owned(), "q5_0".to_owned());
        assert_eq!(planned.fallen_back, [fallen]);
    }
}
