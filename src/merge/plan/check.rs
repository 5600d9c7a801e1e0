//! What can be said of models before their tensors are looked at: architectures, sizes; and what to do where they have
//! nothing in common.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{Plan, Problem};
use crate::arch::{self, Scalar, keys};
use crate::merge::model::Model;
use crate::merge::names;

/// Facts that models must share, with the keys that configurations have them under.
const FACTS: [(&str, &[&str]); 4] = [
    ("hidden size", &keys::EMBEDDING),
    ("layers", &keys::LAYERS),
    ("feed-forward size", &keys::FEED_FORWARD),
    ("vocabulary", &keys::VOCABULARY),
];

/// A model in one line: architecture and sizes.
fn described(model: &Model) -> String {
    let facts = FACTS.iter().filter_map(|(name, keys)| model.number(keys).map(|number| format!("{name} {number}")));
    let facts = facts.collect::<Vec<_>>().join(", ");
    format!("`{}` is {} ({facts})", model.reference, model.architecture())
}

/// Architectures and sizes that differ.
pub(super) fn models(plan: &mut Plan) {
    let kind = |model: &Model| {
        let kind = model.config.get("model_type").and_then(Value::as_str).map(str::to_owned);
        kind.unwrap_or_else(|| model.architecture())
    };
    let Some(first) = plan.models.first() else { return };
    let other = |model: &Model| kind(model) != kind(first);
    let sizes = |model: &Model| FACTS[0].1.iter().find_map(|key| model.number(&[key]));
    if plan.models.iter().any(|model| other(model) || sizes(model) != sizes(first)) {
        let all: Vec<String> = plan.models.iter().map(described).collect();
        let what = if plan.models.iter().any(other) { "architectures" } else { "hidden sizes" };
        plan.problem("", format!("the models have different {what}: {}", all.join("; ")));
        return;
    }
    for reason in scalars(&plan.models) {
        plan.problem("", reason);
    }
}

/// Numbers that models of one family compute with, where they are not the same: weights that were trained under one are not
/// those for another.
fn scalars(models: &[Model]) -> Vec<String> {
    let scalars = models.first().and_then(Model::family).map_or(&[][..], |family| family.scalars);
    let differing = |scalar: &Scalar| {
        let number = |model: &Model| model.config.get(scalar.key).and_then(Value::as_f64).or(scalar.default);
        let numbers: Vec<Option<f64>> = models.iter().map(number).collect();
        let shown = |(model, number): (&Model, &Option<f64>)| {
            format!(
                "`{}` has {}",
                model.reference,
                number.map_or_else(|| "none".to_owned(), |number| number.to_string())
            )
        };
        let all: Vec<String> = models.iter().zip(&numbers).map(shown).collect();
        let differ = numbers.windows(2).any(|pair| pair[0] != pair[1]);
        differ.then(|| format!("the models have different `{}`: {}", scalar.key, all.join("; ")))
    };
    scalars.iter().filter_map(differing).collect()
}

/// Problems put together: tensors of all layers that fail alike in one line.
#[derive(Debug)]
pub struct Summary {
    /// A name with `*` for the layer, how many tensors it stands for, the reason.
    pub lines: Vec<(String, usize, String)>,
}

impl Summary {
    /// Of these problems.
    pub fn of(problems: &[Problem]) -> Self {
        let mut groups: BTreeMap<(String, String), (usize, usize)> = BTreeMap::new();
        for (at, problem) in problems.iter().enumerate() {
            let name = match names::split(&problem.tensor) {
                Some((prefix, _, rest)) => format!("{prefix}*.{rest}"),
                None => problem.tensor.clone(),
            };
            let entry = groups.entry((name, problem.reason.clone())).or_insert((at, 0));
            entry.1 += 1;
        }
        let mut lines: Vec<_> = groups.into_iter().map(|((name, why), (at, count))| (at, name, count, why)).collect();
        lines.sort_by_key(|line| line.0);
        Self { lines: lines.into_iter().map(|(_, name, count, why)| (name, count, why)).collect() }
    }
}

