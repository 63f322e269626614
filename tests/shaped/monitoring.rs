//! A link's class, as it is measured, follows what the link becomes.

use skep_engine::control::link::LinkClass;
use skep_engine::control::{Command, Focus, SendRequest};
use skep_shaper::Profile;

use crate::common::{TestNode, noise_file};
use crate::link;

/// How soon is measured elsewhere (`scripts/link-suite`): a machine that does other things notices late.
#[tokio::test(flavor = "multi_thread")]
async fn the_class_becomes_what_the_link_is_and_a_push_that_fills_it_does_not_matter() {
    let (node, receiver, dir) = (TestNode::start().await, TestNode::start().await, tempfile::tempdir().unwrap());
    let line = link(&receiver, Profile::BROADBAND).await;
    node.control.command(Command::StartMonitor { endpoint: line.url() }).await.unwrap();
    let becomes = |class: LinkClass| {
        let node = &node;
        async move {
            node.snapshot(Focus::default(), |s| s.links.iter().any(|row| row.class == class)).await;
        }
    };
    becomes(LinkClass::Broadband).await;
    line.set(Profile::SATELLITE);
    becomes(LinkClass::Satellite).await;
    line.set(Profile::BROADBAND);
    becomes(LinkClass::Broadband).await;
    let path = noise_file(dir.path(), "bulk", 4_000_000);
    let request = SendRequest { path, dest: format!("{}/", line.url()), ..SendRequest::default() };
    node.done(node.added(Command::Send(request)).await).await;
    becomes(LinkClass::Broadband).await;
    line.cut();
    becomes(LinkClass::Intermittent).await;
}
