//! What a node tells of itself, and what another makes of that. Pure.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use chitchat::{ChitchatId, NodeState, Version};
use serde::{Deserialize, Serialize};

use crate::content::name::printable;
use crate::control::pool::{Figures, Holding, MAX_HOLDS, MAX_NAME};
use crate::pool::book::Member;
use crate::pool::replica::MAX_REPLICAS;

/// Characters of a content's name that are told.
const MAX_CONTENT_NAME: usize = 80;
/// Nodes that a node may drain.
const MAX_DRAINS: usize = 64;
/// Longest URL taken, in bytes.
const MAX_URL: usize = 512;
/// Keys and values of one node at most, in bytes, those included that it has taken back of late.
const MAX_TOLD: usize = 1 << 20;
/// What a key costs beside its bytes.
const KEY: usize = 16;

#[derive(Serialize, Deserialize)]
struct Report {
    #[serde(flatten)]
    figures: Figures,
    n: u64,
}

/// The value of `h`.
pub fn report(figures: Figures, n: u64) -> String {
    serde_json::to_string(&Report { figures, n }).unwrap_or_default()
}

/// Brings what is told of this node up to date.
pub fn tell(state: &mut NodeState, holds: &BTreeMap<String, Holding>, drains: &[Arc<str>]) {
    let drained = drains.iter().take(MAX_DRAINS).map(|name| &**name).collect::<Vec<_>>().join("\n");
    state.set("d", drained);
    let told: Vec<String> =
        state.key_values().filter_map(|(key, _)| Some(key.strip_prefix("c:")?.to_owned())).collect();
    let wanted: BTreeMap<&String, &Holding> = holds.iter().take(MAX_HOLDS).collect();
    for gone in told.iter().filter(|id| !wanted.contains_key(id)) {
        state.delete(&format!("c:{gone}"));
    }
    for (id, Holding { bytes, replicas, name }) in wanted {
        let name: String = name.chars().take(MAX_CONTENT_NAME).collect();
        state.set(format!("c:{id}"), format!("{bytes} {replicas} {name}"));
    }
}

/// Somebody with the pool's key tells more than any node has to tell.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("the node at {0} tells {1} bytes of itself, {MAX_TOLD} are allowed: is it one of this pool?")]
pub struct TooMuch(String, usize);

/// Members as they were read last: only what changed is read again.
#[derive(Debug, Default)]
pub struct Readings {
    read: HashMap<ChitchatId, (Version, Option<Member>)>,
}

impl Readings {
    /// The member that tells this of itself; none if that is no member.
    ///
    /// # Errors
    /// It tells too much.
    pub fn member(&mut self, id: &ChitchatId, state: &NodeState) -> Result<Option<Member>, TooMuch> {
        if let Some((version, member)) = self.read.get(id)
            && *version == state.max_version()
        {
            return Ok(member.clone());
        }
        let told = state.key_values_including_deleted();
        let bytes: usize = told.map(|(key, value)| key.len() + value.value.len() + KEY).sum();
        if bytes > MAX_TOLD {
            return Err(TooMuch(id.gossip_advertise_addr.to_string(), bytes));
        }
        let mut member = member(id, state);
        if let (Some(member), Some((_, Some(before)))) = (&mut member, self.read.get(id))
            && member.holds == before.holds
        {
            member.holds = before.holds.clone();
        }
        self.read.insert(id.clone(), (state.max_version(), member.clone()));
        Ok(member)
    }

    /// Only these are still there.
    pub fn retain(&mut self, is_kept: impl Fn(&ChitchatId) -> bool) {
        self.read.retain(|id, _| is_kept(id));
    }
}

/// A member as it tells of itself. What it tells comes from outside: what is no name, no URL or too long is left out.
fn member(id: &ChitchatId, state: &NodeState) -> Option<Member> {
    let (name, endpoint) = (state.get("n")?, state.get("e")?);
    let is_url = (endpoint.starts_with("http://") || endpoint.starts_with("https://")) && endpoint.len() <= MAX_URL;
    if !is_url || printable(endpoint) != endpoint || !is_name(name) {
        return None;
    }
    let report: Option<Report> = state.get("h").and_then(|text| serde_json::from_str(text).ok());
    let holds = state.key_values().filter_map(|(key, text)| {
        let id = key.strip_prefix("c:").filter(|id| id.len() == 64 && id.bytes().all(|b| b.is_ascii_hexdigit()))?;
        Some((id.to_owned(), holding(text)?))
    });
    let drains = state.get("d").unwrap_or_default().lines().filter(|name| is_name(name)).take(MAX_DRAINS);
    Some(Member {
        name: name.into(),
        address: id.gossip_advertise_addr.to_string(),
        endpoint: endpoint.to_owned(),
        weight: state.get("w").and_then(|weight| weight.parse().ok()).unwrap_or(1.0),
        generation: id.generation_id,
        figures: report.as_ref().map(|report| report.figures),
        report: report.map_or(0, |report| report.n),
        drains: drains.map(Arc::from).collect(),
        holds: Arc::new(holds.take(MAX_HOLDS).collect()),
    })
}

