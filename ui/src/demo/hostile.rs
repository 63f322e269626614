//! A peer that corrupts: it relays a real node byte by byte, and flips a bit now and then.

use std::io;
use std::net::SocketAddr;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

/// Bytes of each connection that pass unharmed: heads and bitmaps, so that it looks like a good peer.
const HONEST: u64 = 24 << 10;
/// Then a bit flips once in so many bytes.
const EVERY: u64 = 96 << 10;
/// Connections at once.
const MAX_CONNECTIONS: usize = 64;

/// Starts relaying `target` until `stop`; where it listens.
pub(super) async fn start(target: SocketAddr, stop: CancellationToken) -> io::Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let addr = listener.local_addr()?;
    let places = std::sync::Arc::new(tokio::sync::Semaphore::new(MAX_CONNECTIONS));
    tokio::spawn(async move {
        loop {
            let accepted = tokio::select! {
                () = stop.cancelled() => return,
                accepted = listener.accept() => accepted,
            };
            let (Ok((stream, _)), Ok(place)) = (accepted, places.clone().try_acquire_owned()) else { continue };
            let stop = stop.clone();
            tokio::spawn(async move {
                let _place = place;
                // A relay that fails is what peers of a hostile node have to live with.
                let _ = stop.run_until_cancelled(relay(stream, target)).await;
            });
        }
    });
    Ok(addr)
}

async fn relay(near: TcpStream, target: SocketAddr) -> io::Result<()> {
    let far = TcpStream::connect(target).await?;
    let (mut near_read, mut near_write) = near.into_split();
    let (mut far_read, mut far_write) = far.into_split();
    let asking = tokio::spawn(async move { tokio::io::copy(&mut near_read, &mut far_write).await });
    let mut buffer = vec![0; 32 << 10];
    let (mut passed, mut next) = (0u64, HONEST);
    loop {
        let got = far_read.read(&mut buffer).await?;
        if got == 0 {
            break;
        }
        let end = passed + got as u64;
        if next < end {
            buffer[(next - passed) as usize] ^= 0x20;
            next = end + EVERY;
        }
        passed = end;
        near_write.write_all(&buffer[..got]).await?;
    }
    asking.abort();
    Ok(())
}
