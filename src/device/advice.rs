//! What `zord doctor` says: each fact about this machine, whether it is well, and what to do about it.

use std::path::PathBuf;

use serde::Serialize;

use super::{Colours, Device, Storage, Termux, storage_of};
use crate::device::memory::MemoryFacts;
use crate::size::bytes;

/// How a finding should be taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// As it should be.
    Good,
    /// Worth knowing.
    Note,
    /// It costs speed or comfort, or may end the program.
    Warning,
}

/// One line of the report.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What it is about, one or two words.
    pub topic: &'static str,
    /// How it should be taken.
    pub state: State,
    /// What was found.
    pub detail: String,
    /// What to do, where there is something to do.
    pub hint: Option<String>,
}

/// What the report is about besides the device.
#[derive(Clone, Debug, Default)]
pub struct Surroundings {
    /// Memory of the machine.
    pub memory: MemoryFacts,
    /// The folder of the store.
    pub store: PathBuf,
    /// The model in use.
    pub model: Option<PathBuf>,
    /// Threads that `zord bench --tune` or the configuration chose.
    pub threads: Option<u32>,
}

fn finding(topic: &'static str, state: State, detail: impl Into<String>) -> Finding {
    Finding { topic, state, detail: detail.into(), hint: None }
}

impl Finding {
    fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

/// Everything worth saying, in the order a person reads it.
pub fn advice(device: &Device, surroundings: &Surroundings) -> Vec<Finding> {
    let mut all = vec![features(device), clusters(device), threads(device, surroundings), memory(&surroundings.memory)];
    all.push(storage("store", storage_of(&surroundings.store)));
    if let Some(model) = &surroundings.model {
        all.push(storage("model", storage_of(model)));
    }
    if let Some(termux) = &device.termux {
        all.extend(phone(termux));
    }
    all.extend(terminal(device));
    all
}

fn features(device: &Device) -> Finding {
    let names = device.features.names().join(" ");
    let fast = ["avx2", "dotprod", "i8mm"].into_iter().any(|name| device.features.usable().has(name));
    match (fast, device.features.has("avx2") || device.features.has("dotprod")) {
        (true, _) => finding("processor", State::Good, names),
        (false, true) => finding("processor", State::Warning, format!("{names}, but this build does not use them"))
            .hint("get the build for this processor, or build it here: the model runs several times faster"),
        (false, false) => finding("processor", State::Note, format!("old instruction sets only: {names}"))
            .hint("choose a model of at most half a billion parameters"),
    }
}

fn clusters(device: &Device) -> Finding {
    let describe = |cluster: &super::Cluster| {
        let speed = cluster.frequency.map(|khz| format!(" at {:.2} GHz", khz as f64 / 1e6)).unwrap_or_default();
        format!("{}{speed}", cluster.cpus.len())
    };
    let mut detail = device.clusters.all.iter().map(describe).collect::<Vec<_>>().join(" + ");
    detail.push_str(if device.clusters.count() == 1 { " processor" } else { " processors" });
    if let Some(quota) = device.quota {
        detail.push_str(&format!(", time for {quota} of them"));
    }
    if device.clusters.offline.is_empty() {
        return finding("clusters", State::Good, detail);
    }
    finding("clusters", State::Note, format!("{detail}, {} switched off", device.clusters.offline.len()))
        .hint("a power-saving mode may have switched processors off")
}

fn threads(device: &Device, surroundings: &Surroundings) -> Finding {
    let default = device.threads();
    match surroundings.threads {
        Some(tuned) if tuned as usize > device.clusters.fast_cores().len() && device.clusters.is_mixed() => {
            finding("threads", State::Warning, format!("{tuned}, which includes slow processors"))
                .hint(format!("slow processors hold up the fast ones; `--threads {default}` uses the fast ones only"))
        }
        Some(tuned) => finding("threads", State::Good, format!("{tuned}, as tuned or configured")),
        None => finding("threads", State::Good, format!("{default}, on the fastest processors"))
            .hint("`zord bench --tune` measures and keeps the best for this device and model"),
    }
}

fn memory(memory: &MemoryFacts) -> Finding {
    if memory.total == 0 {
        return finding("memory", State::Note, "could not be read").hint("set `budget` in the configuration");
    }
    let mut detail = format!("{} of {} available", bytes(memory.available), bytes(memory.total));
    if let Some(room) = memory.cgroup {
        detail.push_str(&format!(", the control group leaves {}", bytes(room)));
    }
    let room = memory.available.min(memory.cgroup.unwrap_or(u64::MAX));
    if room < 1 << 30 {
        return finding("memory", State::Warning, detail).hint("close other apps, or use a model under 500 MiB");
    }
    finding("memory", State::Good, detail)
}

fn storage(topic: &'static str, storage: Storage) -> Finding {
    let detail = format!("on {}", storage.name());
    match storage {
        Storage::Disk => finding(topic, State::Good, detail),
        Storage::Unknown => finding(topic, State::Note, "its storage is unknown"),
        Storage::Memory => finding(topic, State::Note, detail)
            .hint("a model in a memory file system takes its size in RAM whether it is used or not"),
        Storage::Shared => finding(topic, State::Warning, format!("{detail}, which is slow to map"))
            .hint("keep models in the home folder: `zord models add FILE` copies them into the store"),
        Storage::Fuse | Storage::Network => finding(topic, State::Warning, format!("{detail}, which is slow to map"))
            .hint("keep models on a local disk: `zord models add FILE` copies them into the store"),
    }
}

fn phone(termux: &Termux) -> Vec<Finding> {
    let version = if termux.version.is_empty() { "of unknown version" } else { &termux.version };
    let release = termux.release.as_deref().map(|release| format!(", from {release}")).unwrap_or_default();
    let shell = finding("termux", State::Good, format!("{version}{release}"));
    let shell = if termux.is_play_store() {
        Finding { state: State::Warning, ..shell }
            .hint("the Play Store's build limits what programs may do; the one from F-Droid or GitHub does not")
    } else {
        shell
    };
    let wake_lock = if termux.wake_lock {
        finding("wake lock", State::Note, "available")
            .hint("it is held while an answer is made (`phone.wake_lock`); `termux-wake-lock` holds it for longer")
    } else {
        finding("wake lock", State::Warning, "the command is missing").hint("`pkg install termux-tools` brings it")
    };
    let limits = finding(
        "background limits",
        State::Note,
        "Android 12 and newer end programs that work in the background",
    )
    .hint(
        "in the developer options turn on \"Disable child process restrictions\" (Android 14 and newer), or run \
             `adb shell settings put global settings_enable_monitor_phantom_procs false`; and exempt Termux from \
             battery optimisation",
    );
    let clipboard = if termux.clipboard {
        finding("clipboard", State::Good, "`termux-clipboard-set` is there")
    } else {
        finding("clipboard", State::Note, "`termux-clipboard-set` is missing")
            .hint("`pkg install termux-api` and the Termux:API app make copying reliable")
    };
    vec![shell, wake_lock, limits, clipboard]
}

fn terminal(device: &Device) -> Vec<Finding> {
    let terminal = &device.terminal;
    if terminal.is_dumb() {
        let hint = "the full screen needs a terminal; `zord chat` works without";
        return vec![finding("terminal", State::Note, "cannot place a cursor").hint(hint)];
    }
    let name = terminal.program.as_deref().unwrap_or(&terminal.term);
    let colours = match terminal.colours {
        Colours::None => "no colours",
        Colours::Sixteen => "16 colours",
        Colours::Palette => "256 colours",
        Colours::True => "true colour",
    };
    let mut all = vec![finding("terminal", State::Good, format!("{name}, {colours}"))];
    if !terminal.utf8 {
        all.push(
            finding("locale", State::Note, "does not promise UTF-8")
                .hint("set `LANG` to a UTF-8 locale such as `C.UTF-8`"),
        );
    }
    if terminal.multiplexer {
        all.push(
            finding("copying", State::Note, "inside a multiplexer")
                .hint("tmux passes copied text on with `set -g set-clipboard on`"),
        );
    } else if terminal.remote {
        all.push(
            finding("copying", State::Note, "over SSH, through the terminal (OSC 52)")
                .hint("allow clipboard access in the terminal's settings if copying does nothing"),
        );
    }
    all
}
