//! `kill -9` of either side of a sync between any two steps; sources that are not what they were.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::common::{Ended, Lab};
use super::{names, says};

/// What a receiver does one after another.
const RECEIVED: [&str; 5] = ["upload:verified", "upload:landed", "sync:operation", "sync:carried-out", "sync:synced"];

/// What a sender does one after another.
const SENT: [&str; 5] = ["sync:planned", "sync:prepared", "sync:sent", "sync:placed", "sync:deleted"];

/// Everything below a folder: content, target, or nothing.
fn listing(dir: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let (mut found, mut next) = (BTreeMap::new(), vec![dir.to_owned()]);
    while let Some(folder) = next.pop() {
        for child in fs::read_dir(&folder).unwrap() {
            let path = child.unwrap().path();
            let meta = path.symlink_metadata().unwrap();
            let content = if meta.is_symlink() {
                fs::read_link(&path).unwrap().into_os_string().into_encoded_bytes()
            } else if meta.is_dir() {
                next.push(path.clone());
                Vec::new()
            } else {
                fs::read(&path).unwrap()
            };
            found.insert(path.strip_prefix(dir).unwrap().to_owned(), content);
        }
    }
    found
}

/// A tree here, and an older version of it there: something of everything that can happen to an entry.
fn trees(from: &Lab, root: &Path) {
    let tree = from.path("tree");
    from.data("tree/large", 700_000);
    from.data("tree/moved/to", 300_000);
    for n in 0..20 {
        from.data(&format!("tree/many/{n}"), 1000 + n);
    }
    fs::write(tree.join("was-folder"), "a file now").unwrap();
    from.data("tree/was-file/in", 100);
    symlink("large", tree.join("link")).unwrap();
    let there = root.join("in/tree");
    fs::create_dir_all(there.join("was-folder/sub")).unwrap();
    fs::create_dir_all(there.join("gone/sub")).unwrap();
    fs::copy(tree.join("moved/to"), there.join("from")).unwrap();
    fs::write(there.join("large"), vec![1; 700_001]).unwrap();
    fs::write(there.join("was-folder/sub/x"), "x").unwrap();
    fs::write(there.join("was-file"), "a file").unwrap();
    fs::write(there.join("gone/sub/y"), "y").unwrap();
}

/// Each file there is the old one or the new one; what is to go may be gone.
#[track_caller]
fn is_old_or_new(before: &BTreeMap<PathBuf, Vec<u8>>, wanted: &BTreeMap<PathBuf, Vec<u8>>, there: &Path, step: &str) {
    for (path, content) in listing(there) {
        let known = [before.get(&path), wanted.get(&path)];
        assert!(known.contains(&Some(&content)), "{step}: {path:?} is neither the old one nor the new one");
    }
}

#[test]
fn a_receiver_killed_at_any_step_of_a_sync_is_made_equal_afterwards() {
    for step in RECEIVED {
        let (from, to) = (Lab::new(), Lab::new());
        let root = to.path("root");
        trees(&from, &root);
        let (tree, there) = (from.path("tree"), root.join("in/tree"));
        let (before, wanted) = (listing(&there), listing(&tree));
        let serve = ["serve", "--root", "root", "--listen", "127.0.0.1:0"];
        let mut node = to.spawn_to_die_at(step, &serve).listening();
        let url = node.url.clone().unwrap();
        let dest = format!("{url}/in/");
        let mut sync = from.spawn(&["sync", "tree", &dest, "--delete"]);
        assert_eq!(node.wait().0, -1, "{step} is not reached");
        is_old_or_new(&before, &wanted, &there, step);
        let _node = to.serve_at(url.strip_prefix("http://").unwrap(), &["--root", "root"]);
        sync.wait();
        from.run(&["sync", "tree", &dest, "--delete"]).expect(0);
        assert!(listing(&there) == wanted, "{step}");
        assert_eq!(names(&root.join("in")), ["tree"], "{step}");
    }
}

#[test]
fn a_sender_killed_at_any_step_of_a_sync_goes_on() {
    for step in SENT {
        let (from, to) = (Lab::new(), Lab::new());
        let root = to.path("root");
        let node = to.serve(&["--root", "root"]);
        trees(&from, &root);
        let (tree, there) = (from.path("tree"), root.join("in/tree"));
        let (before, wanted) = (listing(&there), listing(&tree));
        let dest = format!("{}/in/", node.url.as_deref().unwrap());
        let (code, said) = from.spawn_to_die_at(step, &["sync", "tree", &dest, "--delete"]).wait();
        assert_eq!(code, -1, "{step} is not reached: {said}");
        is_old_or_new(&before, &wanted, &there, step);
        if step != "sync:deleted" {
            assert!(there.join("gone/sub/y").exists(), "{step}: nothing goes before all else stands");
        }
        from.run(&["sync", "tree", &dest, "--delete"]).expect(0);
        assert!(listing(&there) == wanted, "{step}");
    }
}

