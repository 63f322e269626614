//! Control over the network: commands and questions, right and wrong ones.
#![allow(clippy::unwrap_used)]

mod rpc_support;

use jsonrpsee::client_transport::ws::{Url, WsTransportClientBuilder};
use jsonrpsee::core::client::{ReceivedMessage, TransportReceiverT, TransportSenderT};
use rpc_support::{Node, call, http, post, rows, within};
use serde_json::{Value, json};
use skep_engine::control::{
    AddTransfer, BanRow, Command, CommandError, CommandErrorKind, Control, Reply, ShareRequest, TransferId,
};
use skep_engine::rpc::{RemoteControl, RemoteError};

#[tokio::test]
async fn every_command_arrives_and_is_answered() {
    let node = Node::start(rows(1..=3));
    let remote = RemoteControl::connect_once(&node.url(), None).await.unwrap();
    let ids = vec![TransferId(1), TransferId(2)];
    let commands = vec![
        Command::Add(AddTransfer { link: "skep://h:1/x".into(), down: Some(9), ..AddTransfer::default() }),
        Command::Share(ShareRequest { path: "/p".into(), ..ShareRequest::default() }),
        Command::Pause { ids: ids.clone() },
        Command::Resume { ids: ids.clone() },
        Command::Cancel { ids: ids.clone() },
        Command::Remove { ids: ids.clone(), data: true },
        Command::Verify { ids: ids.clone() },
        Command::Limit { id: None, up: Some(None), down: None },
        Command::Unban { peer: "h:1".into() },
        Command::SetLogLevel { filter: "debug".into() },
    ];
    let added = Reply::Added { ids, contents: Vec::new() };
    *node.fake.answer.lock().unwrap() = Ok(added.clone());
    for command in &commands {
        assert_eq!(within(remote.command(command.clone())).await, Ok(added.clone()));
    }
    assert_eq!(*node.fake.commands.lock().unwrap(), commands);
    assert_eq!((remote.target(), remote.is_embedded()), (node.url(), false));
}

#[tokio::test]
async fn refusals_keep_their_kind_and_words() {
    use CommandErrorKind::*;
    let node = Node::start(rows(1..=1));
    let remote = RemoteControl::connect_once(&node.url(), None).await.unwrap();
    for kind in [Invalid, NotFound, Conflict, Refused, Integrity, Unavailable, Internal] {
        let error = CommandError::new(kind, "no: try this");
        *node.fake.answer.lock().unwrap() = Err(error.clone());
        assert_eq!(remote.command(Command::Unban { peer: "x".into() }).await, Err(error));
    }
    let error = call(node.address, "swarm.unban", json!({"peer": "x"})).await.unwrap_err();
    assert_eq!((error["code"].clone(), error["data"].clone()), (json!(-32020), json!({"kind": "internal"})));
}

#[tokio::test]
async fn questions_are_answered() {
    let node = Node::start(rows(1..=3));
    node.fake.publish(|next| {
        next.bans = vec![BanRow { peer: "h:1".into(), reason: "lied".into(), since_ms: 1, until_ms: 2 }].into();
    });
    let ask = |method: &'static str, params: Value| call(node.address, method, params);

    let info = ask("node.info", json!({})).await.unwrap();
    assert_eq!(
        (&info["name"], &info["CurrentSyncMode"], &info["BandwidthMonitors"]),
        (&json!("fake"), &json!("unknown"), &json!(0))
    );
    assert_eq!(ask("node.snapshot", json!({})).await.unwrap()["transfers"].as_array().unwrap().len(), 3);
    assert_eq!(ask("swarm.bans", json!([])).await.unwrap()[0]["reason"], "lied");
    assert_eq!(ask("transport.config", json!({})).await.unwrap()["strategies"][0]["id"], "transit-p2p-swarm");
    assert_eq!(ask("transport.stats", json!({})).await.unwrap()["transfers"][2]["id"], 3);
    assert_eq!(ask("transport.bandwidth.sync.queue", json!({})).await.unwrap()["rows"], json!([]));
    assert_eq!(ask("transport.bandwidth.sync.next", json!({})).await.unwrap(), json!(null));

    let first = ask("transfer.list", json!({"limit": 2})).await.unwrap();
    assert_eq!((first["transfers"].as_array().unwrap().len(), &first["more"]), (2, &json!(true)));
    let rest = ask("transfer.list", json!({"after": 2})).await.unwrap();
    assert_eq!((&rest["transfers"][0]["id"], &rest["more"]), (&json!(3), &json!(false)));

    let shown = ask("transfer.show", json!({"id": 2})).await.unwrap();
    assert_eq!((&shown["row"]["name"], &shown["detail"]), (&json!("file 2"), &Value::Null));
    let error = ask("transfer.show", json!({"id": 9})).await.unwrap_err();
    assert_eq!((error["code"].clone(), error["message"].clone()), (json!(-32022), json!("no such transfer: 9")));
}

