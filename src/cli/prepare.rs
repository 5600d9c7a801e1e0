//! From what a person asked for to what the engine is started with: the model found, its header read, the plan made.

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::budget::shape::Shape;
use crate::budget::{Plan, Policy, Refusal};
use crate::config::{ChatConfig, Config, LoraConfig};
use crate::device::Device;
use crate::device::memory::MemoryFacts;
use crate::device::memory::Probe;
use crate::engine::{InfillRequest, LocalSpec, RemoteSpec, Spec, admission};
use crate::error::UserError;
use crate::fim::form::{Family, Known};
use crate::models::catalogue::Fim;
use crate::models::{Catalogue, Entry, Store};
use crate::paths::Paths;
use crate::weights::adapter;
use crate::weights::gguf::Header;

/// Cells for completions beside a chat: a prompt of a thousand tokens and what is written after it.
const INFILL_CELLS: u32 = 1536;

/// A model that was found and understood.
pub struct Found {
    /// As a person reads it.
    pub name: String,
    /// The GGUF file.
    pub file: PathBuf,
    /// Its length in bytes.
    pub bytes: u64,
    /// What the plan is made from.
    pub shape: Shape,
    /// Its place in the catalogue.
    pub entry: Option<&'static Entry>,
}

/// What `zord bench --tune` found to be best for a model on this device.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Tuned {
    /// Threads.
    pub threads: Option<u32>,
    /// Physical batch.
    pub n_ubatch: Option<u32>,
    /// Flash attention.
    pub flash: Option<bool>,
}

/// The model to use when nobody says: the configuration's, else the catalogue's default if it is in the store, else
/// the only one there is.
pub fn chosen(config: &Config, paths: &Paths) -> Option<String> {
    config.model.clone().or_else(|| {
        let store = Store::new(paths.models());
        let default = Catalogue::builtin().default_entry().map(|entry| entry.name.clone());
        let default = default.filter(|name| store.resolve(name).is_ok());
        default.or_else(|| Some(store.list().ok()?.first()?.name.clone()))
    })
}

/// The catalogue's entry for a name, a path or a file.
pub fn entry(name: &str) -> Option<&'static Entry> {
    let file = || std::path::Path::new(name).file_name()?.to_str();
    Catalogue::builtin().find(name).or_else(|| Catalogue::builtin().by_file(file()?))
}

/// What a model is told first: what the configuration says (nothing, where that is empty), else what the catalogue has for
/// the model.
pub fn system(config: &ChatConfig, entry: Option<&Entry>) -> Option<String> {
    let said = config.system.clone().or_else(|| entry?.system.clone());
    said.filter(|text| !text.trim().is_empty())
}

/// Finds a model and reads its header.
///
/// # Errors
/// No model, an unknown one, a file that is no model.
pub fn find(name: Option<&str>, paths: &Paths) -> Result<Found, UserError> {
    let Some(name) = name else {
        let free = Probe::new().memory().available;
        let disk = Store::new(paths.models()).free_disk();
        let fits = Catalogue::builtin().recommend(free, disk).map_or("smollm2-135m-instruct", |entry| &entry.name);
        return Err(UserError::failed("there is no model yet").hint(format!(
            "`zord models pull {fits}` downloads one that fits this device; `zord models add FILE` adds one you have"
        )));
    };
    let file = Store::new(paths.models()).resolve(name)?;
    let header = Header::read(&file)?;
    let shape = Shape::from_header(&header)?;
    admission::check(&header)?;
    let file_name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let entry = Catalogue::builtin().find(name).or_else(|| Catalogue::builtin().by_file(&file_name));
    let name = entry.map_or_else(|| file_name.trim_end_matches(".gguf").to_owned(), |entry| entry.name.clone());
    Ok(Found { name, file, bytes: header.file_len, shape, entry })
}

