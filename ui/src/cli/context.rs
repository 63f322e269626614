//! What every command gets: the configuration, how to print, how to run asynchronous work.

use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::config::{Config, Settings};
use crate::output::{Exit, Failure, Out};

/// Given to every command.
#[derive(Debug)]
pub struct Context {
    /// Settings and where they came from.
    pub config: Config,
    /// How to print.
    pub out: Out,
}

impl Context {
    /// The settings.
    pub fn settings(&self) -> &Settings {
        &self.config.settings
    }

    /// The state folder.
    ///
    /// # Errors
    /// A user without a home who named none.
    pub fn state_dir(&self) -> Result<&Path, Failure> {
        let dir = self.settings().state_dir.as_deref();
        dir.ok_or_else(|| Failure::usage("no home folder to keep state in: name one with --state-dir"))
    }

    /// Runs work that only talks to a node: on this thread alone, which starts fastest.
    ///
    /// # Errors
    /// Those of the work; the system refuses a runtime.
    pub fn talk(&self, work: impl Future<Output = Result<Exit, Failure>>) -> Result<Exit, Failure> {
        run(tokio::runtime::Builder::new_current_thread(), work)
    }

    /// Runs work that may hold a node in this process.
    ///
    /// # Errors
    /// Those of the work; the system refuses a runtime.
    pub fn engine(&self, work: impl Future<Output = Result<Exit, Failure>>) -> Result<Exit, Failure> {
        allow_files();
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        builder.worker_threads(self.settings().workers);
        run(builder, work)
    }
}

/// Open files that a node gets if the system allows them.
const FILES: u64 = 65_536;

/// Has the system allow as many open files as it may. The 1,024 that shells begin with are for programs that use `select`
/// (getrlimit(2)); a node with many peers has as many sockets.
fn allow_files() {
    let now = getrlimit(Resource::Nofile);
    let most = now.maximum.map_or(FILES, |maximum| maximum.min(FILES));
    if now.current.is_some_and(|current| current < most) {
        // Where it is refused there are as many as there were.
        let _ = setrlimit(Resource::Nofile, Rlimit { current: Some(most), ..now });
    }
}

fn run(
    mut builder: tokio::runtime::Builder,
    work: impl Future<Output = Result<Exit, Failure>>,
) -> Result<Exit, Failure> {
    let runtime = builder.enable_all().build().map_err(|e| Failure::because("cannot start worker threads", e))?;
    let result = runtime.block_on(work);
    // Blocking work that is still out (a read on a dead disk) must not hold the exit up.
    runtime.shutdown_timeout(Duration::from_millis(200));
    result
}

/// The absolute form of a path that a person gave; it need not exist.
///
/// # Errors
/// There is no current folder.
pub fn absolute(path: &Path) -> Result<PathBuf, Failure> {
    std::path::absolute(path).map_err(|e| Failure::because(format!("cannot find {}", path.display()), e))
}
