//! Every setting there is, in one table: its key, its flag, what it takes, its default, what it
//! does. Flags, environment variables, the configuration file, `config show` and
//! `config template` are all made from it.
//!
//! The rule of names: setting `share.piece_length` is `piece_length` under `[share]` in the file and
//! `SKEP_SHARE_PIECE_LENGTH` in the environment.

use super::value::{Kind, Value};

/// How a setting is given on the command line.
#[derive(Debug, Clone, Copy)]
pub struct Flag {
    /// Without the dashes.
    pub long: &'static str,
    /// One letter.
    pub short: Option<char>,
    /// What the help calls its value.
    pub value: &'static str,
}

/// One setting.
#[derive(Debug, Clone, Copy)]
pub struct Setting {
    /// `name` or `section.name`.
    pub key: &'static str,
    /// Its flag, where commands take one.
    pub flag: Option<Flag>,
    /// What it takes.
    pub kind: Kind,
    /// As it would be written on the command line.
    pub default: &'static str,
    /// What it does, for the help and the template.
    pub doc: &'static str,
}

impl Setting {
    /// Its environment variable.
    pub fn env(&self) -> String {
        format!("SKEP_{}", self.key.replace('.', "_").to_ascii_uppercase())
    }

    /// Section and name in the file.
    pub fn place(&self) -> (Option<&'static str>, &'static str) {
        match self.key.split_once('.') {
            Some((section, name)) => (Some(section), name),
            None => (None, self.key),
        }
    }

    /// Its default; a test sees to it that every one parses.
    pub fn default_value(&self) -> Value {
        self.kind.parse(self.default).unwrap_or(Value::Path(None))
    }
}

const fn flag(long: &'static str, value: &'static str) -> Option<Flag> {
    Some(Flag { long, short: None, value })
}

const fn short(long: &'static str, letter: char, value: &'static str) -> Option<Flag> {
    Some(Flag { long, short: Some(letter), value })
}

const fn setting(
    key: &'static str,
    flag: Option<Flag>,
    kind: Kind,
    default: &'static str,
    doc: &'static str,
) -> Setting {
    Setting { key, flag, kind, default, doc }
}

/// Settings that every command takes.
pub const GLOBAL: &[&str] = &["json", "color", "verbose", "state_dir", "token_file", "log_file"];

