//! Commands that need no node: help, configuration, manifests, verification, errors.
#![allow(clippy::unwrap_used)]

mod common;

use common::Lab;

#[test]
fn help_is_a_manual() {
    let lab = Lab::new();
    let help = lab.run(&["--help"]);
    help.expect(0);
    for words in ["Exit codes", "3  not complete, can be resumed", "share", "--state-dir", "SKEP_STATE_DIR", "KiB"] {
        assert!(help.stdout().contains(words), "{words}");
    }
    let help = lab.run(&["get", "--help"]);
    for words in ["skep://HOST:PORT/CONTENT_ID", "--peer", "[default: rarest]", "SKEP_GET_ORDER", "-o, --output-dir"] {
        assert!(help.stdout().contains(words), "{words}: {}", help.stdout());
    }
    assert!(lab.run(&["--version"]).expect(0).stdout().starts_with("skep "));
}

#[test]
fn a_wrong_command_line_exits_with_2() {
    let lab = Lab::new();
    for args in [
        &["frobnicate"][..],
        &["get"],
        &["get", "--order", "backwards", "x"],
        &["limit", "--up", "0"],
        &["pause", "seven"],
        &["verify", "x"],
        &["share", "x", "--piece-length", "12XB"],
        &["manifest", "x", "--url", "http://x"],
    ] {
        let ended = lab.run(args);
        ended.expect(2);
        assert!(ended.stdout().is_empty() && !ended.stderr().is_empty(), "{args:?}");
    }
}

#[test]
fn with_json_errors_are_one_object_too() {
    let lab = Lab::new();
    for (args, code, words) in [
        (&["--json", "get"][..], 2, "required"),
        (&["ls", "--json"], 1, "no node runs"),
        (&["--json", "get", "nothing-there"], 1, "nothing-there"),
        (&["--json", "get", "ftp://x/y"], 2, "ftp"),
    ] {
        let ended = lab.run(args);
        ended.expect(code);
        let object = ended.last();
        assert_eq!((&object["type"], &object["exit_code"]), (&"error".into(), &code.into()), "{args:?}");
        assert!(object["error"].as_str().unwrap().contains(words), "{object}");
        assert!(ended.stderr().is_empty(), "{:?}", ended.stderr());
    }
}

#[test]
fn errors_are_one_line_and_say_what_to_do() {
    let lab = Lab::new();
    for (args, words) in [
        (&["ls"][..], "skep serve"),
        (&["pause", "1"], "skep serve"),
        (&["limit", "--up", "5M"], "skep serve"),
        (&["ban", "list"], "skep serve"),
    ] {
        let ended = lab.run(args);
        ended.expect(1);
        assert!(ended.stderr().contains(words) && ended.stderr().trim().lines().count() == 1, "{}", ended.stderr());
    }
    let path = lab.data("a", 10);
    let ended = lab.run(&["share", path.to_str().unwrap()]);
    assert!(ended.expect(1).stderr().contains("--serve"), "{}", ended.stderr());
}

#[test]
fn the_console_needs_a_terminal() {
    let ended = Lab::new().run(&[]);
    assert!(ended.expect(2).stderr().contains("terminal"));
}

#[test]
fn settings_are_shown_with_their_sources() {
    let lab = Lab::new();
    let config = lab.path("c.toml");
    std::fs::write(&config, "listen = \"127.0.0.1:3\"\nname = \"from-file\"\n[limits]\nup = \"5M\"\n").unwrap();
    let config = config.to_str().unwrap();
    let ended = |args: &[&str]| {
        let mut command = lab.command(args);
        command.env("SKEP_LISTEN", "127.0.0.1:2");
        common::Ended(command.output().unwrap())
    };
    let shown = ended(&["config", "show", "--config", config]);
    shown.expect(0);
    let line = |start: &str| shown.stdout().lines().find(|l| l.starts_with(start)).unwrap().to_owned();
    assert!(line("listen").contains("127.0.0.1:2") && line("listen").ends_with("# environment, SKEP_LISTEN"));
    assert!(line("name").ends_with("# file, line 2"), "{}", line("name"));
    assert!(line("up =").contains("\"5M\"") && line("up =").ends_with("# file, line 4"));
    assert!(line("trusted").ends_with("# default"));

    let objects = ended(&["--json", "config", "show", "--config", config]).objects();
    let json = objects.iter().find(|o| o["key"] == "json").unwrap();
    assert_eq!((&json["value"], &json["source"]), (&true.into(), &"flag --json".into()));

    // What is shown is a configuration itself.
    let copy = lab.path("copy.toml");
    std::fs::write(&copy, shown.stdout()).unwrap();
    lab.run(&["config", "show", "--config", copy.to_str().unwrap()]).expect(0);
}

