//! The passes of a card against those of the processor, on small models with random weights. With the feature `gpu-check`
//! burn's own processor takes the card's place, unless ZORD_TEST_CARDS is set. A software renderer is a card too; without
//! any, the tests say so and end.

#![allow(clippy::unwrap_used, reason = "a test must be able to fail")]

use std::sync::{Mutex, MutexGuard, OnceLock};

use burn_tensor::{Device, DeviceKind};

use super::*;
use crate::arch::frequencies::Stretching;
use crate::distill::data::corpus::Goal;
use crate::distill::kernel::dropout::share;
use crate::distill::kernel::rope::Rope;
use crate::distill::model::adapter::{self, AdapterRecipe};
use crate::distill::model::head::{Head, Wanted};
use crate::distill::model::tests::{batch, model};
use crate::distill::model::{Base, Blocks, Decoder, Gradients, Halfway, Numbers, Recompute, Slopes, Weight};
use crate::distill::objective::{self, Lesson, ObjectiveRecipe};

/// A card is opened once in a process.
static OPENED: OnceLock<Device> = OnceLock::new();
/// One test at a time: they share the card.
static ALONE: Mutex<()> = Mutex::new(());

/// The first card, under two names, so that work can be shared.
fn cards() -> Option<([Device; 2], MutexGuard<'static, ()>)> {
    let alone = ALONE.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    #[cfg(feature = "gpu-check")]
    if std::env::var_os("ZORD_TEST_CARDS").is_none() {
        return Some(([Device::flex(), Device::flex()], alone));
    }
    let all = adapters();
    let Some(first) = all.first() else {
        eprintln!("SKIPPED: no Vulkan device");
        return None;
    };
    let kind = || match first.kind {
        Kind::Discrete => DeviceKind::DiscreteGpu(0),
        Kind::Integrated => DeviceKind::IntegratedGpu(0),
        Kind::Virtual => DeviceKind::VirtualGpu(0),
        Kind::Software => DeviceKind::Cpu,
    };
    let pinned = OPENED.get_or_init(|| super::cards::open(first).unwrap()).clone();
    Some(([pinned, Device::wgpu(kind())], alone))
}

/// Cross-entropy, and something about the states behind the first layer.
fn judge(model: &Decoder, lesson: &Lesson, halfway: &Halfway<'_>, gradients: &mut Gradients) -> Slopes<f64> {
    let mut states = vec![0.0; halfway.states.len()];
    let wanted = Wanted { states: Some(&mut states), matrix: gradients.of(model.output()) };
    let plain = ObjectiveRecipe::default();
    let loss = objective::judge(&plain, halfway.head, halfway.states, lesson, 0.2, wanted).whole;
    let behind = (halfway.behind)(0);
    let value = loss + behind.iter().map(|x| f64::from(x * x)).sum::<f64>();
    Slopes { value, states, behind: vec![(0, behind.iter().map(|x| 2.0 * x).collect())] }
}

fn on_processor(model: &Decoder, batch: &Batch, lesson: &Lesson, dropout: Option<u64>) -> (f64, Gradients) {
    let width = model.shape.hidden;
    let mut gradients = Gradients::new(&model.weights);
    let trace = model.forward(batch, dropout, Recompute::None);
    let rows = |states: &[f32]| crate::distill::run::rows(states, lesson, width);
    let behind = |layer: usize| rows(trace.behind(layer));
    let halfway = Halfway { head: &model.head(), states: &rows(&trace.normed), behind: &behind };
    let Slopes { value, states, behind } = judge(model, lesson, &halfway, &mut gradients);
    let spread = |slopes: &[f32]| {
        let mut all = vec![0.0; trace.normed.len()];
        for (goal, slope) in lesson.goals.iter().zip(slopes.chunks_exact(width)) {
            all[goal.row * width..][..width].copy_from_slice(slope);
        }
        all
    };
    let (d, behind) = (spread(&states), vec![(0, spread(&behind[0].1))]);
    model.backward(batch, dropout, trace, d, &behind, &mut gradients);
    (value, gradients)
}

fn on_cards(
    cards: &mut Cards,
    model: &Decoder,
    parts: &[(Batch, Lesson)],
    dropout: Option<u64>,
) -> (Vec<f64>, Gradients) {
    let rows: Vec<Vec<usize>> =
        parts.iter().map(|(_, lesson)| lesson.goals.iter().map(|goal| goal.row).collect()).collect();
    let asked: Vec<Part<'_>> =
        parts.iter().zip(&rows).map(|((batch, _), rows)| Part { batch, rows, dropout }).collect();
    let mut gradients = Gradients::new(&model.weights);
    let between = |at: usize, halfway: &Halfway<'_>, own: &mut Gradients| judge(model, &parts[at].1, halfway, own);
    let values = cards.learn(model, &asked, &between, &mut gradients).unwrap();
    (values, gradients)
}

/// All of both within a share of the largest of each weight.
fn same(a: &mut Gradients, b: &mut Gradients, model: &Decoder, what: &str) {
    let mut checked = 0;
    for ((id, a), (other, b)) in a.each().zip(b.each()) {
        assert_eq!(id, other);
        let largest = a.iter().fold(0.0_f32, |most, x| most.max(x.abs()));
        for (at, (a, b)) in a.iter().zip(&*b).enumerate() {
            // Both are single precision; sums of a hundred products in another order differ by some 1e-6 of them.
            assert!((a - b).abs() <= 2e-5 * largest.max(1e-3), "{what}, {} [{at}]: {a} {b}", model.weights[id.0].name);
        }
        checked += usize::from(largest > 0.0);
    }
    assert!(checked > 5, "{what}: {checked}");
}