/// `BYTES REPLICAS NAME`
fn holding(text: &str) -> Option<Holding> {
    let mut parts = text.splitn(3, ' ');
    let (bytes, replicas) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
    let name = parts.next().unwrap_or_default().chars().take(MAX_CONTENT_NAME).collect::<String>();
    Some(Holding { bytes, replicas: u32::min(replicas, MAX_REPLICAS), name: printable(&name) })
}

fn is_name(name: &str) -> bool {
    !name.is_empty() && name.chars().count() <= MAX_NAME && name.trim() == name && printable(name) == name
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id() -> ChitchatId {
        ChitchatId::new(String::new(), 5, ([10, 0, 0, 1], 7_070).into())
    }

    fn state(told: &[(&str, &str)]) -> NodeState {
        let mut state = NodeState::for_test();
        for (key, value) in [("n", "alder"), ("e", "http://10.0.0.1:7070")].iter().chain(told) {
            state.set(key, value);
        }
        state
    }

    fn held(bytes: u64) -> Holding {
        Holding { bytes, replicas: 2, name: "x y".to_owned() }
    }

    fn read(state: &NodeState) -> Option<Member> {
        Readings::default().member(&id(), state).unwrap()
    }

    #[test]
    fn what_is_told_is_read_back() {
        let mut told = state(&[]);
        let holds: BTreeMap<String, Holding> = [("a".repeat(64), held(7)), ("b".repeat(64), held(8))].into();
        tell(&mut told, &holds, &["birch".into()]);
        told.set("h", report(Figures { cpu_percent: 5.0, ..Figures::default() }, 3));
        let member = read(&told).unwrap();
        assert_eq!((&*member.name, member.report, &*member.holds), ("alder", 3, &holds));
        assert_eq!(member.drains, ["birch".into()]);
        assert_eq!(member.figures.unwrap().cpu_percent, 5.0);
        tell(&mut told, &BTreeMap::new(), &[]);
        let member = read(&told).unwrap();
        assert!(member.holds.is_empty() && member.drains.is_empty());
    }

    #[test]
    fn what_comes_from_outside_is_no_name_and_no_url_before_it_was_looked_at() {
        for (key, value) in [
            ("n", ""),
            ("n", "al\u{1b}[2Jder"),
            ("n", " alder"),
            ("n", "\u{202e}redla"),
            ("n", &"a".repeat(65)),
            ("e", "file:///etc/passwd"),
            ("e", "http://a\nb"),
            ("e", &format!("http://{}", "a".repeat(512))),
        ] {
            assert_eq!(read(&state(&[(key, value)])), None, "{key} {value:?}");
        }
        let odd = read(&state(&[("h", "{"), ("w", "heavy"), ("d", "x\u{7}\nbirch\n\n"), ("c:xyz", "1"), ("z", "?")]));
        let odd = odd.unwrap();
        assert_eq!((odd.figures, odd.weight, odd.holds.len()), (None, 1.0, 0));
        assert_eq!(odd.drains, ["birch".into()]);
    }

    #[test]
    fn more_than_any_node_has_to_tell_is_refused() {
        let mut many = state(&[]);
        let holds: BTreeMap<String, Holding> =
            (0..5_000u64).map(|number| (format!("{number:064x}"), held(number))).collect();
        tell(&mut many, &holds, &[]);
        assert_eq!(read(&many).unwrap().holds.len(), MAX_HOLDS);
        let mut readings = Readings::default();
        for number in 0..16 {
            assert!(readings.member(&id(), &many).is_ok(), "{number}");
            many.set(number, "x".repeat(60_000));
        }
        let error = readings.member(&id(), &many).unwrap_err();
        assert!(error.to_string().starts_with("the node at 10.0.0.1:7070 tells "), "{error}");
    }

    #[test]
    fn what_did_not_change_is_not_read_again() {
        let mut told = state(&[(&format!("c:{}", "a".repeat(64)), "9 1 x")]);
        let mut readings = Readings::default();
        let first = readings.member(&id(), &told).unwrap().unwrap();
        told.set("h", report(Figures::default(), 1));
        let second = readings.member(&id(), &told).unwrap().unwrap();
        assert_eq!(second.report, 1);
        assert!(Arc::ptr_eq(&first.holds, &second.holds));
        readings.retain(|_| false);
        assert!(readings.read.is_empty());
    }
}