#[test]
fn a_broken_configuration_is_named_and_can_be_mended() {
    let lab = Lab::new();
    let folder = lab.path("home/.config/skep");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("config.toml"), "[share]\npiece_lenght = 5\n").unwrap();
    let ended = lab.run(&["ls"]);
    let error = ended.expect(2).stderr();
    for words in ["share.piece_lenght", "config.toml", "line 2", "share.piece_length"] {
        assert!(error.contains(words), "{error}");
    }
    let template = lab.run(&["config", "template"]);
    template.expect(0);
    assert!(template.stdout().contains("#listen = \"127.0.0.1:7070\""));
    let path = lab.run(&["config", "path"]);
    assert!(path.expect(0).stdout().trim().ends_with("skep/config.toml"));
    std::fs::write(folder.join("config.toml"), template.stdout()).unwrap();
    lab.run(&["config", "show"]).expect(0);
    lab.run(&["--config", "/nonexistent.toml", "config", "show"]).expect(2);
}

#[test]
fn completions_and_pages() {
    let lab = Lab::new();
    for shell in ["bash", "zsh", "fish"] {
        let ended = lab.run(&["completions", shell]);
        assert!(ended.expect(0).stdout().contains("state-dir"), "{shell}");
    }
    assert!(lab.run(&["man"]).expect(0).stdout().contains(".TH skep"));
    assert!(lab.run(&["man", "get"]).expect(0).stdout().contains("CONTENT_ID"));
    lab.run(&["man", "frobnicate"]).expect(2);
    lab.run(&["man", "--out", "pages"]).expect(0);
    for page in ["skep.1", "skep-get.1", "skep-ban-lift.1"] {
        assert!(lab.path("pages").join(page).exists(), "{page}");
    }
}

/// The page of keys in the documentation is what the table of actions says.
#[test]
fn the_page_of_keys_is_fresh() {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/KEYS.md");
    let made = Lab::new().run(&["keys", "--markdown"]).stdout();
    let kept = std::fs::read_to_string(page).unwrap();
    assert!(made == kept, "docs/KEYS.md is stale: cargo run -- keys --markdown > docs/KEYS.md");
}

#[test]
fn a_closed_pipe_is_quiet() {
    let lab = Lab::new();
    for args in [&["config", "template"][..], &["completions", "bash"], &["--json", "config", "show"]] {
        let mut command = lab.command(args);
        // A pipe whose reading end is closed before the first byte.
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let output = command.stdout(writer).stderr(std::process::Stdio::piped()).spawn().unwrap();
        let output = output.wait_with_output().unwrap();
        assert_eq!((output.status.code(), output.stderr.len()), (Some(0), 0), "{args:?}");
    }
}

#[test]
fn manifest_and_verify() {
    let lab = Lab::new();
    lab.data("tree/a b\nc", 700_000);
    lab.data("tree/sub/empty", 0);
    lab.data("tree/sub/d", 300_000);
    let made = lab.run(&["--json", "manifest", "tree", "-o", "m.json", "--piece-length", "64KiB"]);
    made.expect(0);
    assert_eq!((&made.last()["pieces"], &made.last()["bytes"]), (&16.into(), &1_000_000.into()));
    let printed = lab.run(&["manifest", "tree", "--piece-length", "64KiB"]);
    assert_eq!(printed.expect(0).stdout(), std::fs::read_to_string(lab.path("m.json")).unwrap());

    let intact = lab.run(&["verify", "tree", "--manifest", "m.json"]);
    assert!(intact.expect(0).stdout().contains("verified"));
    assert_eq!(lab.run(&["--json", "verify", "tree", "--manifest", "m.json"]).expect(0).last()["verified"], true);

    // One byte is wrong, one file gone.
    let mut bytes = std::fs::read(lab.path("tree/a b\nc")).unwrap();
    bytes[100_000] ^= 1;
    std::fs::write(lab.path("tree/a b\nc"), bytes).unwrap();
    std::fs::remove_file(lab.path("tree/sub/empty")).unwrap();
    let wrong = lab.run(&["verify", "tree", "--manifest", "m.json"]);
    wrong.expect(4);
    assert!(wrong.stdout().contains("missing  sub/empty"), "{}", wrong.stdout());
    assert!(wrong.stdout().contains("damaged  a b\u{fffd}c"), "{}", wrong.stdout());
    assert!(wrong.stderr().contains("1 of 16 pieces wrong"), "{}", wrong.stderr());
    let wrong = lab.run(&["--json", "verify", "tree", "--manifest", "m.json"]).expect(4).last();
    assert_eq!((&wrong["pieces_good"], &wrong["verified"]), (&15.into(), &false.into()));
    assert_eq!(wrong["missing"][0], "sub/empty");

    lab.run(&["verify", "gone", "--manifest", "m.json"]).expect(4);
    lab.run(&["verify", "tree/sub/d", "--manifest", "m.json"]).expect(4);
    std::fs::write(lab.path("no.json"), "{}").unwrap();
    lab.run(&["verify", "tree", "--manifest", "no.json"]).expect(1);
}

