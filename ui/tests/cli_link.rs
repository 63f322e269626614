//! `skep probe`, `skep queue`, and what a node tells of its links: real processes on loopback.
#![allow(clippy::unwrap_used)]

mod common;

use common::{Lab, Process};
use rustix::process::Signal;
use serde_json::{Value, json};

/// What a verdict has under `--json`.
const RESULT: [&str; 10] = [
    "bandwidth_mbps",
    "latency_ms",
    "jitter_ms",
    "loss_percent",
    "class",
    "mode",
    "method",
    "samples",
    "probe_bytes",
    "measured_at",
];

#[track_caller]
fn is_verdict(result: &Value) {
    assert_eq!(result["type"], "result", "{result}");
    for key in RESULT {
        assert!(result.get(key).is_some_and(|value| !value.is_null()), "{key}: {result}");
    }
}

/// Nobody listens there.
fn nobody() -> std::net::SocketAddr {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

#[test]
fn a_probe_says_all_that_was_promised_and_how_it_ended() {
    let lab = Lab::new();
    let node = lab.serve(&[]);
    let url = node.url.as_deref().unwrap();
    is_verdict(&lab.run(&["--json", "probe", url]).expect(0).last());
    let several = lab.run(&["--json", "probe", url, "--count", "2", "--interval", "100ms"]).expect(0).objects();
    assert_eq!(several.iter().filter(|event| event["type"] == "sample").count(), 2);
    is_verdict(several.last().unwrap());
    assert!(lab.run(&["probe", url]).expect(0).stdout().contains("syncs"));
    lab.run(&["probe", &format!("http://{}", nobody())]).expect(1);
    lab.run(&["probe", "not-a-url"]).expect(2);
    lab.run(&["probe", url, "--interval", "2h"]).expect(2);
}

fn stopped(lab: &Lab, args: &[&str], signal: Signal) -> (i32, Vec<Value>) {
    let mut probe: Process = lab.spawn(args);
    // It has measured something.
    let first: Value = serde_json::from_str(&probe.line()).unwrap();
    assert_eq!(first["type"], "sample");
    probe.signal(signal);
    let (code, rest) = probe.wait();
    (code, rest.lines().map(|line| serde_json::from_str(line).unwrap()).collect())
}

#[test]
fn a_probe_that_is_stopped_says_what_it_knows() {
    let lab = Lab::new();
    let node = lab.serve(&[]);
    let url = node.url.as_deref().unwrap();
    // An hour between two of them: it is stopped while it waits.
    let (code, rest) = stopped(&lab, &["--json", "probe", url, "--count", "9", "--interval", "1h"], Signal::INT);
    assert_eq!(code, 3);
    is_verdict(rest.last().unwrap());
    for signal in [Signal::INT, Signal::TERM] {
        let (code, rest) = stopped(&lab, &["--json", "probe", url, "--watch", "--interval", "1h"], signal);
        assert_eq!(code, 0, "that is how it ends");
        let result = rest.last().unwrap();
        assert_eq!(result["type"], "result");
        assert!(RESULT.iter().all(|key| result.get(key).is_some()), "{result}");
    }
}

#[test]
fn a_queue_is_changed_by_its_commands() {
    let lab = Lab::new();
    let _node = lab.serve(&[]);
    let away = format!("http://{}/", nobody());
    for (name, class) in [("a", "normal"), ("b", "normal"), ("c", "background")] {
        lab.data(name, 100);
        let queued = lab.run(&["--json", "queue", "add", name, &away, "--priority", class]).expect(0).last();
        assert_eq!((&queued["type"], &queued["again"]), (&"queued".into(), &false.into()));
    }
    let order = || -> Vec<u64> {
        let rows = lab.run(&["queue", "--json"]).expect(0).objects();
        rows.iter().filter_map(|row| row["id"].as_u64()).collect()
    };
    assert_eq!(order(), [1, 2, 3]);
    assert!(lab.run(&["queue", "move", "2", "first"]).expect(0).stdout().contains("place 1"));
    assert_eq!(order(), [2, 1, 3]);
    let changed = lab.run(&["--json", "queue", "class", "critical", "3"]).expect(0).last();
    assert_eq!((&changed["class"], &changed["place"]), (&"critical".into(), &1.into()), "{changed}");
    assert_eq!(order(), [3, 2, 1]);
    lab.run(&["queue", "retry", "1"]).expect(0);
    assert!(lab.run(&["queue", "retry", "9"]).expect(1).stderr().contains("no operation 9"));
    assert_eq!(lab.run(&["queue", "purge", "--all", "--json"]).expect(0).last()["purged"], 3);
    assert_eq!(order(), [] as [u64; 0]);
}

/// What a call was refused with.
fn refusal(lab: &Lab, method: &str, params: &Value) -> String {
    let asked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| lab.rpc(method, params)));
    *asked.expect_err("it is refused").downcast::<String>().unwrap()
}

