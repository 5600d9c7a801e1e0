//! The best mixture for a size: of a file, or of everything in memory while the model runs.
//!
//! The mixtures are tried from the one with the most bits on; what is left of the size then goes to the tensors where it
//! helps most, a group at a time. Each try is a dry run, so sizes are llama.cpp's own and exact.

use std::path::Path;

use super::plan::{Planned, Request, ShrinkError, dry};
use super::types::Mixture;
use crate::budget::KvType;
use crate::budget::need::{Choice, plan_of};
use crate::budget::shape::Shape;
use crate::device::Device;
use crate::engine::Cancel;
use crate::quantize::imatrix::Imatrix;
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

/// What was chosen.
#[derive(Clone, Debug)]
pub struct Fitted {
    /// The request with its mixture and types filled in.
    pub request: Request,
    /// What it foresees.
    pub planned: Planned,
    /// Bytes of what the budget is about.
    pub bytes: u64,
    /// Groups of tensors that were given a better type.
    pub raised: Vec<(String, GgmlType)>,
}

/// Groups in the order in which better types help: pattern, and types from good to better.
const GROUPS: [(&str, &[GgmlType]); 5] = [
    ("attn_v", &[GgmlType::Q5_K, GgmlType::Q6_K, GgmlType::Q8_0]),
    ("ffn_down", &[GgmlType::Q4_K, GgmlType::Q5_K, GgmlType::Q6_K, GgmlType::Q8_0]),
    ("^(output|token_embd)\\.weight$", &[GgmlType::Q6_K, GgmlType::Q8_0]),
    ("attn_(output|qkv|k)", &[GgmlType::Q5_K, GgmlType::Q6_K, GgmlType::Q8_0]),
    ("ffn_(up|gate)|attn_q\\.", &[GgmlType::Q5_K, GgmlType::Q6_K, GgmlType::Q8_0]),
];

/// Chooses.
///
/// # Errors
/// Nothing fits, or as [`dry`].
pub fn fit(request: &Request, budget: Budget, cancel: &Cancel) -> Result<Fitted, ShrinkError> {
    let model = Parts::read(&request.input)?;
    let (Budget::File(have) | Budget::Memory(have, ..)) = budget;
    let notes = request.imatrix.as_deref().map(noted).transpose()?.unwrap_or_default();
    let measure = Measure { model: &model, budget, notes };
    let largest = model.tensors().max_by_key(|tensor| tensor.bytes).map_or(GgmlType::F16, |tensor| tensor.kind);
    let own = !request.kinds.is_empty() || request.output_kind.is_some() || request.embedding_kind.is_some();
    let mut smallest = u64::MAX;
    for kind in Mixture::ladder(largest, request.imatrix.is_some()).filter(|kind| !(own && kind.is_plain())) {
        let request = Request { kind, ..request.clone() };
        let planned = dry(&request, cancel)?;
        let bytes = measure.of(&planned)?;
        smallest = smallest.min(bytes);
        if bytes <= have && !planned.wants_imatrix {
            let fitted = Fitted { request, planned, bytes, raised: Vec::new() };
            return raise(fitted, have, &measure, cancel);
        }
    }
    Err(ShrinkError::Fit { have, need: smallest })
}

/// Gives what is left to groups of tensors.
fn raise(mut best: Fitted, have: u64, measure: &Measure<'_>, cancel: &Cancel) -> Result<Fitted, ShrinkError> {
    if best.request.pure || best.request.kind.is_plain() {
        return Ok(best);
    }
    // What the person chose comes first, and the first that matches counts.
    let own = best.request.kinds.clone();
    for (pattern, kinds) in GROUPS {
        for &kind in kinds {
            let mut raised = best.raised.clone();
            raised.retain(|(known, _)| known != pattern);
            raised.push((pattern.to_owned(), kind));
            let request = Request { kinds: own.iter().chain(&raised).cloned().collect(), ..best.request.clone() };
            let planned = match dry(&request, cancel) {
                Err(ShrinkError::Unused { .. }) => break,
                planned => planned?,
            };
            let worse = planned.tensors.iter().zip(&best.planned.tensors).any(|(new, old)| new.2.bits() < old.2.bits());
            let bytes = measure.of(&planned)?;
            if worse || bytes <= best.bytes || bytes > have {
                continue;
            }
            best = Fitted { request, planned, bytes, raised };
        }
    }
    Ok(best)
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
}

impl Measure<'_> {
    fn of(&self, planned: &Planned) -> Result<u64, ShrinkError> {
        let header = self.like(planned)?;
        let Budget::Memory(_, n_ctx, kv_type) = self.budget else {
            // The header is filled up to the alignment.
            return Ok(header.file_len + self.notes.next_multiple_of(header.alignment));
        };
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
