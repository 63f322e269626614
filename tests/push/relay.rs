//! An endpoint of its own that leads to another: a path that can be cut and mended.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// A relay.
pub struct Relay {
    pub address: SocketAddr,
    /// Bytes towards the receiver.
    pub carried: Arc<AtomicU64>,
    open: watch::Sender<bool>,
    refuses: Arc<AtomicBool>,
}

impl Relay {
    pub async fn to(target: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let carried = Arc::new(AtomicU64::new(0));
        let open = watch::Sender::new(true);
        let refuses = Arc::new(AtomicBool::new(false));
        let (count, state, closed) = (carried.clone(), open.subscribe(), refuses.clone());
        tokio::spawn(async move {
            while let Ok((from, _)) = listener.accept().await {
                if closed.load(Ordering::SeqCst) {
                    continue;
                }
                let (count, mut state) = (count.clone(), state.clone());
                tokio::spawn(async move {
                    let Ok(to) = TcpStream::connect(target).await else { return };
                    let (mut from_read, mut from_write) = from.into_split();
                    let (mut to_read, mut to_write) = to.into_split();
                    let up = async {
                        let mut buffer = vec![0; 64 << 10];
                        while let Ok(n @ 1..) = from_read.read(&mut buffer).await {
                            count.fetch_add(n as u64, Ordering::SeqCst);
                            if to_write.write_all(&buffer[..n]).await.is_err() {
                                break;
                            }
                        }
                    };
                    let down = tokio::io::copy(&mut to_read, &mut from_write);
                    tokio::select! {
                        () = up => {}
                        _ = down => {}
                        _ = state.wait_for(|open| !open) => {}
                    }
                });
            }
        });
        Self { address, carried, open, refuses }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub fn carried(&self) -> u64 {
        self.carried.load(Ordering::SeqCst)
    }

    /// Breaks what is connected and lets nobody through any more.
    pub fn cut(&self) {
        self.refuses.store(true, Ordering::SeqCst);
        self.open.send_replace(false);
    }

    /// Lets everybody through again.
    pub fn mend(&self) {
        self.open.send_replace(true);
        self.refuses.store(false, Ordering::SeqCst);
    }
}
