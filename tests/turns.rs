//! Whose turn comes first, and what a fetch or a share would do: two nodes on loopback.
#![allow(clippy::unwrap_used, missing_docs)]

mod common;

use common::{TestNode, noise_file};
use skep_engine::control::{
    AddTransfer, Command, CommandErrorKind, Focus, Preview, Reply, ShareRequest, TransferId, TransferState,
};

/// A node that moves one transfer at a time, and four that it was given in this order; each takes for ever.
struct Queue {
    node: TestNode,
    ids: [TransferId; 4],
    _seeder: TestNode,
}

impl Queue {
    async fn new() -> Self {
        let seeder = TestNode::start().await;
        let node = TestNode::start_with(|config| config.limits.max_transfers = 1).await;
        let mut ids = [TransferId(0); 4];
        for (n, id) in ids.iter_mut().enumerate() {
            let link = seeder.share(&noise_file(seeder.dir.path(), &format!("f{n}"), 100_000 + n)).await;
            *id = node.get_with(&link, |request| request.down = Some(0)).await;
        }
        let queue = Self { node, ids, _seeder: seeder };
        assert_eq!(queue.at_work().await, ids[0]);
        queue
    }

    /// The one that has its turn while the others wait.
    async fn at_work(&self) -> TransferId {
        let open = |s: &skep_engine::control::Snapshot| {
            let mut rows: Vec<_> = s.transfers.iter().filter(|row| row.state != TransferState::Cancelled).collect();
            rows.retain(|row| row.state != TransferState::Queued);
            rows.iter().map(|row| (row.id, row.state)).collect::<Vec<_>>()
        };
        let one = |s: &skep_engine::control::Snapshot| {
            s.transfers.len() == self.ids.len() && matches!(open(s).as_slice(), [(_, TransferState::Running)])
        };
        open(&*self.node.snapshot(Focus::default(), one).await)[0].0
    }

    /// Who comes next once the one at work is out of the way.
    async fn next(&self) -> TransferId {
        let ids = vec![self.at_work().await];
        self.order(Command::Cancel { ids: ids.clone() }).await;
        self.node.wait(ids[0], |row| row.state == TransferState::Cancelled).await;
        self.at_work().await
    }

    async fn order(&self, command: Command) {
        assert_eq!(self.node.control.command(command).await.unwrap(), Reply::Done);
    }
}

#[tokio::test]
async fn priority_decides_and_then_the_order_in_which_they_came() {
    let queue = Queue::new().await;
    let [_, second, third, fourth] = queue.ids;
    queue.order(Command::Prioritise { ids: vec![fourth], priority: 3 }).await;
    queue.order(Command::Prioritise { ids: vec![second], priority: -100 }).await;
    queue.node.wait(second, |row| row.priority == -9).await;
    // Who is at work is not put aside by it.
    assert_eq!(queue.at_work().await, queue.ids[0]);
    assert_eq!(queue.next().await, fourth);
    assert_eq!(queue.next().await, third);
    assert_eq!(queue.next().await, second);
}

#[tokio::test]
async fn one_that_is_moved_changes_places_with_its_neighbour_and_keeps_that() {
    let queue = Queue::new().await;
    let [first, second, third, fourth] = queue.ids;
    queue.order(Command::Move { id: fourth, up: true }).await;
    queue.order(Command::Move { id: second, up: false }).await;
    // first, fourth, second, third; so it stays over a restart.
    let Queue { node, ids, _seeder } = queue;
    let node = TestNode::start_in(node.shutdown().await, |config| config.limits.max_transfers = 1).await;
    let queue = Queue { node, ids, _seeder };
    assert_eq!(queue.at_work().await, first);
    let beyond = [(Command::Move { id: first, up: true }, "first"), (Command::Move { id: third, up: false }, "last")];
    for (command, end) in beyond {
        let error = queue.node.control.command(command).await.unwrap_err();
        assert_eq!(error.kind, CommandErrorKind::Conflict);
        assert!(error.message.contains(&format!("is the {end} of its priority")), "{error}");
    }
    assert_eq!(queue.next().await, fourth);
    assert_eq!(queue.next().await, second);
    assert_eq!(queue.next().await, third);
}

async fn told(node: &TestNode, command: Command) -> Preview {
    match node.control.command(command).await.unwrap() {
        Reply::Preview(preview) => preview,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn what_a_fetch_would_do_is_told_and_nothing_is_begun() {
    let (seeder, node) = (TestNode::start().await, TestNode::start().await);
    let tree = seeder.dir.path().join("tree");
    std::fs::create_dir(&tree).unwrap();
    for n in 0..3 {
        noise_file(&tree, &format!("f{n}"), 50_000);
    }
    let share = Command::PreviewShare(ShareRequest { path: tree.clone(), ..ShareRequest::default() });
    let shared = told(&seeder, share).await;
    assert_eq!((shared.name.as_str(), shared.size, shared.files), ("tree", 150_000, 3));
    assert!(seeder.snapshot(Focus::default(), |s| s.generation > 0).await.transfers.is_empty());
    let link = seeder.share(&tree).await;
    let fetch = || Command::Preview(AddTransfer { link: link.clone(), ..AddTransfer::default() });
    let fetched = told(&node, fetch()).await;
    assert_eq!((fetched.name.as_str(), fetched.size, fetched.files, fetched.contents), ("tree", 150_000, 3, 1));
    assert_eq!((fetched.strategy.as_str(), fetched.existing, fetched.taken), ("transit-p2p-swarm", None, false));
    assert!(fetched.disk_free.is_some_and(|free| free > 150_000) && !fetched.is_too_large(), "{fetched:#?}");
    assert!(fetched.path.starts_with(node.root().to_str().unwrap()) && fetched.path.ends_with("tree"), "{fetched:#?}");
    assert!(node.snapshot(Focus::default(), |s| s.generation > 0).await.transfers.is_empty());
    assert_eq!(std::fs::read_dir(node.root()).unwrap().count(), 0, "nothing is written");
    let id = node.get_with(&link, |request| request.paused = true).await;
    assert_eq!(told(&node, fetch()).await.existing, Some(id), "it would go on");
    let gone = AddTransfer { link: link.replace("skep://", "skep://x@"), ..AddTransfer::default() };
    node.control.command(Command::Preview(gone)).await.unwrap_err();
}
