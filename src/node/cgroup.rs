//! What the control group this process runs in allows and uses (Linux, cgroup v2 and v1): in a container the machine's own
//! figures say little.
//!
//! Limits nest: each group from this process's own up to the root of what is mounted may have one. In a container the mount often
//! shows its own group as the root, under whatever path `/proc/self/cgroup` names; then that path is not there, and the root counts.

use std::fs;
use std::path::{Path, PathBuf};

/// Where the groups are mounted: those of v2, or a folder for each controller of v1.
const MOUNT: &str = "/sys/fs/cgroup";
/// Limits of v1 from here on are none: it tells the largest number of whole pages.
const NO_LIMIT: u64 = 1 << 60;

/// Use and limit of the tightest group that has a limit.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Group {
    /// CPU time used so far in microseconds, and how many CPUs' worth is allowed: of the group that allows least.
    pub cpu: Option<(u64, f64)>,
    /// Bytes used that cannot be given back, and how many are allowed: of the group that has least of its limit left.
    pub memory: Option<(u64, u64)>,
}

/// Reads the groups from this process's own up to the root.
pub fn read() -> Group {
    let Ok(own) = fs::read_to_string("/proc/self/cgroup") else { return Group::default() };
    read_at(Path::new(MOUNT), &own)
}

fn read_at(mount: &Path, own: &str) -> Group {
    let mut group = Group::default();
    // A line: number of the hierarchy, its controllers (none: v2), path.
    for line in own.lines() {
        let mut parts = line.splitn(3, ':').skip(1);
        let (Some(controllers), Some(path)) = (parts.next(), parts.next()) else { continue };
        if controllers.is_empty() {
            folders(mount, path).iter().for_each(|folder| group.tighten(cpu_v2(folder), memory_v2(folder)));
        }
        for controller in controllers.split(',') {
            // Controllers that are mounted as one have a link each, or only the folder with all their names.
            let root = [controller, controllers].map(|name| mount.join(name)).into_iter().find(|root| root.is_dir());
            let Some(root) = root else { continue };
            for (depth, folder) in folders(&root, path).iter().enumerate() {
                match controller {
                    "cpu" => group.tighten(cpu_v1(folder, &times(mount, own, depth)), None),
                    "memory" => group.tighten(None, memory_v1(folder)),
                    _ => {}
                }
            }
        }
    }
    group
}

impl Group {
    fn tighten(&mut self, cpu: Option<(u64, f64)>, memory: Option<(u64, u64)>) {
        if let Some((_, cpus)) = cpu
            && self.cpu.is_none_or(|(_, before)| cpus < before)
        {
            self.cpu = cpu;
        }
        let part = |(used, limit): (u64, u64)| used as f64 / limit.max(1) as f64;
        if let Some(memory) = memory
            && self.memory.is_none_or(|before| part(memory) > part(before))
        {
            self.memory = Some(memory);
        }
    }
}

/// The root and all folders on the way to `path`.
fn folders(root: &Path, path: &str) -> Vec<PathBuf> {
    let mut folders = vec![root.to_path_buf()];
    for name in path.split('/').filter(|name| !name.is_empty() && *name != "..") {
        folders.push(folders[folders.len() - 1].join(name));
    }
    folders
}

/// Where v1 counts the CPU time of the group so many steps below the root, or of the lowest one there is.
fn times(mount: &Path, own: &str, depth: usize) -> PathBuf {
    let counted = own.lines().find_map(|line| {
        let (controllers, path) = line.split_once(':')?.1.split_once(':')?;
        let root = ["cpuacct", controllers].map(|name| mount.join(name)).into_iter().find(|root| root.is_dir())?;
        controllers.split(',').any(|name| name == "cpuacct").then(|| folders(&root, path))
    });
    let counted = counted.unwrap_or_default();
    counted.get(depth).or(counted.last()).cloned().unwrap_or_default()
}

fn text(folder: &Path, file: &str) -> String {
    fs::read_to_string(folder.join(file)).unwrap_or_default()
}

fn number<T: std::str::FromStr>(folder: &Path, file: &str) -> Option<T> {
    text(folder, file).trim().parse().ok()
}

/// `cpu.max`: quota and period in microseconds, or `max`.
fn cpu_v2(folder: &Path) -> Option<(u64, f64)> {
    let max = text(folder, "cpu.max");
    let (quota, period) = max.trim().split_once(' ')?;
    let cpus = cpus(quota.parse().ok()?, period.parse().ok()?)?;
    Some((field(&text(folder, "cpu.stat"), "usage_usec")?, cpus))
}

/// Quota (−1: none) and period in microseconds, time in nanoseconds.
fn cpu_v1(folder: &Path, times: &Path) -> Option<(u64, f64)> {
    let cpus = cpus(number(folder, "cpu.cfs_quota_us")?, number(folder, "cpu.cfs_period_us")?)?;
    Some((number::<u64>(times, "cpuacct.usage")? / 1_000, cpus))
}

fn cpus(quota: f64, period: f64) -> Option<f64> {
    (quota > 0.0 && period > 0.0).then(|| quota / period)
}

fn memory_v2(folder: &Path) -> Option<(u64, u64)> {
    let (limit, used): (u64, u64) = (number(folder, "memory.max")?, number(folder, "memory.current")?);
    Some((used.saturating_sub(cache(folder, "inactive_file")), limit))
}

fn memory_v1(folder: &Path) -> Option<(u64, u64)> {
    let (limit, used): (u64, u64) =
        (number(folder, "memory.limit_in_bytes")?, number(folder, "memory.usage_in_bytes")?);
    (limit < NO_LIMIT).then(|| (used.saturating_sub(cache(folder, "total_inactive_file")), limit))
}

