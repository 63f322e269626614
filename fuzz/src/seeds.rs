//! Where fuzzing begins: what the program's own writers write.

use std::io::Write as _;

use sha2::Digest as _;
use skep_engine::content::metalink::write as write_metalink;
use skep_engine::content::{Digest, FileEntry, Manifest};
use skep_engine::delta::asks;
use skep_engine::delta::blocks::Blocks;
use skep_engine::delta::hashes::{BlockHashes, StrongHash};
use skep_engine::delta::instructions::{Header, Writer};
use skep_engine::delta::librsync::{Kind, Strong, Weak, read_signature, write_delta, write_signature};
use skep_engine::delta::matcher::Run;
use skep_engine::delta::packed::pack;
use skep_engine::delta::refine::Ask;
use skep_engine::delta::signature::sign;
use skep_engine::delta::signature_wire;

use crate::delta::{OLD, old_file};

/// Bytes that do not repeat, the same every time.
pub fn noise(len: usize, seed: u64) -> Vec<u8> {
    let mut rng = fastrand::Rng::with_seed(seed);
    let mut bytes = vec![0; len];
    rng.fill(&mut bytes);
    bytes
}

fn digest(bytes: &[u8]) -> Digest {
    Digest(sha2::Sha256::digest(bytes).into())
}

/// All seeds: target, name, bytes.
pub fn seeds() -> Vec<(&'static str, &'static str, Vec<u8>)> {
    let mut all = vec![
        ("patch", "mixed", instructions()),
        ("packed", "mixed", packed(&instructions())),
        ("instructions", "mixed", instructions()),
        ("instructions", "empty", Writer::new(Vec::new(), header(0)).unwrap().finish(&digest(b"")).unwrap()),
        ("asks", "two", [&200_000_u64.to_le_bytes()[..], &list()].concat()),
    ];
    all.extend(signatures());
    all.extend(librsync());
    all.extend(manifests());
    all.extend(documents());
    all
}

fn header(source_size: u64) -> Header {
    Header { block_length: 64, destination_size: OLD as u64, source_size }
}

/// The old file's end, something new, the old file's beginning.
fn instructions() -> Vec<u8> {
    let (old, literal) = (noise(OLD, 1), noise(100, 2));
    let new = [&old[2048..], &literal, &old[..640]].concat();
    let mut writer = Writer::new(Vec::new(), header(new.len() as u64)).unwrap();
    writer.matched(&Run { source: 0, destination: 2048, length: 2048 }).unwrap();
    writer.literal(&literal).unwrap();
    writer.matched(&Run { source: 2148, destination: 0, length: 640 }).unwrap();
    writer.finish(&digest(&new)).unwrap()
}

fn packed(bytes: &[u8]) -> Vec<u8> {
    let mut packer = pack(Vec::new(), None).unwrap();
    packer.write_all(bytes).unwrap();
    packer.finish().unwrap()
}

fn list() -> Vec<u8> {
    let ask =
        |length, ranges| Ask { blocks: Blocks::new(200_000, length, ranges).unwrap(), strong_length: 5, sample: false };
    asks::write(&[ask(128, vec![1280..2560, 199_936..200_000]), ask(4096, std::iter::once(0..200_000).collect())])
}

fn signatures() -> Vec<(&'static str, &'static str, Vec<u8>)> {
    let mut all = Vec::new();
    let (sha, xxh) = (StrongHash::Sha256, StrongHash::Xxh3 { seed: 7 });
    for (name, bytes, strong) in
        [("noise", noise(1000, 3), sha), ("zeros", vec![0; 5000], sha), ("noise-xxh3", noise(1000, 3), xxh)]
    {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&bytes).unwrap();
        let blocks = Blocks::whole(bytes.len() as u64, 128).unwrap();
        let ask = Ask { blocks, strong_length: 5, sample: false };
        let mut out = Vec::new();
        out.extend_from_slice(&(bytes.len() as u32).to_le_bytes());
        out.extend_from_slice(&128_u32.to_le_bytes());
        // What the target makes 5 of.
        out.push(2);
        let mut writer = signature_wire::Writer::new(&mut out, &ask, strong).unwrap();
        sign(&file, &ask.blocks, &BlockHashes::new(128, strong), 5, 1, |hashed| writer.write(&hashed)).unwrap();
        all.push(("signature", name, out));
    }
    all
}

fn librsync() -> Vec<(&'static str, &'static str, Vec<u8>)> {
    let kind = Kind { weak: Weak::RabinKarp, strong: Strong::Blake2 };
    let mut signature = Vec::new();
    write_signature(old_file(), kind, 256, 8, &mut signature).unwrap();
    let (_, read) = read_signature(&signature[..]).unwrap();
    let mut new = tempfile::tempfile().unwrap();
    new.write_all(&[&noise(OLD, 1)[1024..], b"something new"].concat()).unwrap();
    let mut delta = Vec::new();
    write_delta(kind, &read, &new, &mut delta).unwrap();
    vec![("librsync", "signature", [&[0][..], &signature].concat()), ("librsync", "delta", [&[1][..], &delta].concat())]
}

