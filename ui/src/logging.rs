//! Where log lines go: a file, the node's own ring for the console and, for a headless node, stderr.
//! Never the screen that the console draws on.

use std::path::Path;
use std::sync::Arc;

use crate::pending::log::LogRing;
use tracing_appender::non_blocking::WorkerGuard;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::{EnvFilter, Layer as _, fmt};

use crate::config::Settings;
use crate::output::Failure;

/// Daily logs that are kept.
const KEPT: usize = 7;

/// Keeps the log's writer alive: dropping it writes what is left.
#[derive(Debug)]
pub struct Logging {
    /// What the console's log pane shows.
    pub ring: Arc<LogRing>,
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
    let filter = || {
        EnvFilter::builder().parse(level).map_err(|e| {
            Failure::because(format!("log_level {level:?} is not a filter such as info or skep_engine=debug"), e)
        })
    };
    let (file, guard) = match writer(settings)? {
        Some((writer, guard)) => (Some(fmt::layer().with_ansi(false).with_writer(writer)), Some(guard)),
        None => (None, None),
    };
    let err = to_stderr.then(|| fmt::layer().with_ansi(false).with_target(false).with_writer(std::io::stderr));
    let ring = Arc::new(LogRing::default());
    let subscriber = tracing_subscriber::registry().with(file.with_filter(filter()?)).with(err.with_filter(filter()?));
    // Fails only if this process logs already, as tests do.
    let _ = tracing::subscriber::set_global_default(subscriber);
    Ok(Logging { ring, _writer: guard })
}

type Writer = (tracing_appender::non_blocking::NonBlocking, WorkerGuard);

fn writer(settings: &Settings) -> Result<Option<Writer>, Failure> {
    if let Some(path) = &settings.log_file {
        let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let file = std::fs::create_dir_all(folder)
            .and_then(|()| std::fs::OpenOptions::new().create(true).append(true).open(path))
            .map_err(|e| Failure::because(format!("cannot write the log {}", path.display()), e))?;
        return Ok(Some(tracing_appender::non_blocking(file)));
    }
    let Some(folder) = &settings.log_dir else { return Ok(None) };
    let daily = tracing_appender::rolling::Builder::new()
        .rotation(tracing_appender::rolling::Rotation::DAILY)
        .filename_prefix("skep")
        .filename_suffix("log")
        .max_log_files(KEPT)
        .build(folder)
        .map_err(|e| Failure::because(format!("cannot write logs in {}: use --log-file", folder.display()), e))?;
    Ok(Some(tracing_appender::non_blocking(daily)))
}
