//! Steps at which a debug build can be killed, as by `kill -9`: tests look at what is left then. A release build
//! knows nothing of it.

/// Dies here, at once and with everything as it is, if the variable `SKEP_DIE_AT` names this step.
#[cfg(debug_assertions)]
pub(crate) fn step(name: &str) {
    use std::ffi::{OsStr, OsString};
    use std::sync::OnceLock;

    use rustix::process::{Signal, getpid, kill_process};

    static WANTED: OnceLock<Option<OsString>> = OnceLock::new();
    if WANTED.get_or_init(|| std::env::var_os("SKEP_DIE_AT")).as_deref() == Some(OsStr::new(name)) {
        let _ = kill_process(getpid(), Signal::KILL);
    }
}

#[cfg(not(debug_assertions))]
pub(crate) fn step(_name: &str) {}