fn entry(path: &str, size: u64) -> FileEntry {
    FileEntry { mode: 0o644, mtime: "2024-05-06T07:08:09Z".parse().ok(), path: path.into(), size, symlink: None }
}

fn manifests() -> Vec<(&'static str, &'static str, Vec<u8>)> {
    let single = Manifest {
        files: vec![entry("data.bin", 3000)],
        name: "data.bin".into(),
        piece_length: 1024,
        pieces: [1_u8, 2, 3].map(|n| digest(&[n])).to_vec(),
        tree: false,
        version: 1,
    };
    let link = FileEntry { symlink: Some("../a".into()), ..entry("sub/link", 0) };
    let tree = Manifest {
        files: vec![entry("a", 1000), entry("empty/", 0), link, entry("sub/\\xff", 24)],
        name: "tree".into(),
        pieces: vec![digest(&[4])],
        ..single.clone()
    };
    for manifest in [&single, &tree] {
        manifest.check().unwrap();
    }
    let urls = |entry: &FileEntry| vec![format!("http://h/{}", entry.size)];
    vec![
        ("metalink", "single", write_metalink(&single, urls, |_| Some(digest(b"x"))).into_bytes()),
        ("metalink", "tree", write_metalink(&tree, urls, |_| None).into_bytes()),
        ("manifest", "single", single.to_json()),
        ("manifest", "tree", tree.to_json()),
    ]
}

/// Documents that have no writer but JSON.
fn documents() -> Vec<(&'static str, &'static str, Vec<u8>)> {
    let digest = digest(b"x").to_string();
    let text = |kind: u8, json: String| [&[kind][..], json.as_bytes()].concat();
    let sync = "0".repeat(32);
    let compare = format!(
        r#"{{"version":1,"path":"in/tree","digest":"{digest}","rules":{{"first":["*.o","!a.o"],"folders":{{"sub":["x/"]}}}}}}"#
    );
    let compared = format!(
        r#"{{"snapshot":"{sync}","stands":"folder","same":false,"mode":493,"mtime":[1700000000,5],"folds_case":false}}"#
    );
    let listed = format!(
        r#"{{"folders":[null,{{"hidden":1,"entries":[{{"n":"a","m":420,"t":[1,2],"s":3,"h":"b"}},{{"n":"d","m":493,"t":[1,2],"d":"{digest}"}},{{"n":"l","m":511,"t":[1,2],"l":"../a"}}]}}]}}"#
    );
    let apply = format!(
        r#"{{"version":1,"path":"in/tree","sync":"{sync}","ops":[{{"op":"folder","path":""}},{{"op":"stash","path":"a","size":3,"mtime":[1,2],"slot":0,"copy":true}},{{"op":"take","from":"0","path":"b","over_folder":true}},{{"op":"link","path":"c","leader":"b"}},{{"op":"symlink","path":"l","target":"b","mtime":[1,2]}},{{"op":"delete","path":"d","folder":true}},{{"op":"meta","path":"b","mode":420,"mtime":[1,2]}},{{"op":"unlock","path":""}}],"over":["{sync}"]}}"#
    );
    let upload = r#"{"version":1,"path":"in/tree","policy":"overwrite","size":10,"segment_length":1024,"files":[{"mode":420,"path":"a","size":4},{"mode":420,"path":"s/b","size":6}]}"#;
    let announce = format!(
        r#"{{"content_id":"{digest}","pieces":9,"size":2304,"endpoint":"http://127.0.0.1:7070","bitmap":"/wA=","event":"started"}}"#
    );
    let reply = r#"{"interval_s":30,"peers":[{"endpoint":"http://10.0.0.1:7070","bitmap":"/4A=","last_seen_s":3,"complete":false}]}"#;
    vec![
        ("sync", "compare", text(0, compare)),
        ("sync", "compared", text(1, compared)),
        ("sync", "list", text(2, format!(r#"{{"snapshot":"{sync}","folders":["","a/b"]}}"#))),
        ("sync", "listed", text(3, listed)),
        ("sync", "digests", text(4, r#"{"path":"in/tree","files":["a","b/c"]}"#.into())),
        ("sync", "digested", text(5, format!(r#"{{"digests":[null,"{digest}"]}}"#))),
        ("sync", "apply", text(6, apply)),
        ("upload", "tree", text(0, upload.into())),
        ("upload", "assembly", text(1, format!(r#"{{"segments":["{digest}"]}}"#))),
        ("announce", "announce", text(0, announce)),
        ("announce", "reply", text(1, reply.into())),
        ("announce", "bitmap", [&[2][..], &9_u32.to_le_bytes(), &[0xff, 0x80]].concat()),
        ("names", "path", b"a/b \\xff\\\\/c".to_vec()),
        ("names", "node", format!("skep://[::1]:7070/{digest}").into_bytes()),
        ("names", "url", b"https://example.org:8443/a/b.meta4?x=1".to_vec()),
        ("names", "link", b"sub/deep/link\n../../a/b".to_vec()),
    ]
}
