//! `skep send` as an operator uses it: two nodes, the real binary.
#![allow(clippy::unwrap_used)]

mod common;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use common::Lab;
use serde_json::json;

#[test]
fn a_file_arrives_with_its_mode_and_the_result_says_how() {
    let (from, to) = (Lab::new(), Lab::new());
    let node = to.serve(&["--root", "root"]);
    let url = node.url.as_deref().unwrap();
    let path = from.data("data.bin", 3_000_000);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
    let ended = from.run(&["--json", "send", "data.bin", &format!("{url}/in/")]);
    let result = ended.expect(0).last();
    assert_eq!(result["type"], "result");
    assert_eq!(result["strategy"], "transit-chunked-resumable");
    assert_eq!(result["reason"], "there is one path");
    assert_eq!((&result["bytes"], &result["pieces"]), (&3_000_000.into(), &1.into()));
    assert!(result["wire_bytes"].as_u64().unwrap() > 3_000_000 && result["duration_s"].as_f64().unwrap() > 0.0);
    assert_eq!(result["paths"].as_array().unwrap().len(), 1, "{result}");
    assert_eq!(result["verified"], true);
    let there = to.path("root/in/data.bin");
    assert!(fs::read(&path).unwrap() == fs::read(&there).unwrap());
    assert_eq!(fs::metadata(&there).unwrap().permissions().mode() & 0o777, 0o640);
    let mtime = |p| fs::metadata(p).unwrap().modified().unwrap();
    assert_eq!(mtime(&path), mtime(&there));
    // Taken: refused before a byte is sent, or whatever else was asked for.
    let ended = from.run(&["send", "data.bin", &format!("{url}/in/")]);
    ended.expect(1);
    assert!(ended.stderr().contains("409"), "{}", ended.stderr());
    from.run(&["send", "data.bin", &format!("{url}/in/"), "--if-taken", "keep-both"]).expect(0);
    assert_eq!(fs::read_dir(to.path("root/in")).unwrap().count(), 2);
    from.run(&["send", "data.bin", "nonsense://x"]).expect(2);
    from.run(&["send", "no-such-file", url]).expect(1);
}

#[test]
fn a_tree_goes_over_three_paths_at_once() {
    let (from, to) = (Lab::new(), Lab::new());
    let node = to.serve(&["--root", "root"]);
    let url = node.url.as_deref().unwrap();
    from.data("tree/large.bin", 12_000_000);
    for n in 0..200 {
        from.data(&format!("tree/sub{}/small{n}", n % 7), n * 31);
    }
    fs::create_dir(from.path("tree/empty")).unwrap();
    std::os::unix::fs::symlink("large.bin", from.path("tree/link")).unwrap();
    let vias = ["--via", "127.0.0.1", "--via", "127.0.0.2", "--via", "127.0.0.3"];
    let mut args = vec!["--json", "send", "tree", url];
    args.extend(vias);
    let result = from.run(&args).expect(0).last();
    assert_eq!(result["strategy"], "transit-multipath-parallel");
    assert_eq!(result["reason"], "3 of 3 paths answer");
    let paths = result["paths"].as_array().unwrap();
    assert_eq!(paths.len(), 3);
    assert!(paths.iter().all(|path| path["terms"]["latency"].is_number()), "{result}");
    let ended = from.run(&["manifest", "tree", "-o", "tree.json"]);
    ended.expect(0);
    let there = to.path("root/tree");
    from.run(&["verify", there.to_str().unwrap(), "--manifest", "tree.json"]).expect(0);
    assert_eq!(fs::read_link(there.join("link")).unwrap().to_str(), Some("large.bin"));
    assert!(there.join("empty").is_dir());
}

