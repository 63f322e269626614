//! A node on a free loopback port, with contents made for the test.

use std::ffi::OsStr;
use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use reqwest::{Client, Response};
use sha2::{Digest as _, Sha256};
use skep_engine::content::{Bitmap, Digest, FileEntry, Manifest};
use skep_engine::node::{Limits, Metrics, Node, NodeConfig, Services, Token};
use skep_engine::store::{ContentFiles, Place};
use skep_engine::swarm::choker::ChokerConfig;
use skep_engine::swarm::tracker::TrackerConfig;
use skep_engine::swarm::{Bans, Catalog, Held};
use skep_engine::throttle::Throttle;
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// Far longer than anything here takes: reached only if something hangs.
pub const PATIENCE: Duration = Duration::from_secs(60);
pub const TOKEN: &str = "correct-horse-battery-staple";
pub const PIECE: u64 = 64 << 10;

pub struct TestNode {
    pub url: String,
    pub addr: SocketAddr,
    pub catalog: Arc<Catalog>,
    pub bans: Arc<Bans>,
    pub up: Arc<Throttle>,
    pub metrics: Arc<Metrics>,
    pub stop: CancellationToken,
    pub running: JoinHandle<()>,
}

impl TestNode {
    pub async fn start() -> Self {
        Self::start_with(|_| (), None).await
    }

    pub async fn limited(change: impl FnOnce(&mut Limits)) -> Self {
        Self::start_with(|config| change(&mut config.limits), None).await
    }

    pub async fn start_with(change: impl FnOnce(&mut NodeConfig), rpc: Option<axum::Router>) -> Self {
        let mut config = NodeConfig {
            name: "test".into(),
            listen: "127.0.0.1:0".parse().unwrap(),
            token: Some(Token::new(TOKEN).unwrap()),
            ..NodeConfig::default()
        };
        change(&mut config);
        Self::start_on(config, Services::default(), rpc).await
    }

    /// With a tracker that takes few contents.
    pub async fn tracking(tracker: TrackerConfig) -> Self {
        let config = NodeConfig { listen: "127.0.0.1:0".parse().unwrap(), ..NodeConfig::default() };
        let services = Services { catalog: Arc::new(Catalog::new(tracker)), ..Services::default() };
        Self::start_on(config, services, None).await
    }

    async fn start_on(config: NodeConfig, services: Services, rpc: Option<axum::Router>) -> Self {
        let (catalog, up, bans) = (services.catalog.clone(), services.up.clone(), services.bans.clone());
        let node = Node::bind(config, services).await.unwrap();
        let addr = SocketAddr::from(([127, 0, 0, 1], node.local_addr().port()));
        let (metrics, stop) = (node.metrics(), CancellationToken::new());
        let running = tokio::spawn(node.run(rpc, stop.clone()));
        Self { url: format!("http://{addr}"), addr, catalog, bans, up, metrics, stop, running }
    }

    pub fn at(&self, path: &str) -> String {
        format!("{}{path}", self.url)
    }

    pub async fn get(&self, path: &str) -> Response {
        self.get_with(path, &[]).await
    }

    pub async fn get_with(&self, path: &str, headers: &[(&str, &str)]) -> Response {
        let mut request = client().get(self.at(path));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        patiently(request.send()).await.unwrap()
    }

    pub fn serve(&self, content: &Content) -> Arc<Held> {
        self.serve_with(content, Bitmap::full(content.manifest.piece_count()), ChokerConfig::default())
    }

    pub fn serve_with(&self, content: &Content, have: Bitmap, choker: ChokerConfig) -> Arc<Held> {
        let files = Arc::new(content.open());
        let held = Arc::new(Held::new(content.manifest.id(), files, have, Arc::default(), choker));
        assert!(self.catalog.insert(held.clone()));
        held
    }
}

pub fn client() -> Client {
    // Fine if a test before this one has installed it.
    let _ = rustls::crypto::ring::default_provider().install_default();
    Client::builder().tls_certs_only([]).build().unwrap()
}

pub async fn patiently<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future).await.expect("it hangs")
}

/// Lets others run until it is so.
pub async fn until(so: impl Fn() -> bool) {
    patiently(async {
        while !so() {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

/// A problem document with this status and kind; its detail.
pub async fn problem(response: Response, status: u16, kind: &str) -> String {
    assert_eq!(response.status(), status, "{response:?}");
    assert_eq!(response.headers()["content-type"], "application/problem+json");
    let json: serde_json::Value = serde_json::from_slice(&response.bytes().await.unwrap()).unwrap();
    assert_eq!(json["status"], status);
    assert_eq!(json["type"], format!("urn:skep:problem:{kind}"), "{json}");
    json["detail"].as_str().unwrap().to_owned()
}

pub fn header(response: &Response, name: &str) -> String {
    response.headers().get(name).map_or(String::new(), |value| value.to_str().unwrap().to_owned())
}

/// Files in a temporary folder and their manifest.
pub struct Content {
    pub dir: TempDir,
    pub manifest: Arc<Manifest>,
    /// The files laid end to end.
    pub bytes: Vec<u8>,
}

impl Content {
    /// A tree of these files (paths in the manifest's spelling).
    pub fn tree(files: &[(&str, usize)]) -> Self {
        Self::make("tree", files)
    }

    /// One file.
    pub fn file(name: &str, size: usize) -> Self {
        Self::make(name, &[(name, size)])
    }

    fn make(name: &str, files: &[(&str, usize)]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut bytes = vec![0; files.iter().map(|(_, size)| size).sum()];
        fastrand::Rng::with_seed(bytes.len() as u64).fill(&mut bytes);
        let entry = |(path, size): &(&str, usize)| FileEntry {
            mode: 0o644,
            mtime: None,
            path: (*path).into(),
            size: *size as u64,
            symlink: None,
        };
        let mut manifest = Manifest {
            files: files.iter().map(entry).collect(),
            name: name.into(),
            piece_length: PIECE,
            pieces: bytes.chunks(PIECE as usize).map(|piece| Digest(Sha256::digest(piece).into())).collect(),
            tree: false,
            version: 1,
        };
        manifest.files.sort_by(|a, b| a.path.cmp(&b.path));
        manifest.check().unwrap();
        let mut rest = bytes.as_slice();
        for file in &manifest.files {
            let mut path = dir.path().join(name);
            if !manifest.is_single_file() {
                path.push(file.os_path().unwrap());
            }
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            let (data, tail) = rest.split_at(file.size as usize);
            std::fs::write(path, data).unwrap();
            rest = tail;
        }
        Self { dir, manifest: Arc::new(manifest), bytes }
    }

    pub fn open(&self) -> ContentFiles {
        let name = OsStr::new(&self.manifest.name);
        ContentFiles::open(self.dir.path(), name, self.manifest.clone(), Place::Shared, vec![]).unwrap()
    }

    pub fn id(&self) -> String {
        self.manifest.id().to_string()
    }

    pub fn piece(&self, index: usize) -> &[u8] {
        self.bytes.chunks(PIECE as usize).nth(index).unwrap()
    }
}

pub fn some_of(pieces: &[u32], all: u32) -> Bitmap {
    let mut have = Bitmap::empty(all);
    for piece in pieces {
        have.set(*piece);
    }
    have
}
