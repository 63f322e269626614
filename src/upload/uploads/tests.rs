use std::path::Path;

use sha2::{Digest as _, Sha256};

use super::*;
use crate::content::FileEntry;
use crate::upload::Begun;

const DAY_MS: u64 = 24 * 3_600_000;

fn load(dir: &Path, state: &Arc<State>) -> Arc<Uploads> {
    std::fs::create_dir_all(dir.join("root")).unwrap();
    let (limits, down) = (UploadLimits::default(), Arc::new(Throttle::new(None)));
    Arc::new(Uploads::load(&dir.join("root"), state.clone(), limits, down).unwrap())
}

fn tree(path: &str, files: &[&str]) -> Description {
    let entry = |name: &&str| FileEntry { mode: 0o644, mtime: None, path: (*name).into(), size: 100, symlink: None };
    let files: Vec<FileEntry> = files.iter().map(entry).collect();
    let size = 100 * files.len() as u64;
    let json = format!(r#"{{"version":1,"path":"{path}","size":{size},"segment_length":1024}}"#);
    Description { files: Some(files), ..Description::from_reader(json.as_bytes()).unwrap() }
}

/// Sends the one segment of an upload and has it published.
async fn arrive(uploads: &Arc<Uploads>, id: &str, description: Description) -> Arc<Upload> {
    let bytes = vec![7; description.size as usize];
    let upload = uploads.open(id, description).await.unwrap().upload;
    let digest = Digest(Sha256::digest(&bytes).into());
    let Begun::Write(mut writer) = upload.begin(0, &(0..bytes.len() as u64), digest, &"host".into()).unwrap() else {
        panic!()
    };
    assert!(writer.feed(&bytes).unwrap());
    writer.finish().await.unwrap();
    upload.assemble(vec![digest]).await.unwrap();
    upload
}

#[tokio::test]
async fn what_is_done_is_remembered_for_a_week_in_brief() {
    let dir = tempfile::tempdir().unwrap();
    let state = Arc::new(State::open(&dir.path().join("state.redb")).unwrap());
    let uploads = load(dir.path(), &state);
    let description = tree("t", &["a", "b", "c"]);
    let first = arrive(&uploads, "first", description.clone()).await;
    let (status, digests) = (first.status(false), vec![Digest(Sha256::digest([7; 300]).into())]);
    arrive(&uploads, "second", tree("u", &["a"])).await;
    let known = async |uploads: &Arc<Uploads>| {
        let opened = uploads.open("first", description.clone()).await.unwrap();
        assert!(!opened.new && opened.upload.status(false).published == status.published);
        assert_eq!((opened.upload.size(), opened.upload.status(false).state), (300, "done"));
        assert_eq!(opened.upload.assemble(digests.clone()).await.unwrap().path, "t", "asked again: the same");
        assert!(opened.upload.assemble(vec![Digest([1; 32])]).await.is_err());
        assert_eq!(opened.upload.files().manifest().files.len(), 1, "in brief");
        let other = uploads.open("first", tree("t", &["a", "b", "x"])).await.unwrap_err();
        assert!(matches!(other, UploadError::Conflict { .. }), "another description");
    };
    known(&uploads).await;
    uploads.expire(unix_ms() + 6 * DAY_MS).await;
    known(&uploads).await;
    drop((first, uploads));
    let uploads = load(dir.path(), &state);
    known(&uploads).await;
    uploads.expire(unix_ms() + 8 * DAY_MS).await;
    assert!(matches!(uploads.get("first"), Err(UploadError::Unknown)));
    assert!(dir.path().join("root/t/c").exists(), "what was published stays");
}
