//! TCP through a shaped link.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::Semaphore;

use crate::link::Link;
use crate::pipe::Pipe;
use crate::profile::Way;

/// Connections at a time; further ones wait in the listener's backlog.
const MAX_CONNECTIONS: usize = 256;

/// For connecting to the target.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

pub(crate) async fn serve(listener: TcpListener, target: SocketAddr, window: u32, link: Arc<Link>) {
    let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    for number in 0u64.. {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
        let near = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(_) => {
                // Out of descriptors: others have to close some first.
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            }
        };
        let (alive, link) = (link.connections(), Arc::clone(&link));
        tokio::spawn(async move {
            alive.run_until_cancelled(relay(near, target, window, &link, number)).await;
            drop(place);
        });
    }
}

/// One connection. Its end on one side becomes the end on the other; an error ends both.
async fn relay(near: TcpStream, target: SocketAddr, window: u32, link: &Link, number: u64) {
    let Ok(Ok(far)) = tokio::time::timeout(CONNECT_TIMEOUT, connect(target, window)).await else { return };
    let (near_read, near_write) = near.into_split();
    let (far_read, far_write) = far.into_split();
    let seed = link.seed.wrapping_add(number.wrapping_mul(2));
    let up = pump(near_read, far_write, link, Way::Up, seed);
    let down = pump(far_read, near_write, link, Way::Down, seed.wrapping_add(1));
    // Whoever failed, failed both.
    let _ = tokio::try_join!(up, down);
}

async fn connect(target: SocketAddr, window: u32) -> io::Result<TcpStream> {
    let socket = if target.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    let _ = socket.set_recv_buffer_size(window);
    let stream = socket.connect(target).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// Moves bytes one way until the end of the stream has arrived.
async fn pump(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, link: &Link, way: Way, seed: u64) -> io::Result<()> {
    let mut changes = link.changes.subscribe();
    let mut pipe = Pipe::new(seed, Instant::now());
    let mut buffer = vec![0; 64 << 10];
    let mut ended = false;
    loop {
        loop {
            let arrived = pipe.pop(&link.line(way), Instant::now());
            let Some(chunk) = arrived else { break };
            if chunk.is_empty() {
                return to.shutdown().await;
            }
            link.count(way, chunk.len());
            to.write_all(&chunk).await?;
        }
        let (room, wake) = {
            let (mut line, now) = (link.line(way), Instant::now());
            (if ended { 0 } else { pipe.room(&mut line, now) }, pipe.wake_at(&line, now))
        };
        let asleep = async {
            match wake {
                Some(wake) => tokio::time::sleep_until(wake.into()).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            read = from.read(&mut buffer[..room]), if room > 0 => {
                let read = read?;
                ended = read == 0;
                pipe.push(&mut link.line(way), buffer[..read].to_vec(), Instant::now());
            }
            () = asleep => {}
            changed = changes.changed() => if changed.is_err() { return Ok(()) },
        }
    }
}
