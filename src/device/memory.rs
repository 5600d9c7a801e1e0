//! Reads what the machine says about memory: `/proc/meminfo`, control groups, our own resident set, pressure.
//!
//! Phones hide some of it; a missing or odd file leaves its value out and never fails. What it refuses to do: decide.

use std::path::{Path, PathBuf};

use serde::Serialize;

use super::{cgroup, read};

/// What the machine has, in bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct MemoryFacts {
    /// MemTotal.
    pub total: u64,
    /// MemAvailable.
    pub available: u64,
    /// The smallest cgroup limit above us, less what other members use; `None` without one.
    pub cgroup: Option<u64>,
}

/// Reads below a root, which is `/` outside tests.
#[derive(Clone, Debug)]
pub struct Probe {
    root: PathBuf,
    groups: Vec<PathBuf>,
}

/// Our own resident set, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Resident {
    /// All of it.
    pub total: u64,
    /// Not reclaimable without swap: the KV cache, buffers, copies of weights.
    pub anonymous: u64,
    /// Pages of files, which the kernel may drop and read again: the mapped weights.
    pub file: u64,
    /// The most `total` ever was.
    pub peak: u64,
}

/// Share of time in percent that tasks waited for memory (`some` of pressure stall information).
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Pressure {
    /// Over 10 seconds.
    pub avg10: f32,
    /// Over a minute.
    pub avg60: f32,
}

/// Everything the watch looks at.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Reading {
    /// MemAvailable in bytes; 0 when unknown.
    pub available: u64,
    /// MemTotal in bytes; 0 when unknown.
    pub total: u64,
    /// Room below the tightest cgroup limit, in bytes.
    pub cgroup: Option<u64>,
    /// Our resident set.
    pub resident: Resident,
    /// The machine's or our cgroup's pressure, the higher; `None` where unreadable (phones).
    pub pressure: Option<Pressure>,
}

impl Default for Probe {
    fn default() -> Self {
        Self::new()
    }
}

impl Probe {
    /// This machine.
    pub fn new() -> Self {
        Self::at(Path::new("/"))
    }

    /// The machine below `root`.
    pub fn at(root: &Path) -> Self {
        Self { root: root.to_owned(), groups: cgroup::folders(root, "memory") }
    }

    /// What a plan needs.
    pub fn memory(&self) -> MemoryFacts {
        let text = read(&self.root.join("proc/meminfo")).unwrap_or_default();
        let total = kilobytes(&text, "MemTotal").unwrap_or_default();
        // Kernels before 3.14 have no MemAvailable: free pages and half the page cache come near.
        let available = kilobytes(&text, "MemAvailable").unwrap_or_else(|| {
            let cached = kilobytes(&text, "Cached").unwrap_or_default();
            kilobytes(&text, "MemFree").unwrap_or_default() + cached / 2
        });
        MemoryFacts { total, available: available.min(total), cgroup: self.cgroup_room(total) }
    }

    /// What the watch needs; about ten small files.
    pub fn reading(&self) -> Reading {
        let memory = self.memory();
        Reading {
            available: memory.available,
            total: memory.total,
            cgroup: memory.cgroup,
            resident: self.resident(),
            pressure: self.pressure(),
        }
    }

    /// Our own resident set.
    pub fn resident(&self) -> Resident {
        self.resident_of("self")
    }

    /// The resident set of another process; nothing of one that is gone.
    pub fn resident_of(&self, process: &str) -> Resident {
        let text = read(&self.root.join("proc").join(process).join("status")).unwrap_or_default();
        let size = |key: &str| kilobytes(&text, key).unwrap_or_default();
        let file = size("RssFile") + size("RssShmem");
        Resident { total: size("VmRSS"), anonymous: size("RssAnon"), file, peak: size("VmHWM").max(size("VmRSS")) }
    }

    /// How often the kernel ended a process for want of memory, on the whole machine and in our groups; `None` where it
    /// does not say. Only what has changed between two looks means anything.
    pub fn kills(&self) -> Option<u64> {
        let count = |path: PathBuf| {
            let text = read(&path)?;
            text.lines().find_map(|line| line.strip_prefix("oom_kill ")?.trim().parse::<u64>().ok())
        };
        let of_group = |group: &PathBuf| {
            ["memory.events", "memory.oom_control"].into_iter().find_map(|name| count(group.join(name)))
        };
        let machine = count(self.root.join("proc/vmstat"));
        machine.into_iter().chain(self.groups.iter().filter_map(of_group)).reduce(u64::wrapping_add)
    }

