//! What an operator wants of the paths of a running push.

use std::time::Instant;

use tokio::sync::watch;

use super::drive::Drive;
use crate::control::PathChoices;

/// What the operator wants of the paths.
pub(super) struct Steering {
    pub(super) names: Vec<String>,
    pub(super) choices: watch::Receiver<PathChoices>,
}

impl Steering {
    /// Waits until something else is wanted; for ever if that cannot be any more.
    pub(super) async fn changed(steering: &mut Option<Self>) {
        if let Some(steering) = steering
            && steering.choices.changed().await.is_ok()
        {
            return;
        }
        std::future::pending().await
    }
}

impl Drive {
    /// Lets paths work as is chosen for them. `names`: what they are called, parallel to the wires.
    pub(crate) fn steered(mut self, names: Vec<String>, choices: watch::Receiver<PathChoices>) -> Self {
        self.steering = Some(Steering { names, choices });
        self.steer();
        self
    }

    pub(super) fn steer(&mut self) {
        let Some(Steering { names, choices }) = &mut self.steering else { return };
        let (now, choices) = (Instant::now(), choices.borrow_and_update());
        for (path, name) in names.iter().enumerate() {
            let choice = choices.get(name).copied().unwrap_or_default();
            self.plan.set_weight(path, choice.weight, now);
            self.plan.set_enabled(path, choice.enabled, now);
        }
    }
}
