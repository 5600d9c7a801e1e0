//! Which processors there are and how fast: sysfs, the affinity mask, siblings on one core.
//!
//! "The fastest cluster" is taken loosely. Taken by the letter it is a single prime core on most phones since 2019
//! (1 + 3 + 4, 1 + 4 + 3), and one core is slower than it and three big ones together: every operation of a model is
//! split evenly, so four threads that wait for the slowest of them still do 4 × 0.8 of the prime core's work. What must
//! stay out are the little cores, at a third of the speed and less, for which the others would wait. So a cluster counts
//! as fast from 60 % of the best capacity or, where the kernel tells none, 80 % of the best frequency: big cores lie
//! at 0.7 and more, little ones at 0.4 and less of the capacity, and of the frequency at 0.8 and 0.75.

use std::collections::BTreeMap;
use std::path::Path;

use super::read;

/// Beyond any machine this runs on; a hostile list ends here.
const MOST_CPUS: usize = 4096;
/// A cluster this near to the fastest counts as fast: a lone prime core is slower than it and three big ones together.
/// Capacities spread wider than frequencies (the kernel's `cpu_capacity` includes work per cycle).
const NEAR_CAPACITY: f64 = 0.6;
const NEAR_FREQUENCY: f64 = 0.8;
/// Processors this near to each other are alike: desktops let single cores turbo a little higher.
const ALIKE: f64 = 0.9;

/// Processors of one speed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cluster {
    /// Processor numbers, ascending; all are online and allowed to us.
    pub cpus: Vec<usize>,
    /// The first of each core's hardware threads, ascending.
    pub cores: Vec<usize>,
    /// Highest frequency in kHz; `None` where hidden.
    pub frequency: Option<u64>,
    /// The kernel's `cpu_capacity` (1024 is the fastest); `None` where it has none.
    pub capacity: Option<u64>,
}

/// All clusters, the fastest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Clusters {
    /// Never empty after [`Clusters::read`].
    pub all: Vec<Cluster>,
    /// Processors that exist and are switched off.
    pub offline: Vec<usize>,
}

impl Clusters {
    /// Reads `sys/devices/system/cpu` below `root`. Without it: one cluster of as many processors as the standard
    /// library counts.
    pub fn read(root: &Path, allowed: Option<&[usize]>) -> Self {
        let base = root.join("sys/devices/system/cpu");
        let list = |name: &str| read(&base.join(name)).map(|text| numbers(&text));
        let present = list("present").or_else(|| list("possible")).unwrap_or_default();
        let online = list("online").unwrap_or_else(|| present.clone());
        let offline = present.into_iter().filter(|cpu| !online.contains(cpu)).collect();
        let permitted = |cpu: &usize| allowed.is_none_or(|allowed| allowed.contains(cpu));
        let mut cpus: Vec<usize> = online.into_iter().filter(permitted).collect();
        if cpus.is_empty() {
            let count = std::thread::available_parallelism().map_or(1, usize::from);
            cpus = allowed.map_or_else(|| (0..count).collect(), <[usize]>::to_vec);
        }
        let mut groups: BTreeMap<(Option<u64>, Option<u64>), Cluster> = BTreeMap::new();
        for cpu in cpus {
            let folder = base.join(format!("cpu{cpu}"));
            let number = |name: &str| read(&folder.join(name))?.parse::<u64>().ok().filter(|&number| number > 0);
            let (capacity, frequency) = (number("cpu_capacity"), number("cpufreq/cpuinfo_max_freq"));
            let empty = || Cluster { frequency, capacity, ..Cluster::default() };
            let group = groups.entry((capacity, frequency)).or_insert_with(empty);
            group.cpus.push(cpu);
            let siblings = read(&folder.join("topology/thread_siblings_list")).map(|text| numbers(&text));
            let first = siblings.iter().flatten().copied().filter(permitted).min().unwrap_or(cpu);
            if !group.cores.contains(&first) {
                group.cores.push(first);
            }
        }
        Self { all: groups.into_values().rev().collect(), offline }
    }

    /// Cores of the clusters that count as fast, the fastest first.
    pub fn fast_cores(&self) -> Vec<usize> {
        self.all.iter().filter(|cluster| self.is_fast(cluster)).flat_map(|cluster| cluster.cores.clone()).collect()
    }

    /// Whether some processors are markedly slower than others.
    pub fn is_mixed(&self) -> bool {
        self.all.iter().any(|cluster| !self.is_fast(cluster))
    }

    /// Whether all processors are alike.
    pub fn is_uniform(&self) -> bool {
        self.all.iter().all(|cluster| self.reaches(cluster, ALIKE, ALIKE))
    }

    /// Whether a cluster is the fastest, or near it.
    pub fn is_fast(&self, cluster: &Cluster) -> bool {
        self.reaches(cluster, NEAR_CAPACITY, NEAR_FREQUENCY)
    }

    /// Whether a cluster reaches a share of the best capacity or, where there is none, of the best frequency.
    fn reaches(&self, cluster: &Cluster, of_capacity: f64, of_frequency: f64) -> bool {
        let near = |of: fn(&Cluster) -> Option<u64>, share: f64| {
            let best = self.all.iter().filter_map(of).max()? as f64;
            Some(of(cluster)? as f64 >= best * share)
        };
        let by_capacity = near(|cluster| cluster.capacity, of_capacity);
        by_capacity.or_else(|| near(|cluster| cluster.frequency, of_frequency)).unwrap_or(true)
    }

    /// Online processors allowed to us.
    pub fn count(&self) -> usize {
        self.all.iter().map(|cluster| cluster.cpus.len()).sum()
    }
}

/// `0-3,8` as numbers; what is malformed is left out.
pub(super) fn numbers(text: &str) -> Vec<usize> {
    let mut all = Vec::new();
    for part in text.split([',', ' ']) {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (Ok(first), Ok(last)) = (first.trim().parse::<usize>(), last.trim().parse::<usize>()) else { continue };
        all.extend((first..=last.min(MOST_CPUS)).take(MOST_CPUS.saturating_sub(all.len())));
    }
    all
}

/// Processors this process may run on; `None` when the system does not say.
pub(super) fn affinity() -> Option<Vec<usize>> {
    let set = rustix::thread::sched_getaffinity(None).ok()?;
    let cpus: Vec<usize> = (0..rustix::thread::CpuSet::MAX_CPU).filter(|&cpu| set.is_set(cpu)).collect();
    (!cpus.is_empty()).then_some(cpus)
}
