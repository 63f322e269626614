//! Disks that are full, folders that cannot be, sources that shrink.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Stdio};

use super::common::{Lab, Process};
use super::{MB, number, result, says, until, until_bytes};

/// A node that can make no file longer than 4 MiB: a disk that is full (EFBIG stands for ENOSPC).
pub fn cramped(lab: &Lab) -> Process {
    cramped_to(lab, 4096)
}

/// The same with so many KiB.
pub fn cramped_to(lab: &Lab, kib: u32) -> Process {
    let limit = format!(r#"trap "" XFSZ; ulimit -f {kib}; exec "$0" "$@""#);
    started_by(lab, &["bash", "-c", &limit])
}

/// A node for which the folder `small` is a file system of 8 MiB, in a mount namespace of its own.
fn on_a_tiny_disk(lab: &Lab) -> Process {
    let mount = r#"mount -t tmpfs -o size=8m none small && exec "$0" "$@""#;
    started_by(lab, &["unshare", "-rm", "bash", "-c", mount])
}

/// Why there can be no such file system here; none if there can.
fn no_tiny_disk(lab: &Lab) -> Option<String> {
    let mut command = Command::new("unshare");
    command.args(["-rm", "mount", "-t", "tmpfs", "-o", "size=1m", "none", "small"]).current_dir(lab.dir.path());
    match command.output() {
        Ok(output) if output.status.success() => None,
        Ok(output) => Some(String::from_utf8_lossy(&output.stderr).into_owned()),
        Err(error) => Some(format!("unshare: {error}")),
    }
}

/// A node that a command starts after it has prepared its world.
fn started_by(lab: &Lab, command: &[&str]) -> Process {
    let plain = lab.command(&["serve", "--listen", "127.0.0.1:0", "--down", "2M"]);
    let mut shell = Command::new(command[0]);
    shell.args(&command[1..]);
    shell.arg(plain.get_program()).args(plain.get_args());
    for (name, value) in plain.get_envs() {
        match value {
            Some(value) => shell.env(name, value),
            None => shell.env_remove(name),
        };
    }
    shell.current_dir(lab.dir.path()).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    Process::new(shell.spawn().unwrap()).listening()
}

#[test]
fn a_full_disk_stops_what_does_not_fit_and_nothing_else() {
    let from = Lab::new();
    let (small, large) = (from.data("small.bin", 3 * MB), from.data("large.bin", 12 * MB));
    let _seeder = from.serve(&[]);
    let (small_link, large_link) = (from.share(&small), from.share(&large));
    let to = Lab::new();
    let mut node = cramped(&to);
    let mut other = to.spawn(&["--json", "get", &small_link, "-o", "out"]);
    until_bytes(&mut other, 1);
    let full = to.run(&["get", &large_link, "-o", "out"]);
    assert!([1, 3].contains(&full.code()), "{full:?}");
    says(&full, &["large.bin", "disk is full", "free space, then resume"]);
    assert!(!to.path("out/large.bin").exists());
    assert_eq!(result(&mut other)["verified"], true, "the other transfer is unharmed");
    assert!(fs::read(small).unwrap() == fs::read(to.path("out/small.bin")).unwrap());

    // The message tells the truth: with space the same command goes on.
    assert_eq!(node.stop(), 0);
    to.run(&["get", &large_link, "-o", "out"]).expect(0);
    assert!(fs::read(large).unwrap() == fs::read(to.path("out/large.bin")).unwrap());
}

#[test]
fn a_disk_that_fills_up_meanwhile_stops_the_transfer_and_with_space_it_goes_on() {
    let (from, to) = (Lab::new(), Lab::new());
    fs::create_dir(to.path("small")).unwrap();
    if let Some(why) = no_tiny_disk(&to) {
        eprintln!("skipped: this system lets nobody mount a tiny file system: {}", why.trim());
        return;
    }
    let path = from.data("data.bin", 6 * MB);
    let _seeder = from.serve(&[]);
    let link = from.share(&path);
    let mut node = on_a_tiny_disk(&to);
    // The same folder as the node sees it.
    let small = format!("/proc/{}/root{}", node.child.id(), to.path("small").display());
    let small = Path::new(&small);
    let mut get = to.spawn(&["--json", "get", &link, "-o", "small"]);
    until_bytes(&mut get, 1);
    let mut filler = fs::File::create(small.join("filler")).unwrap();
    let full = std::iter::from_fn(|| Some(filler.write_all(&[7; 4096]))).find_map(Result::err).unwrap();
    assert_eq!(full.kind(), std::io::ErrorKind::StorageFull);
    let (code, rest) = get.wait();
    assert!([1, 3].contains(&code), "{code}: {rest}");
    assert!(rest.contains("disk is full; free space, then resume"), "{rest}");
    assert!(!small.join("data.bin").exists());
    // Its space is free once nobody has it open either.
    drop(filler);
    fs::remove_file(small.join("filler")).unwrap();
    to.run(&["get", &link, "-o", "small"]).expect(0);
    assert!(fs::read(&path).unwrap() == fs::read(small.join("data.bin")).unwrap());
    assert_eq!(node.stop(), 0);
}

/// A node without the privilege of writing where modes forbid it: root has it, operators have not.
fn unprivileged(lab: &Lab) -> Process {
    if rustix::process::geteuid().is_root() {
        return started_by(lab, &["setpriv", "--bounding-set", "-dac_override,-dac_read_search"]);
    }
    started_by(lab, &["env"])
}

#[test]
fn what_is_read_only_can_be_mended_and_removed() {
    let (from, to) = (Lab::new(), Lab::new());
    let mode = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    let source = from.data("tree/sub/file", MB);
    mode(&source, 0o444);
    mode(source.parent().unwrap(), 0o555);
    let _seeder = from.serve(&[]);
    let link = from.share(&from.path("tree"));
    let _node = unprivileged(&to);
    to.run(&["get", &link, "-o", "out"]).expect(0);
    let got = to.path("out/tree/sub/file");
    mode(&got, 0o644);
    fs::OpenOptions::new().write(true).open(&got).unwrap().write_all(b"damage").unwrap();
    mode(&got, 0o444);
    to.run(&["get", &link, "-o", "out", "--overwrite"]).expect(0);
    assert!(fs::read(&source).unwrap() == fs::read(&got).unwrap());
    assert_eq!(fs::metadata(&got).unwrap().permissions().mode() & 0o777, 0o444, "as it was");

    // The one that mended it knows what it looks like now.
    let ls = to.run(&["--json", "ls", "--all"]).expect(0).objects();
    let mut ids: Vec<String> = ls.iter().filter_map(|row| Some(row["id"].as_u64()?.to_string())).collect();
    ids.sort();
    let (first, last) = (&ids[0], &ids[1]);
    to.run(&["remove", first]).expect(0);
    fs::write(to.path("out/tree/mine"), "mine").unwrap();
    let removed = to.run(&["remove", last, "--data"]);
    assert!(removed.expect(0).stderr().contains("1 kept: 0 changed since the fetch, 1 not part"), "{removed:?}");
    assert!(to.path("out/tree/mine").exists() && !to.path("out/tree/sub").exists());
    mode(source.parent().unwrap(), 0o755);
}

#[test]
fn folders_that_cannot_be_are_named() {
    let from = Lab::new();
    let path = from.data("data.bin", 1000);
    let _seeder = from.serve(&[]);
    let link = from.share(&path);
    let lab = Lab::new();
    lab.data("file", 10);
    let root = lab.run(&["serve", "--listen", "127.0.0.1:0", "--root", "file/root"]);
    says(root.expect(1), &["root folder", "file/root", "Not a directory"]);
    let out = lab.run(&["get", &link, "-o", "file/out"]);
    says(out.expect(1), &["file/out", "Not a directory"]);
    let state = lab.run(&["serve", "--listen", "127.0.0.1:0", "--state-dir", "file/state"]);
    says(state.expect(1), &["file/state", "Not a directory"]);
}

#[test]
fn a_source_that_shrinks_is_noticed_by_those_who_fetch_it() {
    let from = Lab::new();
    let (path, other) = (from.data("data.bin", 6 * MB), from.data("other.bin", MB));
    let _seeder = from.serve(&["--up", "2M"]);
    let (link, other_link) = (from.share(&path), from.share(&other));
    let to = Lab::new();
    let mut get = to.spawn(&["--json", "get", &link, "-o", "out"]);
    until_bytes(&mut get, 1);
    fs::OpenOptions::new().write(true).open(&path).unwrap().set_len(1000).unwrap();
    let waiting = until(&mut get, |event| event["reason"] != "");
    assert!(number(&waiting, "bytes_done") < 6_000_000, "{waiting}");
    assert!(!to.path("out/data.bin").exists());
    let bans = to.run(&["ban", "list"]);
    assert!(bans.expect(0).stdout().is_empty(), "it sent nothing wrong: {bans:?}");
    assert_eq!(to.run(&["--json", "get", &other_link, "-o", "out"]).expect(0).last()["verified"], true);
    // Shared again it is another content, which can be had.
    let link = from.share(&path);
    Lab::new().run(&["get", &link]).expect(0);
}

/// The most memory that a process has had, in MiB.
fn peak_mib(process: &Process) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", process.child.id())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").trim().parse::<u64>().unwrap() / 1024
}

