//! What an operator hears of a push that does not get there: where to, what, and what to do.

use std::net::SocketAddr;

use axum::Router;
use axum::http::{StatusCode, header};
use axum::response::{Html, IntoResponse as _};
use skep_engine::control::{SendRequest, TransferState};

use super::common::{TestNode, noise_file};
use super::receiver::{Receiver, served};
use super::relay::Relay;
use super::{hasty, is, send};

/// A web server as there are many: the same page for whatever is asked.
async fn web_server(status: StatusCode, more: &'static [(header::HeaderName, &'static str)]) -> SocketAddr {
    let page = move || async move {
        let mut response = (status, Html("<html><h1>Welcome</h1></html>")).into_response();
        response.headers_mut().insert(header::SERVER, "nginx/1.24".parse().unwrap());
        for (name, value) in more {
            response.headers_mut().insert(name, value.parse().unwrap());
        }
        response
    };
    served(Router::new().fallback(page)).await
}

/// The error of a push to this URL.
async fn error_of(node: &TestNode, dest: &str, change: impl FnOnce(&mut SendRequest)) -> String {
    let file = noise_file(node.dir.path(), "a", 100_000);
    let id = send(node, &file, dest, change).await;
    node.wait(id, is(TransferState::Failed)).await.error.unwrap()
}

#[tokio::test]
async fn errors_name_where_it_was_to_go_and_what_to_do() {
    let node = hasty().await;
    let gone = Relay::to("127.0.0.1:1".parse().unwrap()).await;
    let nobody = gone.address;
    drop(gone);
    let closed = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let location = &[(header::LOCATION, "https://there/")];
    for (address, words) in [
        (closed, "connection refused; is a skep node listening there?"),
        (web_server(StatusCode::METHOD_NOT_ALLOWED, &[]).await, "what answers there (nginx/1.24) is no skep node"),
        (web_server(StatusCode::NOT_FOUND, &[]).await, "what answers there (nginx/1.24) is no skep node"),
        (web_server(StatusCode::OK, &[]).await, "is no skep node (it gives text/html"),
        (web_server(StatusCode::FORBIDDEN, &[]).await, "what answers (nginx/1.24) forbids it there"),
        (web_server(StatusCode::PAYLOAD_TOO_LARGE, &[]).await, "takes no request of this size: allow more there"),
        (web_server(StatusCode::MOVED_PERMANENTLY, location).await, "it sends on to https://there/: give that address"),
    ] {
        let dest = format!("http://{address}/in/");
        let error = error_of(&node, &dest, |_| ()).await;
        assert!(error.starts_with(&format!("http://{address}/in/a: ")) && error.contains(words), "{words}: {error}");
    }
    let plain = web_server(StatusCode::OK, &[]).await;
    let error = error_of(&node, &format!("https://{plain}/"), |_| ()).await;
    assert!(error.contains("it does not speak TLS there: write http://"), "{error}");
    // The relay is gone, but not what it listened on; whoever connects is cut off.
    let error = error_of(&node, &format!("http://{nobody}/"), |_| ()).await;
    assert!(error.starts_with(&format!("http://{nobody}/a: the connection broke")), "{error}");
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn what_a_path_cannot_leave_by_is_named_with_what_there_is() {
    let (node, receiver) = (hasty().await, Receiver::default());
    let address = receiver.serve().await;
    for (via, words) in [
        ("nosuch0", "there is no interface nosuch0 here; there are "),
        ("192.0.2.1", "this machine does not have the address 192.0.2.1; there are "),
    ] {
        let error =
            error_of(&node, &format!("http://{address}/{via}/"), |request| request.via = vec![via.into()]).await;
        assert!(error.contains(&format!("/a via {via}: {words}")) && error.contains("127.0.0.1"), "{error}");
    }
}