fn check(cards: &mut Cards, model: &Decoder, dropout: Option<u64>, what: &str) {
    let (batch, lesson) = batch();
    let (loss, mut gradients) = on_processor(model, &batch, &lesson, dropout);
    let (losses, mut other) = on_cards(cards, model, &[(batch, lesson)], dropout);
    assert!((loss - losses[0]).abs() < 1e-5 * loss, "{what}: {loss} {losses:?}");
    same(&mut gradients, &mut other, model, what);
}

fn adapted(recipe: &AdapterRecipe) -> Decoder {
    let mut model = model("qwen3", true);
    model.weights.iter_mut().for_each(|weight| weight.trained = false);
    adapter::lay(&mut model, recipe, None, 1);
    for weight in model.weights.iter_mut().filter(|weight| weight.name.ends_with("lora_B.weight")) {
        let numbers = weight.change().unwrap();
        numbers.iter_mut().enumerate().for_each(|(i, x)| *x = (share(i as u64) as f32 - 0.5) * 0.5);
    }
    model.changed();
    model
}

#[test]
fn a_card_has_the_gradients_of_the_processor() {
    let Some(([device, _], _alone)) = cards() else { return };
    for (kind, tied) in [("llama", false), ("llama", true), ("qwen2", true), ("qwen3", false)] {
        check(&mut Cards::of(vec![device.clone()]), &model(kind, tied), None, kind);
    }
    for (dora, dropout) in [(false, 0.0), (false, 0.3), (true, 0.0), (true, 0.3)] {
        let recipe = AdapterRecipe { rank: 3, alpha: 5.0, dora, dropout, ..AdapterRecipe::default() };
        let key = (dropout > 0.0).then_some(99);
        check(&mut Cards::of(vec![device.clone()]), &adapted(&recipe), key, &format!("dora {dora}, dropout {dropout}"));
    }
}

#[test]
fn changed_weights_are_brought_to_the_card_and_frozen_ones_come_in_any_form() {
    let Some(([device, _], _alone)) = cards() else { return };
    let recipe = AdapterRecipe { rank: 3, dora: true, ..AdapterRecipe::default() };
    let mut model = adapted(&recipe);
    for weight in model.weights.iter_mut().filter(|weight| !weight.trained) {
        let Numbers::F32(numbers) = &weight.numbers else { panic!("it was made so") };
        weight.numbers = match weight.dims.len() {
            1 => Numbers::Bf16(numbers.iter().map(|x| (x.to_bits() >> 16) as u16).collect()),
            _ => Numbers::Blocks(Blocks::of(numbers, Base::Q8).unwrap()),
        };
    }
    model.changed();
    let mut cards = Cards::of(vec![device]);
    check(&mut cards, &model, None, "before");
    let changed = |weight: &&mut Weight| weight.trained;
    for weight in model.weights.iter_mut().filter(changed) {
        weight.change().unwrap().iter_mut().for_each(|x| *x *= 1.1);
    }
    model.changed();
    cards.changed();
    check(&mut cards, &model, None, "after");
}

#[test]
fn the_number_of_cards_does_not_change_the_sum() {
    let Some((devices, _alone)) = cards() else { return };
    let model = model("qwen2", true);
    let parts: Vec<(Batch, Lesson)> = (0..3)
        .map(|at| {
            let (mut batch, lesson) = batch();
            batch.tokens.iter_mut().for_each(|token| *token = (*token + 5 * at) % 40);
            (batch, lesson)
        })
        .collect();
    let (losses, mut one) = on_cards(&mut Cards::of(vec![devices[0].clone()]), &model, &parts, None);
    let (others, mut two) = on_cards(&mut Cards::of(devices.to_vec()), &model, &parts, None);
    assert_eq!(losses, others);
    assert!(one.each().zip(two.each()).all(|((_, a), (_, b))| a == b));
}

#[test]
fn long_documents_and_many_goals_go_through_in_tiles() {
    let Some(([device, _], _alone)) = cards() else { return };
    let mut model = model("llama", true);
    model.rope = Rope::new(model.shape.width, 1e4, &Stretching::Linear(1.0), 1024);
    let mut batch = Batch::default();
    for len in [700, 3, 30] {
        batch.push((0..len).map(|i| (share(i) * 40.0) as u32));
    }
    let goals = (0..600).map(|row| Goal { row, token: row as u32 % 40, document: 0 });
    let lesson = Lesson { goals: goals.collect(), ..Lesson::default() };
    let part = Part { batch: &batch, rows: &(0..600).collect::<Vec<_>>(), dropout: None };
    let loss = |head: &Head<'_>, states: &[f32]| {
        objective::judge(&ObjectiveRecipe::default(), head, states, &lesson, 1.0, Wanted::default()).whole
    };
    let other = Cards::of(vec![device]).states(&model, &part, loss).unwrap();
    let states = crate::distill::run::rows(&model.states(&batch), &lesson, model.shape.hidden);
    let own = loss(&model.head(), &states);
    assert!((own - other).abs() < 1e-5 * own, "{own} {other}");
}
