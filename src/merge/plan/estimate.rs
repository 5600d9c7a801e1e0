//! How long a merge takes, from a small one of the same kind: the method on numbers out of the air.

use std::time::Instant;

use super::{Action, Plan};
use crate::merge::method::{Block, Found, Scratch, Tally, Told};

/// Rows and columns of what is tried.
const SIDE: u64 = 256;
/// Bytes a second that a disk takes and that a page cache gives: slow ones of their kind.
const WRITTEN: f64 = 600e6;
const READ: f64 = 2.5e9;

/// Seconds, roughly.
pub fn seconds(plan: &Plan, threads: usize) -> f64 {
    let blended = plan.outputs.iter().filter(|output| matches!(output.action, Action::Blend(_)));
    let elements: u64 = blended.clone().map(super::Output::elements).sum();
    let largest = blended.max_by_key(|output| output.elements());
    let each = largest.map_or(0.0, |output| match &output.action {
        Action::Blend(told) => of_one(plan, told),
        Action::Copy => 0.0,
    });
    let files = plan.output_bytes() as f64 / WRITTEN + plan.input_bytes() as f64 / READ;
    files + each * elements as f64 / threads.max(1) as f64
}

/// Seconds for a number of the result.
fn of_one(plan: &Plan, told: &Told) -> f64 {
    let told = Told { shape: vec![SIDE, SIDE], ..told.clone() };
    let mut kernel = plan.method.kernel(&told);
    let mut state = 1u32;
    let mut draw = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as f32 / 16_777_216.0 - 0.5
    };
    let inputs: Vec<Vec<f32>> = told.inputs.iter().map(|_| (0..SIDE * SIDE).map(|_| draw()).collect()).collect();
    let mut out = vec![0.0; (SIDE * SIDE) as usize];
    let begun = Instant::now();
    let block = Block { inputs: &inputs, start: 0, slab: 0 };
    let mut scratch = Scratch::default();
    for round in 0..kernel.looks() {
        let mut tally = Tally::default();
        kernel.look(round, &block, &mut scratch, &mut tally);
        let slab = tally.counts.iter().enumerate().filter(|(_, count)| **count > 0);
        let found = Found {
            slabs: vec![slab.map(|(at, &count)| (at as u32, count)).collect()],
            counts: tally.counts.iter().map(|&count| u64::from(count)).collect(),
            sums: tally.sums,
        };
        if kernel.conclude(round, found).is_err() {
            return 0.0;
        }
        scratch.cursor.clear();
    }
    kernel.blend(&block, &mut scratch, &mut out);
    // Reading and writing a number costs about as much as weighing one.
    begun.elapsed().as_secs_f64() / (SIDE * SIDE) as f64 + 2e-9
}
