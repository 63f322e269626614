//! Panics while the console has the screen: kept until it can be read, never printed over a frame.

use std::panic::{PanicHookInfo, set_hook, take_hook};
use std::sync::{Arc, Mutex, PoisonError};

/// Messages kept.
const KEPT: usize = 8;

type Hook = Box<dyn Fn(&PanicHookInfo<'_>) + Send + Sync>;

/// Collects panics of every thread while it lives; afterwards the former hook is back.
pub struct PanicHook {
    messages: Arc<Mutex<Vec<String>>>,
    before: Arc<Mutex<Option<Hook>>>,
}

impl std::fmt::Debug for PanicHook {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PanicHook").finish_non_exhaustive()
    }
}

impl PanicHook {
    /// Takes the place of the hook in force. Each panic also goes to the log.
    pub fn install() -> Self {
        let messages = Arc::new(Mutex::new(Vec::new()));
        let before = Arc::new(Mutex::new(Some(take_hook())));
        let kept = Arc::clone(&messages);
        set_hook(Box::new(move |info| {
            let message = info.to_string().replace('\n', " ");
            tracing::error!(target: "console", "{message}");
            let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
            if kept.len() < KEPT {
                kept.push(message);
            }
        }));
        Self { messages, before }
    }

    /// What was collected since the last time, oldest first.
    pub fn take(&self) -> Vec<String> {
        std::mem::take(&mut *self.messages.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Drop for PanicHook {
    fn drop(&mut self) {
        // Hooks cannot be changed by a thread that panics.
        if std::thread::panicking() {
            return;
        }
        if let Some(before) = self.before.lock().unwrap_or_else(PoisonError::into_inner).take() {
            set_hook(before);
        }
    }
}
