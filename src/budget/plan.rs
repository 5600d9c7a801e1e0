//! Chooses context, KV type, batch and whether weights are rearranged, so that the whole stays inside the budget.
//!
//! Pure: the same shape, facts, policy and processor give the same plan. What it refuses to do: plan beyond the budget;
//! it answers with a [`Refusal`] that names a way out.

use super::need::{self, Choice};
use super::shape::Shape;
use super::{KvType, Plan, Policy, Refusal};
use crate::device::Processor;
use crate::device::memory::MemoryFacts;
use crate::size::bytes;

mod refuse;

#[cfg(test)]
mod tests;

const GIB: u64 = 1 << 30;
/// The default budget's upper end: phones of the mission have 3 to 4 GB to give.
const MOST: u64 = 7 * GIB / 2;
/// Where nothing is known of the machine.
const UNKNOWN: u64 = 2 * GIB;
/// Context when nobody asked for one: the larger if a full cache of it fits.
const CONTEXTS: [u32; 2] = [8192, 4096];
/// Below the mission's 4096, tried in this order before refusing.
const SMALLER: [u32; 3] = [2048, 1024, 512];
/// llama.cpp rounds a context up to this (`GGML_PAD(cparams.n_ctx, 256)`).
const CONTEXT_STEP: u32 = 256;
/// Keeps sizes inside 64 bits whatever was asked.
const MOST_CONTEXT: u32 = 1 << 24;

/// The budget in bytes: what the policy says, else the smaller of 3.5 GiB and 60 % of what is available; never more than
/// 85 % of the room the cgroup leaves (page tables and sockets count there too), beyond which the kernel ends the
/// program. After an unclean end, 60 % of what nobody set.
pub fn budget(memory: &MemoryFacts, policy: &Policy) -> u64 {
    let cgroup = memory.cgroup.map_or(u64::MAX, |room| room / 20 * 17);
    if let Some(budget) = policy.budget {
        return budget.min(cgroup);
    }
    let available = if memory.available > 0 { memory.available / 5 * 3 } else { UNKNOWN };
    let budget = MOST.min(available).min(cgroup);
    if policy.careful { budget / 5 * 3 } else { budget }
}

/// Decides what will be used.
///
/// What the policy fixes is kept. Otherwise memory is saved in this order: no rearranged weights, a batch of 128,
/// a q8_0 cache, a batch of 64, a q4_0 cache, and then a shorter context.
///
/// # Errors
/// Nothing fits; the refusal has the smallest need, the budget and a way out.
pub fn plan(shape: &Shape, memory: &MemoryFacts, policy: &Policy, processor: &Processor) -> Result<Plan, Box<Refusal>> {
    let budget = budget(memory, policy);
    let ladder = Ladder { shape, policy, processor, budget };
    match ladder.climb() {
        Some(plan) => Ok(Plan { budget, reason: ladder.reason(&plan, memory), ..plan }),
        None => Err(Box::new(refuse::refusal(&ladder, memory))),
    }
}

pub(super) struct Ladder<'a> {
    shape: &'a Shape,
    policy: &'a Policy,
    processor: &'a Processor,
    budget: u64,
}

/// Batch, KV type and rearranging, from the most comfortable to the smallest.
const RUNGS: [(bool, u32, KvType); 6] = [
    (true, 512, KvType::F16),
    (false, 512, KvType::F16),
    (false, 128, KvType::F16),
    (false, 128, KvType::Q8_0),
    (false, 64, KvType::Q8_0),
    (false, 64, KvType::Q4_0),
];

/// The first rungs, which save speed only.
const ROOMY: usize = 3;

