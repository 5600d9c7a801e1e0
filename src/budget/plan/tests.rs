use proptest::prelude::*;

use super::super::mission::{DEEPSEEK_CODER_1_3B, QWEN_CODER_1_5B, QWEN3_ZERO_CODER_0_8B, SMOLLM2_135M};
use super::*;
use crate::device::Features;

const MIB: u64 = 1 << 20;

fn machine(available: u64) -> MemoryFacts {
    MemoryFacts { total: available * 2, available, cgroup: None }
}

fn processor() -> Processor {
    Processor { threads: 2, features: Features::of([("avx2", true)]) }
}

fn within(budget: u64) -> Policy {
    Policy { budget: Some(budget), ..Policy::default() }
}

#[test]
fn the_budget_is_the_smallest_of_three() {
    let policy = Policy::default();
    assert_eq!(budget(&machine(64 * GIB), &policy), 7 * GIB / 2);
    assert_eq!(budget(&machine(4000), &policy), 2400);
    assert_eq!(budget(&MemoryFacts { cgroup: Some(1000), ..machine(GIB) }, &policy), 850);
    assert_eq!(budget(&machine(4000), &within(1 << 40)), 1 << 40);
    assert_eq!(budget(&MemoryFacts { cgroup: Some(1000), ..machine(GIB) }, &within(1 << 40)), 850);
    assert_eq!(budget(&MemoryFacts { cgroup: Some(1000), ..machine(GIB) }, &within(500)), 500);
    assert!(budget(&machine(GIB), &Policy { careful: true, ..policy }) < budget(&machine(GIB), &Policy::default()));
    assert_eq!(budget(&MemoryFacts::default(), &Policy::default()), 2 * GIB);
}

#[test]
fn the_missions_model_fits_a_phone() {
    let shape = QWEN_CODER_1_5B.shape();
    // FACTS: 1.544 B parameters, Q4_K_M 980 MB, f16 cache of 112 MiB at 4096.
    assert!((shape.parameters() as f64 / 1.544e9 - 1.0).abs() < 0.01, "{}", shape.parameters());
    assert!((shape.file as f64 / 986e6 - 1.0).abs() < 0.01, "{}", shape.file);
    let phone = machine(3 * GIB);
    let plan = plan(&shape, &phone, &Policy { n_ctx: Some(4096), ..Policy::default() }, &processor()).unwrap();
    assert_eq!((plan.kv, plan.kv_type), (112 * MIB, KvType::F16));
    assert!(plan.total <= plan.budget && plan.budget == 3 * GIB / 5 * 3, "{plan:?}");
    assert_eq!(plan.total, plan.weights + plan.weights_copied + plan.kv + plan.compute + plan.program);
}

#[test]
fn forty_two_layers_at_forty_thousand_tokens() {
    let shape = QWEN3_ZERO_CODER_0_8B.shape();
    assert_eq!(shape.matrices.len(), 464);
    assert!((shape.parameters() as f64 / 0.816e9 - 1.0).abs() < 0.01, "{}", shape.parameters());
    let policy = Policy { n_ctx: Some(40_960), kv_type: Some(KvType::Q8_0), ..Policy::default() };
    // 42 layers × 2 × 8 heads × 128 numbers at 34 bytes for 32: the cache alone is larger than the default budget.
    let cache = 42 * 2 * 1024 / 32 * 34 * 40_960;
    let refusal = *plan(&shape, &machine(8 * GIB), &policy, &processor()).unwrap_err();
    assert!(refusal.have == MOST && refusal.need > cache && refusal.need < cache + GIB, "{refusal:?}");
    assert!(
        refusal.hint.contains("`--kv-type q4_0` would fit") && refusal.hint.contains("`--ctx 3"),
        "{}",
        refusal.hint
    );
    // What is hinted is then planned.
    let smaller = Policy { kv_type: Some(KvType::Q4_0), ..policy.clone() };
    let smaller = plan(&shape, &machine(8 * GIB), &smaller, &processor()).unwrap();
    assert_eq!((smaller.n_ctx, smaller.kv_type, smaller.kv), (40_960, KvType::Q4_0, cache / 34 * 18));
    let n_ctx = hinted_context(&refusal.hint);
    let shorter = Policy { n_ctx: Some(n_ctx), ..policy.clone() };
    let shorter = plan(&shape, &machine(8 * GIB), &shorter, &processor()).unwrap();
    assert_eq!((shorter.n_ctx, shorter.kv_type), (n_ctx, KvType::Q8_0));
    let plan = plan(&shape, &machine(8 * GIB), &Policy { budget: Some(5 * GIB), ..policy }, &processor()).unwrap();
    assert_eq!((plan.n_ctx, plan.kv_type, plan.kv), (40_960, KvType::Q8_0, cache));
    assert!(plan.total <= 5 * GIB);
}

