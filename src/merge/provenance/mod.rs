//! Where a merge comes from: a manifest with everything that decides it, the licences that come along, a model card, a
//! picture of what changed.

use std::path::Path;

use serde_json::{Value, json};

use super::error::MergeError;
use super::model::Model;
use super::plan::Plan;
use super::recipe::Recipe;
use super::stream::Stats;
use crate::small;

mod card;
mod hash;
pub mod licence;
pub mod picture;

pub use hash::{Hashed, hash};

/// The manifest's name.
pub const MANIFEST: &str = "merge-manifest.json";

/// The most that is taken of a licence's text, in bytes.
const LONGEST_LICENCE: usize = 1 << 20;

/// What is known of a finished merge.
#[derive(Debug)]
pub struct Facts<'a> {
    /// What was asked for.
    pub recipe: &'a Recipe,
    /// What was done.
    pub plan: &'a Plan,
    /// What came out.
    pub stats: &'a [Stats],
    /// What the inputs' files hold; `None` where nobody wanted to wait for it.
    pub hashes: Option<&'a [Vec<Hashed>]>,
    /// Licences that came along.
    pub licences: &'a licence::Verdict,
}

/// Writes manifest, model card and pictures into a folder.
///
/// # Errors
/// A file cannot be written.
pub fn write(facts: &Facts<'_>, folder: &Path) -> Result<(), MergeError> {
    let put = |name: &str, bytes: &[u8]| {
        let path = folder.join(name);
        crate::atomic::write(&path, bytes).map_err(|source| MergeError::Write { path, source })
    };
    let mut text = serde_json::to_string_pretty(&manifest(facts)).unwrap_or_default();
    text.push('\n');
    put(MANIFEST, text.as_bytes())?;
    carry(facts, folder)?;
    let map = picture::Heat::of(facts.stats);
    if let Some(map) = &map {
        map.write(&folder.join("change.svg"))?;
        map.write(&folder.join("change.png"))?;
    }
    put("README.md", card::text(facts, map.is_some()).as_bytes())
}

/// Takes the licences' texts along, as most of them want.
fn carry(facts: &Facts<'_>, folder: &Path) -> Result<(), MergeError> {
    let place = folder.join("licences");
    let fault = |source| MergeError::Write { path: place.clone(), source };
    for model in &facts.plan.models {
        for name in ["LICENSE", "LICENSE.txt", "LICENSE.md", "NOTICE"] {
            let Ok(bytes) = small::read(model.folder.join(name), small::TEXT) else { continue };
            std::fs::create_dir_all(&place).map_err(fault)?;
            let part = bytes.get(..LONGEST_LICENCE).unwrap_or(&bytes);
            crate::atomic::write(place.join(file_name(model, name)), part).map_err(fault)?;
        }
    }
    Ok(())
}

fn file_name(model: &Model, name: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() || "-_.".contains(c) { c } else { '-' };
    let model: String = model.reference.to_string().chars().map(plain).collect();
    format!("{}-{name}", model.trim_matches(['-', '.']))
}

fn manifest(facts: &Facts<'_>) -> Value {
    let models: Vec<Value> = facts
        .plan
        .models
        .iter()
        .enumerate()
        .map(|(at, model)| {
            let hashes = facts.hashes.and_then(|all| all.get(at));
            let files = model.files.iter().enumerate().map(|(at, path)| {
                let name = path.file_name().map(|name| name.to_string_lossy().into_owned());
                let hashed = hashes.and_then(|hashes| hashes.get(at));
                json!({
                    "name": name,
                    "bytes": std::fs::metadata(path).map_or(0, |facts| facts.len()),
                    "sha256": hashed.map(|hashed| hashed.sha256.clone()),
                })
            });
            json!({
                "model": model.reference.to_string(),
                "architecture": model.architecture(),
                "licence": facts.licences.of.get(at).and_then(|licence| licence.name.clone()),
                "changes": model.changes,
                "files": files.collect::<Vec<_>>(),
            })
        })
        .collect();
    let parents = |at: usize| -> Vec<String> {
        let output = facts.plan.outputs.get(at);
        let inputs = output.map_or(&[][..], |output| &output.inputs);
        inputs
            .iter()
            .filter_map(|input| facts.plan.models.get(input.model))
            .map(|model| model.reference.to_string())
            .collect()
    };
    let tensors = facts.stats.iter().enumerate().map(|(at, stats)| {
        let mut value = serde_json::to_value(stats).unwrap_or_default();
        value["parents"] = json!(parents(at));
        value
    });
    json!({
        "program": "zord-merge",
        "version": env!("CARGO_PKG_VERSION"),
        "method": facts.plan.method.name(),
        "described_in": facts.plan.method.paper(),
        "seed": facts.plan.method.is_random().then_some(facts.plan.seed),
        "recipe": facts.recipe.text,
        "models": models,
        "licence_problems_accepted": facts.licences.problems,
        "notices": facts.plan.notices,
        "tensors": tensors.collect::<Vec<_>>(),
    })
}
