//! `skep nodes`.

use clap::{Subcommand, ValueEnum};
use serde_json::json;
use skep_engine::content::name::printable;
use skep_engine::control::pool::{Balancer, MoveRow, PoolNode, PoolNodeRow, PoolView};
use skep_engine::control::{Command, Control, Focus, Reply};

use super::context::Context;
use crate::host::{self, Start, with_scheme};
use crate::logging;
use crate::output::moves::{coming, going};
use crate::output::{Align, Exit, Failure, Table, human};

/// Longest wait for the nodes of a list to say how they are.
const ASKED: std::time::Duration = std::time::Duration::from_secs(3);

/// Show or change the pool that this node is in, or knows
///
/// Nodes are in a pool because they were listed by `nodes add`, or because they told one another (`skep serve --join`).
/// Of each: how it is, the score that makes of it and its four terms, its chance to be chosen, its share of the ring.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    what: Option<What>,
}

#[derive(Debug, Subcommand)]
enum What {
    /// List the nodes, how they are and why they are chosen or are not (the default)
    List,
    /// Put a node on the list, or give it another weight
    Add {
        /// http(s)://HOST:PORT
        #[arg(value_name = "URL")]
        url: String,
        /// What it calls itself; it is asked unless that is given
        #[arg(long, value_name = "NAME")]
        name: Option<String>,
        /// Its share beside the others, 0.01 to 100: 2 is twice as much as 1
        #[arg(long, value_name = "N")]
        weight: Option<f64>,
        /// Only say which keys would belong to it; nothing that is there moves
        #[arg(long)]
        dry_run: bool,
    },
    /// Take nodes off the list
    Remove {
        /// By their names
        #[arg(required = true, value_name = "NAME")]
        names: Vec<String>,
        /// Only say what would follow
        #[arg(long)]
        dry_run: bool,
    },
    /// Take nodes out of use: they are chosen only where there is no other, and others make copies of what they hold
    Drain {
        /// By their names
        #[arg(required = true, value_name = "NAME")]
        names: Vec<String>,
        /// Only say what would be copied again elsewhere
        #[arg(long)]
        dry_run: bool,
    },
    /// Take drained nodes into use again
    Undrain {
        /// By their names
        #[arg(required = true, value_name = "NAME")]
        names: Vec<String>,
    },
    /// Let another balancer answer where nobody says which, on this node alone
    Balancer {
        /// Which
        #[arg(value_name = "BALANCER")]
        balancer: By,
    },
}

/// A balancer, as a flag.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum By {
    /// By the key alone: the same node while the pool stays the same
    ConsistentHash,
    /// By how the nodes are: the better, the more often
    ResourceAware,
}

impl From<By> for Balancer {
    fn from(by: By) -> Self {
        match by {
            By::ConsistentHash => Self::ConsistentHash,
            By::ResourceAware => Self::ResourceAware,
        }
    }
}

pub(super) fn run(cx: &Context, args: &Args) -> Result<Exit, Failure> {
    cx.engine(async {
        let logging = logging::start(cx.settings(), false)?;
        let host = host::open(cx, Start { listen: cx.settings().get.listen, resume: false, logging: &logging }).await?;
        let done = carry_out(cx, &*host.control(), &args.what).await;
        host.close().await;
        done
    })
}

async fn carry_out(cx: &Context, node: &dyn Control, what: &Option<What>) -> Result<Exit, Failure> {
    {
        match what {
            None | Some(What::List) => list(cx, node).await,
            Some(What::Add { url, name, weight, dry_run }) => {
                let wanted =
                    PoolNode { name: name.clone().unwrap_or_default(), endpoint: with_scheme(url), weight: *weight };
                if *dry_run {
                    let Some(name) = name else { return Err(Failure::usage("--dry-run needs the node's --name")) };
                    return preview(cx, node, name, Some(weight.unwrap_or(1.0)), false).await;
                }
                let Reply::Listed { name } = node.command(Command::PoolAdd(wanted)).await? else {
                    return Err(Failure::failed("the node gave another answer"));
                };
                said(cx, &name, "listed");
                Ok(Exit::Done)
            }
            Some(What::Remove { names, dry_run }) => {
                for name in names {
                    if *dry_run {
                        preview(cx, node, name, None, false).await?;
                        continue;
                    }
                    node.command(Command::PoolRemove { name: name.clone() }).await?;
                    said(cx, name, "removed");
                }
                Ok(Exit::Done)
            }
            Some(What::Drain { names, dry_run: true }) => {
                for name in names {
                    preview(cx, node, name, None, true).await?;
                }
                Ok(Exit::Done)
            }
            Some(What::Drain { names, .. }) => drain(cx, node, names, true).await,
            Some(What::Undrain { names }) => drain(cx, node, names, false).await,
            Some(What::Balancer { balancer }) => {
                let balancer = Balancer::from(*balancer);
                node.command(Command::SetBalancer { balancer }).await?;
                cx.out.result(
                    || json!({ "type": "result", "balancer": balancer }),
                    || format!("{} answers", balancer.word()),
                );
                Ok(Exit::Done)
            }
        }
    }
}