/// Page cache that the kernel takes back at need does not count as used.
fn cache(folder: &Path, name: &str) -> u64 {
    field(&text(folder, "memory.stat"), name).unwrap_or(0)
}

/// The number after `name` in a file of `name number` lines.
fn field(text: &str, name: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.trim().parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Files in a folder, made with it.
    fn put(root: &Path, folder: &str, files: &[(&str, &str)]) {
        let folder = root.join(folder);
        fs::create_dir_all(&folder).unwrap();
        for (name, text) in files {
            fs::write(folder.join(name), format!("{text}\n")).unwrap();
        }
    }

    #[test]
    fn the_tightest_limit_on_the_way_up_counts() {
        let dir = tempfile::tempdir().unwrap();
        put(dir.path(), "slice", &[("cpu.max", "150000 100000"), ("cpu.stat", "usage_usec 7000\nuser_usec 1")]);
        put(dir.path(), "slice", &[("memory.max", "max"), ("memory.current", "5000")]);
        put(dir.path(), "slice/unit", &[("cpu.max", "max 100000"), ("memory.max", "1000"), ("memory.current", "900")]);
        put(dir.path(), "slice/unit", &[("memory.stat", "anon 5\ninactive_file 300")]);
        let group = read_at(dir.path(), "0::/slice/unit\n");
        assert_eq!(group, Group { cpu: Some((7000, 1.5)), memory: Some((600, 1000)) });
        assert_eq!(read_at(dir.path(), "0::/"), Group::default());
        // Less CPU below, and less memory left above: each counts where it is scarcest.
        put(dir.path(), "slice/unit", &[("cpu.max", "50000 100000"), ("cpu.stat", "usage_usec 400")]);
        put(dir.path(), "slice", &[("memory.max", "6000")]);
        let group = read_at(dir.path(), "0::/slice/unit\n");
        assert_eq!(group, Group { cpu: Some((400, 0.5)), memory: Some((5000, 6000)) });
    }

    #[test]
    fn limits_of_v1_are_read_from_the_folders_of_their_controllers() {
        let dir = tempfile::tempdir().unwrap();
        let own = "9:name=systemd:/x\n4:memory:/box/7\n2:cpu,cpuacct:/box/7\n1:pids:/\n0::/\n";
        let none = "9223372036854771712";
        put(dir.path(), "memory", &[("memory.limit_in_bytes", none), ("memory.usage_in_bytes", "77777")]);
        put(dir.path(), "memory/box", &[("memory.limit_in_bytes", "4000"), ("memory.usage_in_bytes", "1000")]);
        put(dir.path(), "memory/box/7", &[("memory.limit_in_bytes", "2000"), ("memory.usage_in_bytes", "1500")]);
        put(dir.path(), "memory/box/7", &[("memory.stat", "inactive_file 7\ntotal_inactive_file 100")]);
        let quota = |quota| [("cpu.cfs_quota_us", quota), ("cpu.cfs_period_us", "100000")];
        put(dir.path(), "cpu,cpuacct", &quota("-1"));
        put(dir.path(), "cpu,cpuacct/box", &quota("120000"));
        put(dir.path(), "cpu,cpuacct/box", &[("cpuacct.usage", "9000000")]);
        put(dir.path(), "cpu,cpuacct/box/7", &quota("200000"));
        put(dir.path(), "cpu,cpuacct/box/7", &[("cpuacct.usage", "5000000")]);
        let group = read_at(dir.path(), own);
        assert_eq!(group, Group { cpu: Some((9_000, 1.2)), memory: Some((1_400, 2_000)) });
    }

    #[test]
    fn controllers_of_v1_may_be_mounted_each_by_itself() {
        let dir = tempfile::tempdir().unwrap();
        put(dir.path(), "cpu/a", &[("cpu.cfs_quota_us", "50000"), ("cpu.cfs_period_us", "100000")]);
        put(dir.path(), "cpuacct/b", &[("cpuacct.usage", "3000000")]);
        let group = read_at(dir.path(), "2:cpuacct:/b\n1:cpu:/a\n");
        assert_eq!(group, Group { cpu: Some((3_000, 0.5)), memory: None });
        assert_eq!(read_at(dir.path(), "1:cpu:/a\n").cpu, None, "without times a quota says nothing");
    }

    #[test]
    fn where_only_the_own_group_is_mounted_its_root_counts() {
        let dir = tempfile::tempdir().unwrap();
        put(dir.path(), "memory", &[("memory.limit_in_bytes", "4000"), ("memory.usage_in_bytes", "1000")]);
        put(dir.path(), "cpu", &[("cpu.cfs_quota_us", "50000"), ("cpu.cfs_period_us", "100000")]);
        put(dir.path(), "cpuacct", &[("cpuacct.usage", "3000000")]);
        let own = "4:memory:/docker/0123\n3:cpuacct:/docker/0123\n2:cpu:/docker/0123\n";
        assert_eq!(read_at(dir.path(), "4:memory:/docker/0123\n").memory, Some((1000, 4000)));
        put(dir.path(), "", &[("cpu.max", "25000 100000"), ("cpu.stat", "usage_usec 70")]);
        assert_eq!(read_at(dir.path(), "0::/docker/0123\n").cpu, Some((70, 0.25)));
        assert_eq!(read_at(dir.path(), own).cpu, Some((3_000, 0.5)));
        for odd in ["", "nonsense", "0:", "0::", "::/", "4:memory:/../../..", "a:b:c:d"] {
            read_at(dir.path(), odd);
        }
        assert_eq!(read_at(&dir.path().join("nowhere"), own), Group::default());
    }
}
