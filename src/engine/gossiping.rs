//! Gossip of this node: what it tells of itself, and what it hears.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::pooling::Pool;
use super::services::Services;
use crate::clock::unix_ms;
use crate::content::name::printable;
use crate::control::BoxFuture;
use crate::control::pool::{Figures, Holding, MAX_HOLDS};
use crate::node::Reporter;
use crate::pool::book::Member;
use crate::pool::gossip::{self, Datagrams, Side};
use crate::swarm::{Catalog, Held, here};

/// What gossip is made of.
pub(super) struct Gossiping {
    pub pool: Arc<Pool>,
    pub reporter: Reporter,
    pub catalog: Arc<Catalog>,
    /// Where the node listens.
    pub listen: SocketAddr,
    /// The pool's key comes of it.
    pub token: String,
    /// Its weight on the ring.
    pub weight: f64,
}

/// The node as gossip asks it.
struct Told {
    pool: Arc<Pool>,
    reporter: Reporter,
    catalog: Arc<Catalog>,
    address: String,
}

fn host_port(url: &str) -> String {
    url.split_once("://").map_or(url, |(_, rest)| rest).trim_end_matches('/').to_owned()
}

impl Gossiping {
    /// Gossips until `stop`.
    pub(super) async fn run(self, datagrams: Datagrams, services: Arc<Services>, stop: CancellationToken) {
        let Self { pool, reporter, catalog, listen, token, weight } = self;
        let found = tokio::net::lookup_host(host_port(&services.url)).await;
        let address = found.ok().and_then(|mut found| found.next()).unwrap_or_else(|| here::local(listen));
        let config = gossip::Config {
            pool: pool.name(),
            name: services.name.clone(),
            endpoint: services.url.clone(),
            address,
            seeds: services.join.iter().map(|url| host_port(url)).collect(),
            weight,
            clock: unix_ms,
        };
        let told = Told { pool, reporter, catalog, address: address.to_string() };
        gossip::run(config, token.as_bytes(), datagrams, Arc::new(told), stop).await;
    }
}

impl Side for Told {
    fn report(&self) -> BoxFuture<'_, Figures> {
        Box::pin(async {
            let report = self.reporter.report().await;
            Figures {
                cpu_percent: report.cpu_percent,
                memory_percent: report.memory_percent,
                active_connections: report.active_connections,
                average_latency_ms: report.average_latency_ms,
            }
        })
    }

    fn holds(&self) -> BTreeMap<String, Holding> {
        // What is not under its name yet may still be lost.
        let whole = |held: &Arc<Held>| held.have().is_full() && held.files().is_pinned() && held.trouble().is_none();
        let all = self.catalog.list().into_iter().filter(whole);
        // Twice a second, however many there are: only those that are told are spelled out, and always the same ones, those
        // that a pool counts the copies of first.
        let mut all: Vec<_> = all.map(|held| (held.id(), held)).collect();
        all.sort_unstable_by_key(|(id, held)| (held.replicas() == 0, *id));
        all.truncate(MAX_HOLDS);
        let holding = |held: &Held| Holding {
            bytes: held.manifest().size(),
            replicas: held.replicas(),
            name: printable(&held.manifest().name),
        };
        all.into_iter().map(|(id, held)| (id.to_string(), holding(&held))).collect()
    }

    fn drains(&self) -> Vec<Arc<str>> {
        self.pool.drained()
    }

    fn began(&self) {
        self.pool.gossips_at(self.address.clone());
    }

    fn alone(&self, seeds: &[String], seconds: u64) {
        let seeds = printable(&seeds.join(", "));
        tracing::warn!(
            target: "pool",
            "nobody of {seeds} has answered for {seconds} s: do they run there, does UDP of the port pass, and have \
             they the token of this node (the same --token-file on all)?"
        );
    }

    fn members(&self, members: Vec<Member>) {
        self.pool.on_gossip(members);
    }
}