fn said(cx: &Context, name: &str, what: &str) {
    let name = printable(name);
    cx.out.result(|| json!({ "type": "result", "node": name, "did": what }), || format!("{name}  {what}"));
}

async fn drain(cx: &Context, node: &dyn Control, names: &[String], on: bool) -> Result<Exit, Failure> {
    for name in names {
        node.command(Command::PoolDrain { name: name.clone(), on }).await?;
        said(cx, name, if on { "drained" } else { "in use" });
    }
    Ok(Exit::Done)
}

/// Says what would follow. `weight`: the node comes with it; `drain`: it is taken out of use; neither: it goes off the list.
async fn preview(
    cx: &Context,
    node: &dyn Control,
    name: &str,
    weight: Option<f64>,
    drain: bool,
) -> Result<Exit, Failure> {
    let command = Command::PreviewPool { name: name.to_owned(), weight, drain };
    let Reply::Moves(moves) = node.command(command).await? else {
        return Err(Failure::failed("the node gave another answer"));
    };
    let shown = printable(name);
    cx.out.result(
        || {
            let mut object = json!(moves);
            object["type"] = "moves".into();
            object["node"] = json!(shown);
            object
        },
        || {
            let lines = if weight.is_some() { coming(&moves) } else { going(&moves) };
            format!("{shown}  {}", lines.join("; "))
        },
    );
    Ok(Exit::Done)
}

async fn list(cx: &Context, node: &dyn Control) -> Result<Exit, Failure> {
    let mut view = node.view(Focus::default());
    let mut snapshot = host::snapshot(&mut view).await?;
    // A node that has just begun has yet to ask those on its list.
    let is_known = |row: &PoolNodeRow| row.figures.is_some() || !row.available;
    let asked = host::snapshot_when(&mut view, |snapshot| snapshot.pool.nodes.iter().all(|row| is_known(row)));
    if let Ok(Ok(asked)) = tokio::time::timeout(ASKED, asked).await {
        snapshot = asked;
    }
    let pool = &snapshot.pool;
    if cx.out.json {
        for row in &pool.nodes {
            let mut object = json!(row);
            object["type"] = "node".into();
            object["state"] = row.state().name().into();
            cx.out.object(&object);
        }
        for row in &pool.moves {
            let mut object = json!(row);
            object["type"] = "move".into();
            cx.out.object(&object);
        }
        let count = pool.nodes.len();
        cx.out.object(
            &json!({ "type": "pool", "name": pool.name, "balancer": pool.balancer, "gossip": pool.gossip, "nodes": count }),
        );
        return Ok(Exit::Done);
    }
    if !pool.nodes.is_empty() {
        table(pool).lines().iter().for_each(|line| cx.out.line(line));
    }
    cx.out.say(&summary(pool));
    pool.moves.iter().for_each(|row| cx.out.say(&missing(row)));
    Ok(Exit::Done)
}

/// A copy that was lost and that this node makes again.
fn missing(row: &MoveRow) -> String {
    let turn = match (row.transfer, row.waits_s) {
        _ if row.from.is_empty() => "no node that is there has it".to_owned(),
        (Some(id), _) => format!("transfer {id} makes it again here"),
        (None, Some(0)) => "to be made again here in its turn".to_owned(),
        (None, Some(s)) => format!("made again here in {}", human::eta(s)),
        (None, None) => "on its way here".to_owned(),
    };
    format!(
        "{} ({}): {} of {} copies left; {turn}",
        printable(&row.name),
        human::bytes(row.bytes),
        row.live,
        row.replicas
    )
}

