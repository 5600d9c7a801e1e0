//! What kind of storage a path lies on: mapping a model from a phone's shared storage is slow.

use std::path::{Path, PathBuf};

use serde::Serialize;

/// Where bytes come from when a page is missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Storage {
    /// A disk of this machine.
    Disk,
    /// A phone's shared storage (`/sdcard`), behind FUSE: page faults are slow.
    Shared,
    /// Another file system in user space.
    Fuse,
    /// Memory: a model here is there twice in the worst case and is never reclaimed.
    Memory,
    /// Another machine.
    Network,
    /// It could not be found out.
    Unknown,
}

impl Storage {
    /// A word for people.
    pub fn name(self) -> &'static str {
        match self {
            Self::Disk => "a disk",
            Self::Shared => "the phone's shared storage",
            Self::Fuse => "a file system in user space",
            Self::Memory => "memory",
            Self::Network => "a network share",
            Self::Unknown => "unknown",
        }
    }
}

/// The storage below a path; a path that is not there yet is judged by its nearest ancestor.
pub fn storage_of(path: &Path) -> Storage {
    let Some(existing) =
        path.ancestors().find_map(|at| if at.as_os_str().is_empty() { None } else { at.canonicalize().ok() })
    else {
        return by_path(path).unwrap_or(Storage::Unknown);
    };
    if let Some(storage) = by_path(path).or_else(|| by_path(&existing)) {
        return storage;
    }
    rustix::fs::statfs(&existing).map_or(Storage::Unknown, |facts| by_magic(facts.f_type as u64 & 0xffff_ffff))
}

/// Free bytes for this user where a path is or will be; `None` where the system does not say.
pub fn free_space(path: &Path) -> Option<u64> {
    let there = path.ancestors().find(|folder| folder.exists()).unwrap_or(Path::new("."));
    let facts = rustix::fs::statvfs(there).ok()?;
    facts.f_bavail.checked_mul(facts.f_frsize)
}

/// Where Android shows the shared storage; Termux's `~/storage/shared` leads there.
fn by_path(path: &Path) -> Option<Storage> {
    const SHARED: [&str; 6] =
        ["/sdcard", "/storage/emulated", "/storage/self", "/mnt/sdcard", "/data/media", "/mnt/user"];
    SHARED.iter().any(|prefix| path.starts_with(PathBuf::from(prefix))).then_some(Storage::Shared)
}

/// `f_type` of `statfs(2)`.
fn by_magic(magic: u64) -> Storage {
    match magic {
        0x5dca_2df5 => Storage::Shared,
        0x6573_5546 => Storage::Fuse,
        0x0102_1994 | 0x8584_58f6 => Storage::Memory,
        0x6969 | 0xff53_4d42 | 0xfe53_4d42 | 0x517b | 0x0102_1997 | 0x5346_414f | 0x00c3_6400 => Storage::Network,
        _ => Storage::Disk,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn free_space_is_known_for_a_folder_that_is_not_there_yet() {
        let folder = tempfile::tempdir().unwrap();
        assert!(free_space(&folder.path().join("a/b/c")).unwrap() > 0);
        assert!(free_space(Path::new("no-such-file-here")).unwrap() > 0);
    }

    #[test]
    fn shared_storage_is_known_by_its_path() {
        for path in ["/sdcard/models/a.gguf", "/storage/emulated/0/Download/a.gguf"] {
            assert_eq!(storage_of(Path::new(path)), Storage::Shared);
        }
        assert_eq!(by_path(Path::new("/sdcards/a")), None);
    }

    #[test]
    fn magics_of_statfs_are_told_apart() {
        let cases = [(0xef53, Storage::Disk), (0x6573_5546, Storage::Fuse), (0x6969, Storage::Network)];
        for (magic, storage) in cases {
            assert_eq!(by_magic(magic), storage);
        }
    }

    #[test]
    fn a_path_that_is_not_there_is_judged_by_its_ancestor() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(storage_of(&folder.path().join("a/b/c.gguf")), storage_of(folder.path()));
        assert_ne!(storage_of(Path::new("/proc/self/nothing/here")), Storage::Shared);
    }
}
