//! What the control group this process runs in allows and uses (Linux, cgroup v2): in a container
//! the machine's own figures say little.

use std::fs;
use std::path::{Path, PathBuf};

/// Where cgroup v2 is mounted.
const MOUNT: &str = "/sys/fs/cgroup";

/// Use and limit of the tightest group that has a limit.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Group {
    /// CPU time used so far in microseconds, and how many CPUs' worth is allowed.
    pub cpu: Option<(u64, f64)>,
    /// Bytes used that cannot be given back, and how many are allowed.
    pub memory: Option<(u64, u64)>,
}

/// Reads the groups from this process's own up to the root.
pub fn read() -> Group {
    let Ok(own) = fs::read_to_string("/proc/self/cgroup") else { return Group::default() };
    read_at(Path::new(MOUNT), &own)
}

fn read_at(mount: &Path, own: &str) -> Group {
    let Some(path) = own.lines().find_map(|line| line.strip_prefix("0::/")) else { return Group::default() };
    let mut group = Group::default();
    let mut folders: Vec<PathBuf> = vec![mount.to_path_buf()];
    for name in path.split('/').filter(|name| !name.is_empty() && *name != "..") {
        folders.push(folders[folders.len() - 1].join(name));
    }
    for folder in folders {
        let text = |file: &str| fs::read_to_string(folder.join(file)).unwrap_or_default();
        if let Some(cpus) = quota(&text("cpu.max"))
            && group.cpu.is_none_or(|(_, before)| cpus < before)
            && let Some(used) = field(&text("cpu.stat"), "usage_usec")
        {
            group.cpu = Some((used, cpus));
        }
        if let Ok(limit) = text("memory.max").trim().parse::<u64>()
            && group.memory.is_none_or(|(_, before)| limit < before)
            && let Ok(current) = text("memory.current").trim().parse::<u64>()
        {
            // Page cache that the kernel takes back at need does not count as used.
            let cache = field(&text("memory.stat"), "inactive_file").unwrap_or(0);
            group.memory = Some((current.saturating_sub(cache), limit));
        }
    }
    group
}

/// `cpu.max`: quota and period in microseconds, or `max`.
fn quota(text: &str) -> Option<f64> {
    let (quota, period) = text.trim().split_once(' ')?;
    let (quota, period): (f64, f64) = (quota.parse().ok()?, period.parse().ok()?);
    (quota > 0.0 && period > 0.0).then(|| quota / period)
}

/// The number after `name` in a file of `name number` lines.
fn field(text: &str, name: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.trim().parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tightest_limit_on_the_way_up_counts() {
        let dir = tempfile::tempdir().unwrap();
        let inner = dir.path().join("slice/unit");
        fs::create_dir_all(&inner).unwrap();
        let slice = dir.path().join("slice");
        fs::write(slice.join("cpu.max"), "150000 100000\n").unwrap();
        fs::write(slice.join("cpu.stat"), "usage_usec 7000\nuser_usec 1\n").unwrap();
        fs::write(inner.join("cpu.max"), "max 100000\n").unwrap();
        fs::write(inner.join("memory.max"), "1000\n").unwrap();
        fs::write(inner.join("memory.current"), "900\n").unwrap();
        fs::write(inner.join("memory.stat"), "anon 5\ninactive_file 300\n").unwrap();
        let group = read_at(dir.path(), "0::/slice/unit\n");
        assert_eq!(group, Group { cpu: Some((7000, 1.5)), memory: Some((600, 1000)) });
        assert_eq!(read_at(dir.path(), "0::/"), Group::default());
        assert_eq!(read_at(dir.path(), "12:cpu:/x\n"), Group::default(), "cgroup v1: the machine's figures");
    }
}
