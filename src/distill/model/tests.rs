//! The backward pass against differences of the forward one, on small models with random weights.

use std::path::Path;

use serde_json::json;

use super::adapter::{self, AdapterRecipe};
use super::head::Wanted;
use super::load::{assemble, names};
use super::*;
use crate::distill::data::corpus::Goal;
use crate::distill::kernel::dropout::share;
use crate::distill::objective::{self, Lesson, ObjectiveRecipe};
use crate::distill::run::rows;

fn shape(kind: &str, tied: bool) -> Shape {
    let mut config = json!({
        "model_type": kind, "hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 2,
        "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 6, "vocab_size": 40, "rms_norm_eps": 1e-5,
        "rope_theta": 1e4, "rope_scaling": {"type": "linear", "factor": 2.0}, "max_position_embeddings": 64,
        "tie_word_embeddings": tied, "attention_bias": kind == "llama",
    });
    // Each family with another scaling of positions.
    match kind {
        "qwen2" => {
            config["rope_scaling"] = json!({"type": "yarn", "factor": 4.0, "original_max_position_embeddings": 16})
        }
        "llama" if tied => {
            let original = json!({"rope_type": "llama3", "factor": 8.0, "original_max_position_embeddings": 16});
            config["rope_scaling"] = original;
        }
        "granite" => {
            for (key, number) in [
                ("embedding_multiplier", 1.5),
                ("residual_multiplier", 0.7),
                ("attention_multiplier", 0.6),
                ("logits_scaling", 0.8),
            ] {
                config[key] = json!(number);
            }
        }
        "smollm3" => config["no_rope_layer_interval"] = json!(2),
        _ => {}
    }
    Shape::of(&config, Path::new("config.json")).unwrap()
}

pub(crate) fn model(kind: &str, tied: bool) -> Decoder {
    let shape = shape(kind, tied);
    let mut count = 0_u64;
    let mut random = || {
        count += 1;
        (share(count * 7919) as f32 - 0.5) * 0.6
    };
    let weights: Vec<Weight> = names(&shape)
        .into_iter()
        .map(|(name, dims)| {
            let norm = if name.contains("norm") { 1.0 } else { 0.0 };
            let numbers = (0..dims.iter().product()).map(|_| norm + random()).collect();
            Weight::f32(name, &dims, numbers)
        })
        .collect();
    assemble(shape, weights, 32)
}

pub(crate) fn batch() -> (Batch, Lesson) {
    let mut batch = Batch::default();
    batch.push([3, 17, 5, 5, 39, 0, 2]);
    batch.push([8, 1, 22, 9]);
    let goals = [(1, 5), (2, 5), (5, 2), (7, 1), (9, 9)];
    let goals = goals.map(|(row, token)| Goal { row, token, document: usize::from(row > 6) }).to_vec();
    (batch, Lesson { goals, ..Lesson::default() })
}

fn loss(model: &Decoder, batch: &Batch, lesson: &Lesson, dropout: Option<u64>) -> f64 {
    let trace = model.forward(batch, dropout, Recompute::None);
    let states = rows(&trace.normed, lesson, model.shape.hidden);
    objective::judge(&ObjectiveRecipe::default(), &model.head(), &states, lesson, 1.0, Wanted::default()).whole
}

fn gradients(model: &Decoder, dropout: Option<u64>, recompute: Recompute) -> Gradients {
    let (batch, lesson) = batch();
    let width = model.shape.hidden;
    let mut gradients = Gradients::new(&model.weights);
    let trace = model.forward(&batch, dropout, recompute);
    let states = rows(&trace.normed, &lesson, width);
    let mut slopes = vec![0.0; states.len()];
    let wanted = Wanted { states: Some(&mut slopes), matrix: gradients.of(model.output()) };
    objective::judge(&ObjectiveRecipe::default(), &model.head(), &states, &lesson, 1.0, wanted);
    let mut d = vec![0.0; trace.normed.len()];
    for (goal, slope) in lesson.goals.iter().zip(slopes.chunks_exact(width)) {
        d[goal.row * width..][..width].copy_from_slice(slope);
    }
    model.backward(&batch, dropout, trace, d, &[], &mut gradients);
    gradients
}