#[test]
fn the_receiver_lists_it_and_what_is_over_can_be_removed() {
    let (from, to) = (Lab::new(), Lab::new());
    let node = to.serve(&["--root", "root"]);
    let url = node.url.as_deref().unwrap();
    from.data("data.bin", 300_000);
    let dest = format!("{url}/in/");
    let sending = from.serve(&[]);
    from.run(&["send", "data.bin", &dest, "--priority", "high", "--via", "127.0.0.1", "--via", "127.0.0.2"]).expect(0);
    let sent = from.run(&["--json", "ls", "--all"]).expect(0).last();
    assert_eq!((&sent["kind"], &sent["direction"], &sent["priority"]), (&"send".into(), &"up".into(), &3.into()));
    assert_eq!((&sent["dest"], &sent["strategy_reason"]), (&dest.clone().into(), &"2 of 2 paths answer".into()));
    assert_eq!(sent["paths"].as_array().unwrap().len(), 2, "{sent}");
    let table = from.run(&["ls", "--all"]);
    for words in ["send", "multipath", "100%", "via 127.0.0.2"] {
        assert!(table.expect(0).stdout().contains(words), "{words} in\n{}", table.stdout());
    }
    let received = to.run(&["--json", "ls", "--all"]).expect(0).last();
    assert_eq!(
        (&received["kind"], &received["state"], &received["name"]),
        (&"receive".into(), &"done".into(), &"data.bin".into())
    );
    assert_eq!((&received["bytes_done"], &received["direction"]), (&300_000.into(), &"down".into()));
    assert!(received["from"].as_str().unwrap().starts_with("127.0.0."), "{received}");
    let id = received["id"].to_string();
    for args in [&["pause", &id][..], &["cancel", &id], &["remove", "--data", &id]] {
        assert!(to.run(args).expect(1).stderr().contains(&format!("transfer {id}")), "{args:?}");
    }
    to.run(&["remove", &id]).expect(0);
    assert!(to.path("root/in/data.bin").exists());
    drop(sending);
}

#[test]
fn what_the_receivers_operator_cancels_fails_at_the_sender_with_the_reason() {
    let (from, to) = (Lab::new(), Lab::new());
    let node = to.serve(&["--root", "root"]);
    let url = node.url.as_deref().unwrap();
    from.data("data.bin", 8_000_000);
    let mut sending = from.spawn(&["send", "data.bin", url, "--up", "400KB", "--segment", "64KiB"]);
    let comes = |_| {
        let row = to.run(&["--json", "ls"]).expect(0).objects().last().cloned()?;
        (row["bytes_down"].as_u64() > Some(0)).then(|| row["id"].to_string())
    };
    let id = (0..500).find_map(comes).expect("nothing comes");
    assert!(to.run(&["cancel", &id]).expect(0).stdout().contains("cancelled"));
    assert_eq!(sending.wait().0, 5, "refused");
    assert!(sending.stderr().contains("operator cancelled this upload"));
    assert_eq!(fs::read_dir(to.path("root")).unwrap().count(), 0, "nothing is left");
}

#[test]
fn pools_and_copies_are_refused_with_clear_words() {
    let lab = Lab::new();
    lab.data("data.bin", 10);
    let ended = lab.run(&["send", "data.bin", "pool:archive"]);
    assert!(ended.expect(1).stderr().contains("this node knows the pool \"default\""), "{}", ended.stderr());
    let ended = lab.run(&["send", "data.bin", "pool:default"]);
    assert!(ended.expect(1).stderr().contains("the pool has no nodes"), "{}", ended.stderr());
    let ended = lab.run(&["send", "data.bin", "http://127.0.0.1:1/", "--replicas", "2"]);
    assert!(ended.expect(2).stderr().contains("--replicas 2 needs a pool"), "{}", ended.stderr());
    lab.run(&["send", "data.bin", "http://127.0.0.1:1/", "--balancer", "resource-aware"]).expect(2);
    lab.run(&["send", "data.bin", "http://127.0.0.1:1/", "--replicas", "0"]).expect(2);
    lab.run(&["send", "data.bin", "http://127.0.0.1:1/", "--priority", "urgent"]).expect(2);
    let ended = lab.run(&["place", "key"]);
    assert!(ended.expect(1).stderr().contains("the pool has no nodes"), "{}", ended.stderr());
}