/// The settings, in the order of the template: those without a section first.
pub const SETTINGS: &[Setting] = &[
    setting(
        "json",
        flag("json", "BOOL"),
        Kind::Bool,
        "false",
        "Print one JSON object per line on stdout: progress, then the result or the error",
    ),
    setting(
        "color",
        flag("color", "WHEN"),
        Kind::Choice(&["auto", "always", "never"]),
        "auto",
        "Colours: auto is on for terminals unless NO_COLOR is set",
    ),
    setting(
        "verbose",
        short("verbose", 'v', "LEVEL"),
        Kind::Count(0, 3),
        "0",
        "Say more: -v the causes of an error and the log on stderr (serve), -vv log at debug, -vvv at trace",
    ),
    setting(
        "state_dir",
        flag("state-dir", "DIR"),
        Kind::Path,
        "",
        "Folder of what a node remembers: transfers, bans, token. One node at a time uses it. Empty: skep/state in the XDG data folder",
    ),
    setting(
        "token_file",
        flag("token-file", "FILE"),
        Kind::Path,
        "",
        "File that holds the token shared by nodes and clients; needed to listen beyond loopback and to attach to such a node. Empty: the token in the state folder, which local commands find by themselves",
    ),
    setting(
        "log_file",
        flag("log-file", "FILE"),
        Kind::Path,
        "",
        "Where the log goes. Empty: skep.DATE.log, a new one each day and seven kept, in skep in the XDG state folder, or in the state folder if one is given",
    ),
    setting(
        "log_level",
        None,
        Kind::Text,
        "info",
        "How much is logged: error, warn, info, debug, trace, or a filter such as info,skep_engine::swarm=debug",
    ),
    setting(
        "listen",
        flag("listen", "ADDR:PORT"),
        Kind::Address,
        "127.0.0.1:7070",
        "Address that the node listens on; port 0 takes any. Beyond loopback only with a token file",
    ),
    setting(
        "advertise",
        flag("advertise", "URL"),
        Kind::Text,
        "",
        "http://ADDRESS:PORT under which others reach the node, behind a forwarded port, say. Empty: they take the address they see",
    ),
    setting(
        "root",
        flag("root", "DIR"),
        Kind::Path,
        "",
        "Folder that content lands in. Empty: skep/files in the XDG data folder, or root in the state folder if one is given",
    ),
    setting("name", flag("name", "NAME"), Kind::Text, "", "Name that the node shows to others. Empty: the host name"),
    setting(
        "trackers",
        flag("tracker", "URL"),
        Kind::List,
        "",
        "Trackers to announce to, beside the node that a link names; can be given several times",
    ),
    setting(
        "join",
        flag("join", "ADDR:PORT"),
        Kind::List,
        "",
        "Nodes to know from the start, and to be in a pool with, which takes the same token file on all of them; can be given several times",
    ),
    setting(
        "trusted",
        flag("trusted", "BOOL"),
        Kind::Bool,
        "false",
        "All peers are ours: serve everybody at once instead of trading upload slots (tit-for-tat)",
    ),
    setting(
        "public",
        flag("public", "BOOL"),
        Kind::Bool,
        "false",
        "Listening beyond loopback, let anybody fetch what is shared; steering the node still takes the token",
    ),
    setting("workers", None, Kind::Count(1, 64), "2", "Threads that move data"),
    setting("limits.up", flag("up", "RATE"), Kind::Rate, "unlimited", "Upload limit of the whole node, per second"),
    setting(
        "limits.down",
        flag("down", "RATE"),
        Kind::Rate,
        "unlimited",
        "Download limit of the whole node, per second",
    ),
    setting(
        "limits.schedule",
        None,
        Kind::Schedule,
        "",
        "Limits at certain times or on certain links, in this machine's time; the first rule that holds counts, then limits.up and limits.down: \"mon-fri 08:00-18:00 up=2M\", \"22:00-06:00 up=unlimited\", \"link=10.0.0.2:7070 up=500K\"",
    ),
    setting("limits.transfers", None, Kind::Count(1, 1000), "10", "Transfers that run at once; the others wait"),
    setting("limits.queue", None, Kind::Count(1, 1_000_000), "10000", "Operations that the queue holds"),
    setting(
        "limits.upload_slots",
        None,
        Kind::Count(1, 1000),
        "4",
        "Peers of a content that are served at once, beside one optimistic slot",
    ),
    setting(
        "limits.in_flight",
        None,
        Kind::AutoCount(1, 512),
        "auto",
        "Pieces of a transfer that are asked for at once; auto grows with what the link holds",
    ),
    setting("limits.piece_timeout", None, Kind::Duration, "30s", "A piece that takes longer is asked of another peer"),
    setting(
        "limits.upload_quota",
        None,
        Kind::AutoSize,
        "auto",
        "Bytes that unfinished uploads of others may have in all; auto: what fits on the disk",
    ),
    setting(
        "limits.upload_expiry",
        None,
        Kind::Duration,
        "168h",
        "An upload of others that nothing came for this long is removed",
    ),
    setting("limits.connections", None, Kind::Count(1, 65_535), "1024", "Connections to the node's server at once"),
    setting(
        "share.piece_length",
        flag("piece-length", "SIZE"),
        Kind::AutoSize,
        "auto",
        "Bytes per piece, from 1KiB to 64MiB; auto: 256KiB, more for large content",
    ),
    setting(
        "share.ratio",
        flag("ratio", "RATIO"),
        Kind::MaybeRatio,
        "none",
        "Stop seeding when this many times the size was uploaded",
    ),
    setting("share.seed_time", flag("seed-time", "TIME"), Kind::MaybeDuration, "none", "Stop seeding after this time"),
    setting("pool.name", None, Kind::Text, "default", "Name of the pool, as in pool:NAME; the same on all its nodes"),
    setting(
        "pool.weight",
        None,
        Kind::Number(0.01, 100.0),
        "1",
        "Share of this node beside the others: 2 is twice as much as 1",
    ),
    setting(
        "pool.points",
        None,
        Kind::Count(1, 1000),
        "150",
        "Points that a node of weight 1 has on the ring: more make shares more even. The same on all its nodes, as they would place keys differently otherwise",
    ),
    setting(
        "pool.bound",
        None,
        Kind::MaybeNumber(1.0, 100.0),
        "1.25",
        "No node is given more than so many times its fair share of the contents; none: what the ring gives it. The same on all its nodes, too",
    ),
    setting(
        "pool.repair_after",
        None,
        Kind::Duration,
        "1m",
        "How long a node may be away before its copies are made again elsewhere",
    ),
    setting("pool.repairs", None, Kind::Count(1, 64), "2", "Lost copies that this node makes again at once"),
    setting("pool.budget", None, Kind::Rate, "64MiB", "What it takes for that, per second"),
    setting("pool.cpu", None, Kind::Number(1.0, 100.0), "90", "A node of the pool above this percentage is not chosen"),
    setting("pool.memory", None, Kind::Number(1.0, 100.0), "90", "Nor is one that uses more of its memory"),
    setting("pool.connections", None, Kind::Count(1, 1_000_000), "10000", "Nor is one with more connections"),
    setting("pool.stale", None, Kind::Duration, "30s", "A report older than this says nothing: its node counts half"),
    setting("pool.slow_start", None, Kind::Duration, "30s", "Time until a node that came counts in full"),
    setting(
        "pool.weights",
        None,
        Kind::Weights(4),
        "0.3,0.3,0.2,0.2",
        "What idle CPU, free memory, connections left and answering soon each add to a node's score, in this order. Only how they stand to one another counts: each is divided by their sum; 0 leaves one out",
    ),
    setting("link.automatic", None, Kind::Bool, "true", "Monitor the links that sends and syncs use"),
    setting("link.linger", None, Kind::Duration, "3m", "How long such a monitor goes on after the last of them"),
    setting(
        "link.interval",
        None,
        Kind::Duration,
        "5s",
        "Time between two measurements of the bandwidth of a monitored link; where the budget does not bear that it is longer",
    ),
    setting(
        "link.budget",
        None,
        Kind::Number(0.1, 50.0),
        "5",
        "Percent of what a link carries that probing may cost over any minute",
    ),
    setting("link.probe_limit", None, Kind::Duration, "5s", "Time that one measurement may take"),
    setting("link.window", None, Kind::Duration, "30s", "Samples older than this count no more"),
    setting("link.samples", None, Kind::Count(1, 100), "3", "Samples below which a link's class is unknown"),
    setting(
        "link.confirmations",
        None,
        Kind::Count(1, 100),
        "3",
        "Samples in a row that have to say the same before a link is of another class",
    ),
    setting(
        "link.margin",
        None,
        Kind::Number(1.0, 90.0),
        "20",
        "Percent by which the deciding figure has to be past its threshold for that",
    ),
    setting(
        "link.intermittent_loss",
        None,
        Kind::Number(0.1, 99.9),
        "20",
        "A link that loses more than this percentage of its packets is intermittent",
    ),
    setting(
        "link.intermittent_missed",
        None,
        Kind::Count(1, 100),
        "2",
        "So is one that does not answer for more than so many signs of life in a row, a second apart",
    ),
    setting(
        "link.satellite_bandwidth",
        None,
        Kind::Number(0.001, 1e6),
        "1",
        "One of less than this many Mbit/s is satellite",
    ),
    setting(
        "link.satellite_latency",
        None,
        Kind::Number(0.001, 1e6),
        "500",
        "So is one whose round trip takes longer than this many ms",
    ),
    setting(
        "link.fiber_bandwidth",
        None,
        Kind::Number(0.001, 1e6),
        "100",
        "Fiber carries more than this many Mbit/s …",
    ),
    setting(
        "link.fiber_latency",
        None,
        Kind::Number(0.001, 1e6),
        "10",
        "… and its round trip takes less than this many ms",
    ),
    setting(
        "link.broadband_bandwidth",
        None,
        Kind::Number(0.001, 1e6),
        "10",
        "Broadband carries at least this many Mbit/s …",
    ),
    setting(
        "link.broadband_latency",
        None,
        Kind::Number(0.001, 1e6),
        "50",
        "… and its round trip takes less than this many ms; what is none of these is mobile",
    ),
    setting(
        "link.profiles",
        None,
        Kind::Profiles,
        "",
        "What syncs over links of a class do instead of what is built in, each class in a section of its own, [link.profiles.satellite], with any of mode = \"delta_only\", summary_only = true, compression = 12 or \"none\", chunk = \"32KiB\", interval = \"2m\" or \"none\", concurrent = 1, queued = true. As a variable: satellite chunk=32KiB compression=12, mobile queued=false",
    ),
    setting(
        "get.dir",
        short("output-dir", 'o', "DIR"),
        Kind::Path,
        "",
        "Folder that the content appears in. Empty: the current folder",
    ),
    setting(
        "get.order",
        flag("order", "ORDER"),
        Kind::Choice(&["rarest", "sequential", "random"]),
        "rarest",
        "Order of pieces: the rarest first spreads a content fastest, sequential is for reading along",
    ),
    setting("get.seed", flag("seed", "BOOL"), Kind::Bool, "false", "Go on serving others when complete, until stopped"),
    setting(
        "get.listen",
        flag("listen", "ADDR:PORT"),
        Kind::Address,
        "127.0.0.1:0",
        "Where a `get` without a running node listens, so that others can fetch from it meanwhile",
    ),
    setting(
        "console.theme",
        flag("theme", "NAME"),
        Kind::Text,
        "auto",
        "Colours of the console: auto (slate, or paper where the terminal's ground is light), a built-in theme, or one of yours in the folder `themes` beside the configuration file (see skep themes)",
    ),
    setting(
        "console.glyphs",
        flag("glyphs", "SET"),
        Kind::Choice(&["auto", "octant", "braille", "block", "ascii"]),
        "auto",
        "Characters that the console draws with",
    ),
    setting(
        "console.keys",
        None,
        Kind::Path,
        "",
        "TOML file of keys that differ from the built-in ones (see skep keys). Empty: none",
    ),
    setting("console.mouse", None, Kind::Bool, "true", "Let the console take the mouse"),
    setting("console.fps", None, Kind::Count(1, 30), "4", "Frames per second at most while data changes"),
    setting(
        "console.recording",
        None,
        Kind::Size,
        "64MiB",
        "Bytes that the console's recordings may take on disk; the last hour always fits, on busy nodes with fewer moments. 0: nothing is recorded, and there is no way back in time",
    ),
    setting(
        "console.targets",
        None,
        Kind::List,
        "",
        "Nodes that the console can be switched to and that `skep attach NAME` opens, each as NAME=URL [token=FILE] [read-only]",
    ),
];

/// The setting of that key.
pub fn find(key: &str) -> Option<&'static Setting> {
    SETTINGS.iter().find(|s| s.key == key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_default_parses_and_survives_the_file() {
        for setting in SETTINGS {
            let value = setting.kind.parse(setting.default).unwrap_or_else(|e| panic!("{}: {e}", setting.key));
            assert_eq!(setting.kind.from_toml(&value.to_toml()).as_ref(), Ok(&value), "{}", setting.key);
        }
    }

    #[test]
    fn keys_are_unique_and_sections_come_last() {
        let mut seen = std::collections::HashSet::new();
        let mut last_section = None;
        let mut closed = std::collections::HashSet::new();
        for setting in SETTINGS {
            assert!(seen.insert(setting.key) && seen.insert(&*setting.env().leak()), "{} twice", setting.key);
            let (section, _) = setting.place();
            if section != last_section {
                assert!(closed.insert(last_section) && section.is_some(), "{} is out of order", setting.key);
                last_section = section;
            }
        }
    }
}
