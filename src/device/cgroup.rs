//! Control groups, version 2 and 1: the folders from our own group up to the root, where limits may stand.

use std::path::{Path, PathBuf};

use super::read;

/// A limit may stand in any ancestor; deeper trees than this are not looked at.
const DEEPEST: usize = 32;

/// Our group's folder and its ancestors, the innermost first, for version 1's `controller` or version 2.
pub(crate) fn folders(root: &Path, controller: &str) -> Vec<PathBuf> {
    let groups = read(&root.join("proc/self/cgroup")).unwrap_or_default();
    let base = root.join("sys/fs/cgroup");
    let mut found = Vec::new();
    for line in groups.lines() {
        let mut parts = line.splitn(3, ':');
        let (Some(_), Some(controllers), Some(path)) = (parts.next(), parts.next(), parts.next()) else { continue };
        let mount = match controllers {
            "" => ["unified", "."].map(|name| base.join(name)).into_iter().find(|mount| mount.join(KERNEL).exists()),
            _ if controllers.split(',').any(|name| name == controller) => {
                [controllers, controller].map(|name| base.join(name)).into_iter().find(|mount| mount.is_dir())
            }
            _ => None,
        };
        if let Some(mount) = mount {
            found.extend(upward(&mount, path));
        }
    }
    if found.is_empty() && base.join(KERNEL).exists() {
        found.push(base);
    }
    found
}

const KERNEL: &str = "cgroup.controllers";

/// Inside a container the path may name folders that are not mounted; the mount itself is then the innermost.
fn upward(mount: &Path, path: &str) -> Vec<PathBuf> {
    let names: Vec<&str> = path.split('/').filter(|name| !matches!(*name, "" | "." | "..")).take(DEEPEST).collect();
    let depths = (0..=names.len()).rev();
    depths
        .map(|depth| names[..depth].iter().fold(mount.to_owned(), |at, name| at.join(name)))
        .filter(|at| at.is_dir())
        .collect()
}

/// Whole processors of time the tightest limit allows, at least one.
pub(crate) fn cpu_quota(root: &Path) -> Option<u32> {
    let limit = |folder: &PathBuf| {
        let (quota, period) = match read(&folder.join("cpu.max")) {
            Some(text) => {
                let (quota, period) = text.split_once(' ')?;
                (quota.parse::<f64>().ok()?, period.parse::<f64>().ok()?)
            }
            None => {
                let number = |name: &str| read(&folder.join(name))?.parse::<f64>().ok();
                (number("cpu.cfs_quota_us")?, number("cpu.cfs_period_us")?)
            }
        };
        (quota > 0.0 && period > 0.0).then(|| (quota / period).floor().max(1.0) as u32)
    };
    folders(root, "cpu").iter().filter_map(limit).min()
}
