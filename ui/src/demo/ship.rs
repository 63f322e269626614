//! A ship: its link is another one at every place it comes to, and for a while there is none. What is for it waits in the
//! queue of the node in the middle until its turn and its link have come.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use skep_engine::control::queue::Operation;
use skep_engine::control::{Command, PriorityClass, SendRequest, TransferState};
use skep_shaper::Shaper;

use super::program::{Content, Sea, cargo, voyage};
use super::work::{AFTER_FAILURE, ENDED, Tally, Worker, delete, forget_received, write};

/// What the node in the middle has for the ship, and the sea between them.
pub(super) struct Ship {
    pub source: PathBuf,
    pub local: Worker,
    pub ship: Worker,
    /// The ship, as it is reached.
    pub link: Arc<Shaper>,
    pub tally: Arc<Tally>,
}

/// The link of the ship goes on for ever.
pub(super) async fn sail(link: Arc<Shaper>, seed: u64) {
    let mut rng = fastrand::Rng::with_seed(seed ^ 0x0005_ea11);
    loop {
        for (time, sea) in voyage(&mut rng) {
            match sea {
                Sea::Near(profile) => {
                    link.set(profile);
                    link.uncut();
                }
                Sea::Away => {
                    link.cut();
                    link.reset();
                }
            }
            tracing::info!("the ship {sea}");
            tokio::time::sleep(time).await;
        }
    }
}

impl Ship {
    /// Goes on for ever.
    pub(super) async fn run(self, seed: u64) {
        let mut rng = fastrand::Rng::with_seed(seed ^ 0x0000_ca16);
        let mut loaded: VecDeque<String> = VecDeque::new();
        for number in 1.. {
            let (pause, class, content) = cargo(&mut rng, number);
            tokio::time::sleep(pause).await;
            match self.load(class, &content).await {
                Ok(()) => loaded.push_back(content.name),
                Err(error) => {
                    tracing::warn!("{}: {error}", content.name);
                    if number == 1 {
                        return;
                    }
                    tokio::time::sleep(AFTER_FAILURE).await;
                }
            }
            self.tidy(&mut loaded).await;
        }
    }

    async fn load(&self, class: PriorityClass, content: &Content) -> Result<(), super::fleet::DemoError> {
        let path = self.source.join(&content.name);
        write(&path, content).await?;
        let request = SendRequest { path, dest: format!("{}/", self.link.url()), ..SendRequest::default() };
        let operation = Operation::Send(request);
        self.local.control.command(Command::Enqueue { operation, class: Some(class) }).await?;
        Ok(())
    }

    /// What is over goes off the lists and the disks, but for the last few.
    async fn tidy(&self, loaded: &mut VecDeque<String>) {
        let snapshot = self.local.control.view(Default::default()).snapshots.borrow().clone();
        let row = |name: &str| {
            let mut rows = snapshot.transfers.iter().rev();
            rows.find(|row| row.name == name && row.state == TransferState::Done).map(|row| row.id)
        };
        let over = loaded.iter().filter(|name| row(name).is_some()).count();
        for _ in ENDED..over {
            let Some(at) = loaded.iter().position(|name| row(name).is_some()) else { return };
            let Some(name) = loaded.remove(at) else { return };
            if let Some(id) = row(&name) {
                self.local.remove(id, false).await;
                self.tally.retired.fetch_add(1, Ordering::Relaxed);
            }
            forget_received(&self.ship, &name, true).await;
            delete(&self.source.join(&name)).await;
        }
    }
}