/// `skep` without the privilege of reading where modes forbid it: root has it, operators have not.
fn unprivileged(lab: &Lab, args: &[&str]) -> Ended {
    let plain = lab.command(args);
    let mut command = if rustix::process::geteuid().is_root() {
        let mut command = Command::new("setpriv");
        command.args(["--bounding-set", "-dac_override,-dac_read_search"]).arg(plain.get_program());
        command
    } else {
        Command::new(plain.get_program())
    };
    command.args(plain.get_args()).current_dir(lab.dir.path()).stdin(Stdio::null());
    for (name, value) in plain.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    Ended(command.output().unwrap())
}

/// A folder that cannot be read is not a folder that is empty: what the other end has of it stays.
#[test]
fn what_cannot_be_read_here_is_not_deleted_there() {
    let (from, to) = (Lab::new(), Lab::new());
    let node = to.serve(&["--root", "root"]);
    let dest = format!("{}/in/", node.url.as_deref().unwrap());
    let (tree, there) = (from.path("tree"), to.path("root/in/tree"));
    from.data("tree/closed/precious", 1000);
    from.data("tree/closed/sub/too", 1000);
    from.data("tree/secret", 1000);
    from.data("tree/goes", 10);
    from.run(&["sync", "tree", &dest, "--delete"]).expect(0);
    let whole = listing(&there);
    let mode = |path: &str, mode| fs::set_permissions(tree.join(path), fs::Permissions::from_mode(mode)).unwrap();
    mode("closed", 0o000);
    mode("secret", 0o000);
    fs::remove_file(tree.join("goes")).unwrap();
    from.data("tree/comes", 10);
    let ended = unprivileged(&from, &["sync", "tree", &dest, "--delete"]);
    let now = listing(&there);
    for path in ["closed/precious", "closed/sub/too", "secret"] {
        assert_eq!(now.get(Path::new(path)), whole.get(Path::new(path)), "{path}: {ended:?}");
    }
    assert!(!there.join("goes").exists() && there.join("comes").exists(), "the rest goes on: {ended:?}");
    // Not even its top: nothing at all is done.
    fs::set_permissions(&tree, fs::Permissions::from_mode(0o000)).unwrap();
    let before = listing(&there);
    let ended = unprivileged(&from, &["sync", "tree", &dest, "--delete"]);
    assert_ne!(ended.code(), 0, "{ended:?}");
    says(&ended, &["tree", "Permission denied"]);
    assert!(listing(&there) == before);
    fs::set_permissions(&tree, fs::Permissions::from_mode(0o755)).unwrap();
    mode("closed", 0o755);
}

/// That is how backups are lost: a disk is not mounted today, and its empty folder is copied.
#[test]
fn an_empty_source_deletes_nothing_unless_that_is_meant() {
    let (from, to) = (Lab::new(), Lab::new());
    let node = to.serve(&["--root", "root"]);
    let dest = format!("{}/in/", node.url.as_deref().unwrap());
    let (tree, there) = (from.path("tree"), to.path("root/in/tree"));
    from.data("tree/disk/a", 1000);
    from.data("tree/disk/sub/b", 1000);
    from.run(&["sync", "tree", &dest, "--delete"]).expect(0);
    let whole = listing(&there);
    let refused = |words: &[&str]| {
        let ended = from.run(&["sync", "tree", &dest, "--delete"]);
        assert_ne!(ended.code(), 0, "{ended:?}");
        says(&ended, words);
        assert!(listing(&there) == whole, "{words:?}");
    };
    // Below the tree's top, at its top, and no top at all.
    fs::remove_dir_all(tree.join("disk")).unwrap();
    fs::create_dir(tree.join("disk")).unwrap();
    refused(&["no file", "--force"]);
    fs::remove_dir(tree.join("disk")).unwrap();
    refused(&["no file", "--force"]);
    fs::remove_dir(&tree).unwrap();
    refused(&["tree", "No such file"]);
    fs::write(&tree, "a file").unwrap();
    refused(&["tree", "is no file there"]);
    fs::remove_file(&tree).unwrap();
    fs::create_dir(&tree).unwrap();
    // Without --delete there is nothing to refuse, and with --force it is meant.
    from.run(&["sync", "tree", &dest]).expect(0);
    assert_eq!(listing(&there), whole);
    from.run(&["sync", "tree", &dest, "--delete", "--force"]).expect(0);
    assert!(listing(&there).is_empty());
}