    /// Pressure of the machine or of our innermost group, the higher.
    pub fn pressure(&self) -> Option<Pressure> {
        let group = self.groups.first().map(|group| group.join("memory.pressure"));
        let paths = [Some(self.root.join("proc/pressure/memory")), group];
        let all = paths.into_iter().flatten().filter_map(|path| parse_pressure(&read(&path)?));
        all.max_by(|a, b| a.avg10.total_cmp(&b.avg10))
    }

    /// Room under the tightest limit: the limit less what is used, files that can be dropped not counted.
    fn cgroup_room(&self, total: u64) -> Option<u64> {
        let room = |group: &PathBuf| {
            let number = |name: &str| read(&group.join(name))?.parse::<u64>().ok();
            let first = |names: [&str; 2]| names.into_iter().find_map(number);
            // `memory.high` throttles before `memory.max` kills.
            let limits = ["memory.high", "memory.max", "memory.limit_in_bytes"];
            let limit = limits.into_iter().filter_map(number).min()?;
            if total > 0 && limit >= total {
                return None;
            }
            let used = first(["memory.current", "memory.usage_in_bytes"]).unwrap_or_default();
            let stat = read(&group.join("memory.stat")).unwrap_or_default();
            Some(limit.saturating_sub(used.saturating_sub(droppable(&stat))))
        };
        self.groups.iter().filter_map(room).min()
    }
}

/// Bytes of `Key:   123 kB` in a file of such lines.
fn kilobytes(text: &str, key: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'))?;
    line.trim().trim_end_matches("kB").trim().parse::<u64>().ok()?.checked_mul(1024)
}

/// File pages of a group that the kernel can drop: the lists of files, less what must be written first.
fn droppable(stat: &str) -> u64 {
    let value =
        |name: &str| stat.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.parse::<u64>().ok());
    let sum = |names: [&str; 2]| names.into_iter().filter_map(value).fold(0u64, u64::saturating_add);
    let files = match value("total_inactive_file") {
        Some(_) => sum(["total_inactive_file", "total_active_file"]),
        None => sum(["inactive_file", "active_file"]),
    };
    let dirty = match value("total_dirty") {
        Some(_) => sum(["total_dirty", "total_writeback"]),
        None => sum(["file_dirty", "file_writeback"]),
    };
    files.saturating_sub(dirty)
}

