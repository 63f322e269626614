//! Ways that break.

use std::fs;

use skep_engine::push::retry::Pace;

use super::common::{TestNode, noise_file};
use super::relay::Relay;
use super::{is_tidy, listing, request, sync, write};

#[tokio::test]
async fn answers_that_are_lost_are_asked_for_again() {
    let node = TestNode::start_with(|config| config.pace = Pace(0.01)).await;
    let (receiver, dir) = (TestNode::start().await, tempfile::tempdir().unwrap());
    let tree = dir.path().join("tree");
    for n in 0..50 {
        write(&tree, &format!("{}/{n}", n % 5), format!("file {n}").as_bytes());
    }
    noise_file(&tree, "large", 9_000_000);
    let relay = Relay::to(receiver.url().trim_start_matches("http://").parse().unwrap()).await;
    let routes = ["POST /sync/compare", "POST /sync/list", "POST /sync/digests", "POST /sync/apply", "POST /upload"];
    let changes: [&dyn Fn(); 2] = [&|| (), &|| {
        fs::rename(tree.join("large"), tree.join("1/other")).unwrap();
        fs::remove_file(tree.join("2/2")).unwrap();
        write(&tree, "3/3", b"changed");
    }];
    for change in changes {
        change();
        routes.iter().for_each(|route| relay.lose_answers(route, 1));
        sync(&node, request(&tree, &relay.url())).await;
        assert_eq!(listing(&tree), listing(&receiver.root().join("in/tree")));
        assert!(is_tidy(&receiver));
    }
    assert_eq!(relay.left_to_lose(), 0);
}
