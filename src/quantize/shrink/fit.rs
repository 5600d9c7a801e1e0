//! The best mixture for a size: of a file, or of everything in memory while the model runs.
//!
//! The mixtures are tried from the best on; what is left of the size then goes to the tensors where it helps most, a group
//! at a time. Each try is a dry run, so sizes are llama.cpp's own and exact.

use std::path::Path;

use super::plan::{Planned, Request, ShrinkError, dry};
use super::types::Mixture;
use crate::budget::KvType;
use crate::budget::need::{Choice, plan_of};
use crate::budget::shape::Shape;
use crate::device::Device;
use crate::engine::Cancel;
use crate::weights::gguf::write::HeaderWriter;
use crate::weights::gguf::{GgmlType, Header, Metadata};

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
    let header = Header::read(&request.input)?;
    let (have, measure) = match budget {
        Budget::File(bytes) | Budget::Memory(bytes, ..) => (bytes, Measure { header: &header, budget }),
    };
    let mut smallest = u64::MAX;
    for kind in Mixture::ladder(request.imatrix.is_some()) {
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
    if best.request.pure {
        return Ok(best);
    }
    for (pattern, kinds) in GROUPS {
        for &kind in kinds {
            // Types the person chose stay.
            let mut kinds: Vec<_> = best.request.kinds.clone();
            kinds.retain(|(known, _)| known != pattern);
            kinds.push((pattern.to_owned(), kind));
            let request = Request { kinds, ..best.request.clone() };
            let planned = match dry(&request, cancel) {
                Err(ShrinkError::Unused { .. }) => break,
                planned => planned?,
            };
            let worse = planned.tensors.iter().zip(&best.planned.tensors).any(|(new, old)| new.2.bits() < old.2.bits());
            let bytes = measure.of(&planned)?;
            if worse || bytes <= best.bytes || bytes > have {
                continue;
            }
            best.raised.retain(|(known, _)| known != pattern);
            best.raised.push((pattern.to_owned(), kind));
            (best.request, best.planned, best.bytes) = (request, planned, bytes);
        }
    }
    Ok(best)
}

struct Measure<'a> {
    header: &'a Header,
    budget: Budget,
}

impl Measure<'_> {
    fn of(&self, planned: &Planned) -> Result<u64, ShrinkError> {
        let header = self.like(planned)?;
        let Budget::Memory(_, n_ctx, kv_type) = self.budget else { return Ok(header.file_len) };
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
        let io = |source| ShrinkError::Shape(format!("cannot read `{}`: {source}", self.header.path().display()));
        let file = std::fs::File::open(self.header.path()).map_err(io)?;
        let metadata = Metadata::of(self.header, &file).map_err(io)?;
        let mut writer = HeaderWriter::new().metadata(&metadata);
        for (name, _, kind) in &planned.tensors {
            let dims = self.header.tensors.iter().find(|tensor| tensor.name == *name).map(|tensor| &tensor.dims);
            if let Some(dims) = dims {
                writer = writer.tensor(name, dims, *kind);
            }
        }
        let (head, data) = writer.bytes().map_err(io)?;
        let len = head.len() as u64 + data;
        Ok(Header::parse(Path::new("planned.gguf"), &head.as_slice(), len)?)
    }
}