#[test]
fn without_a_node_of_its_own_a_machine_sends_to_the_nodes_on_its_list() {
    let (from, labs) = (Lab::new(), [Lab::new(), Lab::new(), Lab::new()]);
    let names = ["alder", "birch", "cedar"];
    let nodes: Vec<_> =
        labs.iter().zip(names).map(|(lab, name)| lab.serve(&["--root", "root", "--name", name])).collect();
    for node in &nodes {
        from.run(&["nodes", "add", node.url.as_deref().unwrap()]).expect(0);
    }
    let listed = from.run(&["--json", "nodes"]).expect(0).objects();
    let rows: Vec<_> = listed.iter().filter(|row| row["type"] == "node").map(|row| row["name"].clone()).collect();
    assert_eq!(rows, names);
    from.data("data.bin", 400_000);
    let sent = from.run(&["--json", "send", "data.bin", "pool:default", "--segment", "64KiB"]).expect(0).objects();
    let result = sent.last().unwrap();
    assert_eq!(
        (result["strategy"].as_str(), result["verified"].as_bool()),
        (Some("transit-pool-replicated"), Some(true))
    );
    let there = labs.iter().filter(|lab| lab.path("root/data.bin").exists()).count();
    assert_eq!(there, 2, "two copies unless told otherwise");
    let holder = labs.iter().find(|lab| lab.path("root/data.bin").exists()).unwrap();
    let rows = holder.run(&["--json", "ls"]).expect(0).objects();
    let content = rows[0]["content_id"].as_str().unwrap().to_owned();
    from.run(&["get", &format!("pool:default/{content}"), "-o", "got"]).expect(0);
    assert_eq!(fs::read(from.path("got/data.bin")).unwrap(), fs::read(from.path("data.bin")).unwrap());
    from.run(&["nodes", "remove", "cedar"]).expect(0);
    let placed = from.run(&["--json", "place", "key", "--replicas", "3"]).expect(0).objects();
    assert_eq!(placed.last().unwrap()["nodes"].as_array().unwrap().len(), 2);
}

#[test]
fn a_receiver_that_wants_a_token_refuses_and_says_what_to_give() {
    let (from, to) = (Lab::new(), Lab::new());
    for lab in [&from, &to] {
        fs::write(lab.path("token"), "a".repeat(64)).unwrap();
    }
    fs::write(from.path("wrong"), "b".repeat(64)).unwrap();
    // Only loopback is open.
    let node = to.serve_at("0.0.0.0:0", &["--root", "root", "--token-file", "token"]);
    let port = node.url.as_deref().unwrap().rsplit(':').next().unwrap();
    let dest = format!("http://127.0.0.1:{port}/in/");
    from.data("data.bin", 100_000);
    for token in [&[][..], &["--token-file", "wrong"]] {
        let refused = from.run(&[&["send", "data.bin", &dest], token].concat());
        assert!(refused.expect(5).stderr().contains("wants a token: give the one of that node with --token-file"));
    }
    assert!(!to.path("root/in").exists());
    // By the queue it is put aside, with the same exit code.
    let refused = from.run(&["send", "data.bin", &dest, "--queue"]);
    assert!(refused.expect(5).stderr().contains("it is put aside: skep queue retry"), "{}", refused.stderr());
    from.run(&["send", "data.bin", &dest, "--token-file", "token"]).expect(0);
    assert!(fs::read(from.path("data.bin")).unwrap() == fs::read(to.path("root/in/data.bin")).unwrap());
}

