//! Short messages in the footer.

/// How grave a message is; graver ones stay longer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ToastLevel {
    /// It went well.
    Info,
    /// Worth a look.
    Warn,
    /// It did not work.
    Error,
}

impl ToastLevel {
    const fn lasts_ms(self) -> u64 {
        match self {
            Self::Info => 4_000,
            Self::Warn => 7_000,
            Self::Error => 10_000,
        }
    }
}

/// A message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Toast {
    /// How grave.
    pub level: ToastLevel,
    /// One line.
    pub text: String,
    /// When it goes.
    pub until_ms: u64,
}

/// Messages on screen, the newest last.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Toasts(Vec<Toast>);

impl Toasts {
    /// Shows a message; the same text again only stays longer. Eight are kept at most.
    pub fn push(&mut self, level: ToastLevel, text: impl Into<String>, now_ms: u64) {
        let text = text.into();
        self.0.retain(|t| t.text != text);
        if self.0.len() >= 8 {
            self.0.remove(0);
        }
        self.0.push(Toast { level, text, until_ms: now_ms + level.lasts_ms() });
    }

    /// Drops what has been seen long enough; true if anything went.
    pub fn expire(&mut self, now_ms: u64) -> bool {
        let before = self.0.len();
        self.0.retain(|t| t.until_ms > now_ms);
        self.0.len() != before
    }

    /// The message to show and how many more there are: the gravest, newest first.
    pub fn shown(&self) -> Option<(&Toast, usize)> {
        let toast = self.0.iter().max_by_key(|t| t.level)?;
        Some((toast, self.0.len() - 1))
    }

    /// When the next one goes.
    pub fn next_expiry_ms(&self) -> Option<u64> {
        self.0.iter().map(|t| t.until_ms).min()
    }

    /// All of them, oldest first.
    pub fn all(&self) -> &[Toast] {
        &self.0
    }

    /// Drops a message that is not true any more.
    pub fn take_back(&mut self, text: &str) {
        self.0.retain(|toast| toast.text != text);
    }

    /// Drops all of them.
    pub fn clear(&mut self) {
        self.0.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn graver_messages_show_first_and_stay_longer() {
        let mut toasts = Toasts::default();
        toasts.push(ToastLevel::Error, "disk full", 0);
        toasts.push(ToastLevel::Info, "added", 0);
        assert_eq!(toasts.shown().map(|(t, more)| (t.text.as_str(), more)), Some(("disk full", 1)));
        assert!(toasts.expire(5_000));
        assert_eq!(toasts.shown().map(|(t, more)| (t.text.as_str(), more)), Some(("disk full", 0)));
        assert!(toasts.expire(10_000));
        assert!(toasts.shown().is_none());
    }

    #[test]
    fn a_flood_is_bounded() {
        let mut toasts = Toasts::default();
        for n in 0..100 {
            toasts.push(ToastLevel::Warn, format!("{n}"), n);
            toasts.push(ToastLevel::Warn, "the same", n);
        }
        assert_eq!(toasts.all().len(), 8);
    }
}
