use std::path::Path;
use std::process::Command;

use proptest::prelude::*;

use super::super::hashes::Hashes as _;
use super::super::testing::{bytes, file};
use super::*;

const KINDS: [(Kind, &str, &str); 4] = [
    (Kind { weak: Weak::Rollsum, strong: Strong::Md4 }, "rollsum", "md4"),
    (Kind { weak: Weak::Rollsum, strong: Strong::Blake2 }, "rollsum", "blake2"),
    (Kind { weak: Weak::RabinKarp, strong: Strong::Md4 }, "rabinkarp", "md4"),
    (Kind { weak: Weak::RabinKarp, strong: Strong::Blake2 }, "rabinkarp", "blake2"),
];

/// An old and a new file: something inserted, changed, moved, taken away, and a short block at the end.
fn pair() -> (Vec<u8>, Vec<u8>) {
    let old = bytes(300_123, 1);
    let mut new = old.clone();
    new.splice(1000..1000, bytes(77, 2));
    new[100_000] ^= 1;
    new.drain(150_000..160_001);
    let moved: Vec<u8> = new.drain(200_000..250_000).collect();
    new.splice(20..20, moved);
    (old, new)
}

fn signature_of(old: &[u8], kind: Kind, length: u32, strong_length: u8) -> Vec<u8> {
    let mut out = Vec::new();
    write_signature(&file(old), kind, length, strong_length, &mut out).unwrap();
    out
}

fn delta_of(signature: &[u8], new: &[u8]) -> Vec<u8> {
    let (kind, signature) = read_signature(signature).unwrap();
    let mut out = Vec::new();
    write_delta(kind, &signature, &file(new), &mut out).unwrap();
    out
}

fn patched(old: &[u8], delta: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut out = Vec::new();
    apply_delta(&file(old), delta, &mut out)?;
    Ok(out)
}

#[test]
fn what_is_written_here_is_read_here() {
    let (old, new) = pair();
    for (kind, ..) in KINDS {
        let delta = delta_of(&signature_of(&old, kind, 1024, 8), &new);
        assert!(delta.len() < 20_000, "{} bytes for {kind:?}", delta.len());
        assert!(patched(&old, &delta).unwrap() == new);
    }
    let kind = KINDS[3].0;
    assert!(patched(&[], &delta_of(&signature_of(&[], kind, 256, 32), &new)).unwrap() == new);
    assert!(patched(&old, &delta_of(&signature_of(&old, kind, 256, 32), &[])).unwrap().is_empty());
}

/// Debian's `rdiff`, or the news that nothing was compared with it. CI sets `SKEP_NEED_RDIFF`, so that there it cannot be missing.
fn rdiff(folder: &Path, arguments: &[&str]) -> Option<()> {
    match Command::new("rdiff").current_dir(folder).args(arguments).output() {
        Ok(done) => {
            assert!(done.status.success(), "rdiff {arguments:?}: {}", String::from_utf8_lossy(&done.stderr));
            Some(())
        }
        Err(error) => {
            assert!(std::env::var_os("SKEP_NEED_RDIFF").is_none(), "rdiff cannot be run: {error}");
            eprintln!("SKIPPED: rdiff is not installed, nothing was compared with librsync (apt install rdiff)");
            None
        }
    }
}

