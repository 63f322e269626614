//! Commands as calls: which method a command is, and its parameters by name.
//!
//! The parameters are the command's own fields, so that [`Command`] is the one definition of what
//! can be asked and this file only names the methods.

use serde_json::{Map, Value, json};

use crate::control::queue::{Operation, PurgeRequest};
use crate::control::{Command, CommandError, CommandErrorKind, SendRequest, SyncRequest};

/// A method that carries out a command.
pub(super) struct CommandMethod {
    /// Its name.
    pub(super) name: &'static str,
    /// What [`Command`] calls it.
    tag: &'static str,
    /// Parameters that exist. `id` beside `ids` is a convenience for a single one.
    known: &'static [&'static str],
}

/// Seconds of a link's history where nobody says how many: what a monitor remembers.
const HISTORY_S: u64 = 1_800;

const IDS: &[&str] = &["ids", "id"];
const ADD: &[&str] =
    &["link", "document", "dir", "peers", "trackers", "order", "seed", "on_existing", "up", "down", "paused"];
const SHARE: &[&str] = &["path", "piece_length", "trackers", "ratio", "seconds", "up", "down"];
const SEND: &[&str] = &[
    "path",
    "dest",
    "paths",
    "via",
    "strategy",
    "on_taken",
    "segment_length",
    "compress",
    "priority",
    "replicas",
    "balancer",
    "up",
    "down",
];
const SYNC: &[&str] =
    &["path", "dest", "delete", "checksum", "force", "max_delete", "rules", "watch", "priority", "up", "down"];
const PURGE: &[&str] = &["ids", "id", "class", "max_age_s", "target", "all"];

/// All of them.
pub(super) const COMMANDS: &[CommandMethod] = &[
    CommandMethod { name: "transfer.add", tag: "add", known: ADD },
    CommandMethod { name: "transfer.preview", tag: "preview", known: ADD },
    CommandMethod { name: "swarm.share", tag: "share", known: SHARE },
    CommandMethod { name: "swarm.preview", tag: "preview_share", known: SHARE },
    CommandMethod { name: "transport.send", tag: "send", known: SEND },
    CommandMethod { name: "transport.preview", tag: "preview_send", known: SEND },
    CommandMethod { name: "node.interfaces", tag: "interfaces", known: &[] },
    CommandMethod { name: "transport.path", tag: "set_path", known: &["id", "path", "enabled", "weight"] },
    CommandMethod { name: "transport.sync", tag: "sync", known: SYNC },
    CommandMethod { name: "transport.preview_sync", tag: "preview_sync", known: SYNC },
    CommandMethod { name: "transport.bandwidth.measure", tag: "probe", known: &["url"] },
    CommandMethod { name: "transport.bandwidth.monitor.start", tag: "start_monitor", known: &["endpoint"] },
    CommandMethod { name: "transport.bandwidth.monitor.stop", tag: "stop_monitor", known: &["endpoint"] },
    CommandMethod { name: "transport.switch", tag: "set_link", known: &["endpoint", "class", "metered"] },
    CommandMethod { name: "transport.bandwidth.history", tag: "link_history", known: &["endpoint", "window_s"] },
    CommandMethod { name: "transport.bandwidth.sync.enqueue", tag: "enqueue", known: &["operation", "class"] },
    CommandMethod { name: "transport.bandwidth.sync.class", tag: "set_class", known: &["ids", "id", "class"] },
    CommandMethod { name: "transport.bandwidth.sync.move", tag: "move_queued", known: &["id", "to"] },
    CommandMethod { name: "transport.bandwidth.sync.retry", tag: "retry_queued", known: IDS },
    CommandMethod { name: "transport.bandwidth.sync.purge", tag: "purge_queue", known: PURGE },
    CommandMethod { name: "pool.add", tag: "pool_add", known: &["name", "endpoint", "weight"] },
    CommandMethod { name: "pool.remove", tag: "pool_remove", known: &["name"] },
    CommandMethod { name: "pool.drain", tag: "pool_drain", known: &["name", "on"] },
    CommandMethod { name: "pool.place", tag: "place", known: &["key", "replicas", "balancer"] },
    CommandMethod { name: "pool.balancer", tag: "set_balancer", known: &["balancer"] },
    CommandMethod { name: "pool.preview", tag: "preview_pool", known: &["name", "weight", "drain"] },
    CommandMethod { name: "transfer.pause", tag: "pause", known: IDS },
    CommandMethod { name: "transfer.resume", tag: "resume", known: IDS },
    CommandMethod { name: "transfer.cancel", tag: "cancel", known: IDS },
    CommandMethod { name: "transfer.verify", tag: "verify", known: IDS },
    CommandMethod { name: "transfer.remove", tag: "remove", known: &["ids", "id", "data"] },
    CommandMethod { name: "transfer.limit", tag: "limit", known: &["id", "up", "down"] },
    CommandMethod { name: "transfer.prioritise", tag: "prioritise", known: &["ids", "id", "priority"] },
    CommandMethod { name: "transfer.move", tag: "move", known: &["id", "up"] },
    CommandMethod { name: "swarm.ban", tag: "ban", known: &["peer"] },
    CommandMethod { name: "swarm.unban", tag: "unban", known: &["peer"] },
    CommandMethod { name: "node.drain", tag: "drain", known: &["on"] },
    CommandMethod { name: "node.log_level", tag: "set_log_level", known: &["filter"] },
];