/// The number behind `--ctx` in a hint.
fn hinted_context(hint: &str) -> u32 {
    hint.rsplit("--ctx ").next().unwrap().trim_end_matches('`').parse().unwrap()
}

/// What llama.cpp lays out for a llama-like model, summed from the paper's shapes rather than from the header.
struct ByHand {
    /// Bytes of all matrices and norms.
    weights: u64,
    /// Bytes a token of context takes in the cache.
    cell: u64,
    /// Bytes of the feed-forward activations of 512 tokens with the quantized input of its last product: less than that
    /// no compute buffer can be.
    least_compute: u64,
}

#[test]
fn the_missions_shapes_are_what_arithmetic_gives() {
    // Q4_K takes 144 bytes for 256 numbers, Q5_K 176, Q6_K 210; norms and biases 4 for one.
    let (q4, q5, q6) = (|n: u64| n / 256 * 144, |n: u64| n / 256 * 176, |n: u64| n / 256 * 210);
    // Of 28 layers 3 + 4 at the ends and 7 between have `attn_v` and `ffn_down` in Q6_K; of 42 it is 5 + 6 + 10.
    let qwen = {
        let (ffn, attention, v) = (1536 * 8960, 1536 * 1536, 1536 * 256);
        let common = q4(2 * ffn + 2 * attention + v) + 4 * (2 * 1536 + 1536 + 256 + 256);
        let weights = 28 * common + 14 * (q4(ffn + v) + q6(ffn + v)) + q6(151_936 * 1536) + 4 * 1536;
        let least_compute = 512 * (4 * (3 * 8960) + 8960 / 32 * 34);
        (QWEN_CODER_1_5B.shape(), ByHand { weights, cell: 28 * 2 * 2 * 128 * 2, least_compute })
    };
    let zero = {
        let (ffn, queries, kv) = (1024 * 3072, 1024 * 2048, 1024 * 1024);
        let common = q5(2 * ffn + 2 * queries + kv) + 4 * (2 * 1024 + 2 * 128);
        let weights = 42 * common + 21 * (q5(ffn + kv) + q6(ffn + kv)) + q6(151_936 * 1024) + 4 * 1024;
        let least_compute = 512 * (4 * (3 * 3072) + 3072 / 32 * 34);
        (QWEN3_ZERO_CODER_0_8B.shape(), ByHand { weights, cell: 42 * 2 * 8 * 128 / 32 * 34, least_compute })
    };
    for ((shape, by_hand), n_ctx, kv_type) in [(qwen, 4096, KvType::F16), (zero, 40_960, KvType::Q8_0)] {
        let policy = Policy { n_ctx: Some(n_ctx), kv_type: Some(kv_type), n_ubatch: Some(512), ..within(8 * GIB) };
        let plan = plan(&shape, &machine(8 * GIB), &policy, &processor()).unwrap();
        assert_eq!(plan.kv, by_hand.cell * u64::from(n_ctx), "{}", shape.name);
        // Tensors are padded to 32 bytes, and nothing else is in the data.
        assert!((by_hand.weights..by_hand.weights + 32 * 464).contains(&plan.weights), "{}: {plan:?}", shape.name);
        // Above the activations stand the mask (2 bytes for a cell and token), the residual stream and scratch.
        let mask = u64::from(n_ctx) * 512 * 2;
        let least = by_hand.least_compute + mask;
        assert!(plan.compute > least && plan.compute < least + 24 * MIB, "{}: {least} {plan:?}", shape.name);
    }
}