#[tokio::test]
async fn wrong_requests_are_told_what_is_wrong() {
    let node = Node::start(rows(1..=1));
    let cases = [
        ("transfer.show", json!({"id": "one"}), -32602, "`id`"),
        ("transfer.show", json!({"nr": 1}), -32602, "unknown parameter `nr`"),
        ("transfer.show", json!([1]), -32602, "by name"),
        ("transfer.pause", json!({}), -32602, "ids"),
        ("node.info", json!({"verbose": true}), -32602, "verbose"),
        ("node.subscribe", json!({}), -32021, "WebSocket"),
        ("transfer.start", json!({}), -32601, ""),
    ];
    for (method, params, code, words) in cases {
        let error = call(node.address, method, params).await.unwrap_err();
        assert_eq!(error["code"], code, "{method}: {error}");
        assert!(error["message"].as_str().unwrap().contains(words), "{method}: {error}");
    }
    assert_eq!(post(node.address, "garbage").await.1["error"]["code"], -32700);
    assert_eq!(post(node.address, r#"{"jsonrpc":"2.0","id":1}"#).await.1["error"]["code"], -32600);
    assert!(node.fake.commands.lock().unwrap().is_empty());

    let (status, body) = http(node.address, "GET /rpc HTTP/1.1", b"").await;
    assert!(status == 405 && body.contains("WebSocket"), "{status} {body}");
    let (status, body) = http(node.address, "POST /rpc HTTP/1.1\r\nContent-Type: text/plain", b"{}").await;
    assert!(status == 415 && body.contains("application/json"), "{status} {body}");
}

#[tokio::test]
async fn batches_are_answered_up_to_a_length() {
    let node = Node::start(rows(1..=1));
    let one = |id: usize| json!({"jsonrpc": "2.0", "id": id, "method": "transfer.pause", "params": {"id": 1}});
    let (_, answers) = post(node.address, &json!([one(1), {"nonsense": 1}, one(2)]).to_string()).await;
    let answers = answers.as_array().unwrap();
    assert_eq!((answers.len(), &answers[0]["result"]["reply"]), (3, &json!("done")));
    assert_eq!(answers[1]["error"]["code"], -32600);
    assert_eq!(node.fake.commands.lock().unwrap().len(), 2);

    let many: Vec<_> = (0..33).map(one).collect();
    let (_, answer) = post(node.address, &json!(many).to_string()).await;
    assert_eq!(answer["error"]["code"], -32010, "{answer}");
    assert_eq!(node.fake.commands.lock().unwrap().len(), 2, "none of them was carried out");
}

#[tokio::test]
async fn only_documents_may_be_large() {
    let node = Node::start(rows(1..=1));
    let remote = RemoteControl::connect_once(&node.url(), None).await.unwrap();
    let document = "\"piece\" ".repeat(700_000);
    let add = Command::Add(AddTransfer { document: Some(document.clone()), ..AddTransfer::default() });
    assert_eq!(within(remote.command(add.clone())).await, Ok(Reply::Done));
    assert_eq!(*node.fake.commands.lock().unwrap(), [add]);

    *node.fake.answer.lock().unwrap() = Err(CommandError::new(CommandErrorKind::Integrity, "not that content"));
    let add = Command::Add(AddTransfer { document: Some(document.clone()), ..AddTransfer::default() });
    assert_eq!(within(remote.command(add)).await.unwrap_err().kind, CommandErrorKind::Integrity);

    let error = call(node.address, "swarm.unban", json!({"peer": document})).await.unwrap_err();
    assert_eq!(error["code"], -32602, "{error}");
    // More than any document: refused by its announced length, before it is read.
    let head = "POST /rpc HTTP/1.1\r\nContent-Type: application/json\r\nContent-Length: 4000000000";
    let (status, body) = http(node.address, head, b"{").await;
    assert!(status == 413 && body.contains("-32007"), "{status} {body}");
}

#[tokio::test]
async fn garbage_on_a_websocket_harms_nobody() {
    let node = Node::start(rows(1..=1));
    let url = Url::parse(&format!("ws://{}/rpc", node.address)).unwrap();
    let builder = WsTransportClientBuilder::default().max_request_size(8 << 20);
    let (mut sender, mut receiver) = builder.build(url).await.unwrap();
    let large = format!("{{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"x\",\"params\":\"{}\"}}", "x".repeat(5 << 20));
    let cases = [("nonsense", -32700), ("{\"id\":", -32700), ("[]", -32600), ("7", -32700), (large.as_str(), -32007)];
    for (text, code) in cases {
        sender.send(text.to_owned()).await.unwrap();
        let answer = match within(receiver.receive()).await.unwrap() {
            ReceivedMessage::Text(text) => serde_json::from_str::<Value>(&text).unwrap(),
            other => panic!("{other:?}"),
        };
        assert_eq!(answer["error"]["code"], code, "{answer}");
    }
    let remote = RemoteControl::connect_once(&node.url(), None).await.unwrap();
    assert_eq!(remote.info().await.unwrap().name, "fake");
}

#[tokio::test]
async fn why_there_is_no_connection() {
    let node = Node::with_token(rows(1..=1), Some("right"));
    let url = node.url();
    let attempt = |token: Option<&str>| RemoteControl::connect_once(&url, token.map(Into::into));
    assert!(attempt(Some("right")).await.is_ok());
    let wrong = attempt(Some("wrong")).await.unwrap_err();
    assert!(matches!(&wrong, RemoteError::Refused { .. }), "{wrong}");
    assert!(attempt(None).await.unwrap_err().to_string().contains("without a token"));
    assert_eq!(CommandError::from(wrong).kind, CommandErrorKind::Refused);
    assert!(matches!(RemoteControl::connect("https://h:1", None), Err(RemoteError::Tls { .. })));

    // A document goes by another way, which needs the token too.
    let remote = attempt(Some("right")).await.unwrap();
    let add = AddTransfer { document: Some("x".repeat(5 << 20)), ..AddTransfer::default() };
    assert_eq!(within(remote.command(Command::Add(add))).await, Ok(Reply::Done));

    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let error = RemoteControl::connect_once(&format!("http://{free}"), None).await.unwrap_err();
    assert!(error.to_string().contains("is the node running?"), "{error}");
    let remote = RemoteControl::connect(&format!("http://{free}"), None).unwrap();
    let error = remote.command(Command::Unban { peer: "x".into() }).await.unwrap_err();
    assert_eq!(error.kind, CommandErrorKind::Unavailable);
}
