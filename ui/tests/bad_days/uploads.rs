//! `kill -9` of a node that receives, between any two steps of an upload.

use std::fs;

use serde_json::json;

use super::common::Lab;
use super::disk::cramped;
use super::sender::{SEGMENT, Sender, held, kill};

const SEGMENTS: usize = 12;

#[test]
fn a_killed_receiver_goes_on_with_what_it_had() {
    let lab = Lab::new();
    let bytes = fs::read(lab.data("data.bin", SEGMENT * (SEGMENTS - 1) + 12_345)).unwrap();
    let files = lab.path("state/root");
    let node = lab.serve(&[]);
    let address = node.url.clone().unwrap().strip_prefix("http://").unwrap().to_owned();
    let sender = Sender::new(&address, bytes);

    // Between opening and the first byte.
    sender.open();
    kill(node);
    let mut node = lab.serve_at(&address, &[]);
    let mut sent = 0;
    while sent < SEGMENTS {
        let before = sender.open();
        assert_eq!(before["state"], "open");
        let had = held(&before);
        assert!(had.iter().all(|index| *index < sent), "{before} where {sent} were sent");
        for index in 0..sent {
            if !had.contains(&index) {
                sender.put(index);
            }
        }
        // A segment, and half of another: the node dies before it records either, or after.
        sender.put(sent);
        sent += 1;
        let half = (sent < SEGMENTS).then(|| sender.half(sent));
        kill(node);
        drop(half);
        node = lab.serve_at(&address, &[]);
    }
    let status = sender.open();
    for index in (0..SEGMENTS).filter(|index| !held(&status).contains(index)) {
        sender.put(index);
    }
    assert!(!files.join("in").exists());

    // Around the rename: it dies as soon as the name is there.
    let name = files.join("in/data.bin");
    let answer = std::thread::scope(|scope| {
        let asking = scope.spawn(|| sender.assemble());
        while !name.exists() && !asking.is_finished() {
            std::hint::spin_loop();
        }
        kill(node);
        asking.join().unwrap()
    });
    node = lab.serve_at(&address, &[]);
    let (status, body) = sender.assemble().unwrap();
    assert_eq!((status, &body["path"], &body["bytes"]), (201, &json!("in/data.bin"), &json!(sender.bytes.len())));
    if let Some((_, first)) = answer {
        assert_eq!(first, body);
    }
    assert!(fs::read(&name).unwrap() == sender.bytes);
    let left: Vec<_> = files.read_dir().unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["in"]);
    kill(node);
}

#[test]
fn a_full_disk_refuses_a_segment_and_with_space_the_upload_goes_on() {
    let lab = Lab::new();
    let bytes = fs::read(lab.data("data.bin", SEGMENT * 6)).unwrap();
    let mut node = cramped(&lab);
    let address = node.url.clone().unwrap().strip_prefix("http://").unwrap().to_owned();
    let sender = Sender::new(&address, bytes);
    sender.open();
    for index in [0, 5, 1, 2, 4, 3] {
        let (status, body) = sender.try_put(index).unwrap();
        // 4 MiB fit.
        assert_eq!(status, if index < 4 { 200 } else { 507 }, "{index} {body}");
        if index >= 4 {
            assert_eq!(body["type"], "urn:skep:problem:no-space");
        }
    }
    assert_eq!(sender.open()["held"], json!([[0, 4]]), "what fits is kept");
    assert_eq!(sender.assemble().unwrap().0, 409);
    assert_eq!(node.stop(), 0);
    let _node = lab.serve_at(&address, &[]);
    assert_eq!(sender.open()["held"], json!([[0, 4]]));
    sender.put(4);
    sender.put(5);
    assert_eq!(sender.assemble().unwrap().0, 201);
    assert!(fs::read(lab.path("state/root/in/data.bin")).unwrap() == sender.bytes);
}