#[test]
fn deepseeks_cache_is_as_large_as_its_weights() {
    let shape = DEEPSEEK_CODER_1_3B.shape();
    assert!((shape.parameters() as f64 / 1.346e9 - 1.0).abs() < 0.01, "{}", shape.parameters());
    let asked = Policy { n_ctx: Some(4096), ..Policy::default() };
    let roomy = plan(&shape, &machine(16 * GIB), &asked, &processor()).unwrap();
    assert_eq!((roomy.kv, roomy.kv_type), (768 * MIB, KvType::F16));
    let tight =
        plan(&shape, &MemoryFacts::default(), &Policy { budget: Some(1450 * MIB), ..asked }, &processor()).unwrap();
    assert_eq!(tight.kv_type, KvType::Q8_0);
    assert!(tight.reason.contains("q8_0"), "{}", tight.reason);
}

/// Peak resident sets (`VmHWM` in KiB) of `zord chat` with SmolLM2-135M Q4_1, two threads, flash attention, ubatch 512:
/// the cache filled to its end.
const MEASURED: [(u32, KvType, u64); 6] = [
    (512, KvType::F16, 154_988),
    (2048, KvType::F16, 192_648),
    (8192, KvType::F16, 338_812),
    (512, KvType::Q8_0, 149_484),
    (2048, KvType::Q8_0, 170_936),
    (8192, KvType::Q8_0, 250_728),
];

#[test]
fn the_prediction_is_within_five_percent_of_what_was_measured() {
    let shape = SMOLLM2_135M.shape();
    for (n_ctx, kv_type, kib) in MEASURED {
        let policy = Policy {
            n_ctx: Some(n_ctx),
            kv_type: Some(kv_type),
            n_ubatch: Some(512),
            speculate: true,
            ..Policy::default()
        };
        let plan = plan(&shape, &machine(16 * GIB), &policy, &processor()).unwrap();
        let off = plan.total as f64 / (kib << 10) as f64 - 1.0;
        println!("{n_ctx} {}: {} KiB planned, {kib} measured, {:+.1} %", kv_type.name(), plan.total >> 10, off * 100.0);
        assert!(off.abs() < 0.05, "{n_ctx} {}: {:.1} %, {plan:?}", kv_type.name(), off * 100.0);
    }
}

#[test]
fn memory_is_saved_step_by_step() {
    let shape = QWEN_CODER_1_5B.shape();
    let at = |mib: u64| plan(&shape, &machine(GIB), &within(mib * MIB), &processor());
    let mut last = Vec::new();
    for mib in (900..6000).rev().step_by(20) {
        let Ok(plan) = at(mib) else { break };
        assert!(plan.total <= mib * MIB);
        let step = (plan.n_ctx, plan.repack, plan.kv_type.name(), plan.n_ubatch);
        if last.last() != Some(&step) {
            last.push(step);
        }
    }
    assert_eq!(last[0], (8192, true, "f16", 512), "{last:?}");
    assert!(last.contains(&(8192, false, "f16", 512)) && last.contains(&(8192, false, "f16", 128)), "{last:?}");
    assert!(last.contains(&(4096, false, "f16", 128)) && last.contains(&(4096, false, "q8_0", 128)), "{last:?}");
    assert!(last.windows(2).all(|pair| pair[0].0 >= pair[1].0), "less memory never gives more context: {last:?}");
    assert!(last.last().unwrap().0 < 4096, "{last:?}");
}

#[test]
fn what_a_person_asked_for_is_kept() {
    let shape = SMOLLM2_135M.shape();
    let policy = Policy {
        n_ctx: Some(1000),
        kv_type: Some(KvType::Q4_0),
        n_ubatch: Some(96),
        threads: Some(3),
        n_seq: 5,
        ..within(GIB)
    };
    let plan = plan(&shape, &machine(GIB), &policy, &processor()).unwrap();
    assert_eq!((plan.n_ctx, plan.kv_type, plan.n_ubatch, plan.threads, plan.n_seq), (1024, KvType::Q4_0, 96, 3, 5));
    assert!(plan.flash && !plan.repack, "Q4_1 has no rearranged form");
}

