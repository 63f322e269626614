//! `skep place`.

use serde_json::json;
use skep_engine::content::name::printable;
use skep_engine::control::{Command, Reply};

use super::context::Context;
use super::nodes::By;
use crate::host::{self, Start};
use crate::logging;
use crate::output::{Exit, Failure};

/// Say which nodes of the pool a key belongs to, and why
///
/// The key is hashed to a place on a ring; it belongs to the first points clockwise from there that are of different nodes.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The key: a content id, a name, anything
    #[arg(value_name = "KEY")]
    key: String,
    /// How many different nodes
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=4096))]
    replicas: u32,
    /// Who answers; without it the pool's own balancer
    #[arg(long, value_name = "BALANCER")]
    balancer: Option<By>,
}

pub(super) fn run(cx: &Context, args: &Args) -> Result<Exit, Failure> {
    cx.engine(async {
        let logging = logging::start(cx.settings(), false)?;
        let host = host::open(cx, Start { listen: cx.settings().get.listen, resume: false, logging: &logging }).await?;
        let (key, replicas, balancer) = (args.key.clone(), Some(args.replicas), args.balancer.map(Into::into));
        let placed = host.control().command(Command::Place { key, replicas, balancer }).await;
        host.close().await;
        let Reply::Placed(placement) = placed? else {
            return Err(Failure::failed("the node gave another answer"));
        };
        if cx.out.json {
            let mut object = json!(placement);
            object["type"] = "result".into();
            cx.out.object(&object);
            return Ok(Exit::Done);
        }
        for node in &placement.nodes {
            cx.out.line(&printable(node));
        }
        cx.out.say(&printable(&placement.why));
        for step in &placement.way {
            let turn = match &step.passed {
                Some(why) => printable(why),
                None if placement.nodes.contains(&step.node) => "chosen".to_owned(),
                None => "next".to_owned(),
            };
            cx.out.say(&format!("  {:08x}  {}  {turn}", step.point, printable(&step.node)));
        }
        let found = placement.nodes.len();
        if found < args.replicas as usize {
            cx.out.say(&format!("there are only {found} of {} nodes", args.replicas));
        }
        Ok(Exit::Done)
    })
}