fn summary(pool: &PoolView) -> String {
    let there = pool.nodes.iter().filter(|row| row.available).count();
    let gossip = match &pool.gossip {
        Some(address) => format!("gossip by {address}"),
        None => "no gossip: the list alone".to_owned(),
    };
    if pool.nodes.is_empty() {
        return "no pool: `skep nodes add URL` lists a node, `skep serve --join ADDR:PORT` joins others".to_owned();
    }
    let count = human::counted(pool.nodes.len() as u64, "node");
    format!("pool {}: {count}, {there} there; {} answers; {gossip}", pool.name, pool.balancer.word())
}

fn table(pool: &PoolView) -> Table {
    let mut table = Table::new(&[
        ("NAME", Align::Left),
        ("STATE", Align::Left),
        ("CPU", Align::Right),
        ("MEM", Align::Right),
        ("CONN", Align::Right),
        ("LATENCY", Align::Right),
        ("SCORE", Align::Right),
        ("CHANCE", Align::Right),
        ("RING", Align::Right),
        ("HOLDS", Align::Right),
        ("ENDPOINT", Align::Left),
        ("WHY", Align::Left),
    ]);
    let percent = |share: f64| format!("{:.1} %", share * 100.0);
    for row in &pool.nodes {
        let figures = row.figures.filter(|_| !row.stale);
        let figure = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
        table.row(vec![
            row.name.to_string(),
            row.state().name().to_owned(),
            figure(figures.map(|figures| format!("{:.0} %", figures.cpu_percent))),
            figure(figures.map(|figures| format!("{:.0} %", figures.memory_percent))),
            figure(figures.map(|figures| figures.active_connections.to_string())),
            figure((row.latency_ms > 0.0 || figures.is_some()).then(|| format!("{:.1} ms", row.latency_ms))),
            format!("{:.2}", row.score.total),
            percent(row.chance),
            percent(row.ring_share),
            if row.holds == 0 { String::new() } else { row.holds.to_string() },
            row.endpoint.clone(),
            row.why.clone(),
        ]);
    }
    table
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use skep_engine::control::pool::{Figures, Score};

    use super::*;

    #[test]
    fn a_table_says_how_nodes_are_and_why() {
        let good = PoolNodeRow {
            name: "a".into(),
            endpoint: "http://h:1".into(),
            available: true,
            slow_start: 1.0,
            figures: Some(Figures {
                cpu_percent: 12.0,
                memory_percent: 40.0,
                active_connections: 3,
                ..Figures::default()
            }),
            score: Score { total: 0.83, ..Score::default() },
            chance: 1.0,
            ring_share: 0.51,
            ..PoolNodeRow::default()
        };
        let gone = PoolNodeRow { name: "b".into(), stale: true, why: "no answer".into(), ..PoolNodeRow::default() };
        let pool = PoolView { nodes: vec![Arc::new(good), Arc::new(gone)], ..PoolView::default() };
        let words = |line: &str| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>().join(" ");
        let lines = table(&pool).lines();
        assert_eq!(words(&lines[1]), "a ok 12 % 40 % 3 0.0 ms 0.83 100.0 % 51.0 % http://h:1");
        assert_eq!(words(&lines[2]), "b gone - - - - 0.00 0.0 % 0.0 % no answer");
        assert!(summary(&pool).contains("2 nodes, 1 there; consistent-hash answers; no gossip"));
        assert!(summary(&PoolView::default()).starts_with("no pool"));
        let lost = MoveRow {
            name: "big.img".into(),
            bytes: 5_000_000_000,
            replicas: 3,
            live: 2,
            from: vec!["a".into()],
            waits_s: Some(43),
            ..MoveRow::default()
        };
        assert_eq!(missing(&lost), "big.img (5.00 GB): 2 of 3 copies left; made again here in 43s");
        assert!(missing(&MoveRow { from: Vec::new(), ..lost }).ends_with("no node that is there has it"));
    }
}