/// Whether a model and its adapters can be loaded, as far as their headers tell. A server is not asked.
///
/// # Errors
/// No model, a bad one, an adapter that is none or was made for another model.
pub fn check(config: &Config, paths: &Paths) -> Result<(), UserError> {
    if config.remote.url.is_some() {
        return Ok(());
    }
    let found = find(chosen(config, paths).as_deref(), paths)?;
    let header = Header::read(&found.file)?;
    for LoraConfig { path: file, .. } in &config.lora {
        adapter::check_file(file, &header).map_err(|reason| {
            UserError::failed(format!("cannot load the adapter `{}`: {reason}", file.display()))
                .hint("an adapter must be a GGUF made for this very model; the model stays loaded as it is")
        })?;
    }
    Ok(())
}

/// What was asked for, before what was measured; without the kernels that are known to be wrong here.
pub fn policy(config: &Config, tuned: &Tuned, paths: &Paths) -> Policy {
    Policy {
        budget: config.budget.limit.map(|limit| limit.0),
        n_ctx: config.context.size,
        kv_type: config.context.kv_type,
        n_ubatch: config.threads.ubatch.or(tuned.n_ubatch),
        threads: config.threads.count.or(tuned.threads),
        flash: config.threads.flash.or(tuned.flash),
        n_seq: 1,
        n_infill: 0,
        speculate: config.chat.speculate,
        apart: false,
        careful: false,
        plain: is_plain(paths),
    }
}

/// Whether llama.cpp does without the kernels that can be left out.
#[cfg(feature = "engine")]
fn is_plain(paths: &Paths) -> bool {
    !super::kernels::extras_are_right(paths)
}

#[cfg(not(feature = "engine"))]
fn is_plain(_paths: &Paths) -> bool {
    false
}

/// The plan for a model on this machine.
///
/// # Errors
/// It does not fit.
pub fn plan(found: &Found, policy: &Policy, memory: &MemoryFacts, device: &Device) -> Result<Plan, Box<Refusal>> {
    crate::budget::plan::plan(&found.shape, memory, policy, &device.processor())
}

/// What is needed to start the engine, with the name to show.
pub struct Ready {
    /// As a person reads it.
    pub name: String,
    /// The engine's.
    pub spec: Spec,
    /// Its place in the catalogue.
    pub entry: Option<&'static Entry>,
}

/// Everything from the settings to a spec; `careful` after an unclean end.
///
/// # Errors
/// No model, a bad one, one that does not fit.
pub fn ready(config: &Config, paths: &Paths, careful: bool) -> Result<Ready, UserError> {
    ready_for(config, paths, |policy| Policy { careful, ..policy })
}

/// As [`ready`], for completions alone: with their sequences, without drafts.
///
/// # Errors
/// As there.
pub fn ready_to_fill(config: &Config, paths: &Paths) -> Result<Ready, UserError> {
    ready_for(config, paths, |policy| Policy { n_seq: InfillRequest::SEQUENCES, speculate: false, ..policy })
}

/// As [`ready`], for a chat with completions beside it, on cells of their own.
///
/// # Errors
/// As there.
pub fn ready_for_both(config: &Config, paths: &Paths, careful: bool) -> Result<Ready, UserError> {
    ready_for(config, paths, |policy| Policy {
        careful,
        n_seq: InfillRequest::SEQUENCES,
        n_infill: INFILL_CELLS,
        apart: true,
        ..policy
    })
}

fn ready_for(config: &Config, paths: &Paths, purpose: impl FnOnce(Policy) -> Policy) -> Result<Ready, UserError> {
    if let Some(url) = config.remote.url.clone() {
        let key = config.remote.key_env.as_deref().and_then(|name| std::env::var(name).ok());
        let model = config.remote.model.clone();
        let name = model.clone().unwrap_or_else(|| url.clone());
        return Ok(Ready {
            name,
            spec: Spec::Remote(RemoteSpec {
                url,
                model,
                key,
                ctx: config.context.size,
                silence: config
                    .remote
                    .timeout
                    .map_or(RemoteSpec::SILENCE, |seconds| Duration::from_secs(seconds.into())),
            }),
            entry: None,
        });
    }
    let found = find(chosen(config, paths).as_deref(), paths)?;
    let device = Device::probe();
    let memory = Probe::new().memory();
    let policy = purpose(policy(config, &tuned(paths, &found), paths));
    let plan = plan(&found, &policy, &memory, &device).map_err(|refusal| UserError::from(*refusal))?;
    let cpus = if config.threads.pin { device.cpus(plan.threads) } else { Vec::new() };
    let spec = LocalSpec {
        model: found.file,
        plan,
        lora: config.adapters(),
        speculate: config.chat.speculate,
        cpus,
        known: known(found.entry),
    };
    Ok(Ready { name: found.name, spec: Spec::Local(spec), entry: found.entry })
}

