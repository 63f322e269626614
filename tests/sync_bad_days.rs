//! Bad days of `skep sync`: names, kinds and times of every sort, receivers that lie, trees that change between two
//! requests. Nothing outside the root is ever written, nothing is lost.
#![allow(clippy::unwrap_used, missing_docs)]

mod common;

use std::ffi::OsStr;
use std::fs::{self, FileTimes};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, UNIX_EPOCH};

use axum::http::Method;
use common::meddler::{Asked, Meddle, Meddler, endless};
use common::tree::listing;
use common::{TestNode, noise};
use skep_engine::control::{Command, SyncRequest, TransferRow, TransferState};
use skep_engine::push::retry::Pace;

/// A sender with a tree, and a receiver of it.
struct Pair {
    from: TestNode,
    to: TestNode,
    dir: tempfile::TempDir,
}

impl Pair {
    async fn new() -> Self {
        let from = TestNode::start_with(|config| config.pace = Pace(0.02)).await;
        let (to, dir) = (TestNode::start().await, tempfile::tempdir().unwrap());
        fs::create_dir(dir.path().join("tree")).unwrap();
        Self { from, to, dir }
    }

    fn tree(&self) -> PathBuf {
        self.dir.path().join("tree")
    }

    fn there(&self) -> PathBuf {
        self.to.root().join("in/tree")
    }

    fn write(&self, path: impl AsRef<Path>, bytes: &[u8]) {
        let path = self.tree().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }

    /// How a sync ends.
    async fn ends(&self, url: &str, change: impl FnOnce(&mut SyncRequest)) -> TransferRow {
        let mut request =
            SyncRequest { path: self.tree(), dest: format!("{url}/in/"), delete: true, ..SyncRequest::default() };
        change(&mut request);
        let id = self.from.added(Command::Sync(request)).await;
        self.from.wait(id, |row| row.state.is_settled()).await
    }