#[test]
fn paths_of_a_push_are_shown_and_steered() {
    let (from, to) = (Lab::new(), Lab::new());
    let node = to.serve(&["--root", "root"]);
    let url = node.url.as_deref().unwrap();
    from.data("data.bin", 8_000_000);
    let serving = from.serve(&["--up", "400KB"]);
    let vias = ["--via", "127.0.0.1", "--via", "127.0.0.2"];
    let mut sending = from.spawn(&[&["send", "data.bin", url, "--segment", "64KiB"], &vias[..]].concat());
    let runs = |_| {
        let row = from.run(&["--json", "ls"]).expect(0).objects().last().cloned()?;
        (row["paths"][1]["state"] == "healthy").then(|| row["id"].to_string())
    };
    let id = (0..500).find_map(runs).expect("it does not run");
    let shown = from.run(&["--json", "path", &id]).expect(0).objects();
    assert_eq!((shown.len(), &shown[0]["weight"]), (2, &1.0.into()), "{shown:?}");
    let off = from.run(&["--json", "path", &id, &format!("{url},via=127.0.0.2"), "--off"]).expect(0).last();
    assert_eq!((&off["type"], &off["state"], &off["id"]), (&"result".into(), &"disabled".into(), &shown[0]["id"]));
    let weighed = from.run(&["path", &id, "1", "--weight", "0.5"]);
    assert!(weighed.expect(0).stdout().contains("weight 0.5"), "{}", weighed.stdout());
    let both = from.run(&["path", &id, "127.0.0.2", "--on", "--weight", "2"]);
    assert!(both.expect(0).stdout().contains("weight 2") && !both.stdout().contains("disabled"), "{}", both.stdout());
    for (args, exit, words) in [
        (&["1", "--weight", "11"][..], 2, "use 0.1 to 10"),
        (&["nosuch", "--off"], 1, "it has: 127.0.0.1:"),
        (&["--off"], 2, "PATH"),
        (&["1", "--off", "--on"], 2, "cannot be used with"),
    ] {
        let ended = from.run(&[&["path", &id], args].concat());
        assert!(ended.expect(exit).stderr().contains(words), "{args:?}: {}", ended.stderr());
    }
    assert!(to.run(&["path", "1"]).expect(1).stderr().contains("has no paths"));
    from.run(&["limit", "--up", "unlimited"]).expect(0);
    assert_eq!(sending.wait().0, 0);
    drop(serving);
}

#[test]
fn errors_of_a_push_say_where_and_what_to_do() {
    let lab = Lab::new();
    lab.data("data.bin", 10);
    let gone = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let dest = format!("http://{gone}/in/");
    let words = format!("data.bin: {dest}data.bin: connection refused; is a skep node listening there?");
    let ended = lab.run(&["send", "data.bin", &dest]);
    assert!(ended.expect(1).stderr().contains(&words), "{}", ended.stderr());
    let result = lab.run(&["--json", "send", "data.bin", &dest]).expect(1).last();
    assert_eq!(result["error"], words);
}

/// A link that comes and goes: the node puts what is wished into its queue, and the command follows it there.
#[test]
fn what_the_link_makes_wait_is_queued_once_and_followed_under_its_number() {
    let (from, to) = (Lab::new(), Lab::new());
    let node = to.serve(&["--root", "root"]);
    let url = node.url.as_deref().unwrap();
    let dest = format!("{url}/in/");
    let _own = from.serve(&[]);
    from.rpc("transport.bandwidth.monitor.start", &json!({ "endpoint": url }));
    from.rpc("transport.switch", &json!({ "endpoint": url, "class": "intermittent" }));
    while from.rpc("node.snapshot", &json!({}))["links"][0]["class"] != "intermittent" {
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    from.data("data.bin", 300_000);
    let ended = from.run(&["--json", "send", "data.bin", &dest]);
    let events = ended.expect(0).objects();
    let queued: Vec<_> = events.iter().filter(|event| event["type"] == "queued").collect();
    let [queued] = queued[..] else { panic!("once: {events:?}") };
    assert_eq!((&queued["id"], &queued["again"]), (&1.into(), &false.into()));
    let result = events.last().unwrap();
    assert_eq!(
        (&result["type"], &result["bytes"], &result["verified"]),
        (&"result".into(), &300_000.into(), &true.into())
    );
    assert!(fs::read(from.path("data.bin")).unwrap() == fs::read(to.path("root/in/data.bin")).unwrap());
    let sends: Vec<_> = from.run(&["ls", "--all", "--json"]).expect(0).objects();
    assert_eq!(sends.iter().filter(|row| row["kind"] == "send").count(), 1, "one transfer");
    assert_eq!(from.run(&["queue", "--json"]).expect(0).last()["count"], 0);
    // The next wish has the next number: nothing was put there beside it.
    from.data("next.bin", 1_000);
    let ended = from.run(&["--json", "send", "next.bin", &dest]);
    assert!(ended.expect(0).objects().iter().any(|event| event["type"] == "queued" && event["id"] == 2), "{ended:?}");
}
