//! With which settings an engine that died is started again: each step gives up a little, and the cause decides what.

use super::death::Cause;
use crate::budget::Plan;

/// No context becomes smaller than this.
const SMALLEST: u32 = 512;
/// llama.cpp rounds a context up to this.
const STEP: u32 = 256;

/// The next safer plan, and what is given up, told after "it starts again"; `None` where the same will do, or there is
/// nothing left to give up.
pub(super) fn safer(plan: &Plan, cause: Cause) -> Option<(Plan, String)> {
    match cause {
        Cause::Outside => None,
        // kernels of their own, and a copy of the weights: both are behind the same switch, AMX's too
        Cause::Code if plan.repack => Some((plain(plan), "without rearranged weights".into())),
        Cause::Code => smaller(plan),
        Cause::Memory => {
            let without = if plan.repack { plain(plan) } else { plan.clone() };
            smaller(&without).or_else(|| plan.repack.then(|| (without, "without rearranged weights".into())))
        }
    }
}

fn plain(plan: &Plan) -> Plan {
    let total = plan.total.saturating_sub(plan.weights_copied);
    Plan { repack: false, weights_copied: 0, total, reason: reason(plan), ..plan.clone() }
}

fn smaller(plan: &Plan) -> Option<(Plan, String)> {
    let n_ctx = (plan.n_ctx / 2).next_multiple_of(STEP).max(SMALLEST);
    if n_ctx >= plan.n_ctx {
        return None;
    }
    let n_infill = plan.n_infill.min(n_ctx / 2) / STEP * STEP;
    let cells = |n_ctx: u32, n_infill: u32| u64::from(n_ctx) + u64::from(n_infill);
    let (before, after) = (cells(plan.n_ctx, plan.n_infill).max(1), cells(n_ctx, n_infill));
    let kv = plan.kv / before * after;
    let total = plan.total.saturating_sub(plan.kv.saturating_sub(kv));
    let n_ubatch = plan.n_ubatch.min(n_ctx);
    let plan = Plan { n_ctx, n_infill, n_ubatch, kv, total, reason: reason(plan), ..plan.clone() };
    Some((plan, format!("with a context of {n_ctx} tokens")))
}

fn reason(plan: &Plan) -> String {
    let after = "the engine died, so less is used";
    if plan.reason.contains(after) { plan.reason.clone() } else { format!("{after}; {}", plan.reason) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan() -> Plan {
        Plan {
            n_ctx: 8192,
            n_infill: 1536,
            n_ubatch: 512,
            repack: true,
            kv: 9728 << 10,
            weights_copied: 1 << 20,
            total: 64 << 20,
            reason: "nothing is reduced".into(),
            ..Plan::default()
        }
    }

    #[test]
    fn a_fault_of_the_code_gives_up_kernels_first_then_context() {
        let (plain, told) = safer(&plan(), Cause::Code).unwrap();
        assert_eq!((plain.repack, plain.n_ctx, plain.total), (false, 8192, 63 << 20));
        assert_eq!(told, "without rearranged weights");
        let (small, told) = safer(&plain, Cause::Code).unwrap();
        assert_eq!((small.repack, small.n_ctx, small.n_infill), (false, 4096, 1536));
        assert_eq!(told, "with a context of 4096 tokens");
        assert_eq!(small.reason, "the engine died, so less is used; nothing is reduced");
    }

    #[test]
    fn a_lack_of_memory_gives_up_context_and_copies_at_once() {
        let (small, _) = safer(&plan(), Cause::Memory).unwrap();
        assert_eq!((small.repack, small.n_ctx, small.kv), (false, 4096, 5632 << 10));
        assert_eq!(small.total, (63 << 20) - (4096 << 10));
    }

    #[test]
    fn there_is_an_end_to_it() {
        assert_eq!(safer(&plan(), Cause::Outside), None);
        for cause in [Cause::Memory, Cause::Code] {
            let mut plan = plan();
            let mut steps = 0;
            while let Some((next, _)) = safer(&plan, cause) {
                assert!(next.total < plan.total && next.n_ctx <= plan.n_ctx, "{next:?}");
                plan = next;
                steps += 1;
            }
            assert!((plan.n_ctx, plan.repack) == (SMALLEST, false) && (4..9).contains(&steps), "{steps} {plan:?}");
            assert!(plan.n_infill <= SMALLEST / 2 && plan.n_ubatch <= SMALLEST);
        }
    }
}