fn parse_pressure(text: &str) -> Option<Pressure> {
    let some = text.lines().find(|line| line.starts_with("some "))?;
    let value = |name: &str| {
        let number =
            some.split(' ').find_map(|part| part.strip_prefix(name)?.strip_prefix('='))?.parse::<f32>().ok()?;
        number.is_finite().then_some(number.clamp(0.0, 100.0))
    };
    Some(Pressure { avg10: value("avg10")?, avg60: value("avg60")? })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::tree::Tree;

    const MEMINFO: &str = "MemTotal:        8000000 kB\nMemFree:          300000 kB\nMemAvailable:    4000000 kB\n";

    #[test]
    fn a_bare_tree_is_all_unknown() {
        let tree = Tree::new();
        let reading = Probe::at(tree.path()).reading();
        assert_eq!(reading, Reading::default());
    }

    #[test]
    fn available_memory_is_read_or_estimated() {
        let tree = Tree::new().file("proc/meminfo", MEMINFO);
        let memory = Probe::at(tree.path()).memory();
        assert_eq!(memory, MemoryFacts { total: 8_000_000 << 10, available: 4_000_000 << 10, cgroup: None });
        let old = Tree::new().file("proc/meminfo", "MemTotal: 1000 kB\nMemFree: 100 kB\nCached: 400 kB\n");
        assert_eq!(Probe::at(old.path()).memory().available, 300 << 10);
        let odd = Tree::new().file("proc/meminfo", "MemTotal: many kB\nMemAvailable: 99999999999999999999 kB\n");
        assert_eq!(Probe::at(odd.path()).memory(), MemoryFacts::default());
    }

    #[test]
    fn the_tightest_group_counts_and_droppable_files_are_room() {
        let mib = |n: u64| (n << 20).to_string();
        let tree = Tree::new()
            .file("proc/meminfo", MEMINFO)
            .file("proc/self/cgroup", "0::/apps/zord\n")
            .file("sys/fs/cgroup/cgroup.controllers", "memory\n")
            .file("sys/fs/cgroup/apps/memory.max", &mib(256))
            .file("sys/fs/cgroup/apps/memory.current", &mib(200))
            .file(
                "sys/fs/cgroup/apps/memory.stat",
                &format!("anon 1\ninactive_file {}\nfile_dirty {}\n", mib(100), mib(10)),
            )
            .file("sys/fs/cgroup/apps/zord/memory.max", "max\n");
        assert_eq!(Probe::at(tree.path()).memory().cgroup, Some(146 << 20));
    }

    #[test]
    fn version_one_groups_are_read_and_no_limit_is_none() {
        let tree = Tree::new()
            .file("proc/meminfo", MEMINFO)
            .file("proc/self/cgroup", "9:memory:/box\n1:name=systemd:/x\n")
            .file("sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n")
            .file("sys/fs/cgroup/memory/box/memory.limit_in_bytes", "1000000\n")
            .file("sys/fs/cgroup/memory/box/memory.usage_in_bytes", "400000\n")
            .file("sys/fs/cgroup/memory/box/memory.stat", "total_inactive_file 100000\ntotal_active_file 0\n");
        assert_eq!(Probe::at(tree.path()).memory().cgroup, Some(700_000));
        let free = Tree::new().file("proc/meminfo", MEMINFO).file("proc/self/cgroup", "0::/../../escape\n");
        assert_eq!(Probe::at(free.path()).memory().cgroup, None);
    }

    #[test]
    fn the_resident_set_is_split() {
        let status = "VmHWM:\t  900 kB\nVmRSS:\t  800 kB\nRssAnon:\t 300 kB\nRssFile:\t 480 kB\nRssShmem:\t 20 kB\n";
        let tree = Tree::new().file("proc/self/status", status);
        let kib = |n: u64| n << 10;
        let expected = Resident { total: kib(800), anonymous: kib(300), file: kib(500), peak: kib(900) };
        assert_eq!(Probe::at(tree.path()).resident(), expected);
        assert!(Probe::new().resident().total > 0);
    }

    #[test]
    fn kills_are_counted_where_the_kernel_tells_them() {
        let tree = Tree::new()
            .file("proc/vmstat", "nr_free_pages 12\noom_kill 3\n")
            .file("proc/self/cgroup", "0::/a\n")
            .file("sys/fs/cgroup/cgroup.controllers", "memory\n")
            .file("sys/fs/cgroup/a/memory.events", "oom 9\noom_kill 2\noom_group_kill 7\n");
        assert_eq!(Probe::at(tree.path()).kills(), Some(5));
        let old = Tree::new()
            .file("proc/self/cgroup", "9:memory:/box\n")
            .file("sys/fs/cgroup/memory/box/memory.oom_control", "oom_kill_disable 0\nunder_oom 0\noom_kill 4\n");
        assert_eq!(Probe::at(old.path()).kills(), Some(4));
        assert_eq!(Probe::at(Tree::new().path()).kills(), None);
    }

    #[test]
    fn another_process_has_a_resident_set_of_its_own() {
        let tree = Tree::new().file("proc/self/status", "VmRSS: 1 kB\n").file("proc/7/status", "VmRSS: 2 kB\n");
        let probe = Probe::at(tree.path());
        assert_eq!(
            [probe.resident(), probe.resident_of("7"), probe.resident_of("8")].map(|r| r.total),
            [1024, 2048, 0]
        );
    }

    #[test]
    fn pressure_is_the_higher_of_both() {
        let line = |ten: &str| format!("some avg10={ten} avg60=1.50 avg300=0.00 total=1\nfull avg10=9.00 avg60=9.00\n");
        let tree = Tree::new()
            .file("proc/self/cgroup", "0::/a\n")
            .file("sys/fs/cgroup/cgroup.controllers", "")
            .file("sys/fs/cgroup/a/memory.pressure", &line("12.25"))
            .file("proc/pressure/memory", &line("0.10"));
        assert_eq!(Probe::at(tree.path()).pressure(), Some(Pressure { avg10: 12.25, avg60: 1.5 }));
        let odd = Tree::new().file("proc/pressure/memory", "some avg10=NaN avg60=1\n");
        assert_eq!(Probe::at(odd.path()).pressure(), None);
    }
}
