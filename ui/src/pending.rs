//! Stands in for what other branches bring; goes when they are merged.
#![allow(missing_docs, clippy::unused_async)]
pub mod engine {
    use super::log::LogRing;
    use skep_engine::control::{Control, Rate};
    use std::{net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};
    #[derive(Debug)]
    pub struct Engine;
    #[derive(Debug, Clone, Copy)]
    pub enum InFlight {
        Auto,
        Fixed(u32),
    }
    #[derive(Debug, Clone)]
    pub struct EngineLimits {
        pub max_transfers: usize,
        pub upload_slots: usize,
        pub in_flight: InFlight,
        pub piece_timeout: Duration,
        pub up: Rate,
        pub down: Rate,
        pub max_connections: usize,
    }
    impl Default for EngineLimits {
        fn default() -> Self {
            Self {
                max_transfers: 10,
                upload_slots: 4,
                in_flight: InFlight::Auto,
                piece_timeout: Duration::from_secs(30),
                up: None,
                down: None,
                max_connections: 1024,
            }
        }
    }
    #[derive(Debug, Clone)]
    pub struct EngineConfig {
        pub state_dir: PathBuf,
        pub root: PathBuf,
        pub name: String,
        pub listen: SocketAddr,
        pub token: Option<String>,
        pub public: bool,
        pub trackers: Vec<String>,
        pub join: Vec<String>,
        pub limits: EngineLimits,
        pub trusted: bool,
        pub log: Arc<LogRing>,
        pub advertise: Option<String>,
    }
    impl EngineConfig {
        pub fn new(state_dir: PathBuf, root: PathBuf) -> Self {
            Self {
                state_dir,
                root,
                name: "skep".into(),
                listen: SocketAddr::from(([127, 0, 0, 1], 0)),
                token: None,
                public: false,
                trackers: vec![],
                join: vec![],
                limits: EngineLimits::default(),
                trusted: false,
                log: Arc::default(),
                advertise: None,
            }
        }
    }
    #[derive(Debug, thiserror::Error)]
    pub enum StartError {
        #[error("busy {pid} {url} {state_dir:?}")]
        Busy { pid: u32, url: String, state_dir: PathBuf },
        #[error("the engine is not part of this build yet")]
        Missing,
    }
    impl Engine {
        pub async fn start(_: EngineConfig) -> Result<Self, StartError> {
            Err(StartError::Missing)
        }
        pub fn control(&self) -> Arc<dyn Control> {
            unreachable!()
        }
        pub fn url(&self) -> &str {
            ""
        }
        pub async fn shutdown(self) {}
    }
}
pub mod log {
    #[derive(Debug, Default)]
    pub struct LogRing;
}
pub mod rpc {
    use skep_engine::control::{BoxFuture, Command, CommandError, Control, Focus, Reply, View};
    #[derive(Debug, thiserror::Error)]
    #[error("rpc is not part of this build yet")]
    pub struct RemoteError;
    impl RemoteError {
        pub fn is_unreachable(&self) -> bool {
            true
        }
        pub fn is_unauthorized(&self) -> bool {
            false
        }
    }
    pub struct RemoteControl;
    impl RemoteControl {
        pub async fn connect(_: &str, _: Option<String>) -> Result<Self, RemoteError> {
            Err(RemoteError)
        }
    }
    impl Control for RemoteControl {
        fn command(&self, _: Command) -> BoxFuture<'_, Result<Reply, CommandError>> {
            unreachable!()
        }
        fn view(&self, _: Focus) -> View {
            unreachable!()
        }
        fn target(&self) -> String {
            unreachable!()
        }
        fn is_embedded(&self) -> bool {
            false
        }
    }
}