#[test]
fn rdiff_and_we_understand_one_another() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let (old, new) = pair();
    std::fs::write(at("old"), &old).unwrap();
    std::fs::write(at("new"), &new).unwrap();
    for (kind, weak, strong) in KINDS {
        let (weak, strong) = (format!("--rollsum={weak}"), format!("--hash={strong}"));
        for (length, kept) in [(512, 8), (1000, kind.strong.length())] {
            let (block, sum) = (format!("--block-size={length}"), format!("--sum-size={kept}"));
            if rdiff(folder.path(), &["-f", &weak, &strong, &block, &sum, "signature", "old", "sig"]).is_none() {
                return;
            }
            let theirs = std::fs::read(at("sig")).unwrap();
            assert!(
                theirs == signature_of(&old, kind, length, kept),
                "{kind:?}, blocks of {length}: the signatures differ"
            );
            let ours = delta_of(&theirs, &new);
            std::fs::write(at("delta"), &ours).unwrap();
            rdiff(folder.path(), &["-f", "patch", "old", "delta", "out"]).unwrap();
            assert!(std::fs::read(at("out")).unwrap() == new, "{kind:?}: rdiff makes something else of our delta");
            rdiff(folder.path(), &["-f", "delta", "sig", "new", "delta"]).unwrap();
            let theirs = std::fs::read(at("delta")).unwrap();
            assert!(patched(&old, &theirs).unwrap() == new, "{kind:?}: we make something else of rdiff's delta");
            let (most, least) = (ours.len().max(theirs.len()), ours.len().min(theirs.len()));
            assert!(most < least + 4 * length as usize, "ours {}, theirs {}", ours.len(), theirs.len());
        }
    }
}

#[test]
fn the_signature_of_rdiffs_defaults_is_the_default_here() {
    let folder = tempfile::tempdir().unwrap();
    let old = bytes(1_000_000, 4);
    std::fs::write(folder.path().join("old"), &old).unwrap();
    if rdiff(folder.path(), &["signature", "old", "sig"]).is_some() {
        let theirs = std::fs::read(folder.path().join("sig")).unwrap();
        let ours = signature_of(&old, KINDS[3].0, block_length_for(1_000_000), 32);
        assert_eq!(theirs[..12], ours[..12]);
        assert!(theirs == ours);
    }
}

#[test]
fn what_is_malformed_is_refused() {
    let (old, new) = pair();
    let signature = signature_of(&old, KINDS[3].0, 1024, 32);
    let refused = |at: usize, with: &[u8]| {
        let mut out = signature.clone();
        out[at..at + with.len()].copy_from_slice(with);
        read_signature(&out[..]).unwrap_err().to_string()
    };
    assert!(refused(0, b"gzip").contains("begins with"));
    assert!(refused(4, &[0; 4]).contains("blocks of 0"));
    assert!(refused(4, &[0xff; 4]).contains("blocks of"));
    assert!(refused(8, &[0, 0, 0, 33]).contains("strong hashes"));
    assert!(refused(8, &[0; 4]).contains("strong hashes"));
    assert!(read_signature(&signature[..signature.len() - 1]).unwrap_err().to_string().contains("cut off"));
    assert!(read_signature(&signature[..11]).is_err());

    let delta = delta_of(&signature, &new);
    for cut in [0, 3, 4, 5, 100, delta.len() - 1] {
        assert!(patched(&old, &delta[..cut]).is_err(), "cut at {cut}");
    }
    let magic = [0x72, 0x73, 0x02, 0x36];
    let commands: [&[u8]; 4] = [
        &[0x55],
        &[0x54, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
        &[0x44, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 2, 3],
        &[0x4d, 0, 4, 0x93, 0xff, 0xff],
    ];
    for command in commands {
        assert!(patched(&old, &[&magic[..], command].concat()).is_err(), "{command:x?}");
    }
    assert!(patched(&old, b"not a delta").unwrap_err().to_string().contains("begins with"));
}

proptest! {
    #[test]
    fn windows_roll(data in prop::collection::vec(any::<u8>(), 2..400), length in 1_usize..300) {
        let length = length.min(data.len() - 1);
        for (kind, ..) in KINDS {
            let hashes = LibrsyncHashes::new(kind, length as u32);
            let mut hash = hashes.weak(&data[..length]);
            for at in 0..data.len() - length {
                hash = hashes.roll(hash, data[at], data[at + length]);
                prop_assert_eq!(hash, hashes.weak(&data[at + 1..][..length]));
            }
        }
    }

    #[test]
    fn nonsense_is_no_panic(noise in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = read_signature(&noise[..]);
        let delta = [&[0x72, 0x73, 0x02, 0x36][..], &noise].concat();
        // Copies are bounded by the old file, a kilobyte here.
        let _ = patched(&[1; 1024], &delta);
    }
}
