//! The model card: what this is, made of what, how, under which terms.

use super::Facts;

pub(super) fn text(facts: &Facts<'_>, picture: bool) -> String {
    let plan = facts.plan;
    let mut text = "---\nlibrary_name: transformers\ntags:\n- merge\n- zord-merge\nbase_model:\n".to_owned();
    for model in &plan.models {
        text.push_str(&format!("- {}\n", yaml(&model.reference.to_string())));
    }
    let mut licences: Vec<Option<&str>> = facts.licences.of.iter().map(|licence| licence.name.as_deref()).collect();
    licences.sort_unstable();
    licences.dedup();
    match licences[..] {
        [Some(one)] => text.push_str(&format!("license: {}\n", yaml(one))),
        [None] | [] => {}
        _ => text.push_str("license: other\n"),
    }
    text.push_str("---\n\n# A merge\n\n");
    let (name, paper) = (plan.method.name(), plan.method.paper());
    text.push_str(&format!(
        "Made by `zord-merge` {} with the method [`{name}`]({paper}) of\n\n",
        env!("CARGO_PKG_VERSION")
    ));
    for (model, licence) in plan.models.iter().zip(&facts.licences.of) {
        let licence = licence.name.as_deref().unwrap_or("licence not stated");
        let base =
            if plan.base.and_then(|base| plan.models.get(base)).is_some_and(|base| base.reference == model.reference) {
                ", the base"
            } else {
                ""
            };
        let changes: String = model.changes.iter().map(|change| format!(", {change}")).collect();
        text.push_str(&format!("- `{}` ({licence}){base}{changes}\n", model.reference));
    }
    for problem in &facts.licences.problems {
        text.push_str(&format!("\n**Licence:** {problem}. Whoever made this accepted it.\n"));
    }
    text.push_str(&format!(
        "\n{} layers, {} tensors, {:.1} million parameters.\n",
        plan.layers,
        plan.outputs.len(),
        plan.outputs.iter().map(crate::merge::plan::Output::elements).sum::<u64>() as f64 / 1e6
    ));
    if picture {
        text.push_str("\n![How far each tensor moved](change.png)\n");
    }
    let toml = facts.recipe.path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("toml"));
    // A fence longer than any in the recipe.
    let longest = facts.recipe.text.split(|c| c != '`').map(str::len).max().unwrap_or(0);
    let fence = "`".repeat(longest.max(2) + 1);
    let language = if toml { "toml" } else { "yaml" };
    text.push_str(&format!("\n## Recipe\n\n{fence}{language}\n{}\n{fence}\n", facts.recipe.text.trim_end()));
    text.push_str(&format!(
        "\n`{}` has the hashes of all inputs and, for every tensor, its length, how far it moved and its cosine to each \
         parent.\n",
        super::MANIFEST
    ));
    text
}

/// A text as YAML takes it, quoted where it must be.
fn yaml(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./".contains(c);
    if text.chars().all(plain) && !text.is_empty() { text.to_owned() } else { format!("{text:?}") }
}