/// Tensors that the models have under the same role, and how many of them agree in shape: pairs of a role and each model's
/// shape.
pub fn compare(plan: &Plan) -> (usize, Vec<(String, Vec<String>)>) {
    let is = |name: &str, wanted: &str| name.ends_with(".weight") && arch::gguf_stem(name) == Some(wanted);
    let mut rows = Vec::new();
    let mut shared = 0;
    for (role, wanted) in ROLES {
        let shape = |model: &Model| {
            let found = model.weights.iter().find(|(name, _)| is(name, wanted));
            found.map(|(_, weight)| weight.shape.iter().map(u64::to_string).collect::<Vec<_>>().join("×"))
        };
        let shapes: Vec<Option<String>> = plan.models.iter().map(shape).collect();
        if shapes.iter().all(Option::is_none) {
            continue;
        }
        shared += usize::from(shapes.iter().all(|shape| shape.is_some() && shape == &shapes[0]));
        let shown = shapes.into_iter().map(|shape| shape.unwrap_or_else(|| "none".to_owned())).collect();
        rows.push((role.to_owned(), shown));
    }
    (shared, rows)
}

/// What tensors do, with their names in GGUF.
const ROLES: [(&str, &str); 9] = [
    ("embedding", "token_embd"),
    ("query", "attn_q"),
    ("key", "attn_k"),
    ("value", "attn_v"),
    ("query, key and value", "attn_qkv"),
    ("attention output", "attn_output"),
    ("feed-forward up", "ffn_up"),
    ("feed-forward down", "ffn_down"),
    ("output", "output"),
];

/// The way that works for models of different architectures: each teaches a student of one architecture, and the students
/// are merged with the weights of the recipe (FuseChat, arXiv 2408.07990).
pub fn route(plan: &Plan, weights: &[(String, f64)]) -> Option<String> {
    let kind = |model: &Model| (model.architecture(), model.number(FACTS[0].1));
    let first = plan.models.first().map(kind)?;
    if plan.models.iter().all(|model| kind(model) == first) {
        return None;
    }
    let (shared, rows) = compare(plan);
    let mut text = format!(
        "These models cannot be merged weight by weight: of {} kinds of tensors they share the shape of {shared}.\n\n",
        rows.len()
    );
    let mut table = vec![
        std::iter::once(String::new())
            .chain(plan.models.iter().map(|model| model.reference.to_string()))
            .collect::<Vec<_>>(),
    ];
    table.extend(rows.into_iter().map(|(role, shapes)| std::iter::once(role).chain(shapes).collect()));
    text.push_str(&crate::cli::output::table(&table));
    text.push_str(
        "\nThe way that works (FuseChat, arXiv 2408.07990): take students of one architecture, let each learn from one of \
         these models, and merge the students with these weights. RECIPE is one of yours in this folder, such as \
         `assets/recipes/mini-fusion.toml`.\n\n",
    );
    for (at, (name, _)) in weights.iter().enumerate() {
        let at = at + 1;
        text.push_str(&format!("  zord-quantize convert {name} -o teacher-{at}.gguf\n"));
        text.push_str(&format!(
            "  zord-distill run RECIPE -o student-{at} --set objective.kind=kd --set \"teacher=[{{model='teacher-{at}.gguf'}}]\"\n"
        ));
    }
    text.push_str("  zord-merge run students.toml -o merged\n\nwith students.toml:\n\n");
    text.push_str("  merge_method = \"linear\"\n  dtype = \"float32\"\n  out_dtype = \"bfloat16\"\n");
    for (at, (_, weight)) in weights.iter().enumerate() {
        text.push_str(&format!("\n  [[models]]\n  model = \"student-{}\"\n  parameters.weight = {weight}\n", at + 1));
    }
    text.push_str("\n`assets/recipes/zord-coder-v1.toml` is this route for the models of Zord Coder.\n");
    Some(text)
}