impl Ladder<'_> {
    fn climb(&self) -> Option<Plan> {
        if let Some(n_ctx) = self.policy.n_ctx {
            return self.fitting(self.padded(n_ctx), self.budget);
        }
        let [large, usual] = CONTEXTS;
        self.roomy(self.padded(large))
            .or_else(|| self.fitting(self.padded(usual), self.budget))
            .or_else(|| SMALLER.iter().find_map(|&n_ctx| self.fitting(self.padded(n_ctx), self.budget)))
    }

    /// As llama.cpp rounds it, and not beyond what the model was trained for.
    fn padded(&self, n_ctx: u32) -> u32 {
        let round = |tokens: u32| tokens.clamp(1, MOST_CONTEXT).next_multiple_of(CONTEXT_STEP);
        round(n_ctx).min(round(self.shape.context))
    }

    /// Nothing saved at the cost of what is written: a full cache, and batches that are quickly read.
    fn roomy(&self, n_ctx: u32) -> Option<Plan> {
        self.candidates(n_ctx).take(ROOMY).find(|plan| plan.total <= self.budget)
    }

    fn fitting(&self, n_ctx: u32, budget: u64) -> Option<Plan> {
        self.candidates(n_ctx).find(|plan| plan.total <= budget)
    }

    /// The smallest plan for a context.
    fn smallest(&self, n_ctx: u32) -> Option<Plan> {
        self.candidates(n_ctx).min_by_key(|plan| plan.total)
    }

    fn candidates(&self, n_ctx: u32) -> impl Iterator<Item = Plan> {
        let policy = self.policy;
        // A quantized cache needs flash attention and whole blocks.
        let flash = policy.flash.unwrap_or(true) || policy.kv_type.is_some_and(|kv_type| kv_type != KvType::F16);
        let quantized = flash && need::kv_fits_blocks(self.shape);
        let choices = RUNGS.into_iter().filter(move |&(_, _, kv_type)| quantized || kv_type == KvType::F16);
        choices.map(move |(repack, n_ubatch, kv_type)| {
            let kv_type = policy.kv_type.unwrap_or(kv_type);
            let choice = Choice {
                n_ctx,
                // The chat goes before: at most half as many cells again.
                n_infill: policy.n_infill.min(n_ctx / 2) / CONTEXT_STEP * CONTEXT_STEP,
                kv_type: if quantized { kv_type } else { KvType::F16 },
                n_ubatch: policy.n_ubatch.unwrap_or(n_ubatch).clamp(1, n_ctx),
                n_seq: policy.n_seq.max(1),
                speculate: policy.speculate,
                threads: policy.threads.unwrap_or(self.processor.threads).max(1),
                flash,
                repack: repack && !policy.careful && !policy.plain,
                apart: policy.apart,
            };
            need::plan_of(self.shape, &choice, &self.processor.features)
        })
    }

    fn reason(&self, plan: &Plan, memory: &MemoryFacts) -> String {
        let mut parts = Vec::new();
        if self.policy.careful {
            parts.push("zord was killed last time, so less is used".to_owned());
        }
        match self.policy.n_ctx {
            Some(asked) if plan.n_ctx < asked => {
                parts.push(format!("the model was trained for {} tokens", self.shape.context));
            }
            None if plan.n_ctx < CONTEXTS[1] && plan.n_ctx < self.shape.context => {
                parts.push(format!("the context is limited to {} tokens to fit", plan.n_ctx));
            }
            _ => {}
        }
        if self.policy.kv_type.is_none() && plan.kv_type != KvType::F16 {
            parts.push(format!("a {} cache saves memory", plan.kv_type.name()));
        }
        if self.policy.n_ubatch.is_none() && plan.n_ubatch < 512.min(plan.n_ctx) {
            parts.push(format!("a batch of {} saves memory", plan.n_ubatch));
        }
        if self.policy.plain {
            parts.push("some kernels of this build are wrong and switched off (`zord doctor`)".to_owned());
        }
        if !self.shape.measured {
            parts.push(format!("the estimate for `{}` models is rough", self.shape.architecture));
        }
        if parts.is_empty() {
            parts.push(format!("nothing is reduced: {} of {} are used", bytes(plan.total), bytes(self.budget)));
        }
        if self.policy.budget.is_none() && memory.available == 0 {
            parts.push("how much memory there is could not be read".to_owned());
        }
        parts.join("; ")
    }
}
