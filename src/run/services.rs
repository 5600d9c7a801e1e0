//! The narrow doors to the rooms that know models and memory: each function is one question of the terminal interface's,
//! put into their words.

use std::cell::Cell;
use std::path::Path;
use std::time::Duration;

use crate::app::msg::{Gauge, Offer};
use crate::budget::Plan;
use crate::budget::watch::{self, Action, Thresholds, Watch};
use crate::device::memory::Probe;
use crate::engine::{Cancel, Sampling, presets};
use crate::error::UserError;
use crate::models::{self, Catalogue, Entry, Hub, Request, Store};
use crate::paths::Paths;
use crate::sampling::Preset;
use crate::size::bytes;

/// The models in the store, then those of the catalogue that could be fetched: what fits first, the best first. Reads the
/// store's folder; may block.
///
/// # Errors
/// The store cannot be read.
pub fn offers(paths: &Paths) -> Result<Vec<Offer>, UserError> {
    let catalogue = Catalogue::builtin();
    let free = Probe::new().memory().available;
    let store = Store::new(paths.models());
    let stored = store.list()?;
    let advised = catalogue.recommend(free, store.free_disk()).map(|entry| entry.name.as_str());
    let mut offers: Vec<Offer> = stored
        .iter()
        .filter(|model| model.kind == models::store::Kind::Gguf)
        .map(|model| {
            let entry = catalogue.by_file(&model.name).or_else(|| catalogue.find(&model.name));
            Offer {
                name: model.name.clone(),
                about: entry.map_or_else(|| "added by you".to_owned(), about),
                bytes: model.size,
                installed: true,
                // the plan decides, from the file itself, when it is loaded
                fits: Ok(()),
                recommended: false,
            }
        })
        .collect();
    let known =
        |entry: &Entry| stored.iter().any(|model| entry.is_called(&model.name) || entry_file(entry) == model.name);
    let mut rest: Vec<&Entry> = catalogue.models.iter().filter(|entry| entry.gguf.is_some() && !known(entry)).collect();
    rest.sort_by_key(|entry| (entry.min_free > free, std::cmp::Reverse(entry.rank)));
    offers.extend(rest.into_iter().map(|entry| Offer {
        name: entry.name.clone(),
        about: about(entry),
        bytes: entry.gguf.as_ref().map_or(0, |gguf| gguf.size),
        installed: false,
        fits: fits(entry.min_free, free),
        recommended: stored.is_empty() && advised == Some(entry.name.as_str()),
    }));
    Ok(offers)
}

fn entry_file(entry: &Entry) -> &str {
    entry.gguf.as_ref().map_or("", |gguf| gguf.file.as_str())
}

fn about(entry: &Entry) -> String {
    let note = entry.note.as_deref().map(|note| format!(" · {note}")).unwrap_or_default();
    format!("{} · {}{note}", entry.title, entry.licence)
}

fn fits(need: u64, free: u64) -> Result<(), String> {
    if need <= free {
        Ok(())
    } else {
        Err(format!("it needs {} of free memory, {} are free", bytes(need), bytes(free)))
    }
}

/// How often a download tells how far it is, at most.
const PROGRESS: Duration = Duration::from_millis(130);

/// Downloads a model of the catalogue (or `hf:owner/repo/file`) into the store and gives its name there. `cancel` is
/// looked at between chunks; what came is kept, and a later call goes on from there. Blocks until it is done.
///
/// # Errors
/// Whatever the download meets.
pub fn pull(
    paths: &Paths,
    endpoint: Option<&str>,
    name: &str,
    cancel: &Cancel,
    progress: &mut dyn FnMut(u64, Option<u64>),
) -> Result<String, UserError> {
    let request = Request::named(name, Hub::from_environment(endpoint)?, Store::new(paths.models()))?;
    let client = models::net::client(None).map_err(models::PullError::from)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| UserError::failed(format!("cannot start the download: {error}")))?;
    let seen = Cell::new(None);
    let pulled = runtime.block_on(async {
        let mut step = |step: models::Progress<'_>| seen.set(Some((step.done, step.total)));
        let mut pull = std::pin::pin!(models::pull(&client, &request, &mut step, cancel));
        loop {
            // by the clock and not by what comes: a line that falls silent must still show how far it got
            tokio::select! {
                pulled = &mut pull => break pulled,
                () = tokio::time::sleep(PROGRESS) => if let Some((done, total)) = seen.take() {
                    progress(done, total);
                },
            }
        }
    });
    Ok(pulled?.name)
}

/// Checks a GGUF file, links or copies it into the store and gives its name there. May take as long as reading all of it.
///
/// # Errors
/// The file is no model, or the store cannot be written.
pub fn add(paths: &Paths, file: &Path, cancel: &Cancel) -> Result<String, UserError> {
    Ok(Store::new(paths.models()).add(file, &mut |_| {}, cancel)?.name)
}

/// A preset's values for a model, by its name or its file's.
pub fn sampling(preset: Preset, model: &str, seed: u32) -> Sampling {
    let catalogue = Catalogue::builtin();
    let entry = catalogue.find(model).or_else(|| catalogue.by_file(model));
    Sampling { seed, ..presets::sampling(preset, entry) }
}

/// The same for a question that was asked `tries` times before without success: warmer each time, so that another seed
/// gives another answer.
pub fn varied(sampling: Sampling, tries: u32) -> Sampling {
    if tries == 0 {
        return sampling;
    }
    let warmth = (0.4 + 0.15 * tries as f32).min(1.0);
    let top_k = if sampling.top_k == 1 { 40 } else { sampling.top_k };
    Sampling { temperature: sampling.temperature.max(warmth), top_k, top_p: sampling.top_p.max(0.9), ..sampling }
}

/// The memory in use, looked at from time to time.
#[derive(Debug)]
pub struct Memory {
    probe: Probe,
    watch: Watch,
    budget: u64,
    /// What a context takes, in bytes.
    context: u64,
    thresholds: Thresholds,
}

impl Memory {
    /// For a plan; `None` for a server. What was given back under an earlier plan is not forgotten.
    pub fn new(plan: Option<&Plan>, before: Option<&Self>) -> Self {
        let (budget, context) = plan.map_or((0, 0), |plan| (plan.budget, plan.kv.saturating_add(plan.compute)));
        let probe = Probe::new();
        let facts = probe.memory();
        let total = facts.cgroup.map_or(facts.total, |limit| limit.min(facts.total));
        let thresholds = Thresholds::for_machine(total);
        let watch = before.map_or_else(Watch::default, |before| before.watch);
        Self { probe, watch, budget, context, thresholds }
    }

    /// Whether something was given back that matters: looks are worth more then.
    pub fn is_short(&self) -> bool {
        self.watch.level >= watch::Level::ChatFreed
    }

    /// One look: the gauge, and what must be done now, in order; `away`: the chat's cache is not in memory; `engine`: the
    /// process that has the model, if it is another one. About ten small files are read.
    pub fn look(&mut self, away: bool, engine: Option<u32>) -> (Gauge, Vec<Action>) {
        let mut reading = self.probe.reading();
        if let Some(engine) = engine {
            // the pages of the program's own file are the same in both
            let model = self.probe.resident_of(&engine.to_string());
            reading.resident.total = reading.resident.anonymous + model.total;
        }
        let thresholds = Thresholds { away: if away { self.context } else { 0 }, ..self.thresholds };
        let (watch, actions) = watch::decide(self.watch, &reading, &thresholds);
        self.watch = watch;
        let budget = if self.budget > 0 { self.budget } else { reading.available + reading.resident.total };
        (Gauge { used: reading.resident.total, budget }, actions)
    }
}
