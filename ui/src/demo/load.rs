//! A node of the pool that many want something of: real connections, each of which asks again and again how the node is. Beyond a limit the pool
//! leaves it out of its choices; then they go, and it is chosen again.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use super::program::crowds;

/// Connections that exclude a node of the demo's pool: without a crowd a site has half as many at most.
pub(super) const MOST: u64 = 160;
/// Connections of a crowd. With those that a site has anyway it stays below what a node takes from one address.
const CROWD: usize = 170;
/// Time between two questions on a connection.
const AGAIN: Duration = Duration::from_secs(2);
/// Longest answer that is read at a time.
const ANSWER: usize = 4 << 10;

/// Crowds come to one of these nodes after the other, for ever.
pub(super) async fn come_and_go(nodes: Vec<(&'static str, SocketAddr)>, seed: u64) {
    let mut rng = fastrand::Rng::with_seed(seed ^ 0x000c_2043);
    loop {
        for (at, stay, pause) in crowds(&mut rng, nodes.len()) {
            let (name, addr) = nodes[at];
            tracing::info!("a crowd of {CROWD} comes to {name}");
            let mut crowd = JoinSet::new();
            for _ in 0..CROWD {
                crowd.spawn(ask(addr));
            }
            tokio::time::sleep(stay).await;
            // Whoever could not connect is gone already.
            drop(crowd);
            tracing::info!("the crowd at {name} goes");
            tokio::time::sleep(pause).await;
        }
    }
}

/// Asks on one connection until it breaks.
async fn ask(addr: SocketAddr) -> io::Result<()> {
    let mut stream = TcpStream::connect(addr).await?;
    let question = format!("GET /health HTTP/1.1\r\nHost: {addr}\r\n\r\n");
    let mut answer = vec![0; ANSWER];
    loop {
        stream.write_all(question.as_bytes()).await?;
        if stream.read(&mut answer).await? == 0 {
            return Ok(());
        }
        tokio::time::sleep(AGAIN).await;
    }
}
