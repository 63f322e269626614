//! Where log lines go: a file, the node's own ring for the console and, for a headless node, stderr.
//! Never the screen that the console draws on.

use std::path::{Path, PathBuf};

use skep_engine::log::Logs;
use tracing_appender::non_blocking::{NonBlocking, WorkerGuard};
use tracing_subscriber::fmt;
use tracing_subscriber::layer::SubscriberExt as _;

use crate::config::Settings;
use crate::output::Failure;

/// Daily logs that are kept.
const KEPT: usize = 7;

/// The log of this process. Dropping it writes what is left.
pub struct Logging {
    /// Gives each node its ring, which the console's log pane shows; its filter is that of all of it.
    pub logs: Logs,
    /// The file that is written now, if any.
    pub file: Option<PathBuf>,
    _writer: Option<WorkerGuard>,
}

/// Starts to log for a process that holds a node. `to_stderr`: also there, for a headless node.
///
/// # Errors
/// The log's folder or file cannot be written; the filter is not one.
pub fn start(settings: &Settings, to_stderr: bool) -> Result<Logging, Failure> {
    let level = match settings.verbose {
        0 | 1 => settings.log_level.as_str(),
        2 => "debug",
        _ => "trace",
    };
    let wrong = || format!("log_level {level:?} is not a filter such as info or info,skep_engine::swarm=debug");
    let logs = Logs::new(level).map_err(|e| Failure::because(wrong(), anyhow::anyhow!("{e}")))?;
    let (file, guard) = match writer(settings)? {
        Some((writer, guard)) => (Some(fmt::layer().with_ansi(false).with_writer(writer)), Some(guard)),
        None => (None, None),
    };
    let err = to_stderr.then(|| fmt::layer().with_ansi(false).with_target(false).with_writer(std::io::stderr));
    let subscriber = tracing_subscriber::registry()
        .with(logs.layer())
        .with(file.map(|layer| logs.filtered(layer)))
        .with(err.map(|layer| logs.filtered(layer)));
    // Fails only if this process logs already, as tests do.
    let _ = tracing::subscriber::set_global_default(subscriber);
    Ok(Logging { logs, file: path(settings), _writer: guard })
}

/// Logs to rings only: nothing of it reaches a file.
///
/// # Errors
/// Never in practice: the filter is fixed.
pub fn in_memory() -> Result<Logging, Failure> {
    let logs = Logs::new("info").map_err(|e| Failure::because("cannot log", anyhow::anyhow!("{e}")))?;
    let _ = tracing::subscriber::set_global_default(tracing_subscriber::registry().with(logs.layer()));
    Ok(Logging { logs, file: None, _writer: None })
}

/// The file that [`writer`] opened: of a folder with one for each day the newest.
fn path(settings: &Settings) -> Option<PathBuf> {
    let Some(folder) = settings.log_dir.as_ref().filter(|_| settings.log_file.is_none()) else {
        return settings.log_file.clone();
    };
    let files = std::fs::read_dir(folder).ok()?.flatten().map(|entry| entry.path());
    let is_log = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        name.starts_with("skep.") && name.ends_with(".log")
    };
    files.filter(is_log).max()
}

fn writer(settings: &Settings) -> Result<Option<(NonBlocking, WorkerGuard)>, Failure> {
    if let Some(path) = &settings.log_file {
        let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let file = std::fs::create_dir_all(folder)
            .and_then(|()| std::fs::OpenOptions::new().create(true).append(true).open(path))
            .map_err(|e| Failure::because(format!("cannot write the log {}", path.display()), e))?;
        return Ok(Some(tracing_appender::non_blocking(file)));
    }
    let Some(folder) = &settings.log_dir else { return Ok(None) };
    // The appender complains on stderr if it has to look for old logs in a folder that is not there.
    std::fs::create_dir_all(folder)
        .map_err(|e| Failure::because(format!("cannot make the log folder {}", folder.display()), e))?;
    let daily = tracing_appender::rolling::Builder::new()
        .rotation(tracing_appender::rolling::Rotation::DAILY)
        .filename_prefix("skep")
        .filename_suffix("log")
        .max_log_files(KEPT)
        .build(folder)
        .map_err(|e| Failure::because(format!("cannot write logs in {}: use --log-file", folder.display()), e))?;
    Ok(Some(tracing_appender::non_blocking(daily)))
}