#[test]
fn the_context_stays_within_what_was_trained() {
    let shape = SMOLLM2_135M.shape();
    let policy = Policy { n_ctx: Some(u32::MAX), ..within(8 * GIB) };
    let plan = plan(&shape, &machine(GIB), &policy, &processor()).unwrap();
    assert_eq!(plan.n_ctx, 8192);
    assert!(plan.reason.contains("trained for 8192 tokens"), "{}", plan.reason);
}

#[test]
fn without_flash_attention_the_cache_is_f16_and_scores_are_counted() {
    let shape = SMOLLM2_135M.shape();
    let with = |flash| {
        let policy = Policy { n_ctx: Some(2048), n_ubatch: Some(512), flash: Some(flash), ..within(GIB) };
        plan(&shape, &machine(GIB), &policy, &processor()).unwrap()
    };
    assert_eq!(with(false).kv_type, KvType::F16);
    // Measured: 62,476 KiB of compute and scratch against 16,824 KiB.
    assert!(with(false).compute > with(true).compute + 40 * MIB);
}

#[test]
fn after_an_unclean_end_less_is_used() {
    let shape = QWEN_CODER_1_5B.shape();
    let usual = plan(&shape, &machine(8 * GIB), &Policy::default(), &processor()).unwrap();
    let careful = Policy { careful: true, ..Policy::default() };
    let careful = plan(&shape, &machine(8 * GIB), &careful, &processor()).unwrap();
    assert!(careful.total < usual.total && !careful.repack);
    assert_eq!((careful.n_ctx, usual.n_ctx), (8192, 8192), "as much context as fits");
    assert!(careful.reason.contains("killed"));
    // where less is there, the context is what fits, and not a fixed part
    let careful = Policy { careful: true, ..Policy::default() };
    let small = plan(&shape, &machine(7 * GIB / 2), &careful, &processor()).unwrap();
    assert!(small.n_ctx >= 4096 && small.total <= small.budget, "{small:?}");
}

#[test]
fn a_context_that_fits_is_offered() {
    // 1.5 billion parameters at 8192 tokens take 2.0 of 3.5 GiB, with or without completions beside the chat.
    for n_infill in [0, 1536] {
        let policy = Policy { n_infill, n_seq: 9, ..Policy::default() };
        let plan = plan(&QWEN_CODER_1_5B.shape(), &machine(8 * GIB), &policy, &processor()).unwrap();
        assert_eq!((plan.n_ctx, plan.kv_type), (8192, KvType::F16), "{plan:?}");
    }
}

#[test]
fn a_budget_above_the_control_groups_room_is_refused_with_both() {
    let memory = MemoryFacts { cgroup: Some(768 * MIB), ..machine(16 * GIB) };
    let refusal = plan(&QWEN_CODER_1_5B.shape(), &memory, &within(3 * GIB), &processor()).unwrap_err();
    let told = refusal.to_string();
    let limits = "and the budget is 652.8 MiB: 3.0 GiB were asked for, and the control group leaves 768.0 MiB";
    assert!(told.starts_with("the model needs") && told.ends_with(limits), "{told}");
    let refusal = plan(&QWEN_CODER_1_5B.shape(), &memory, &Policy::default(), &processor()).unwrap_err();
    assert!(refusal.to_string().ends_with("and the budget is 652.8 MiB"), "{refusal}");
    let small = plan(&SMOLLM2_135M.shape(), &memory, &within(3 * GIB), &processor()).unwrap();
    assert!(small.total <= 768 * MIB / 20 * 17, "{small:?}");
}

#[test]
fn a_refusal_names_a_context_that_fits() {
    let shape = DEEPSEEK_CODER_1_3B.shape();
    let policy = Policy { n_ctx: Some(16_384), ..within(1400 * MIB) };
    let refusal = *plan(&shape, &machine(GIB), &policy, &processor()).unwrap_err();
    assert!(refusal.need > refusal.have);
    let tokens = hinted_context(&refusal.hint);
    let shorter = Policy { n_ctx: Some(tokens), ..policy.clone() };
    assert!(plan(&shape, &machine(GIB), &shorter, &processor()).is_ok(), "{}", refusal.hint);
    let longer = Policy { n_ctx: Some(tokens + 256), ..policy };
    assert!(plan(&shape, &machine(GIB), &longer, &processor()).is_err(), "{}", refusal.hint);
}

