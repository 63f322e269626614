//! A node that has a queue is killed at every step, or its disk is full: what was accepted goes out, once.

use super::common::{Lab, Process};
use super::{disk, says};

/// What is done one after another for an operation, and whether it was accepted by then.
const STEPS: [(&str, bool); 4] =
    [("queue:wished", false), ("queue:saved", true), ("queue:begins", true), ("queue:begun", true)];

/// Sends of this laboratory's node, done or not.
fn sends(lab: &Lab) -> Vec<serde_json::Value> {
    let ended = lab.run(&["ls", "--all", "--json"]);
    ended.expect(0);
    ended.objects().into_iter().filter(|row| row["kind"] == "send").collect()
}

/// Waits until nothing waits.
fn drained(lab: &Lab) {
    loop {
        let ended = lab.run(&["queue", "--json"]);
        ended.expect(0);
        if ended.last()["count"] == 0 {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
}

#[test]
fn what_was_accepted_goes_out_once_whatever_moment_the_node_dies_at() {
    for (step, accepted) in STEPS {
        let (from, to) = (Lab::new(), Lab::new());
        let receiver = to.serve(&["--root", "root"]);
        let dest = format!("{}/in/", receiver.url.as_deref().unwrap());
        from.data("data.bin", 300_000);
        let args = ["send", "data.bin", dest.as_str(), "--queue"];
        let (code, said) = from.spawn_to_die_at(step, &args).wait();
        assert_eq!(code, -1, "{step} is not reached: {said}");
        let node: Process = from.serve(&[]);
        if !accepted {
            let ended = from.run(&["queue", "--json"]);
            assert_eq!(ended.expect(0).last()["count"], 0, "{step}: nobody was told that it is taken");
            from.run(&["send", "data.bin", &dest, "--queue"]).expect(0);
        }
        drained(&from);
        let there = std::fs::read(to.path("root/in/data.bin"));
        assert!(there.is_ok_and(|there| there == std::fs::read(from.path("data.bin")).unwrap()), "{step}");
        assert_eq!(sends(&from).len(), 1, "{step}: one transfer");
        drop(node);
    }
}

/// The state file cannot grow any more: what does not fit is refused in words, what was accepted before is there.
#[test]
fn where_the_disk_is_full_nothing_is_taken_that_would_be_lost() {
    let (from, to) = (Lab::new(), Lab::new());
    let address = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    from.data("data.bin", 1_000);
    let node = disk::cramped_to(&from, 1_100);
    // Long names fill it sooner.
    let folders = vec!["d".repeat(250); 14].join("/");
    let enqueue = |n: usize| {
        let dest = format!("http://{address}/{n}/{folders}/");
        from.run(&["send", "data.bin", &dest, "--queue", "--detach"])
    };
    let numbers = |lab: &Lab| -> Vec<u64> {
        let rows = lab.run(&["queue", "--json"]).expect(0).objects();
        rows.iter().filter_map(|row| row["id"].as_u64()).collect()
    };
    let mut accepted = Vec::new();
    let refused = loop {
        let ended = enqueue(accepted.len());
        match ended.code() {
            0 => accepted.push(accepted.len() as u64 + 1),
            _ => break ended,
        }
        assert!(accepted.len() < 2_000, "it is never full");
    };
    says(refused.expect(1), &["cannot write the state file", "free space", "start this node again"]);
    assert!(accepted.len() > 10, "{}", accepted.len());
    // It lives, shows what it has, and does not pretend to have more.
    assert_eq!(numbers(&from), accepted);
    drop(node);
    // With space everything that was accepted goes out, and what was refused can be wished again.
    let _node = from.serve(&[]);
    assert_eq!(numbers(&from), accepted);
    let purged: Vec<String> = accepted.iter().skip(3).map(u64::to_string).collect();
    let mut purge = vec!["queue", "purge"];
    purge.extend(purged.iter().map(String::as_str));
    from.run(&purge).expect(0);
    enqueue(accepted.len()).expect(0);
    let _receiver = to.serve_at(&address.to_string(), &["--root", "root"]);
    drained(&from);
    for n in [0, 1, 2, accepted.len()] {
        let there = std::fs::read(to.path(&format!("root/{n}/{folders}/data.bin")));
        assert!(there.is_ok_and(|there| there.len() == 1_000), "{n}");
    }
}