#[test]
fn a_node_tells_of_its_links_by_rpc() {
    let (lab, far) = (Lab::new(), Lab::new());
    let (_node, other) = (lab.serve(&[]), far.serve(&[]));
    let url = other.url.as_deref().unwrap();
    let measured = lab.rpc("transport.bandwidth.measure", &json!({ "url": url }));
    assert!(measured["measurement"]["bandwidth_mbps"].as_f64().unwrap() > 0.0, "{measured}");
    assert_eq!(lab.rpc("node.info", &json!({}))["BandwidthMonitors"], 0);
    lab.rpc("transport.bandwidth.monitor.start", &json!({ "endpoint": url }));
    while lab.rpc("transport.bandwidth.status", &json!({}))["links"][0]["class"] == "unknown" {
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    let info = lab.rpc("node.info", &json!({}));
    assert_eq!(info["BandwidthMonitors"], 1);
    assert!(info["CurrentSyncMode"] != "unknown", "{info}");
    assert!(info["capabilities"].as_array().unwrap().contains(&"transport.bandwidth".into()), "{info}");
    // By any URL below it.
    let status = lab.rpc("transport.bandwidth.status", &json!({ "endpoint": format!("{url}/in/data") }));
    let row = &status["links"][0];
    for key in ["endpoint", "class", "why", "median", "newest", "samples", "params", "probe_bytes", "probe_budget"] {
        assert!(row.get(key).is_some(), "{key}: {row}");
    }
    let quality = lab.rpc("transport.quality", &json!({ "endpoint": url }))["links"][0].clone();
    for key in ["class", "why", "mode", "bandwidth_mbps", "latency_ms", "jitter_ms", "samples", "stale", "measured_at"]
    {
        assert!(quality.get(key).is_some(), "{key}: {quality}");
    }
    for method in ["transport.bandwidth.status", "transport.quality"] {
        let error = refusal(&lab, method, &json!({ "endpoint": "http://127.0.0.1:9" }));
        assert!(error.contains("is not monitored"), "{error}");
        let error = refusal(&lab, method, &json!({ "endpoint": "nowhere" }));
        assert!(error.contains("-32602"), "{error}");
    }
    let history = lab.rpc("transport.bandwidth.history", &json!({ "endpoint": url }));
    assert!(history["samples"].as_array().unwrap().len() >= 3, "{history}");
    let short = lab.rpc("transport.bandwidth.history", &json!({ "endpoint": url, "window_s": 0 }));
    assert!(short["samples"].as_array().unwrap().len() < 3, "{short}");
    assert!(lab.rpc("transport.config", &json!({}))["link"]["classes"]["fiber"]["chunk_bytes"].is_u64());
    let stats = lab.rpc("transport.stats", &json!({}))["links"][0].clone();
    assert!(stats["probes"].as_u64().unwrap() >= 3 && stats["probe_bytes"].as_u64().unwrap() > 0, "{stats}");
    lab.data("data.bin", 1_000);
    let operation = json!({ "what": "send", "path": lab.path("data.bin"), "dest": format!("http://{}/", nobody()) });
    lab.rpc("transport.bandwidth.sync.enqueue", &json!({ "operation": operation }));
    let queue = lab.rpc("transport.bandwidth.sync.queue", &json!({}));
    assert_eq!((&queue["count"], &queue["total_queued_bytes"]), (&1.into(), &1_000.into()), "{queue}");
    lab.rpc("transport.bandwidth.monitor.stop", &json!({ "endpoint": url }));
    assert_eq!(lab.rpc("node.info", &json!({}))["BandwidthMonitors"], 0);
}
