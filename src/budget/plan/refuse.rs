//! The way out when nothing fits: a shorter context, a smaller quantization, or a smaller model.

use super::{CONTEXT_STEP, Ladder};
use crate::budget::{KvType, Policy, Refusal};
use crate::device::memory::MemoryFacts;
use crate::size::bytes;

/// Quantizations people publish, with the bits they take for a parameter in models of the mission's size
/// (llama.cpp's `tools/quantize/README.md`, and the Qwen2.5-Coder-1.5B files).
const QUANTIZATIONS: [(&str, f64); 6] =
    [("Q8_0", 8.5), ("Q6_K", 6.6), ("Q5_K_M", 5.7), ("Q4_K_M", 5.0), ("Q3_K_M", 4.1), ("Q2_K", 3.4)];
const USUAL: (&str, f64) = QUANTIZATIONS[3];
/// The shortest context worth having.
const SHORTEST: u32 = 512;

pub(super) fn refusal(ladder: &Ladder<'_>, memory: &MemoryFacts) -> Refusal {
    let asked = ladder.policy.n_ctx.map_or(SHORTEST, |n_ctx| ladder.padded(n_ctx));
    let smallest = |n_ctx| ladder.smallest(n_ctx).map_or(u64::MAX, |plan| plan.total);
    let need = smallest(asked);
    let hint = match (smaller_cache(ladder, asked), shorter(ladder, asked)) {
        (Some(kv_type), Some(n_ctx)) => Some(format!(
            "`--kv-type {}` would fit; so would a context of {n_ctx} tokens: `--ctx {n_ctx}`",
            kv_type.name()
        )),
        (Some(kv_type), None) => Some(format!("`--kv-type {}` would fit", kv_type.name())),
        (None, Some(n_ctx)) => Some(format!("a context of {n_ctx} tokens would fit: `--ctx {n_ctx}`")),
        (None, None) => None,
    };
    let hint = hint
        .or_else(|| released(ladder, asked))
        .or_else(|| smaller(ladder, smallest(ladder.padded(SHORTEST))))
        .unwrap_or_else(|| {
            format!("more memory must be free: `--budget` sets the limit, now {}", bytes(ladder.budget))
        });
    let said = ladder.policy.budget.filter(|&said| said > ladder.budget);
    Refusal { need, have: ladder.budget, said, room: memory.cgroup.filter(|_| said.is_some()), hint }
}

/// The longest context that would fit with everything else as asked.
fn shorter(ladder: &Ladder<'_>, asked: u32) -> Option<u32> {
    let fits = |steps: u32| ladder.fitting(steps * CONTEXT_STEP, ladder.budget).is_some();
    let (mut low, mut high) = (SHORTEST / CONTEXT_STEP, asked / CONTEXT_STEP);
    if low >= high || !fits(low) {
        return None;
    }
    while low + 1 < high {
        let middle = low.midpoint(high);
        if fits(middle) { low = middle } else { high = middle }
    }
    Some(low * CONTEXT_STEP)
}

/// The widest of the smaller caches that would fit, where a person fixed a type.
fn smaller_cache(ladder: &Ladder<'_>, asked: u32) -> Option<KvType> {
    let fixed = ladder.policy.kv_type?;
    let smaller: &[KvType] = match fixed {
        KvType::F16 => &[KvType::Q8_0, KvType::Q4_0],
        KvType::Q8_0 => &[KvType::Q4_0],
        KvType::Q4_0 => &[],
    };
    smaller.iter().copied().find(|&kv_type| {
        let policy = Policy { kv_type: Some(kv_type), ..ladder.policy.clone() };
        let plan = Ladder { policy: &policy, ..*ladder }.fitting(asked, ladder.budget);
        plan.is_some_and(|plan| plan.kv_type == kv_type)
    })
}

/// It would fit if batch and flash attention were left to the plan. Both come from the configuration or from tuning,
/// over which the configuration goes.
fn released(ladder: &Ladder<'_>, asked: u32) -> Option<String> {
    let policy = Policy { n_ubatch: None, flash: None, ..ladder.policy.clone() };
    let plan = Ladder { policy: &policy, ..*ladder }.fitting(asked, ladder.budget)?;
    let (n_ubatch, flash) = (plan.n_ubatch, plan.flash);
    Some(format!("`ubatch = {n_ubatch}` and `flash = {flash}` under `[threads]` in the configuration would fit"))
}

/// A quantization of the same model, or a smaller model.
fn smaller(ladder: &Ladder<'_>, need: u64) -> Option<String> {
    let shape = ladder.shape;
    let parameters = shape.parameters() as f64;
    let size = |bits: f64| (parameters * bits / 8.0) as u64;
    let rest = need.checked_sub(shape.data)?;
    let room = ladder.budget.checked_sub(rest).filter(|&room| room > 0);
    let fits = |&&(_, bits): &&(&str, f64)| bits < shape.bits() - 0.3 && room.is_some_and(|room| size(bits) <= room);
    if let Some((name, bits)) = QUANTIZATIONS.iter().find(fits) {
        return Some(format!("a `{name}` file of this model (about {}) would fit", bytes(size(*bits))));
    }
    // A smaller model has a smaller vocabulary and cache too: let weights take three quarters.
    let billions = ladder.budget as f64 * 0.75 * 8.0 / USUAL.1 / 1e9;
    (billions >= 0.1).then(|| format!("a model of at most {billions:.1} billion parameters in `{}` would fit", USUAL.0))
}