/// What shells begin with is too little for many peers.
#[test]
#[cfg(target_os = "linux")]
fn a_low_limit_of_open_files_is_raised() {
    let lab = Lab::new();
    let node = started_by(&lab, &["bash", "-c", r#"ulimit -Sn 100; ulimit -Hn 3000; exec "$0" "$@""#]);
    let limits = fs::read_to_string(format!("/proc/{}/limits", node.child.id())).unwrap();
    let files = limits.lines().find(|line| line.starts_with("Max open files")).unwrap();
    assert_eq!(files.split_whitespace().skip(3).take(2).collect::<Vec<_>>(), ["3000", "3000"]);
}

/// Memory does not grow with the size: a file far larger than what both may take. What they are before is mostly the program.
#[test]
fn memory_stays_small() {
    let from = Lab::new();
    let path = from.data("large.bin", MB);
    fs::OpenOptions::new().write(true).open(&path).unwrap().set_len(256 << 20).unwrap();
    let seeder = from.serve(&[]);
    let link = from.share(&path);
    let to = Lab::new();
    let leecher = to.serve(&[]);
    let before = peak_mib(&leecher);
    assert_eq!(to.run(&["--json", "get", &link, "-o", "out"]).expect(0).last()["verified"], true);
    let took = |process: &Process| peak_mib(process).saturating_sub(before);
    assert!(took(&leecher) <= 32, "the leecher took {} MiB", took(&leecher));
    assert!(took(&seeder) <= 16, "the seeder took {} MiB", took(&seeder));
}

/// What is pushed below a mount grows there: one rename publishes it, as everywhere else.
#[test]
fn folders_of_the_root_that_are_mounts_of_their_own_are_pushed_to() {
    let (from, to) = (Lab::new(), Lab::new());
    fs::create_dir(to.path("small")).unwrap();
    if let Some(why) = no_tiny_disk(&to) {
        eprintln!("skipped: this system lets nobody mount a tiny file system: {}", why.trim());
        return;
    }
    fs::create_dir_all(to.path("state/root/disk")).unwrap();
    fs::create_dir_all(to.path("state/root/bound")).unwrap();
    let mounts = r#"mount -t tmpfs -o size=8m none state/root/disk && mount --bind small state/root/bound &&
        exec "$0" "$@""#;
    let mut node = started_by(&to, &["unshare", "-rm", "bash", "-c", mounts]);
    let url = node.url.clone().unwrap();
    // The same folder as the node sees it.
    let root = format!("/proc/{}/root{}", node.child.id(), to.path("state/root").display());
    let root = Path::new(&root);
    let file = from.data("data.bin", MB);
    for n in 0..50 {
        from.data(&format!("tree/sub/{n}"), n * 100);
    }
    let names = |folder: &Path| {
        let mut names: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        names
    };
    for mount in ["disk", "bound"] {
        let dest = format!("{url}/{mount}/in/");
        from.run(&["send", "data.bin", &dest]).expect(0);
        from.run(&["send", "tree", &dest]).expect(0);
        from.run(&["send", "tree", &dest, "--if-taken", "overwrite"]).expect(0);
        assert!(fs::read(&file).unwrap() == fs::read(root.join(mount).join("in/data.bin")).unwrap());
        assert_eq!(fs::read(root.join(mount).join("in/tree/sub/49")).unwrap().len(), 4900);
        assert_eq!((names(&root.join(mount)), names(&root.join(mount).join("in")).len()), (vec!["in".into()], 2));
    }
    assert_eq!(names(root), ["bound", "disk"], "nothing is left beside them");
    // What does not fit there is told before a byte is sent, however much fits elsewhere.
    from.data("large.bin", 9 * MB);
    says(&from.run(&["send", "large.bin", &format!("{url}/disk/")]), &["large.bin", "no space for it"]);
    assert_eq!(node.stop(), 0);
}

/// Nothing can be renamed from one mount to another: what is kept equal there is copied beside its place first.
#[test]
fn a_tree_with_a_mount_in_it_is_kept_equal() {
    let (from, to) = (Lab::new(), Lab::new());
    fs::create_dir(to.path("small")).unwrap();
    if let Some(why) = no_tiny_disk(&to) {
        eprintln!("skipped: this system lets nobody mount a tiny file system: {}", why.trim());
        return;
    }
    fs::create_dir_all(to.path("state/root/all/disk")).unwrap();
    let mounts = r#"mount -t tmpfs -o size=8m none state/root/all/disk && exec "$0" "$@""#;
    let mut node = started_by(&to, &["unshare", "-rm", "bash", "-c", mounts]);
    let url = node.url.clone().unwrap();
    let root = format!("/proc/{}/root{}", node.child.id(), to.path("state/root").display());
    let root = Path::new(&root);
    for (name, size) in [("a", 300_000), ("disk/b", 200_000), ("disk/sub/c", 1_000), ("disk/sub/d", 70_000)] {
        from.data(&format!("all/{name}"), size);
    }
    let sync = || from.run(&["sync", "all", &format!("{url}/"), "--delete", "--json"]).expect(0).last();
    let same = |names: &[&str]| {
        for name in names {
            let (here, there) = (from.path(&format!("all/{name}")), root.join("all").join(name));
            assert!(fs::read(&here).unwrap() == fs::read(&there).unwrap(), "{name}");
            let time = |path| fs::symlink_metadata(path).unwrap().modified().unwrap();
            assert_eq!(time(&here), time(&there), "{name}");
        }
        for folder in [root.to_owned(), root.join("all"), root.join("all/disk")] {
            let left = fs::read_dir(&folder)
                .unwrap()
                .find(|e| e.as_ref().unwrap().file_name().to_string_lossy().starts_with(".skep"));
            assert!(left.is_none(), "{left:?}");
        }
    };
    assert_eq!(sync()["totals"]["new"], 4);
    same(&["a", "disk/b", "disk/sub/c", "disk/sub/d"]);
    // Moved over the border both ways, linked, turned from one kind into another.
    let here = |name: &str| from.path(&format!("all/{name}"));
    fs::rename(here("a"), here("disk/a")).unwrap();
    fs::rename(here("disk/sub/d"), here("d")).unwrap();
    fs::remove_dir_all(here("disk/sub")).unwrap();
    fs::write(here("disk/sub"), "a file now").unwrap();
    fs::remove_file(here("disk/b")).unwrap();
    from.data("all/disk/b/in", 5_000);
    fs::hard_link(here("disk/a"), here("disk/again")).unwrap();
    std::os::unix::fs::symlink("a", here("disk/link")).unwrap();
    let totals = &sync()["totals"];
    assert_eq!(
        (&totals["moved"], &totals["linked"], &totals["symlinks"]),
        (&2.into(), &1.into(), &1.into()),
        "{totals}"
    );
    same(&["disk/a", "d", "disk/sub", "disk/b/in", "disk/again", "disk/link"]);
    assert_eq!(sync()["totals"]["moved"], 0);
    assert_eq!(node.stop(), 0);
}
