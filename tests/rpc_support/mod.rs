//! A node with a fake engine behind its `/rpc`, on a real socket.
#![allow(dead_code, reason = "each test binary uses its part")]

use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::extract::Request;
use axum::http::StatusCode;
use axum::middleware::{Next, from_fn};
use axum::response::IntoResponse;
use serde_json::Value;
use skep_engine::control::link::LinkSettings;
use skep_engine::control::{
    BoxFuture, Command, CommandError, Connection, Control, Focus, NodeInfo, NodeRow, Reply, Snapshot, StrategyRow,
    TransferId, TransferRow, View,
};
use skep_engine::rpc::{NodeInfoSource, router};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// Longer than anything takes; only a failing test waits for it.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// An engine that remembers what it was asked and shows what it is told.
pub struct Fake {
    pub commands: Mutex<Vec<Command>>,
    pub answer: Mutex<Result<Reply, CommandError>>,
    pub snapshots: watch::Sender<Arc<Snapshot>>,
    pub views: Mutex<Vec<watch::Receiver<Focus>>>,
    /// Ends are kept so that views stay live.
    connection: watch::Sender<Connection>,
}

impl Fake {
    pub fn new(snapshot: Snapshot) -> Arc<Self> {
        Arc::new(Self {
            commands: Mutex::default(),
            answer: Mutex::new(Ok(Reply::Done)),
            snapshots: watch::channel(Arc::new(snapshot)).0,
            views: Mutex::default(),
            connection: watch::channel(Connection::Live).0,
        })
    }

    /// Publishes a snapshot with something changed in it.
    pub fn publish(&self, change: impl FnOnce(&mut Snapshot)) {
        let mut next = Snapshot::clone(&self.snapshots.borrow());
        next.generation += 1;
        change(&mut next);
        self.snapshots.send_replace(Arc::new(next));
    }

    /// The view that was opened as the `index`-th.
    pub async fn view_number(&self, index: usize) -> watch::Receiver<Focus> {
        within(async {
            loop {
                if let Some(view) = self.views.lock().unwrap().get(index) {
                    return view.clone();
                }
                tokio::task::yield_now().await;
            }
        })
        .await
    }
}

impl Control for Fake {
    fn command(&self, command: Command) -> BoxFuture<'_, Result<Reply, CommandError>> {
        self.commands.lock().unwrap().push(command);
        let answer = self.answer.lock().unwrap().clone();
        Box::pin(async { answer })
    }

    fn view(&self, focus: Focus) -> View {
        let (sender, receiver) = watch::channel(focus);
        self.views.lock().unwrap().push(receiver);
        View { snapshots: self.snapshots.subscribe(), focus: sender, connection: self.connection.subscribe() }
    }

    fn target(&self) -> String {
        "fake".into()
    }

    fn is_embedded(&self) -> bool {
        true
    }
}

struct Info;

impl NodeInfoSource for Info {
    fn links(&self) -> Arc<LinkSettings> {
        Arc::default()
    }

    fn info(&self) -> NodeInfo {
        NodeInfo {
            name: "fake".into(),
            version: "1".into(),
            capabilities: vec!["swarm".into()],
            bandwidth_monitors: 0,
            current_sync_mode: "unknown".into(),
            strategies: vec![StrategyRow {
                id: "transit-p2p-swarm".into(),
                name: "Swarm".into(),
                capabilities: vec!["P2P".into()],
                unavailable: None,
            }],
        }
    }
}

/// A running node.
pub struct Node {
    pub address: SocketAddr,
    pub fake: Arc<Fake>,
    listener: TcpListener,
    token: Option<&'static str>,
    shutdown: CancellationToken,
    server: tokio::task::JoinHandle<()>,
}

impl Node {
    pub fn start(snapshot: Snapshot) -> Self {
        Self::with_token(snapshot, None)
    }

    pub fn with_token(snapshot: Snapshot, token: Option<&'static str>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        Self::on(listener, snapshot, token)
    }

