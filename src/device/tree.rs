//! Fake trees of `/proc` and `/sys` for tests.

use std::path::Path;

use tempfile::TempDir;

/// A folder that stands for the root.
pub(crate) struct Tree(TempDir);

impl Tree {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    pub(crate) fn file(self, path: &str, text: &str) -> Self {
        let path = self.0.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
        self
    }

    /// Processors in sysfs: frequency in kHz and, if not zero, capacity; one core each.
    pub(crate) fn cpus(mut self, cpus: &[(u64, u64)]) -> Self {
        for (cpu, &(frequency, capacity)) in cpus.iter().enumerate() {
            let base = format!("sys/devices/system/cpu/cpu{cpu}");
            self = self.file(&format!("{base}/cpufreq/cpuinfo_max_freq"), &format!("{frequency}\n"));
            if capacity > 0 {
                self = self.file(&format!("{base}/cpu_capacity"), &format!("{capacity}\n"));
            }
        }
        let all = format!("0-{}\n", cpus.len() - 1);
        self.file("sys/devices/system/cpu/present", &all).file("sys/devices/system/cpu/online", &all)
    }
}