/// What the catalogue knows of how a model fills in.
fn known(entry: Option<&Entry>) -> Known {
    match entry.map(|entry| entry.fim) {
        None => Known::Nothing,
        Some(None) => Known::NoFim,
        Some(Some(Fim::Qwen)) => Known::Family(Family::Qwen),
        Some(Some(Fim::DeepSeek)) => Known::Family(Family::DeepSeek),
    }
}

fn tuned_path(paths: &Paths, found: &Found) -> PathBuf {
    let name = found.file.file_stem().unwrap_or_default().to_string_lossy();
    let name: String = name.chars().map(|c| if c.is_ascii_alphanumeric() || c == '-' { c } else { '_' }).collect();
    paths.cache.join("tuned").join(format!("{name}-{}.toml", found.bytes))
}

/// What was measured for this model here; nothing when it never was.
pub fn tuned(paths: &Paths, found: &Found) -> Tuned {
    let text = crate::small::text(tuned_path(paths, found), crate::small::TEXT).unwrap_or_default();
    let tuned: Tuned = toml::from_str(&text).unwrap_or_default();
    // a file that somebody changed; more than this end llama.cpp
    Tuned { threads: tuned.threads.filter(|threads| (1..=512).contains(threads)), ..tuned }
}

/// Keeps what was measured.
///
/// # Errors
/// The cache folder cannot be written.
pub fn keep_tuned(paths: &Paths, found: &Found, tuned: &Tuned) -> Result<PathBuf, UserError> {
    let path = tuned_path(paths, found);
    let written = || -> std::io::Result<()> {
        std::fs::create_dir_all(path.parent().unwrap_or(&paths.cache))?;
        crate::atomic::write(&path, toml::to_string(tuned).map_err(std::io::Error::other)?)
    };
    written().map_err(|error| UserError::failed(format!("cannot write `{}`: {error}", path.display())))?;
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_system_prompt_is_the_person_s_then_the_model_s() {
        let catalogue = Catalogue::parse(
            "[[models]]\nname='a'\ntitle='A'\nrepo='o/a'\narchitecture='llama'\nparams=1\nlicence='MIT'\nmin_free=1\n\
             system='Answer.'\n",
        )
        .unwrap();
        let model = catalogue.find("a");
        let config = |text: Option<&str>| ChatConfig { system: text.map(Into::into), ..ChatConfig::default() };
        assert_eq!(system(&config(None), model).as_deref(), Some("Answer."));
        assert_eq!(system(&config(Some("Be kind.")), model).as_deref(), Some("Be kind."));
        assert_eq!(system(&config(Some(" ")), model), None, "an empty one is none");
        assert_eq!(system(&config(None), None), None);
        assert_eq!(system(&config(Some("Be kind.")), None).as_deref(), Some("Be kind."));
    }

    #[test]
    fn an_entry_is_found_by_name_file_and_path() {
        let name = |text: &str| entry(text).map(|entry| entry.name.as_str());
        let want = Some("qwen2.5-coder-0.5b-instruct");
        for text in ["default", "qwen2.5-coder-0.5b-instruct-q4_k_m.gguf", "/m/Qwen2.5-Coder-0.5B-Instruct-Q4_K_M.gguf"]
        {
            assert_eq!(name(text), want, "{text}");
        }
        assert_eq!(name("http://127.0.0.1:8080"), None);
        assert_eq!(name(""), None);
    }
}
