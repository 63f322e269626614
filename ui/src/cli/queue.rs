//! `skep queue`.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Subcommand, ValueEnum};
use serde_json::{Value, json};
use skep_engine::content::name::printable;
use skep_engine::control::queue::{Operation, PurgeRequest, QueueId, QueueMove, QueueRow, QueueView};
use skep_engine::control::{Command, Focus, PriorityClass, Reply, SendRequest, Snapshot, SyncRequest};

use super::class::Class;
use super::context::{Context, absolute};
use crate::config::units;
use crate::host::{self, Running, with_scheme};
use crate::output::{Align, Exit, Failure, Table, human};

/// Longest name that the table shows in full.
const NAME_WIDTH: usize = 40;

/// Show or change what waits for its turn, or for its link
///
/// An operation starts when its class has its turn and its receiver can be reached; what cannot go out yet is kept, over
/// restarts too. Within a class the first comes first, and who waits long enough rises to the next class. `send --queue` and
/// `sync --queue` put operations there, too.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    what: Option<What>,
}

#[derive(Debug, Subcommand)]
enum What {
    /// List the operations in the order in which they are tried (the default)
    List {
        /// Only those of this class
        #[arg(long, value_name = "CLASS")]
        class: Option<Class>,
    },
    /// Put a push, or with --sync a sync, into the queue of the running node
    Add {
        /// File or folder
        #[arg(value_name = "PATH")]
        path: PathBuf,
        /// Where to: http(s)://HOST:PORT/DIR/ or …/NAME
        #[arg(value_name = "DEST")]
        dest: String,
        /// How much it matters
        #[arg(long, value_name = "CLASS")]
        priority: Option<Class>,
        /// Make DEST equal to PATH instead of pushing a copy
        #[arg(long)]
        sync: bool,
    },
    /// Remove operations: all that every given condition holds for. What is at work stays, unless it is named
    Purge {
        /// Operations by their number; one at work is cancelled
        #[arg(value_name = "ID")]
        ids: Vec<QueueId>,
        /// Of this class
        #[arg(long, value_name = "CLASS")]
        class: Option<Class>,
        /// That wait longer than this
        #[arg(long, value_name = "TIME", value_parser = units::duration)]
        older: Option<Duration>,
        /// For this endpoint, as it is listed
        #[arg(long, value_name = "HOST:PORT")]
        to: Option<String>,
        /// All of them
        #[arg(long)]
        all: bool,
    },
    /// Give an operation another place in its class
    Move {
        /// Its number
        #[arg(value_name = "ID")]
        id: QueueId,
        /// Where to
        #[arg(value_name = "WHERE")]
        to: To,
    },
    /// Give operations another class
    Class {
        /// The class
        #[arg(value_name = "CLASS")]
        class: Class,
        /// Operations by their number
        #[arg(required = true, value_name = "ID")]
        ids: Vec<QueueId>,
    },
    /// Try operations now that wait for their next try, or were put aside
    Retry {
        /// Operations by their number
        #[arg(required = true, value_name = "ID")]
        ids: Vec<QueueId>,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum To {
    /// Before all of its class
    First,
    /// Before the one before it
    Up,
    /// Behind the one behind it
    Down,
    /// Behind all of its class
    Last,
}

pub(super) fn run(cx: &Context, args: &Args) -> Result<Exit, Failure> {
    cx.talk(async {
        let node = host::require(cx).await?;
        match &args.what {
            None => list(cx, &node, None).await,
            Some(What::List { class }) => list(cx, &node, class.map(Into::into)).await,
            Some(What::Add { path, dest, priority, sync }) => {
                let (path, dest) = (absolute(path)?, with_scheme(dest));
                let operation = if *sync {
                    Operation::Sync(SyncRequest { path, dest, ..SyncRequest::default() })
                } else {
                    Operation::Send(SendRequest { path, dest, ..SendRequest::default() })
                };
                let command = Command::Enqueue { operation, class: priority.map(Into::into) };
                let Reply::Enqueued { id, again } = node.control.command(command).await? else {
                    return Err(Failure::failed("the node gave another answer"));
                };
                queued(cx, id, again);
                Ok(Exit::Done)
            }
            Some(What::Purge { ids, class, older, to, all }) => {
                let request = PurgeRequest {
                    ids: ids.clone(),
                    class: class.map(Into::into),
                    max_age_s: older.map(|age| age.as_secs()),
                    target: to.clone(),
                    all: *all,
                };
                if request == PurgeRequest::default() {
                    let words = "nothing to remove: name operations, --class, --older, --to, or say --all";
                    return Err(Failure::usage(words));
                }
                let Reply::Purged { count } = node.control.command(Command::PurgeQueue(request)).await? else {
                    return Err(Failure::failed("the node gave another answer"));
                };
                cx.out.result(
                    || json!({ "type": "result", "purged": count }),
                    || format!("{} removed", human::counted(count, "operation")),
                );
                Ok(Exit::Done)
            }
            Some(What::Move { id, to }) => {
                let to = match to {
                    To::First => QueueMove::First,
                    To::Up => QueueMove::Up,
                    To::Down => QueueMove::Down,
                    To::Last => QueueMove::Last,
                };
                done(cx, &node, Command::MoveQueued { id: *id, to }, &[*id]).await
            }
            Some(What::Class { class, ids }) => {
                done(cx, &node, Command::SetClass { ids: ids.clone(), class: (*class).into() }, ids).await
            }
            Some(What::Retry { ids }) => done(cx, &node, Command::RetryQueued { ids: ids.clone() }, ids).await,
        }
    })
}

/// Says that an operation is in the queue.
pub(super) fn queued(cx: &Context, id: QueueId, again: bool) {
    cx.out.result(
        || json!({ "type": "queued", "id": id, "again": again }),
        || format!("{} as {id}", if again { "in the queue already," } else { "in the queue" }),
    );
}

/// Carries a command out and says how the operations stand then.
async fn done(cx: &Context, node: &Running, command: Command, ids: &[QueueId]) -> Result<Exit, Failure> {
    node.control.command(command).await?;
    // A new view begins with a snapshot that shows it.
    let snapshot = host::snapshot(&mut node.control.view(Focus::default())).await?;
    for (place, row) in snapshot.queue.rows.iter().enumerate().filter(|(_, row)| ids.contains(&row.id)) {
        let mut object = operation(row);
        object["place"] = (place + 1).into();
        cx.out.result(|| object, || format!("{}  {}  place {}  {}", row.id, class_word(row), place + 1, row.name));
    }
    Ok(Exit::Done)
}

async fn list(cx: &Context, node: &Running, class: Option<PriorityClass>) -> Result<Exit, Failure> {
    let snapshot = host::snapshot(&mut node.control.view(Focus::default())).await?;
    let queue = &snapshot.queue;
    let rows: Vec<_> = queue.rows.iter().filter(|row| class.is_none_or(|class| class == row.class)).collect();
    if cx.out.json {
        rows.iter().for_each(|row| cx.out.object(&operation(row)));
        cx.out.object(&totals(queue));
        return Ok(Exit::Done);
    }
    if !rows.is_empty() {
        let lines = table(rows.iter().map(|row| row.as_ref()), &snapshot).lines();
        lines.iter().for_each(|line| cx.out.line(line));
    }
    let hidden = queue.count().saturating_sub(queue.rows.len() as u64);
    if hidden > 0 {
        cx.out.say(&format!("… and {} behind these", human::counted(hidden, "operation")));
    }
    for line in summary(queue) {
        cx.out.say(&line);
    }
    Ok(Exit::Done)
}

fn operation(row: &QueueRow) -> Value {
    let mut object = json!(row);
    object["type"] = "operation".into();
    object
}

fn totals(queue: &QueueView) -> Value {
    let classes = PriorityClass::ALL.iter().zip(queue.classes);
    let classes: serde_json::Map<String, Value> =
        classes.map(|(class, totals)| (class.name().to_owned(), json!(totals))).collect();
    json!({
        "type": "totals", "count": queue.count(), "bytes": queue.bytes(), "capacity": queue.capacity,
        "dropped": queue.dropped(), "expired": queue.expired, "corrupt": queue.corrupt, "classes": classes,
        "behind": queue.behind,
    })
}

/// What there is to say beside the rows.
fn summary(queue: &QueueView) -> Vec<String> {
    let mut lines = vec![match queue.count() {
        0 => "the queue is empty".to_owned(),
        count => format!(
            "{}, {}; room for {}",
            human::counted(count, "operation"),
            human::bytes(queue.bytes()),
            queue.capacity.saturating_sub(count)
        ),
    }];
    if queue.dropped() > 0 {
        let each = PriorityClass::ALL.iter().zip(queue.classes).filter(|(_, totals)| totals.dropped > 0);
        let each: Vec<String> = each.map(|(class, totals)| format!("{} {}", totals.dropped, class.name())).collect();
        lines.push(format!("dropped since the node started, because it was full: {}", each.join(", ")));
    }
    if queue.corrupt > 0 {
        lines.push(format!("{} could not be read and were put aside", human::counted(queue.corrupt, "operation")));
    }
    for tree in &queue.behind {
        lines.push(format!(
            "{} is behind {} by {} and {}: the data follows when its link allows",
            printable(&tree.path),
            printable(&tree.from),
            human::counted(tree.files, "file"),
            human::bytes(tree.bytes)
        ));
    }
    lines
}

fn class_word(row: &QueueRow) -> String {
    match row.aged {
        0 => row.class.name().to_owned(),
        aged => format!("{}+{aged}", row.class.name()),
    }
}

fn table<'a>(rows: impl Iterator<Item = &'a QueueRow>, snapshot: &Snapshot) -> Table {
    let mut table = Table::new(&[
        ("ID", Align::Right),
        ("CLASS", Align::Left),
        ("STATE", Align::Left),
        ("KIND", Align::Left),
        ("NAME", Align::Left),
        ("TO", Align::Left),
        ("SIZE", Align::Right),
        ("AGE", Align::Right),
        ("TRIES", Align::Right),
        ("WHY", Align::Left),
    ]);
    for row in rows {
        let age = snapshot.time_ms.saturating_sub(row.added_ms) / 1_000;
        let again = row.retry_at_ms.map(|at| at.saturating_sub(snapshot.time_ms) / 1_000);
        let why = match (row.transfer, again) {
            (Some(transfer), _) if row.why.is_empty() => format!("transfer {transfer}"),
            (_, Some(seconds)) => format!("{}; again in {}", row.why, human::eta(seconds.max(1))),
            _ => row.why.clone(),
        };
        table.row(vec![
            row.id.to_string(),
            class_word(row),
            row.state.name().into(),
            printable(&row.what),
            human::shortened(&printable(&row.name), NAME_WIDTH),
            human::shortened(&printable(&row.dest), NAME_WIDTH),
            human::bytes(row.bytes),
            human::eta(age),
            row.attempts.to_string(),
            printable(&why),
        ]);
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;
    use skep_engine::control::queue::QueueState;

    #[test]
    fn rows_read_well_and_what_was_lost_is_told() {
        let row = QueueRow {
            id: QueueId(7),
            class: PriorityClass::Analytics,
            aged: 2,
            state: QueueState::Stored,
            what: "send".into(),
            name: "a.iso".into(),
            dest: "http://h:1/in/".into(),
            bytes: 5_000_000,
            added_ms: 1_000,
            attempts: 3,
            retry_at_ms: Some(96_000),
            why: "its endpoint does not answer".into(),
            ..QueueRow::default()
        };
        let snapshot = Snapshot { time_ms: 91_000, ..Snapshot::default() };
        let lines = table([&row].into_iter(), &snapshot).lines();
        let words = lines[1].split_whitespace().collect::<Vec<_>>().join(" ");
        let expected =
            "7 analytics+2 stored send a.iso http://h:1/in/ 5.00 MB 1m30s 3 its endpoint does not answer; again in 5s";
        assert_eq!(words, expected);
        let mut queue = QueueView { capacity: 10, corrupt: 1, ..QueueView::default() };
        (queue.classes[4].count, queue.classes[4].bytes, queue.classes[5].dropped) = (1, 5_000_000, 3);
        let lines = summary(&queue);
        assert_eq!(lines[0], "1 operation, 5.00 MB; room for 9");
        assert!(lines[1].contains("3 background") && lines[2].contains("put aside"), "{lines:?}");
        assert_eq!(summary(&QueueView::default()), ["the queue is empty"]);
        assert_eq!(totals(&queue)["classes"]["background"]["dropped"], 3);
    }
}
