//! The best mixture for a size: of a file, or of everything in memory while the model runs.
//!
//! What is worth trying is found by an estimate: what each type would lose of each matrix is measured, and what is left of
//! the size goes to matrices that gain by it, in the mixtures that fit. No matrix ever gets a type that loses more than the
//! mixture's own. The estimate cannot tell two whole models apart that are close; that is left to whoever runs them. Sizes
//! are those of dry runs, llama.cpp's own and exact.

use std::cell::OnceCell;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use regex::Regex;

use super::fill::{self, Choice as Kept, Matrix};
use super::plan::{Planned, Request, ShrinkError, dry};
use super::{errors, types::Mixture};
use crate::budget::KvType;
use crate::budget::need::{Choice, plan_of};
use crate::budget::shape::Shape;
use crate::device::Device;
use crate::engine::Cancel;
use crate::llama::child;
use crate::quantize::imatrix::Imatrix;
use crate::quantize::work::Work;
use crate::weights::gguf::write::HeaderWriter;
use crate::weights::gguf::{GgmlType, Header, Metadata, Parts};

/// What must not be passed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Budget {
    /// Bytes of the file.
    File(u64),
    /// Bytes in memory, with so many tokens of context in a KV cache of this type.
    Memory(u64, u32, KvType),
}

/// A mixture that fits, perhaps with better types for some matrices.
#[derive(Clone, Debug)]
pub struct Fitted {
    /// The request with its mixture and types filled in.
    pub request: Request,
    /// What it foresees.
    pub planned: Planned,
    /// Bytes of what the budget is about.
    pub bytes: u64,
    /// Tensors that were given another type than the mixture's.
    pub raised: Vec<(String, GgmlType)>,
}

/// Mixtures that are started from, of those that fit: the largest ones.
const STARTS: usize = 8;

/// Types that a matrix may get beside those of the mixtures that fit.
const BETTER: [GgmlType; 10] = [
    GgmlType::Q3_K,
    GgmlType::IQ4_XS,
    GgmlType::IQ4_NL,
    GgmlType::Q4_1,
    GgmlType::Q4_K,
    GgmlType::Q5_0,
    GgmlType::Q5_1,
    GgmlType::Q5_K,
    GgmlType::Q6_K,
    GgmlType::Q8_0,
];

/// How much an error in a matrix counts, by what its name has in it; others count 1. A guess, after the matrices that
/// llama.cpp's own mixtures favour: what they give goes on into every later layer, or is the answer itself.
const COUNTS: [(&str, f64); 5] =
    [("attn_v.", 2.0), ("attn_qkv.", 2.0), ("ffn_down", 2.0), ("attn_output.", 1.5), ("output.weight", 8.0)];

/// Mixtures that are worth trying, the one first that loses least by the estimate. A single one where there is nothing to
/// choose.
///
/// # Errors
/// Nothing fits, or as [`dry`].
pub fn candidates(request: &Request, budget: Budget, cancel: &Cancel) -> Result<Vec<Fitted>, ShrinkError> {
    let model = Parts::read(&request.input)?;
    let (Budget::File(have) | Budget::Memory(have, ..)) = budget;
    let notes = request.imatrix.as_deref().map(noted).transpose()?.unwrap_or_default();
    let dims = model.tensors().map(|tensor| (tensor.name.clone(), tensor.dims.clone())).collect();
    let measure = Measure { model: &model, budget, notes, dims, head: OnceCell::new() };
    let starts = starts(request, have, &measure, cancel)?;
    if let [only] = starts.as_slice()
        && (only.request.pure || only.request.kind.is_plain())
    {
        return Ok(starts);
    }
    let losses = Losses::of(&starts, request, &model, cancel)?;
    let (mut filled, mut bumped) = (Vec::new(), Vec::new());
    for start in &starts {
        let room = Room { start, have, measure: &measure, places: places(start, &measure, &losses) };
        filled.push((start, room.filled()?));
        bumped.push((start, room.bumped()?));
    }
    let plain: Vec<(&Fitted, Planned)> = starts.iter().map(|start| (start, start.planned.clone())).collect();
    // The mixture with most bits is what a person would take, whatever the estimate says of it.
    let wanted = [losses.least(&filled), bumped.first().cloned(), losses.least(&bumped), losses.least(&plain)];
    let mut kept: Vec<(&Fitted, Planned)> = Vec::new();
    for wanted in wanted.into_iter().flatten() {
        if !kept.iter().any(|better| losses.covers(&better.1, &wanted.1)) {
            kept.push(wanted);
        }
    }
    kept.iter().map(|(start, wanted)| built(start, wanted, have, &measure, &losses, cancel)).collect()
}

