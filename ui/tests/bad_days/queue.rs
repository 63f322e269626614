//! `kill -9` of a node that has a queue, at every step: what was accepted goes out, once.

use super::common::{Lab, Process};

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