/// A few numbers of every trained weight.
fn check(model: &mut Decoder, dropout: Option<u64>, what: &str) {
    let mut all = gradients(model, dropout, Recompute::None);
    let (batch, lesson) = batch();
    let mut checked = 0;
    for (id, gradient) in all.each() {
        for i in 0..3 {
            let at = (share(id.0 as u64 * 31 + i) * gradient.len() as f64) as usize;
            let step = 0.01;
            let mut moved = |by: f32| {
                model.weights[id.0].change().unwrap()[at] += by;
                // lengths of rows are constants to the derivative, so they are not measured again
                let loss = loss(model, &batch, &lesson, dropout);
                model.weights[id.0].change().unwrap()[at] -= by;
                loss
            };
            let slope = (moved(step) - moved(-step)) / f64::from(2.0 * step);
            // The loss has single precision (1e-6 of 20, over 0.02), third derivatives the rest.
            let right = (slope - f64::from(gradient[at])).abs() < 3e-3 + 0.01 * slope.abs();
            assert!(right, "{what}, {} [{at}]: {slope}, not {}", model.weights[id.0].name, gradient[at]);
            checked += 1;
        }
    }
    assert!(checked > 20);
}

#[test]
fn gradients_are_the_slopes_of_the_loss() {
    let more = [("granite", true), ("granite", false), ("smollm3", true)];
    for (kind, tied) in [("llama", false), ("llama", true), ("qwen2", true), ("qwen3", false)].into_iter().chain(more) {
        check(&mut model(kind, tied), None, kind);
    }
}

#[test]
fn adapters_have_the_slopes_of_the_loss_and_only_they_are_trained() {
    for (dora, dropout) in [(false, 0.0), (false, 0.3), (true, 0.0)] {
        let mut model = model("qwen3", true);
        model.weights.iter_mut().for_each(|weight| weight.trained = false);
        let recipe = AdapterRecipe { rank: 3, alpha: 5.0, dora, dropout, ..AdapterRecipe::default() };
        assert_eq!(adapter::lay(&mut model, &recipe, None, 1), 14);
        for weight in model.weights.iter_mut().filter(|weight| weight.name.ends_with("lora_B.weight")) {
            for (i, x) in weight.change().unwrap().iter_mut().enumerate() {
                *x = (share(i as u64) as f32 - 0.5) * 0.5;
            }
        }
        model.changed();
        if dora {
            // Moving a matrix would change the lengths, which the derivative takes for constants: only learned lengths.
            let names: Vec<bool> = model.weights.iter().map(|weight| weight.name.ends_with("vector")).collect();
            let mut all = gradients(&model, None, Recompute::None);
            let (batch, lesson) = batch();
            for (id, gradient) in all.each().filter(|(id, _)| names[id.0]) {
                let mut moved = |by: f32| {
                    model.weights[id.0].change().unwrap()[1] += by;
                    model.changed();
                    let loss = loss(&model, &batch, &lesson, None);
                    model.weights[id.0].change().unwrap()[1] -= by;
                    loss
                };
                let slope = (moved(0.01) - moved(-0.01)) / 0.02;
                assert!((slope - f64::from(gradient[1])).abs() < 3e-3 + 0.01 * slope.abs(), "{slope} {}", gradient[1]);
            }
        } else {
            check(&mut model, (dropout > 0.0).then_some(99), "lora");
        }
    }
}

#[test]
fn layers_computed_again_give_the_same_gradients_to_the_bit() {
    let model = model("llama", true);
    let (mut kept, mut again) = (gradients(&model, None, Recompute::None), gradients(&model, None, Recompute::Block));
    assert!(kept.each().zip(again.each()).all(|(a, b)| a.0 == b.0 && a.1 == b.1));
}

#[test]
fn documents_do_not_see_each_other() {
    let model = model("qwen2", false);
    let (both, lesson) = batch();
    let together = model.states(&both);
    let mut second = Batch::default();
    second.push([8, 1, 22, 9]);
    let alone = model.states(&second);
    let width = model.shape.hidden;
    let behind = &together[7 * width..];
    assert!(behind.iter().zip(&alone).all(|(a, b)| (a - b).abs() < 1e-6));
    assert_eq!(lesson.goals.len(), 5);
}

