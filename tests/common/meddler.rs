//! An endpoint that leads to a node and meddles with what is said: a receiver that lies, or a world that changes between
//! two requests.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Method, Request, Response, StatusCode, Uri, header};
use bytes::Bytes;
use futures_util::StreamExt as _;
use reqwest::Client;

/// A request, as far as one decides by it.
pub struct Asked {
    pub method: Method,
    /// With its query.
    pub path: String,
}

impl Asked {
    pub fn is(&self, method: Method, path: &str) -> bool {
        self.method == method && self.path.starts_with(path)
    }
}

/// Gets the answer's headers and body, and says which body is sent.
pub type Change = Box<dyn FnOnce(&mut HeaderMap, Vec<u8>) -> Body + Send>;

/// What is done about a request.
pub enum Meddle {
    /// It goes through.
    Pass,
    /// It is answered as about another path, whose answer's body comes under the headers of the right one.
    As(String),
    /// It goes through, and the answer is changed.
    Changed(Change),
    /// The node does not hear of it.
    Instead(Response<Body>),
}

impl Meddle {
    pub fn changed(change: impl FnOnce(&mut HeaderMap, Vec<u8>) -> Body + Send + 'static) -> Self {
        Self::Changed(Box::new(change))
    }

    pub fn json(status: u16, body: &str) -> Self {
        let builder = Response::builder().status(status).header(header::CONTENT_TYPE, "application/json");
        Self::Instead(builder.body(Body::from(body.to_owned())).unwrap())
    }
}

/// The endpoint; it ends with its runtime.
pub struct Meddler {
    pub url: String,
}

type Decide = Arc<dyn Fn(&Asked) -> Meddle + Send + Sync>;

impl Meddler {
    /// Leads to the node at this URL; every request is first shown to `decide`.
    pub async fn to(target: &str, decide: impl Fn(&Asked) -> Meddle + Send + Sync + 'static) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (target, decide): (String, Decide) = (target.to_owned(), Arc::new(decide));
        let client = Client::builder().tls_certs_only([]).build().unwrap();
        let app = Router::new().fallback(move |request: Request<Body>| {
            let (client, target, decide) = (client.clone(), target.clone(), decide.clone());
            async move { answer(&client, &target, &decide, request).await }
        });
        tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        Self { url }
    }
}

async fn answer(client: &Client, target: &str, decide: &Decide, request: Request<Body>) -> Response<Body> {
    let (head, body) = request.into_parts();
    let path = head.uri.path_and_query().map_or("/", |path| path.as_str()).to_owned();
    let asked = Asked { method: head.method.clone(), path };
    let what = decide(&asked);
    let url = |path: &str| format!("{target}{path}").parse::<Uri>().unwrap().to_string();
    let mut headers = head.headers.clone();
    for name in [header::HOST, header::CONTENT_LENGTH, header::TRANSFER_ENCODING, header::CONNECTION] {
        headers.remove(name);
    }
    let ask = |path: &str, headers: HeaderMap, body: reqwest::Body| {
        client.request(head.method.clone(), url(path)).headers(headers).body(body).send()
    };
    let changed: Change = match what {
        Meddle::Instead(answer) => return answer,
        Meddle::Pass => {
            let Ok(answer) = ask(&asked.path, headers, reqwest::Body::wrap_stream(body.into_data_stream())).await
            else {
                return gone();
            };
            let mut response = Response::builder().status(answer.status());
            *response.headers_mut().unwrap() = kept(answer.headers());
            return response.body(Body::from_stream(answer.bytes_stream())).unwrap();
        }
        Meddle::Changed(change) => change,
        Meddle::As(other) => {
            let tag = client.get(url(other.split('?').next().unwrap())).send().await.unwrap().headers()["etag"].clone();
            let body = axum::body::to_bytes(body, usize::MAX).await.unwrap();
            let right = ask(&asked.path, headers.clone(), body.clone().into()).await.unwrap();
            if headers.contains_key(header::IF_MATCH) {
                headers.insert(header::IF_MATCH, tag);
            }
            let wrong = ask(&other, headers, body.into()).await.unwrap();
            let mut response = Response::builder().status(wrong.status());
            *response.headers_mut().unwrap() = kept(right.headers());
            return response.body(Body::from(wrong.bytes().await.unwrap())).unwrap();
        }
    };
    let Ok(answer) = ask(&asked.path, headers, reqwest::Body::wrap_stream(body.into_data_stream())).await else {
        return gone();
    };
    let (status, mut headers) = (answer.status(), kept(answer.headers()));
    let body = changed(&mut headers, answer.bytes().await.unwrap().to_vec());
    let mut response = Response::builder().status(status);
    *response.headers_mut().unwrap() = headers;
    response.body(body).unwrap()
}

/// What a body of another length does not contradict.
fn kept(headers: &HeaderMap) -> HeaderMap {
    let mut kept = headers.clone();
    for name in [header::CONTENT_LENGTH, header::TRANSFER_ENCODING, header::CONNECTION] {
        kept.remove(name);
    }
    kept
}

fn gone() -> Response<Body> {
    Response::builder().status(StatusCode::BAD_GATEWAY).body(Body::empty()).unwrap()
}

/// A body that has no end.
pub fn endless(of: Vec<u8>) -> Body {
    let chunk = Bytes::from(of);
    Body::from_stream(futures_util::stream::repeat(chunk).map(Ok::<_, std::io::Error>))
}
