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

fn stream(size: u64) -> Description {
    let json = format!(r#"{{"version":1,"path":"s","size":{size},"segment_length":1024}}"#);
    Description::from_reader(json.as_bytes()).unwrap()
}

/// A stream of which so many bytes are here, and then the disk refuses.
async fn refused(uploads: &Arc<Uploads>, id: &str, size: u64, here: usize) -> Arc<Upload> {
    let upload = uploads.open(id, Description { path: id.into(), ..stream(size) }).await.unwrap().upload;
    let mut appender = upload.append(0, false, None).unwrap();
    appender.feed(&vec![7; here]).unwrap();
    assert_eq!(appender.keep().unwrap(), here as u64);
    assert_eq!(upload.offset().await, here as u64);
    upload.not_durable(&UploadError::Disk("full".into()));
    upload
}

#[tokio::test]
async fn a_stream_goes_on_before_what_the_disk_refused() {
    let dir = tempfile::tempdir().unwrap();
    let state = Arc::new(State::open(&dir.path().join("state.redb")).unwrap());
    let uploads = load(dir.path(), &state);
    // To its end, the last segment being short; whole segments; less than one; within the second.
    for (id, size, here) in
        [("tus-a", 1_500, 1_500), ("tus-b", 2_048, 2_048), ("tus-c", 100, 100), ("tus-d", 3_000, 1_500)]
    {
        let upload = refused(&uploads, id, size, here).await;
        assert_eq!(upload.offset().await, 0, "{id}");
        assert!(matches!(upload.complete().await, Err(UploadError::Incomplete(_))), "{id}");
        assert!(matches!(upload.append(here as u64, false, None), Err(UploadError::Conflict { .. })), "{id}");
        let mut appender = upload.append(0, false, None).unwrap();
        appender.feed(&vec![8; size as usize]).unwrap();
        assert_eq!(appender.keep().unwrap(), size);
        assert_eq!(upload.offset().await, size);
        upload.complete().await.unwrap();
        assert_eq!(std::fs::read(dir.path().join("root").join(id)).unwrap(), vec![8; size as usize]);
    }
}

#[tokio::test]
async fn bytes_of_a_segment_that_are_not_on_the_disk_for_sure_are_sent_again() {
    let dir = tempfile::tempdir().unwrap();
    let state = Arc::new(State::open(&dir.path().join("state.redb")).unwrap());
    let uploads = load(dir.path(), &state);
    let upload = uploads.open("tus-e", stream(3_000)).await.unwrap().upload;
    let mut appender = upload.append(0, false, None).unwrap();
    appender.feed(&[7; 1_024]).unwrap();
    appender.keep().unwrap();
    upload.flush().await.unwrap();
    let mut appender = upload.append(1_024, false, None).unwrap();
    appender.feed(&[7; 100]).unwrap();
    appender.keep().unwrap();
    upload.not_durable(&UploadError::Disk("full".into()));
    assert_eq!(upload.offset().await, 1_024, "what is on record counts, and no more");
}

/// Instructions, and what files under way lay claim to while they are read.
struct Watching {
    bytes: Vec<u8>,
    at: usize,
    uploads: Arc<Uploads>,
    missing: Arc<Mutex<Vec<u64>>>,
}

impl std::io::Read for Watching {
    fn read(&mut self, buf: &mut [u8]) -> std::io::Result<usize> {
        self.missing.lock().unwrap().push(self.uploads.claims().iter().map(|claim| claim.missing).sum());
        let count = buf.len().min(self.bytes.len() - self.at);
        buf[..count].copy_from_slice(&self.bytes[self.at..][..count]);
        self.at += count;
        Ok(count)
    }
}

#[tokio::test]
async fn a_delta_lays_claim_to_what_it_has_still_to_write() {
    use crate::delta::instructions::{Header, MAX_LITERAL, Writer};
    let dir = tempfile::tempdir().unwrap();
    let state = Arc::new(State::open(&dir.path().join("state.redb")).unwrap());
    let uploads = load(dir.path(), &state);
    std::fs::write(dir.path().join("root/f"), [1; 1_000]).unwrap();
    let (new, size) = (vec![7; 8 * MAX_LITERAL], 8 * MAX_LITERAL as u64);
    let header = Header { block_length: 128, destination_size: 1_000, source_size: size };
    let mut writer = Writer::new(Vec::new(), header).unwrap();
    new.chunks(MAX_LITERAL).for_each(|literal| writer.literal(literal).unwrap());
    let bytes = writer.finish(&Digest(Sha256::digest(&new).into())).unwrap();
    let request = crate::upload::PatchRequest {
        path: "f".into(),
        basis: None,
        policy: Policy::Overwrite,
        tag: uploads.old_file("f").unwrap().2.tag(),
        size,
        mode: None,
        mtime: None,
        from: "host".into(),
    };
    let patch = uploads.patch(request).await.unwrap();
    let missing = Arc::<Mutex<Vec<u64>>>::default();
    let watching = Watching { bytes, at: 0, uploads: uploads.clone(), missing: missing.clone() };
    patch.apply(watching).unwrap();
    let missing = missing.lock().unwrap();
    assert!(missing.is_sorted_by(|a, b| a >= b) && missing[0] == size, "{missing:?}");
    assert!(*missing.last().unwrap() <= size / 8, "{missing:?}");
    assert!(uploads.claims().is_empty());
}

#[tokio::test]
async fn a_removal_goes_to_its_end_though_nobody_waits_for_it() {
    let dir = tempfile::tempdir().unwrap();
    let state = Arc::new(State::open(&dir.path().join("state.redb")).unwrap());
    let uploads = load(dir.path(), &state);
    for cancel in [false, true] {
        let upload = uploads.open("x", stream(3_000)).await.unwrap().upload;
        let Begun::Write(mut writer) =
            upload.begin(0, &(0..1_024), Digest(Sha256::digest([7; 1_024]).into()), &"host".into()).unwrap()
        else {
            panic!()
        };
        assert!(writer.feed(&[7; 1_024]).unwrap());
        writer.finish().await.unwrap();
        let recording = upload.recording.lock().await;
        // Begun, and dropped.
        {
            let mut removing: std::pin::Pin<Box<dyn Future<Output = _>>> = match cancel {
                true => Box::pin(uploads.cancel("x")),
                false => Box::pin(uploads.remove("x")),
            };
            while matches!(upload.lock().stage, Stage::Open) {
                tokio::select! {
                    biased;
                    _ = &mut removing => panic!("somebody records"),
                    () = tokio::task::yield_now() => {}
                }
            }
        }
        let again = uploads.open("x", stream(3_000)).await;
        match cancel {
            true => assert!(matches!(again, Err(UploadError::Cancelled))),
            false => assert!(matches!(again, Err(UploadError::Busy(_)))),
        }
        drop(recording);
        let part = dir.path().join("root/.skep-upload-x.part");
        let gone = async {
            while part.exists() || (!cancel && uploads.named("x").is_some()) {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(60), gone).await.unwrap();
        assert!(upload.is_durable() && upload.lock().ledger.held().count() == 0, "nothing is recorded of it any more");
    }
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