    /// A sync that must go well, and one behind it that must find nothing to do.
    #[track_caller]
    fn is_equal(&self) {
        assert_eq!(listing(&self.tree()), listing(&self.there()));
        let left: Vec<_> = fs::read_dir(self.to.root()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(left, ["in"], "nothing is left behind");
    }

    async fn sync(&self) {
        let url = self.to.url();
        let row = self.ends(&url, |_| ()).await;
        assert_eq!(row.state, TransferState::Done, "{row:#?}");
        self.is_equal();
        let row = self.ends(&url, |_| ()).await;
        assert!(row.sync.unwrap().is_nothing(), "{row:#?}");
    }
}

/// Path, mode, time and content or target of everything below.
#[tokio::test]
async fn an_entry_becomes_whatever_it_likes_and_back_again() {
    let pair = Pair::new().await;
    pair.write("stays", b"1");
    let entry = pair.tree().join("turns");
    let clear = || match entry.symlink_metadata() {
        Ok(meta) if meta.is_dir() => fs::remove_dir_all(&entry).unwrap(),
        Ok(_) => fs::remove_file(&entry).unwrap(),
        Err(_) => {}
    };
    // From each kind to each other one.
    for kind in ["file", "folder", "link", "file", "link", "folder", "file", "nothing", "folder", "nothing"] {
        clear();
        match kind {
            "file" => pair.write("turns", b"a file"),
            "folder" => pair.write("turns/into/deep", b"in a folder"),
            "link" => symlink("stays", &entry).unwrap(),
            _ => {}
        }
        pair.sync().await;
    }
}

#[tokio::test]
async fn names_of_every_sort_arrive_and_go() {
    let pair = Pair::new().await;
    let mut names: Vec<Vec<u8>> = [
        "case",
        "Case",
        "CASE", // one name where case does not count
        "\u{e9}",
        "e\u{301}", // one word, composed and not
        "line\nbreak",
        "\x1b[2J\x1b[31mred",
        "\r",
        "bell\x07",
        "\u{202e}gpj.exe",
        "tab\t",
        " ",
        "  spaces  ",
        "-rf",
        "--delete",
        "*",
        "?",
        "[a-z]",
        "!not",
        "#no rule",
        "\\",
        "\\x41",
        "\\n",
        "...",
        "..a",
        ".hidden",
        "~",
        "$HOME",
        "%2e%2e",
        "%00",
        "a:b",
        "\"quoted\"",
        "con",
        "|",
        "&",
        "名前",
        "\u{1f600}",
        "\u{feff}",
    ]
    .into_iter()
    .map(|name| name.as_bytes().to_vec())
    .collect();
    names.push(vec![0xff, 0xfe, b'\n']);
    names.push(b"half \xc3".to_vec());
    names.push(vec![b'n'; 255]);
    for (n, name) in names.iter().enumerate() {
        pair.write(OsStr::from_bytes(name), format!("file {n}").as_bytes());
        pair.write(Path::new("folders").join(OsStr::from_bytes(name)).join("in"), b"x");
    }
    symlink(OsStr::from_bytes(&names[5]), pair.tree().join("to a line break")).unwrap();
    pair.sync().await;
    assert_eq!(listing(&pair.there()).len(), names.len() * 3 + 2);
    // Case alone changes; a name becomes its other spelling.
    fs::rename(pair.tree().join("case"), pair.tree().join("cAsE")).unwrap();
    fs::remove_file(pair.tree().join("\u{e9}")).unwrap();
    pair.sync().await;
    fs::remove_dir_all(pair.tree().join("folders")).unwrap();
    pair.sync().await;
}

#[tokio::test]
async fn a_deep_tree_arrives_and_what_is_deeper_is_told() {
    let pair = Pair::new().await;
    let deep: PathBuf = (0..127).map(|n| format!("level {n}")).collect();
    pair.write(deep.join("bottom"), b"deep");
    pair.sync().await;
    let far: PathBuf = (0..140).map(|n| format!("l{n}")).collect();
    pair.write(far.join("bottom"), b"deeper");
    pair.write("beside", b"1");
    let row = pair.ends(&pair.to.url(), |_| ()).await;
    assert_eq!(row.state, TransferState::Done, "{row:#?}");
    assert_eq!(fs::read(pair.there().join("beside")).unwrap(), b"1");
    assert!(pair.there().join("l0/l1").exists() && !pair.there().join(&far).exists());
    // What was too deep to be sent is not deleted where it is: it was never looked at.
    fs::create_dir_all(pair.there().join(&far)).unwrap();
    let row = pair.ends(&pair.to.url(), |_| ()).await;
    assert!(row.state == TransferState::Done && pair.there().join(&far).exists(), "{row:#?}");
}

#[tokio::test]
async fn times_of_clocks_that_are_wrong_arrive_as_they_are() {
    let pair = Pair::new().await;
    let times = [
        UNIX_EPOCH + Duration::from_secs(7_000_000_000),
        UNIX_EPOCH - Duration::new(86_400 * 365, 1),
        UNIX_EPOCH,
        UNIX_EPOCH + Duration::new(1_700_000_000, 999_999_999),
    ];
    for (n, time) in times.into_iter().enumerate() {
        pair.write(format!("f{n}"), b"x");
        pair.write(format!("d{n}/f"), b"x");
        for path in [format!("f{n}"), format!("d{n}")] {
            let file = fs::File::open(pair.tree().join(path)).unwrap();
            file.set_times(FileTimes::new().set_modified(time)).unwrap();
        }
    }
    pair.sync().await;
    // The receiver's is the newer one, by its clock: what is here counts.
    fs::write(pair.there().join("f2"), "theirs, from the future").unwrap();
    let future = FileTimes::new().set_modified(UNIX_EPOCH + Duration::from_secs(9_000_000_000));
    fs::File::options().write(true).open(pair.there().join("f2")).unwrap().set_times(future).unwrap();
    pair.sync().await;
}

/// Something that happens once, before the first request to a route.
fn before(route: &'static str, what: impl Fn() + Send + Sync + 'static) -> impl Fn(&Asked) -> Meddle + Send + Sync {
    let done = AtomicBool::new(false);
    move |asked| {
        if asked.is(Method::POST, route) && !done.swap(true, Ordering::Relaxed) {
            what();
        }
        Meddle::Pass
    }
}

#[tokio::test]
async fn a_link_planted_where_a_folder_was_leads_nowhere() {
    let outside = tempfile::tempdir().unwrap();
    fs::write(outside.path().join("f"), "theirs").unwrap();
    fs::create_dir(outside.path().join("sub")).unwrap();
    fs::write(outside.path().join("sub/gone"), "theirs").unwrap();
    let untouched = listing(outside.path());
    for (route, planted) in
        [("/sync/compare", "d"), ("/sync/list", "d"), ("/upload/", "d"), ("/sync/apply", "d"), ("/sync/apply", "")]
    {
        let pair = Pair::new().await;
        for path in ["d/f", "d/sub/f", "d/sub/gone", "e"] {
            pair.write(path, path.as_bytes());
        }
        pair.sync().await;
        pair.write("d/f", b"changed and longer");
        pair.write("d/sub/new/file", b"new");
        fs::remove_file(pair.tree().join("d/sub/gone")).unwrap();
        fs::set_permissions(pair.tree().join("d"), fs::Permissions::from_mode(0o700)).unwrap();
        let (at, aside, to) = (pair.there().join(planted), pair.to.dir.path().join("aside"), outside.path().to_owned());
        let at = PathBuf::from(at.to_str().unwrap().trim_end_matches('/'));
        let plant = move || {
            fs::rename(&at, &aside).unwrap();
            symlink(&to, &at).unwrap();
        };
        let meddler = Meddler::to(&pair.to.url(), before(route, plant)).await;
        let row = pair.ends(&meddler.url, |_| ()).await;
        assert_eq!(listing(outside.path()), untouched, "{route}: {row:#?}");
        match row.state {
            TransferState::Done => assert_eq!(listing(&pair.tree()), listing(&pair.there()), "{route}"),
            _ => assert!(row.error.as_ref().is_some_and(|error| !error.contains("internal")), "{route}: {row:#?}"),
        }
        // A link below the tree gives way to the folder that belongs there; at the tree's own place it is the operator's.
        let row = pair.ends(&pair.to.url(), |_| ()).await;
        assert_eq!(listing(outside.path()), untouched, "{route}: {row:#?}");
        if planted.is_empty() {
            assert!(row.error.as_ref().unwrap().contains("no folder stands at the destination"), "{row:#?}");
        } else {
            assert_eq!(row.state, TransferState::Done, "{route}: {row:#?}");
            assert_eq!(listing(&pair.tree()), listing(&pair.there()), "{route}");
        }
    }
}

#[tokio::test]
async fn what_is_in_the_way_stays_and_is_named() {
    let pair = Pair::new().await;
    let url = pair.to.url();
    pair.write("other.rs", b"1");
    pair.sync().await;
    // A folder here; a file there that rules hide, with and without --delete.
    pair.write("notes/a.rs", b"2");
    fs::write(pair.there().join("notes"), "mine").unwrap();
    for delete in [false, true] {
        let rules = ["*", "!*/", "!*.rs"].map(String::from).to_vec();
        let row = pair.ends(&url, |request| (request.rules, request.delete) = (rules, delete)).await;
        assert_eq!((row.state, row.verified), (TransferState::Failed, false), "{row:#?}");
        assert!(row.error.as_ref().is_some_and(|error| error.contains("notes")), "{row:#?}");
        assert_eq!(fs::read(pair.there().join("notes")).unwrap(), b"mine");
    }
    // A file here, a folder with something in it there.
    pair.write("f", b"3");
    fs::create_dir(pair.there().join("f")).unwrap();
    fs::write(pair.there().join("f/in"), "mine").unwrap();
    fs::remove_dir_all(pair.tree().join("notes")).unwrap();
    let row = pair.ends(&url, |request| request.delete = false).await;
    assert_eq!((row.state, row.verified), (TransferState::Failed, false), "{row:#?}");
    assert!(row.error.as_ref().is_some_and(|error| error.contains("--delete lets it give way")), "{row:#?}");
    assert_eq!(fs::read(pair.there().join("f/in")).unwrap(), b"mine");
    pair.sync().await;
}

#[tokio::test]
async fn what_goes_or_changes_here_after_it_was_looked_at_is_looked_at_again() {
    for what in ["removed", "replaced", "shorter", "folder", "a folder above"] {
        let pair = Pair::new().await;
        pair.write("d/first", &noise(100_000, 1));
        pair.write("d/second", &noise(200_000, 2));
        pair.write("other", b"1");
        let (tree, at) = (pair.tree(), pair.tree().join("d/first"));
        let change = move || match what {
            "removed" => fs::remove_file(&at).unwrap(),
            "replaced" => {
                fs::write(tree.join("new"), noise(100_000, 3)).unwrap();
                fs::rename(tree.join("new"), &at).unwrap();
            }
            "shorter" => fs::write(&at, "short").unwrap(),
            "folder" => {
                fs::remove_file(&at).unwrap();
                fs::create_dir(&at).unwrap();
                fs::write(at.join("in"), "in").unwrap();
            }
            _ => fs::remove_dir_all(tree.join("d")).unwrap(),
        };
        let meddler = Meddler::to(&pair.to.url(), before("/upload/", change)).await;
        let row = pair.ends(&meddler.url, |_| ()).await;
        assert_eq!(row.state, TransferState::Done, "{what}: {row:#?}");
        pair.sync().await;
    }
}

#[tokio::test]
async fn what_changes_there_after_it_was_looked_at_is_not_lost() {
    let pair = Pair::new().await;
    for path in ["moved", "changed", "gone/f"] {
        pair.write(path, &noise(50_000, path.len() as u64));
    }
    pair.sync().await;
    fs::rename(pair.tree().join("moved"), pair.tree().join("to")).unwrap();
    pair.write("changed", b"changed");
    fs::remove_dir_all(pair.tree().join("gone")).unwrap();
    let there = pair.there();
    // What was to be used again is another file; a folder that was to be deleted got something new.
    let change = move || {
        fs::write(there.join("moved"), "edited there").unwrap();
        fs::write(there.join("gone/new"), "new").unwrap();
    };
    let meddler = Meddler::to(&pair.to.url(), before("/sync/apply", change)).await;
    let row = pair.ends(&meddler.url, |_| ()).await;
    assert_eq!(row.state, TransferState::Done, "{row:#?}");
    pair.sync().await;
}

#[tokio::test]
async fn receivers_that_lie_about_their_trees_get_an_error() {
    let digest = "00".repeat(32);
    let folder = format!(r#"{{"n":"d","m":493,"t":[1,2],"d":"{digest}"}}"#);
    let compared =
        r#"{"snapshot":"x","stands":"folder","same":false,"mode":493,"mtime":[1,2],"folds_case":false}"#.to_owned();
    let listed = |entries: &str| format!(r#"{{"folders":[{{"entries":[{entries}]}}]}}"#);
    let entry = |name: &str| format!(r#"{{"n":"{name}","m":420,"t":[1,2],"s":3}}"#);
    let many: Vec<String> = (0..300_000).map(|n| entry(&format!("{n:07}"))).collect();
    let lies = [
        ("/sync/compare", "<html>".to_owned()),
        ("/sync/compare", "{}".to_owned()),
        (
            "/sync/compare",
            r#"{"snapshot":"x","stands":"folder","same":false,"mode":4294967296,"mtime":[1,2]}"#.to_owned(),
        ),
        ("/sync/compare", "[".repeat(100_000)),
        ("/sync/list", listed(&folder)),
        ("/sync/list", listed(&entry("../../up"))),
        ("/sync/list", listed(&entry("/etc/passwd"))),
        ("/sync/list", listed(&[entry("b"), entry("a")].join(","))),
        ("/sync/list", listed(&[entry("a"), entry("a")].join(","))),
        ("/sync/list", listed(r#"{"n":"a","m":420,"t":[1,2],"s":18446744073709551615}"#)),
        ("/sync/list", r#"{"folders":[null]}"#.to_owned()),
        ("/sync/list", r#"{"folders":[]}"#.to_owned()),
        ("/sync/list", listed(&many.join(","))),
        ("/sync/apply", r#"{"done":1,"failed":[[0,"\u001b[2Jno"]]}"#.to_owned()),
    ];
    for (route, answer) in lies {
        let pair = Pair::new().await;
        pair.write("d/f", b"1");
        let before = listing(&pair.tree());
        let (lie, own) = (answer.clone(), compared.clone());
        let meddler = Meddler::to(&pair.to.url(), move |asked: &Asked| {
            if asked.is(Method::POST, route) {
                Meddle::json(200, &lie)
            } else if route == "/sync/list" && asked.is(Method::POST, "/sync/compare") {
                Meddle::json(200, &own)
            } else {
                Meddle::Pass
            }
        })
        .await;
        // What it lists is not deleted at once: that it would be too much is an answer as good as another.
        let row = pair.ends(&meddler.url, |request| request.max_delete = Some(10)).await;
        let excerpt: String = answer.chars().take(100).collect();
        assert_eq!(row.state, TransferState::Failed, "{route} {excerpt}: {row:#?}");
        let error = row.error.unwrap();
        assert!(!error.chars().any(char::is_control) && !error.contains("internal"), "{route} {excerpt}: {error:?}");
        assert_eq!(listing(&pair.tree()), before);
    }
    // Without end.
    let pair = Pair::new().await;
    pair.write("d/f", b"1");
    let asked_for = AtomicU32::new(0);
    let meddler = Meddler::to(&pair.to.url(), move |asked: &Asked| match asked.is(Method::POST, "/sync/compare") {
        true if asked_for.fetch_add(1, Ordering::Relaxed) < 100 => Meddle::changed(|_, _| endless(vec![b' '; 65_536])),
        _ => Meddle::Pass,
    })
    .await;
    let row = pair.ends(&meddler.url, |_| ()).await;
    assert_eq!(row.state, TransferState::Failed, "{row:#?}");
}

#[tokio::test]
async fn two_syncs_to_one_place_leave_one_tree_or_the_other() {
    let pair = Pair::new().await;
    let second = Pair::new().await;
    for n in 0..40 {
        pair.write(format!("{}/{n}", n % 5), &noise(20_000, n));
        // Of another length: within one tick of the file system's clock both are written at the same time, and a sync takes
        // files of one length and time for equal.
        second.write(format!("{}/{n}", n % 5), &noise(20_001, n + 100));
    }
    let url = pair.to.url();
    let (first, other) = tokio::join!(pair.ends(&url, |_| ()), second.ends(&url, |_| ()));
    for row in [first, other] {
        let told = row.state == TransferState::Done || row.error.as_ref().is_some_and(|error| !error.is_empty());
        assert!(told, "{row:#?}");
    }
    // Each file is whole, and of one of the two.
    let (a, b) = (listing(&pair.tree()), listing(&second.tree()));
    for (path, _, _, _, content) in listing(&pair.there()) {
        let known = a.iter().chain(&b).any(|(own, _, _, _, bytes)| (own, bytes) == (&path, &content));
        assert!(known, "{path:?} is of neither");
    }
    pair.sync().await;
}