#[test]
fn layers_are_left_out_under_new_numbers() {
    let whole = model("qwen3", true);
    let last = whole.find("model.layers.1.mlp.up_proj.weight").map(|id| whole.weights[id.0].numbers.clone());
    let parameters = whole.shape.parameters();
    assert_eq!(parameters, whole.weights.iter().map(|weight| weight.len() as u64).sum::<u64>());
    let less = initial::keep_layers(whole, &[1], 32);
    assert_eq!(less.blocks.len(), 1);
    assert_eq!(less.find("model.layers.0.mlp.up_proj.weight").map(|id| less.weights[id.0].numbers.clone()), last);
    assert_eq!(less.weights.len(), 13);
    assert!(less.shape.parameters() < parameters);
    let (batch, lesson) = batch();
    assert!(loss(&less, &batch, &lesson, None).is_finite());
}

#[test]
fn what_carries_least_is_left_out() {
    let mut model = model("llama", false);
    let at = |model: &Decoder, name: &str| model.find(name).unwrap().0;
    // Channel 3 and neuron 5 carry nothing, so that a model without them computes the same.
    for weight in &mut model.weights {
        let (rows, width) = (weight.dims[0], weight.dims.get(1).copied().unwrap_or(1));
        let writes = ["o_proj", "down_proj"].iter().any(|name| weight.name.contains(name));
        let reads = ["gate_proj", "up_proj"].iter().any(|name| weight.name.contains(name));
        let embeds = weight.name.contains("embed_tokens");
        let inner = weight.name.contains("down_proj");
        let numbers = weight.change().unwrap();
        for row in 0..rows {
            for column in 0..width {
                if (writes && row == 3) || (embeds && column == 3) || (reads && row == 5) || (inner && column == 5) {
                    numbers[row * width + column] = 0.0;
                }
            }
        }
    }
    let (batch, lesson) = batch();
    let before = loss(&model, &batch, &lesson, None);
    narrow::narrow(&mut model, 0, 23);
    assert_eq!(model.weights[at(&model, "model.layers.1.mlp.down_proj.weight")].dims, [16, 23]);
    assert!((loss(&model, &batch, &lesson, None) - before).abs() < 1e-6 * before);
    let norm = at(&model, "model.norm.weight");
    let mut left = model.weights[norm].all().into_owned();
    left.remove(3);
    narrow::narrow(&mut model, 15, 0);
    assert_eq!(*model.weights[norm].all(), left);
    assert_eq!(model.shape.parameters(), model.weights.iter().map(|weight| weight.len() as u64).sum::<u64>());
    assert!(loss(&model, &batch, &lesson, None).is_finite());
}

#[test]
fn what_is_written_is_what_the_whole_text_would_give() {
    for kind in ["llama", "qwen2", "qwen3", "granite", "smollm3"] {
        let model = model(kind, true);
        let prompts = vec![vec![3, 17, 5], vec![8], vec![1, 2, 3, 4, 5, 6, 7]];
        let style = write::Style { most: 9, end: None, temperature: 0.0, seed: 1 };
        let texts = write::write(&model, &prompts, &style);
        for (prompt, text) in prompts.iter().zip(&texts) {
            let mut whole = prompt.clone();
            for &token in text {
                let mut batch = Batch::default();
                batch.push(whole.iter().copied());
                let states = model.states(&batch);
                let last = &states[states.len() - model.shape.hidden..];
                let row = |_: usize, logits: &mut [f32]| logits.to_vec();
                let logits = model.head().run(last, &row, Wanted::default()).concat();
                let best = (0..logits.len()).max_by(|&a, &b| logits[a].total_cmp(&logits[b])).unwrap();
                // another order of sums may tell two tokens apart that are as likely
                assert!(logits[best] - logits[token as usize] < 1e-4, "{kind}");
                whole.push(token);
            }
            assert_eq!(text.len(), 9);
        }
        let alone = write::write(&model, &prompts[1..2], &style);
        assert_eq!(alone[0], texts[1], "what others write does not matter");
        let ended = write::write(&model, &prompts, &write::Style { end: Some(texts[0][2]), ..style });
        assert_eq!(ended[0].last(), Some(&texts[0][2]));
        assert!(ended[0].len() <= 3);
        let warm = write::Style { temperature: 1.0, ..style };
        assert_eq!(write::write(&model, &prompts, &warm), write::write(&model, &prompts, &warm));
        assert_ne!(
            write::write(&model, &prompts, &warm),
            write::write(&model, &prompts, &write::Style { seed: 2, ..warm })
        );
    }
}
