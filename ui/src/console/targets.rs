//! Nodes that one console can be switched to.

use std::sync::Arc;

use skep_engine::control::Control;

/// A node that can be shown.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Target {
    /// As the operator calls it.
    pub name: String,
    /// Where it is, in words.
    pub address: String,
    /// It lives in this process and ends with it.
    pub embedded: bool,
    /// Nothing may be changed there from here.
    pub read_only: bool,
}

/// Gets hold of the targets. The console itself knows no sockets.
pub trait Switchboard: Send + Sync + 'static {
    /// What there is to choose from; the first is the one that the console was opened on.
    fn targets(&self) -> Vec<Target>;

    /// The node of this place in the list. It need not be reachable yet: its views tell. Called inside a
    /// tokio runtime, on a thread that may block.
    ///
    /// # Errors
    /// In words, why there is no way to it: a wrong URL, no token.
    fn open(&self, at: usize) -> Result<Arc<dyn Control>, String>;
}

/// How one stands to the node on screen.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TargetSettings {
    /// Where the node is: `embedded` or a URL.
    pub target: String,
    /// The node ends with the console.
    pub embedded: bool,
    /// Nothing may be changed from here.
    pub read_only: bool,
}
