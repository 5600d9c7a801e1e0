//! How much memory a merge takes: known before it starts, and the same whatever the models' size.

use super::{Action, Plan};
use crate::merge::method::Method;

/// Numbers a thread has at hand of each model.
pub const BLOCK: u64 = 16 << 10;
/// What the program takes besides, measured on an empty merge.
const PROGRAM: u64 = 24 << 20;

/// Numbers in a block of a tensor: whole rows where the method wants them.
pub fn block_of(rows: bool, columns: u64) -> u64 {
    let columns = columns.max(1);
    if rows { (BLOCK / columns).max(1) * columns } else { BLOCK }
}

/// The most memory in bytes, mapped files apart: for each thread a block of every model in `f32`, the result, and what the
/// method works in; counters of methods that look for ranks.
pub fn peak(plan: &Plan, threads: usize) -> u64 {
    let mut most = 0;
    for output in &plan.outputs {
        let Action::Blend(told) = &output.action else { continue };
        let kernel = plan.method.kernel(told);
        let columns = output.shape.last().copied().unwrap_or(1);
        let block = block_of(kernel.wants_rows(), columns).min(output.elements().max(1));
        let models = output.inputs.len() as u64;
        let vectors = 2 * models + 4;
        let counters = match plan.method {
            Method::Ties | Method::Breadcrumbs | Method::BreadcrumbsTies => models * (1 << 18) * 4,
            Method::Sce | Method::ArceeFusion => 1 << 20,
            _ => 0,
        };
        most = most.max(threads as u64 * (vectors * block * 4 + counters + (1 << 20)) + counters * 16);
    }
    let vocabulary = plan.vocabulary.as_ref().map_or(0, super::super::tokens::Merged::bytes);
    PROGRAM + most + vocabulary + plan.outputs.len() as u64 * 2048
}