    fn on(listener: TcpListener, snapshot: Snapshot, token: Option<&'static str>) -> Self {
        listener.set_nonblocking(true).unwrap();
        let socket = tokio::net::TcpListener::from_std(listener.try_clone().unwrap()).unwrap();
        let (fake, shutdown) = (Fake::new(snapshot), CancellationToken::new());
        let app = router(fake.clone(), Arc::new(Info), shutdown.clone()).layer(from_fn(
            move |request: Request, next: Next| async move {
                let given = request.headers().get("authorization").and_then(|value| value.to_str().ok());
                if token.is_some_and(|token| given != Some(&format!("Bearer {token}"))) {
                    return StatusCode::UNAUTHORIZED.into_response();
                }
                next.run(request).await
            },
        ));
        let server = tokio::spawn(async move { axum::serve(socket, app).await.unwrap() });
        Self { address: listener.local_addr().unwrap(), fake, listener, token, shutdown, server }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Stops; connections that come now wait in the listener's backlog.
    pub async fn stop(self) -> Stopped {
        self.shutdown.cancel();
        self.server.abort();
        let _ = self.server.await;
        Stopped { listener: self.listener, token: self.token }
    }
}

/// A node between two lives.
pub struct Stopped {
    listener: TcpListener,
    token: Option<&'static str>,
}

impl Stopped {
    pub fn start(self, snapshot: Snapshot) -> Node {
        Node::on(self.listener, snapshot, self.token)
    }
}

pub fn row(id: u64) -> Arc<TransferRow> {
    Arc::new(TransferRow { id: TransferId(id), name: format!("file {id}"), ..TransferRow::default() })
}

pub fn rows(ids: std::ops::RangeInclusive<u64>) -> Snapshot {
    let node = NodeRow { name: "fake".into(), ..NodeRow::default() };
    Snapshot { generation: 1, node: Arc::new(node), transfers: ids.map(row).collect(), ..Snapshot::default() }
}

pub async fn within<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future).await.expect("waited in vain")
}

/// Waits until a view shows this.
pub async fn shows(view: &mut View, what: impl FnMut(&Arc<Snapshot>) -> bool) -> Arc<Snapshot> {
    within(view.snapshots.wait_for(what)).await.unwrap().clone()
}

/// A raw HTTP request; status and body.
pub async fn http(address: SocketAddr, head: &str, body: &[u8]) -> (u16, String) {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let head = format!("{head}\r\nHost: x\r\nConnection: close\r\n");
    let length =
        if head.contains("Content-Length") { String::new() } else { format!("Content-Length: {}\r\n", body.len()) };
    stream.write_all(format!("{head}{length}\r\n").as_bytes()).await.unwrap();
    // A server that refuses early closes early.
    let _ = stream.write_all(body).await;
    let mut answer = Vec::new();
    let _ = within(stream.read_to_end(&mut answer)).await;
    let answer = String::from_utf8(answer).unwrap();
    let status = answer.split(' ').nth(1).unwrap().parse().unwrap();
    (status, answer.split_once("\r\n\r\n").map(|(_, body)| body.to_owned()).unwrap_or_default())
}

/// A POST of JSON.
pub async fn post(address: SocketAddr, body: &str) -> (u16, Value) {
    let head = "POST /rpc HTTP/1.1\r\nContent-Type: application/json";
    let (status, body) = http(address, head, body.as_bytes()).await;
    (status, serde_json::from_str(&body).unwrap_or(Value::String(body)))
}

/// One call by POST: its result or its error.
pub async fn call(address: SocketAddr, method: &str, params: Value) -> Result<Value, Value> {
    let request = serde_json::json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params});
    let (status, mut answer) = post(address, &request.to_string()).await;
    assert_eq!(status, 200, "{answer}");
    if answer["error"].is_null() { Ok(answer["result"].take()) } else { Err(answer["error"].take()) }
}
