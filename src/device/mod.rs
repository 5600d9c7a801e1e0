//! What this machine is: processors and their clusters, instruction sets, the phone's shell, the terminal, the disk.
//!
//! [`Device::probe`] reads a few small files and the environment, in well under a millisecond or three, and never
//! fails: what cannot be read (phones hide much of `/proc` and `/sys`) is left unknown. What it refuses to do: change
//! anything, run a program, or touch the network.

use std::path::Path;

mod advice;
pub(crate) mod cgroup;
mod clusters;
mod effort;
mod features;
mod heat;
mod level;
pub mod memory;
mod power;
mod rates;
mod storage;
mod terminal;
mod termux;

#[cfg(test)]
pub(crate) mod tree;

pub use advice::{Finding, State, Surroundings, advice};
pub use clusters::{Cluster, Clusters};
pub use effort::{Easing, Effort};
pub use features::Features;
pub use level::Level;
pub use power::{power, power_at, power_said};
pub use rates::Rates;
pub use storage::{Storage, free_space, storage_of};
pub use terminal::{Colours, Terminal};
pub use termux::Termux;

/// Looks up an environment variable; tests bring their own.
pub type Env<'a> = &'a dyn Fn(&str) -> Option<String>;

/// What is known of the processor.
#[derive(Clone, Debug, Default)]
pub struct Processor {
    /// Threads that help.
    pub threads: u32,
    /// Its instruction sets, which decide whether weights are rearranged.
    pub features: Features,
}

/// This machine.
#[derive(Clone, Debug, Default)]
pub struct Device {
    /// Instruction sets of the processor.
    pub features: Features,
    /// Processors by speed.
    pub clusters: Clusters,
    /// Processor time the cgroup allows, in whole processors, at least one; `None` without a limit.
    pub quota: Option<u32>,
    /// Set inside Termux.
    pub termux: Option<Termux>,
    /// What the terminal says of itself.
    pub terminal: Terminal,
}

impl Device {
    /// Looks at this machine.
    pub fn probe() -> Self {
        let allowed = clusters::affinity();
        Self::probe_at(Path::new("/"), &|name| std::env::var(name).ok(), allowed.as_deref())
    }

    /// The same below another root, with another environment and affinity mask.
    pub fn probe_at(root: &Path, env: Env<'_>, allowed: Option<&[usize]>) -> Self {
        Self {
            features: Features::detect(),
            clusters: Clusters::read(root, allowed),
            quota: cgroup::cpu_quota(root),
            termux: Termux::read(root, env),
            terminal: Terminal::read(env),
        }
    }

    /// How many threads to use when nobody measured: the fast processors, each core once; at most four where they are
    /// not all alike (one thread on a slow core holds up the others), at most eight otherwise; and no more than the
    /// cgroup gives time for.
    pub fn threads(&self) -> u32 {
        let fast = self.clusters.fast_cores().len();
        let most = if self.clusters.is_uniform() { 8 } else { 4 };
        let fast = u32::try_from(fast.min(most)).unwrap_or(1);
        fast.min(self.quota.unwrap_or(u32::MAX)).max(1)
    }

    /// The processors for `threads` threads, the fastest first. Empty where pinning does not help: all are alike, or
    /// fewer are fast than there are threads.
    pub fn cpus(&self, threads: u32) -> Vec<usize> {
        let mut cores = self.clusters.fast_cores();
        if self.clusters.is_uniform() || cores.len() < threads as usize {
            return Vec::new();
        }
        cores.truncate(threads as usize);
        cores
    }

    /// What a plan needs to know of it: default threads, and the instruction sets that the engine was built for too.
    pub fn processor(&self) -> Processor {
        Processor { threads: self.threads(), features: self.features.usable() }
    }
}

/// A small text file, trimmed; `None` when it cannot be read.
pub(crate) fn read(path: &Path) -> Option<String> {
    use std::io::Read;
    let mut text = Vec::new();
    // Files of the kernel have no length; a hostile tree may have endless ones.
    std::fs::File::open(path).ok()?.take(1 << 16).read_to_end(&mut text).ok()?;
    Some(String::from_utf8_lossy(&text).trim().to_owned())
}

#[cfg(test)]
mod tests;