/// The mixtures that fit, the ones with most bits first; a whole model is the only one.
fn starts(request: &Request, have: u64, measure: &Measure<'_>, cancel: &Cancel) -> Result<Vec<Fitted>, ShrinkError> {
    let largest = measure.model.tensors().max_by_key(|tensor| tensor.bytes).map_or(GgmlType::F16, |tensor| tensor.kind);
    let own = !request.kinds.is_empty() || request.output_kind.is_some() || request.embedding_kind.is_some();
    let (mut found, mut smallest) = (Vec::new(), u64::MAX);
    for kind in Mixture::ladder(largest, request.imatrix.is_some()).filter(|kind| !(own && kind.is_plain())) {
        let request = Request { kind, ..request.clone() };
        let planned = dry(&request, cancel)?;
        let bytes = measure.of(&planned)?;
        smallest = smallest.min(bytes);
        if bytes <= have && !planned.wants_imatrix {
            found.push(Fitted { request, planned, bytes, raised: Vec::new() });
            if kind.is_plain() || found.len() == STARTS {
                break;
            }
        }
    }
    if found.is_empty() { Err(ShrinkError::Fit { have, need: smallest }) } else { Ok(found) }
}

/// What each type would lose of each matrix, measured.
struct Losses {
    by_name: BTreeMap<String, BTreeMap<GgmlType, f64>>,
    /// Matrices whose type is not the person's own choice.
    free: BTreeSet<String>,
    /// The type of each tensor as it is, which loses nothing.
    stored: BTreeMap<String, GgmlType>,
}

impl Losses {
    fn of(starts: &[Fitted], request: &Request, model: &Parts, cancel: &Cancel) -> Result<Self, ShrinkError> {
        let mut asked: BTreeMap<String, BTreeSet<GgmlType>> = BTreeMap::new();
        for (name, old, new) in starts.iter().flat_map(|start| &start.planned.tensors) {
            if old != new {
                asked.entry(name.clone()).or_default().insert(*new);
            }
        }
        let own = |name: &str| {
            let output =
                name == "output.weight" || (name == "token_embd.weight" && model.tensor("output.weight").is_none());
            let matches =
                |(pattern, _): &(String, GgmlType)| Regex::new(pattern).is_ok_and(|regex| regex.is_match(name));
            request.pure
                || (output && (request.output_kind.is_some() || request.leave_output))
                || (name == "token_embd.weight" && request.embedding_kind.is_some())
                || request.kinds.iter().any(matches)
        };
        let free: BTreeSet<String> = asked.keys().filter(|name| !own(name)).cloned().collect();
        for (name, kinds) in &mut asked {
            if free.contains(name) {
                kinds.extend(BETTER);
            }
            let row = model.tensor(name).and_then(|tensor| tensor.dims.first().copied()).unwrap_or(1);
            kinds.retain(|kind| kind.block() > 1 && row.is_multiple_of(kind.block()));
        }
        let stored = model.tensors().map(|tensor| (tensor.name.clone(), tensor.kind)).collect();
        let by_name = measured(asked, request, model, cancel)?;
        Ok(Self { by_name, free, stored })
    }

    /// Nothing for a type as it is or a float.
    fn one(&self, name: &str, kind: GgmlType) -> f64 {
        let counts = COUNTS.iter().find(|(part, _)| name.contains(part)).map_or(1.0, |(_, counts)| *counts);
        // Embeddings are the answer's matrix too where there is none of its own.
        let tied = name == "token_embd.weight" && !self.stored.contains_key("output.weight");
        let counts = if tied { 8.0 } else { counts };
        if self.stored.get(name) == Some(&kind) {
            return 0.0;
        }
        self.by_name.get(name).and_then(|kinds| kinds.get(&kind)).map_or(0.0, |error| counts * error)
    }

    fn sum(&self, planned: &Planned) -> f64 {
        planned.tensors.iter().map(|(name, _, new)| self.one(name, *new)).sum()
    }