#[test]
fn metalink_names_its_mirrors() {
    let lab = Lab::new();
    lab.data("a b.bin", 600_000);
    let args =
        ["manifest", "a b.bin", "--format", "metalink", "--url", "http://m.example/pub/", "--url", "https://n.example"];
    let text = lab.run(&args).expect(0).stdout();
    for words in ["http://m.example/pub/a%20b.bin", "https://n.example/a%20b.bin", "<size>600000</size>", "sha-256"] {
        assert!(text.contains(words), "{words}: {text}");
    }
    std::fs::write(lab.path("x.meta4"), text).unwrap();
    lab.run(&["verify", "a b.bin", "--manifest", "x.meta4"]).expect(0);
}

#[test]
fn names_never_steer_the_terminal() {
    let lab = Lab::new();
    lab.data("t/\x1b[31mred", 10);
    lab.run(&["manifest", "t", "-o", "m.json"]).expect(0);
    std::fs::remove_file(lab.path("t/\x1b[31mred")).unwrap();
    let ended = lab.run(&["verify", "t", "--manifest", "m.json"]);
    ended.expect(4);
    assert!(!ended.stdout().contains('\x1b') && ended.stdout().contains("[31mred"));
    let ended = lab.run(&["get", "\x1b[31mx"]);
    assert!(!ended.stderr().contains('\x1b'), "{:?}", ended.stderr());
}

#[test]
fn colours_on_demand_only() {
    let lab = Lab::new();
    assert!(lab.run(&["ls", "--color", "always"]).stderr().contains("\x1b[1;31m"));
    assert!(!lab.run(&["ls"]).stderr().contains('\x1b'), "no terminal");
    assert!(!lab.run(&["ls", "--color", "never"]).stderr().contains('\x1b'));
}

#[test]
fn beyond_loopback_only_with_a_token() {
    let ended = Lab::new().run(&["serve", "--listen", "0.0.0.0:0"]);
    assert!(ended.expect(5).stderr().contains("--token-file"), "{}", ended.stderr());
}

/// The pictures and the recording of the documentation are what the console shows of the demo.
#[test]
fn the_demo_draws_pictures_of_itself() {
    let lab = Lab::new();
    let folder = lab.path("pictures");
    std::fs::create_dir(&folder).unwrap();
    let args = ["demo", "--headless", "--seconds", "2", "--pictures", folder.to_str().unwrap()];
    lab.run(&args).expect(0);
    let read = |name: &str| std::fs::read_to_string(folder.join(name)).unwrap();
    for name in ["console.svg", "pieces.svg", "light.svg", "small.svg"] {
        let svg = read(name);
        assert!(svg.starts_with("<svg") && svg.ends_with("</svg>\n"));
        for words in ["debian-13-amd64.img", "EMBEDDED", "this node", "of 384 here", "fps"] {
            assert!(svg.contains(words), "{name}: {words}");
        }
    }
    let nodes = read("nodes.svg");
    for words in ["6 Nodes", "site-quito", "ADDS", "van-42"] {
        assert!(nodes.contains(words), "{words}");
    }
    let mut parser = vt100::Parser::new(40, 120, 0);
    for line in read("demo.cast").lines().skip(1) {
        let event: serde_json::Value = serde_json::from_str(line).unwrap();
        parser.process(event[2].as_str().unwrap().as_bytes());
    }
    let shown = parser.screen().contents();
    assert!(shown.contains("debian-13-amd64.img") && shown.contains("Commands"), "{shown}");
}

