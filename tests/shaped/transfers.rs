//! What is moved arrives whole, whatever the link does meanwhile.

use std::time::Duration;

use skep_engine::control::{Command, SendRequest, SyncRequest};
use skep_engine::push::retry::Pace;
use skep_shaper::{Outages, Profile, Step};

use crate::common::tree::listing;
use crate::common::{TestNode, noise_file};
use crate::link;

const MS: Duration = Duration::from_millis(1);

/// Comes and goes, and loses packets meanwhile.
fn flaky() -> Profile {
    let outages = Some(Outages { works: 250 * MS, breaks: 150 * MS });
    Profile { outages, loss: 2.0, ..Profile::new("flaky", 8.0, 8.0, 5, 2, 50) }
}

async fn hasty() -> TestNode {
    TestNode::start_with(|config| config.pace = Pace(0.02)).await
}

#[tokio::test]
async fn a_push_goes_on_over_a_link_that_changes_stalls_and_breaks() {
    let (node, receiver, dir) = (hasty().await, TestNode::start().await, tempfile::tempdir().unwrap());
    let link = link(&receiver, Profile::new("city", 16.0, 16.0, 5, 0, 50)).await;
    let file = noise_file(dir.path(), "data", 2 << 20);
    link.play(vec![
        (200 * MS, Step::Cut),
        (400 * MS, Step::Uncut),
        (500 * MS, Step::Reset),
        (600 * MS, Step::Become(flaky())),
        (1_600 * MS, Step::Reset),
        (1_700 * MS, Step::Become(Profile::new("village", 8.0, 8.0, 20, 5, 100))),
    ]);
    let request = SendRequest {
        path: file.clone(),
        dest: format!("{}/in/", link.url()),
        segment_length: Some(64 << 10),
        ..SendRequest::default()
    };
    let id = node.added(Command::Send(request)).await;
    let row = node.done(id).await;
    assert!(row.verified);
    assert_eq!(std::fs::read(receiver.root().join("in/data")).unwrap(), std::fs::read(&file).unwrap());
    assert!(link.passed().up > 2 << 20, "it went over the link");
}

#[tokio::test]
async fn a_fetch_comes_through_a_link_that_comes_and_goes() {
    let (origin, node, dir) = (TestNode::start().await, TestNode::start().await, tempfile::tempdir().unwrap());
    let file = noise_file(dir.path(), "data", 1 << 20);
    let content = origin.share(&file).await;
    let link = link(&origin, flaky()).await;
    // The content's link names the node; this one knows it by another way only.
    let far =
        content.replace(origin.url().trim_start_matches("http://").trim_end_matches('/'), &link.addr().to_string());
    assert_ne!(far, content);
    let id = node.get(&far).await;
    node.done(id).await;
    assert_eq!(std::fs::read(node.root().join("data")).unwrap(), std::fs::read(&file).unwrap());
    assert!(link.passed().down > 1 << 20, "it came over the link");
}

#[tokio::test]
async fn a_sync_ends_equal_over_a_link_that_comes_and_goes() {
    let (node, receiver, dir) = (hasty().await, TestNode::start().await, tempfile::tempdir().unwrap());
    let tree = dir.path().join("tree");
    std::fs::create_dir(&tree).unwrap();
    for number in 0..20 {
        noise_file(&tree, &format!("file-{number}"), 20_000 + number);
    }
    noise_file(&tree, "large", 500_000);
    let link = link(&receiver, flaky()).await;
    for round in 0..2 {
        let request = SyncRequest {
            path: tree.clone(),
            dest: format!("{}/in/", link.url()),
            delete: true,
            ..SyncRequest::default()
        };
        let id = node.added(Command::Sync(request)).await;
        node.done(id).await;
        assert_eq!(listing(&receiver.root().join("in/tree")), listing(&tree));
        std::fs::remove_file(tree.join(format!("file-{round}"))).unwrap();
        noise_file(&tree, "large", 500_001);
    }
}