    fn least<'a>(&self, all: &[(&'a Fitted, Planned)]) -> Option<(&'a Fitted, Planned)> {
        all.iter().min_by(|one, other| self.sum(&one.1).total_cmp(&self.sum(&other.1))).cloned()
    }

    /// Whether no matrix loses more in one than in the other.
    fn covers(&self, one: &Planned, other: &Planned) -> bool {
        let mut pairs = one.tensors.iter().zip(&other.tensors);
        pairs.all(|((name, _, one), (_, _, other))| self.one(name, *one) <= self.one(name, *other))
    }
}

fn measured(
    asked: BTreeMap<String, BTreeSet<GgmlType>>,
    request: &Request,
    model: &Parts,
    cancel: &Cancel,
) -> Result<BTreeMap<String, BTreeMap<GgmlType, f64>>, ShrinkError> {
    let known = |name: &str| model.tensor(name).is_some();
    let asked: Vec<(String, BTreeSet<GgmlType>)> = asked.into_iter().filter(|(name, _)| known(name)).collect();
    let job = errors::Job {
        input: request.input.clone(),
        imatrix: request.imatrix.clone(),
        asked: asked.iter().map(|(name, kinds)| (name.clone(), kinds.iter().map(|kind| kind.id()).collect())).collect(),
        threads: request.threads.into(),
    };
    let mut all = BTreeMap::new();
    child::run(
        &Work::Errors(job),
        cancel,
        |value| {
            let at = value.get("at").and_then(serde_json::Value::as_u64).and_then(|at| asked.get(at as usize));
            let errors = value.get("errors").and_then(serde_json::Value::as_array);
            if let Some(((name, kinds), errors)) = at.zip(errors) {
                let errors = errors.iter().map(|error| error.as_f64().unwrap_or(f64::INFINITY));
                all.insert(name.clone(), kinds.iter().copied().zip(errors).collect());
            }
        },
        |_| (),
    )?;
    Ok(all)
}

/// Matrices of a mixture that may get better types, by their places in its plan.
fn places(start: &Fitted, measure: &Measure<'_>, losses: &Losses) -> Vec<(usize, Matrix)> {
    let matrix = |(at, (name, old, new)): (usize, &(String, GgmlType, GgmlType))| {
        let (tensor, kinds) = (measure.model.tensor(name)?, losses.by_name.get(name)?);
        if old == new || !losses.free.contains(name) {
            return None;
        }
        let kept = |kind: GgmlType| Some(Kept { kind, bytes: kind.bytes(&tensor.dims)?, loss: losses.one(name, kind) });
        let stored = Some(old).filter(|old| old.block() > 1);
        let others = kinds.keys().chain(stored).filter_map(|&kind| kept(kind)).collect();
        Some((at, Matrix { name: name.clone(), now: kept(*new)?, others }))
    };
    start.planned.tensors.iter().enumerate().filter_map(matrix).collect()
}

/// What a mixture leaves of the size, to be given to its matrices.
struct Room<'a> {
    start: &'a Fitted,
    have: u64,
    measure: &'a Measure<'a>,
    places: Vec<(usize, Matrix)>,
}

impl Room<'_> {
    /// To those first that gain most for a byte.
    fn filled(&self) -> Result<Planned, ShrinkError> {
        let matrices = self.matrices();
        fill::fill(&matrices, &fill::steps(&matrices), |choices| self.fits(choices)).map(|choices| self.with(&choices))
    }

    /// To whole groups.
    fn bumped(&self) -> Result<Planned, ShrinkError> {
        fill::bump(&self.matrices(), |choices| self.fits(choices)).map(|choices| self.with(&choices))
    }

    fn matrices(&self) -> Vec<Matrix> {
        self.places.iter().map(|(_, matrix)| matrix.clone()).collect()
    }

    fn fits(&self, choices: &[Kept]) -> Result<bool, ShrinkError> {
        Ok(self.measure.of(&self.with(choices))? <= self.have)
    }

    fn with(&self, choices: &[Kept]) -> Planned {
        let mut planned = self.start.planned.clone();
        for ((at, _), choice) in self.places.iter().zip(choices) {
            if let Some(tensor) = planned.tensors.get_mut(*at) {
                tensor.2 = choice.kind;
            }
        }
        planned
    }
}