/// The demo goes on: a push over three paths comes to its end and another follows, uploads are received, and what is old
/// makes room.
#[test]
fn the_demo_does_not_go_quiet() {
    use skep_engine::control::{Focus, Snapshot, TransferKind, TransferRow, TransferState};
    // Not what waits for the ship.
    fn is_push(row: &TransferRow) -> bool {
        row.kind == TransferKind::Send && row.queued.is_none() && !row.dest.starts_with("pool:")
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let fleet = skep::demo::fleet::Fleet::start(1, &skep_engine::log::Logs::default()).await.unwrap();
        let folder = fleet.folder().to_owned();
        let control = fleet.control();
        let mut view = control.view(Focus::default());
        let mut until = async |what: &str, wanted: fn(&Snapshot) -> bool| {
            let found =
                tokio::time::timeout(std::time::Duration::from_secs(300), view.snapshots.wait_for(|s| wanted(s)));
            let Ok(found) = found.await else {
                let last = control.view(Focus::default()).snapshots.borrow().clone();
                panic!("not so: {what}: {:#?} {:#?}", last.pool.nodes, last.transfers);
            };
            let most = found.unwrap().transfers.len();
            // With what is on its way to the ship, whose link comes and goes, and what the pool keeps, sent and perhaps kept here.
            assert!(most <= 20, "{what}: {most} rows");
        };
        until("all nodes are in the pool", |s| s.pool.nodes.len() == 8).await;
        until("one is drained", |s| s.pool.nodes.iter().any(|row| row.available && row.draining)).await;
        until("one has too much to do", |s| s.pool.nodes.iter().any(|row| row.excluded.is_some())).await;
        until("three nodes keep what was sent once", |s| {
            let is_sent = |row: &TransferRow| row.dest == "pool:default" && row.state == TransferState::Done;
            // Requests at the end may be sent to two of them, and the pieces are few.
            s.transfers.iter().any(|row| is_sent(row) && row.bytes_up < row.size * 2)
        })
        .await;
        until("three paths", |s| s.transfers.iter().any(|row| row.paths.len() == 3)).await;
        until("a push is complete", |s| s.transfers.iter().any(|row| is_push(row) && row.state == TransferState::Done))
            .await;
        until("another follows", |s| s.transfers.iter().filter(|row| is_push(row)).count() == 2).await;
        until("an upload is received", |s| {
            s.transfers.iter().any(|row| row.kind == TransferKind::Receive && row.state == TransferState::Done)
        })
        .await;
        until("the first content made room", |s| s.transfers.iter().all(|row| row.name != "debian-13-amd64.img")).await;
        let failed = |row: &&std::sync::Arc<TransferRow>| row.state == TransferState::Failed && row.queued.is_none();
        let failed = |s: &Snapshot| s.transfers.iter().filter(failed).count();
        assert_eq!(failed(&view.snapshots.borrow().clone()), 0);
        fleet.shutdown().await;
        assert!(!folder.exists(), "nothing is left behind");
    });
}

#[test]
fn what_cannot_be_played_is_said_without_a_terminal() {
    let lab = Lab::new();
    let letter = lab.data("letter.txt", 100);
    let ended = lab.run(&["attach", "--replay", letter.to_str().unwrap()]);
    assert!(ended.expect(1).stderr().contains("is no recording of the console"), "{}", ended.stderr());
    let ended = lab.run(&["attach", "--replay", "nowhere.skeprec"]);
    assert!(ended.expect(1).stderr().contains("nowhere.skeprec"), "{}", ended.stderr());
    lab.run(&["attach", "http://127.0.0.1:1", "--replay", "x"]).expect(2);
    let wrong = lab.command(&["attach", "attic"]).env("SKEP_CONSOLE_TARGETS", "attic").output().unwrap();
    assert_eq!(wrong.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&wrong.stderr).contains("NAME=URL"));
}

#[test]
fn a_signature_goes_where_a_link_leads_and_into_a_pipe() {
    let lab = Lab::new();
    let data = lab.data("data", 10_000);
    let (data, real, link, pipe) = (data.to_str().unwrap(), lab.path("real"), lab.path("link"), lab.path("pipe"));
    std::os::unix::fs::symlink("real", &link).unwrap();
    std::fs::write(&real, "old").unwrap();
    lab.run(&["delta", "signature", data, link.to_str().unwrap()]).expect(0);
    assert!(link.is_symlink());
    let signature = std::fs::read(&real).unwrap();
    assert!(signature.len() > 12, "{signature:?}");
    let mode = rustix::fs::Mode::from_raw_mode(0o600);
    rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, mode, 0).unwrap();
    let reader = pipe.clone();
    let from = std::thread::spawn(move || std::fs::read(reader).unwrap());
    lab.run(&["delta", "signature", data, pipe.to_str().unwrap()]).expect(0);
    assert!(from.join().unwrap() == signature && !pipe.is_file());
}