#[test]
fn a_refusal_names_a_quantization_or_a_smaller_model() {
    let shape = QWEN_CODER_1_5B.shape();
    let at = |mib| plan(&shape, &machine(GIB), &within(mib * MIB), &processor()).unwrap_err();
    let refusal = at(950);
    assert_eq!(refusal.hint, "a `Q3_K_M` file of this model (about 754.5 MiB) would fit");
    assert!(refusal.to_string().starts_with("the model needs 1016.7 MiB and the budget"), "{refusal}");
    assert!(at(400).hint.contains("0.5 billion parameters in `Q4_K_M`"), "{}", at(400).hint);
    assert!(at(20).hint.contains("--budget"));
}

#[test]
fn settings_that_are_in_the_way_are_named() {
    let shape = DEEPSEEK_CODER_1_3B.shape();
    let policy = Policy { n_ctx: Some(512), n_ubatch: Some(512), flash: Some(false), ..within(940 * MIB) };
    let refusal = plan(&shape, &machine(GIB), &policy, &processor()).unwrap_err();
    assert!(refusal.hint.starts_with("`ubatch = ") && refusal.hint.contains("`flash = true`"), "{refusal:?}");
    let released = Policy { n_ubatch: None, flash: None, ..policy };
    assert!(plan(&shape, &machine(GIB), &released, &processor()).is_ok());
}

proptest! {
    /// Whatever is asked: a plan stays inside its budget, its parts add up, and more memory never gives a refusal.
    #[test]
    fn plans_keep_inside_the_budget(
        mib in 1u64..5000, n_ctx in proptest::option::of(0u32..1_000_000), n_ubatch in proptest::option::of(0u32..5000),
        flash in proptest::option::of(any::<bool>()), careful: bool, which in 0usize..2,
    ) {
        static SHAPES: std::sync::OnceLock<[Shape; 2]> = std::sync::OnceLock::new();
        let shape = &SHAPES.get_or_init(|| [SMOLLM2_135M.shape(), QWEN_CODER_1_5B.shape()])[which];
        let policy = Policy { n_ctx, n_ubatch, flash, careful, ..within(mib * MIB) };
        match plan(shape, &machine(GIB), &policy, &processor()) {
            Ok(plan) => {
                prop_assert!(plan.total <= plan.budget);
                prop_assert_eq!(plan.total, plan.weights + plan.weights_copied + plan.kv + plan.compute + plan.program);
                prop_assert!(plan.n_ctx % 256 == 0 && plan.n_ctx > 0 && plan.n_ubatch > 0 && !plan.reason.is_empty());
                let more = Policy { budget: Some(plan.budget + MIB), ..policy };
                prop_assert!(super::plan(shape, &machine(GIB), &more, &processor()).is_ok());
            }
            Err(refusal) => prop_assert!(refusal.need > refusal.have && !refusal.hint.is_empty()),
        }
    }
}

/// Not a test: writes a model of the mission's shape with weights of zero, to be loaded and measured by hand.
#[test]
#[ignore = "writes a file of its own choosing; set ZORD_TEST_SHAPE to its path"]
fn write_the_missions_shape() {
    let path = std::env::var_os("ZORD_TEST_SHAPE").unwrap();
    QWEN_CODER_1_5B.write(std::path::Path::new(&path));
}

#[test]
fn an_engine_in_a_process_of_its_own_is_planned_with_that_process() {
    let shape = QWEN_CODER_1_5B.shape();
    let of = |apart| plan(&shape, &machine(8 * GIB), &Policy { apart, ..Policy::default() }, &processor()).unwrap();
    let (inside, apart) = (of(false), of(true));
    assert_eq!(apart.total - inside.total, apart.program - inside.program);
    assert!(apart.total > inside.total && apart.total - inside.total <= 8 * MIB, "{apart:?}");
    assert_eq!((apart.n_ctx, apart.kv), (inside.n_ctx, inside.kv));
}