/// The mixture with the types that are wanted; as it was where llama.cpp would make something else of them.
fn built(
    start: &Fitted,
    wanted: &Planned,
    have: u64,
    measure: &Measure<'_>,
    losses: &Losses,
    cancel: &Cancel,
) -> Result<Fitted, ShrinkError> {
    let mut raised = Vec::new();
    let mut kinds = start.request.kinds.clone();
    for ((name, old, was), (_, _, kind)) in start.planned.tensors.iter().zip(&wanted.tensors) {
        // Each by its own name, also those that stay: llama.cpp counts layers by the tensors that no pattern matches.
        if old != was && losses.free.contains(name) {
            kinds.push((format!("^{}$", regex::escape(name)), *kind));
        }
        if was != kind {
            raised.push((name.clone(), *kind));
        }
    }
    if raised.is_empty() {
        return Ok(start.clone());
    }
    let request = Request { kinds, ..start.request.clone() };
    let planned = dry(&request, cancel)?;
    let bytes = measure.of(&planned)?;
    if bytes > have || planned.tensors != wanted.tensors {
        return Ok(start.clone());
    }
    Ok(Fitted { request, planned, bytes, raised })
}

/// Bytes that the values about an importance matrix take in a header, as llama.cpp writes them.
fn noted(path: &Path) -> Result<u64, ShrinkError> {
    let all = Imatrix::read(path)?;
    let text = |key: &str, value: usize| 8 + key.len() + 4 + 8 + value.min(127);
    let number = |key: &str| 8 + key.len() + 4 + 8;
    let dataset = all.datasets.first().map_or(0, |name| text("quantize.imatrix.dataset", name.len()));
    let numbers = number("quantize.imatrix.entries_count") + number("quantize.imatrix.chunks_count");
    Ok((text("quantize.imatrix.file", path.as_os_str().len()) + dataset + numbers) as u64)
}

struct Measure<'a> {
    model: &'a Parts,
    budget: Budget,
    /// Bytes of values that the file will have beside the model's.
    notes: u64,
    dims: BTreeMap<String, Vec<u64>>,
    /// Bytes of a file before its data, which are as many whatever the types are, and its alignment.
    head: OnceCell<(u64, u64)>,
}

impl Measure<'_> {
    fn of(&self, planned: &Planned) -> Result<u64, ShrinkError> {
        let Budget::Memory(_, n_ctx, kv_type) = self.budget else {
            let (head, alignment) = match self.head.get() {
                Some(known) => *known,
                None => {
                    let header = self.like(planned)?;
                    *self.head.get_or_init(|| (header.data_offset, header.alignment))
                }
            };
            let bytes = planned.tensors.iter().filter_map(|(name, _, kind)| kind.bytes(self.dims.get(name)?));
            let data: u64 = bytes.map(|bytes| bytes.next_multiple_of(alignment)).sum();
            // The header is filled up to the alignment.
            return Ok(head + data + self.notes.next_multiple_of(alignment));
        };
        let header = self.like(planned)?;
        let shape = Shape::from_header(&header).map_err(|error| ShrinkError::Shape(error.to_string()))?;
        let processor = Device::probe().processor();
        let choice = Choice {
            n_ctx: n_ctx.next_multiple_of(256),
            n_infill: 0,
            kv_type,
            n_ubatch: 128,
            n_seq: 1,
            speculate: false,
            threads: processor.threads,
            flash: true,
            repack: true,
            apart: false,
        };
        Ok(plan_of(&shape, &choice, &processor.features).total)
    }

    /// The header that the file would have.
    fn like(&self, planned: &Planned) -> Result<Header, ShrinkError> {
        let first = self.model.first();
        let io = |source| ShrinkError::Shape(format!("cannot read `{}`: {source}", first.path().display()));
        let file = std::fs::File::open(first.path()).map_err(io)?;
        let mut metadata = Metadata::of(first, &file).map_err(io)?;
        for key in ["split.no", "split.count", "split.tensors.count"] {
            metadata.remove(key);
        }
        let mut writer = HeaderWriter::new().metadata(&metadata);
        for (name, _, kind) in &planned.tensors {
            if let Some(tensor) = self.model.tensor(name) {
                writer = writer.tensor(name, &tensor.dims, *kind);
            }
        }
        let (head, data) = writer.bytes().map_err(io)?;
        let len = head.len() as u64 + data;
        Ok(Header::parse(Path::new("planned.gguf"), &head.as_slice(), len)?)
    }
}