/// The call that a command is.
///
/// # Errors
/// Paths that are not UTF-8 have no JSON.
pub(super) fn from_command(command: &Command) -> Result<(&'static str, Map<String, Value>), CommandError> {
    let failed = |what: String| CommandError::new(CommandErrorKind::Invalid, what);
    let value = serde_json::to_value(command).map_err(|e| failed(format!("cannot be sent to another node: {e}")))?;
    let Value::Object(mut params) = value else { return Err(failed("a command that is no object".into())) };
    let tag = params.remove("command");
    let method = COMMANDS.iter().find(|method| tag.as_ref().and_then(Value::as_str) == Some(method.tag));
    let method = method.ok_or_else(|| failed("a command without a method".into()))?;
    Ok((method.name, params))
}

impl CommandMethod {
    /// The command that a call is.
    ///
    /// # Errors
    /// What is wrong with which parameter, in words.
    pub(super) fn command(&self, mut params: Map<String, Value>) -> Result<Command, String> {
        known_only(&params, self.known)?;
        if self.known.contains(&"ids")
            && let Some(id) = params.remove("id")
        {
            if params.contains_key("ids") {
                return Err("`id` and `ids` exclude one another".into());
            }
            params.insert("ids".into(), json!([id]));
        }
        match self.tag {
            "remove" => {
                params.entry("data").or_insert(json!(false));
            }
            "link_history" => {
                params.entry("window_s").or_insert(json!(HISTORY_S));
            }
            "pool_drain" => {
                params.entry("on").or_insert(json!(true));
            }
            "limit" if !params.contains_key("up") && !params.contains_key("down") => {
                return Err("nothing to change: give `up`, `down` or both (bytes per second, null: unlimited)".into());
            }
            _ => {}
        }
        if let Some(Value::Object(operation)) = params.get("operation") {
            let known = if operation.get("what") == Some(&json!("sync")) { SYNC } else { SEND };
            let known: Vec<&str> = known.iter().copied().chain(["what"]).collect();
            known_only(operation, &known).map_err(|error| format!("`operation`: {error}"))?;
        }
        params.insert("command".into(), json!(self.tag));
        let command = from_object(params)?;
        match &command {
            Command::Pause { ids }
            | Command::Resume { ids }
            | Command::Cancel { ids }
            | Command::Verify { ids }
            | Command::Remove { ids, .. }
            | Command::Prioritise { ids, .. }
                if ids.is_empty() =>
            {
                Err("`ids` is empty: name at least one transfer".into())
            }
            Command::Add(add) | Command::Preview(add) if add.link.is_empty() && add.document.is_none() => {
                Err("`link` or `document` is missing".into())
            }
            Command::Add(add) | Command::Preview(add)
                if add.document.as_ref().is_some_and(|text| text.len() > super::MAX_DOCUMENT) =>
            {
                Err(format!("`document` is larger than {} MiB", super::MAX_DOCUMENT >> 20))
            }
            Command::Share(share) | Command::PreviewShare(share) if share.path.as_os_str().is_empty() => {
                Err("`path` is missing".into())
            }
            Command::Send(send) | Command::PreviewSend(send) if send.path.as_os_str().is_empty() => {
                Err("`path` is missing".into())
            }
            Command::Send(send) | Command::PreviewSend(send) if send.dest.is_empty() => Err("`dest` is missing".into()),
            Command::Sync(sync) | Command::PreviewSync(sync) if sync.path.as_os_str().is_empty() => {
                Err("`path` is missing".into())
            }
            Command::Sync(sync) | Command::PreviewSync(sync) if sync.dest.is_empty() => Err("`dest` is missing".into()),
            Command::SetClass { ids, .. } | Command::RetryQueued { ids } if ids.is_empty() => {
                Err("`ids` is empty: name at least one operation of the queue".into())
            }
            Command::PurgeQueue(purge) if *purge == PurgeRequest::default() => {
                Err("nothing to remove: give `ids`, `class`, `max_age_s`, `target`, or `all` for everything".into())
            }
            Command::Enqueue { operation: Operation::Send(SendRequest { path, dest, .. }), .. }
            | Command::Enqueue { operation: Operation::Sync(SyncRequest { path, dest, .. }), .. }
                if path.as_os_str().is_empty() || dest.is_empty() =>
            {
                Err("`operation`: `path` or `dest` is missing".into())
            }
            Command::PoolAdd(node) if node.endpoint.is_empty() => Err("`endpoint` is missing".into()),
            Command::SetPath { enabled: None, weight: None, .. } => {
                Err("nothing to change: give `enabled`, `weight` (0.1 to 10) or both".into())
            }
            _ => Ok(command),
        }
    }
}

/// Refuses parameters that nobody reads: a typing error shall not change the meaning in silence.
pub(super) fn known_only(params: &Map<String, Value>, known: &[&str]) -> Result<(), String> {
    match params.keys().find(|key| !known.contains(&key.as_str())) {
        None => Ok(()),
        Some(key) if known.is_empty() => {
            Err(format!("unknown parameter `{}`: there are none", super::errors::readable(key)))
        }
        Some(key) => {
            Err(format!("unknown parameter `{}`; there are: {}", super::errors::readable(key), known.join(", ")))
        }
    }
}

/// Reads a type from an object; the error names the field that is wrong.
pub(super) fn from_object<T: serde::de::DeserializeOwned>(params: Map<String, Value>) -> Result<T, String> {
    // Only kept for small ones: to find out which field is wrong, not to copy a document.
    let copy =
        (params.values().all(|value| value.as_str().is_none_or(|text| text.len() < 4_096))).then(|| params.clone());
    serde_json::from_value(Value::Object(params)).map_err(|error| {
        let why = error.to_string();
        // A field is to blame if without it the complaint is another one.
        let differs = |key: &&String| {
            let mut less = copy.clone().unwrap_or_default();
            less.remove(key.as_str());
            serde_json::from_value::<T>(Value::Object(less)).err().is_none_or(|e| e.to_string() != why)
        };
        match copy.as_ref().and_then(|copy| copy.keys().filter(|key| *key != "command").find(differs)) {
            Some(key) => format!("`{}`: {}", super::errors::readable(key), super::errors::readable(&why)),
            None => super::errors::readable(&why),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::link::{ClassChoice, LinkChangeRequest, LinkClass, ProbeRequest};
    use crate::control::pool::{Balancer, PoolNode};
    use crate::control::queue::{QueueId, QueueMove};
    use crate::control::{AddTransfer, PriorityClass, ShareRequest, TransferId};

    fn commands() -> Vec<Command> {
        let ids = vec![TransferId(3), TransferId(9)];
        vec![
            Command::Add(AddTransfer {
                link: "skep://h:1/x".into(),
                document: Some("{}".into()),
                dir: Some("/d".into()),
                peers: vec!["http://p".into()],
                up: Some(5),
                ..AddTransfer::default()
            }),
            Command::Share(ShareRequest { path: "/p".into(), ratio: Some(1.5), ..ShareRequest::default() }),
            Command::Send(SendRequest { path: "/p".into(), dest: "http://h/".into(), ..SendRequest::default() }),
            Command::PreviewSend(SendRequest { path: "/p".into(), dest: "http://h/".into(), ..SendRequest::default() }),
            Command::Sync(SyncRequest {
                path: "/p".into(),
                dest: "http://h/".into(),
                watch: true,
                ..Default::default()
            }),
            Command::PreviewSync(SyncRequest { path: "/p".into(), dest: "http://h/".into(), ..Default::default() }),
            Command::Interfaces,
            Command::SetPath {
                id: TransferId(3),
                path: "h:1 via eth0".into(),
                enabled: Some(false),
                weight: Some(2.5),
            },
            Command::Preview(AddTransfer { link: "skep://h:1/x".into(), ..AddTransfer::default() }),
            Command::PreviewShare(ShareRequest { path: "/p".into(), ..ShareRequest::default() }),
            Command::Probe(ProbeRequest { url: "http://h:1".into() }),
            Command::StartMonitor { endpoint: "http://h:1".into() },
            Command::StopMonitor { endpoint: "http://h:1".into() },
            Command::SetLink(LinkChangeRequest {
                endpoint: "http://h:1".into(),
                class: Some(ClassChoice::Fixed(LinkClass::Satellite)),
                metered: Some(true),
            }),
            Command::SetLink(LinkChangeRequest {
                endpoint: "http://h:1".into(),
                class: Some(ClassChoice::Auto),
                metered: None,
            }),
            Command::LinkHistory { endpoint: "http://h:1".into(), window_s: 600 },
            Command::Enqueue {
                operation: Operation::Sync(SyncRequest { path: "/p".into(), dest: "h".into(), ..Default::default() }),
                class: None,
            },
            Command::Enqueue {
                operation: Operation::Send(SendRequest { path: "/p".into(), dest: "h".into(), ..Default::default() }),
                class: Some(PriorityClass::SchemaChange),
            },
            Command::SetClass { ids: vec![QueueId(4)], class: PriorityClass::High },
            Command::MoveQueued { id: QueueId(4), to: QueueMove::First },
            Command::RetryQueued { ids: vec![QueueId(4)] },
            Command::PurgeQueue(PurgeRequest { max_age_s: Some(9), ..PurgeRequest::default() }),
            Command::Pause { ids: ids.clone() },
            Command::Resume { ids: ids.clone() },
            Command::Cancel { ids: ids.clone() },
            Command::Remove { ids: ids.clone(), data: true },
            Command::Verify { ids },
            Command::Limit { id: None, up: Some(None), down: None },
            Command::Limit { id: Some(TransferId(4)), up: Some(Some(7)), down: Some(None) },
            Command::Prioritise { ids: vec![TransferId(2)], priority: -3 },
            Command::Move { id: TransferId(2), up: true },
            Command::Ban { peer: "a:1".into() },
            Command::Unban { peer: "a:1".into() },
            Command::Drain { on: true },
            Command::PoolAdd(PoolNode { name: "a".into(), endpoint: "http://h:1".into(), weight: Some(0.5) }),
            Command::PoolRemove { name: "a".into() },
            Command::PoolDrain { name: "a".into(), on: false },
            Command::Place { key: "k".into(), replicas: Some(3), balancer: Some(Balancer::ResourceAware) },
            Command::Place { key: "k".into(), replicas: None, balancer: None },
            Command::SetBalancer { balancer: Balancer::ConsistentHash },
            Command::PreviewPool { name: "a".into(), weight: Some(2.0), drain: false },
            Command::PreviewPool { name: "a".into(), weight: None, drain: true },
            Command::SetLogLevel { filter: "info".into() },
        ]
    }

    fn method(name: &str) -> &'static CommandMethod {
        COMMANDS.iter().find(|method| method.name == name).unwrap()
    }

    fn refusal(name: &str, params: Value) -> String {
        let Value::Object(params) = params else { panic!("not an object") };
        method(name).command(params).unwrap_err()
    }

    #[test]
    fn every_command_is_a_call_and_back() {
        for command in commands() {
            let (name, params) = from_command(&command).unwrap();
            assert_eq!(method(name).command(params).unwrap(), command);
        }
        let tried: Vec<&str> = commands().iter().map(|command| from_command(command).unwrap().0).collect();
        let left: Vec<&str> = COMMANDS.iter().map(|method| method.name).filter(|name| !tried.contains(name)).collect();
        assert!(left.is_empty(), "not tried: {left:?}");
    }

    #[test]
    fn refusals_say_what_is_wrong_with_which_parameter() {
        let cases = [
            ("transfer.add", json!({"lnk": "x"}), "unknown parameter `lnk`"),
            ("transfer.add", json!({}), "`link` or `document` is missing"),
            ("transfer.add", json!({"link": "x", "order": "fastest"}), "`order`: unknown variant `fastest`"),
            ("transfer.add", json!({"link": "x", "up": -1}), "`up`: "),
            ("transfer.pause", json!({"ids": []}), "`ids` is empty"),
            ("transfer.pause", json!({"id": 1, "ids": [2]}), "exclude"),
            ("transfer.pause", json!({"id": "seven"}), "`ids`: "),
            ("transfer.pause", json!({}), "missing field `ids`"),
            ("transfer.limit", json!({"id": 3}), "nothing to change"),
            ("transport.path", json!({"id": 3, "path": "h:1"}), "nothing to change"),
            ("transport.path", json!({"id": 3, "enabled": true}), "missing field `path`"),
            ("transport.bandwidth.sync.purge", json!({}), "nothing to remove"),
            ("transport.bandwidth.sync.retry", json!({"ids": []}), "`ids` is empty"),
            (
                "transport.bandwidth.sync.enqueue",
                json!({"operation": {"what": "send", "pth": "/p", "dest": "h"}}),
                "`operation`: unknown parameter `pth`",
            ),
            (
                "transport.bandwidth.sync.enqueue",
                json!({"operation": {"what": "sync", "path": "/p"}}),
                "`path` or `dest` is missing",
            ),
            ("swarm.share", json!({"piece_length": 5}), "`path` is missing"),
            ("node.log_level", json!({"level": "info"}), "unknown parameter `level`; there are: filter"),
        ];
        for (name, params, expected) in cases {
            let message = refusal(name, params);
            assert!(message.contains(expected), "{name}: {message}");
        }
    }

    #[test]
    fn conveniences() {
        let params = json!({"id": 7}).as_object().unwrap().clone();
        let command = method("transfer.remove").command(params).unwrap();
        assert_eq!(command, Command::Remove { ids: vec![TransferId(7)], data: false });
    }
}
