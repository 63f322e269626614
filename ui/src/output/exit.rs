//! How a command ends: its exit code, and the one line that says why.

use skep_engine::content::name::printable;
use skep_engine::control::{CommandError, CommandErrorKind};

/// Exit codes, as documented in `skep --help`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// Done.
    Done = 0,
    /// Failed.
    Failed = 1,
    /// The command line is wrong.
    Usage = 2,
    /// Not complete; running it again goes on where it stopped.
    Incomplete = 3,
    /// Data is not what its digest says.
    Integrity = 4,
    /// Not allowed: token, permissions.
    Refused = 5,
}

impl Exit {
    /// Of two ends the graver: what a command over several items exits with.
    pub fn graver(self, other: Self) -> Self {
        let rank = |e: Self| match e {
            Self::Done => 0,
            Self::Incomplete => 1,
            Self::Failed => 2,
            Self::Usage => 3,
            Self::Refused => 4,
            Self::Integrity => 5,
        };
        if rank(other) > rank(self) { other } else { self }
    }
}

impl From<Exit> for std::process::ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// Why a command failed: one line with what failed, on what, and what to do. The causes behind it
/// are shown with `-v`.
#[derive(Debug)]
pub struct Failure {
    /// What the process exits with.
    pub exit: Exit,
    message: String,
    cause: Option<anyhow::Error>,
    /// True if a result that says all of it was printed already.
    pub told: bool,
}

impl Failure {
    /// A failure in words.
    pub fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self { exit, message: message.into(), cause: None, told: false }
    }

    /// [`Exit::Failed`] in words.
    pub fn failed(message: impl Into<String>) -> Self {
        Self::new(Exit::Failed, message)
    }

    /// [`Exit::Usage`] in words.
    pub fn usage(message: impl Into<String>) -> Self {
        Self::new(Exit::Usage, message)
    }

    /// Marks that its result was printed: no error line in JSON follows it.
    pub fn told(mut self) -> Self {
        self.told = true;
        self
    }

    /// `what`, because of an error. `PermissionDenied` anywhere in its causes is [`Exit::Refused`].
    pub fn because(what: impl std::fmt::Display, error: impl Into<anyhow::Error>) -> Self {
        let error = error.into();
        let denied = error.chain().any(|e| {
            e.downcast_ref::<std::io::Error>().is_some_and(|e| e.kind() == std::io::ErrorKind::PermissionDenied)
        });
        let exit = if denied { Exit::Refused } else { Exit::Failed };
        Self { exit, message: format!("{what}: {error}"), cause: Some(error), told: false }
    }

    /// Another exit code for the same failure.
    pub fn with_exit(mut self, exit: Exit) -> Self {
        self.exit = exit;
        self
    }

    /// The line itself: one line, nothing in it that steers a terminal.
    pub fn line(&self) -> String {
        printable(self.message.trim()).replace('\u{fffd}', " ")
    }

    /// The error behind it, if it is of this type.
    pub fn cause<E: std::error::Error + Send + Sync + 'static>(&self) -> Option<&E> {
        self.cause.as_ref().and_then(|cause| cause.downcast_ref())
    }

    /// The causes, nearest first, without the one that the line holds already.
    pub fn causes(&self) -> Vec<String> {
        let causes = self.cause.iter().flat_map(|e| e.chain().skip(1));
        causes.map(|c| printable(&c.to_string())).collect()
    }
}

impl From<CommandError> for Failure {
    fn from(error: CommandError) -> Self {
        let exit = match error.kind {
            CommandErrorKind::Invalid => Exit::Usage,
            CommandErrorKind::Refused => Exit::Refused,
            CommandErrorKind::Integrity => Exit::Integrity,
            CommandErrorKind::NotFound
            | CommandErrorKind::Conflict
            | CommandErrorKind::Unavailable
            | CommandErrorKind::Internal => Exit::Failed,
        };
        Self::new(exit, error.message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_have_their_exit_codes() {
        for (kind, exit) in [
            (CommandErrorKind::Invalid, 2),
            (CommandErrorKind::NotFound, 1),
            (CommandErrorKind::Conflict, 1),
            (CommandErrorKind::Refused, 5),
            (CommandErrorKind::Integrity, 4),
            (CommandErrorKind::Unavailable, 1),
        ] {
            assert_eq!(Failure::from(CommandError::new(kind, "x")).exit as u8, exit, "{kind:?}");
        }
        let denied = std::io::Error::from(std::io::ErrorKind::PermissionDenied);
        assert_eq!(Failure::because("cannot read /x", denied).exit, Exit::Refused);
    }

    #[test]
    fn a_failure_is_one_clean_line() {
        let failure = Failure::failed("cannot fetch a\nb\x1b[2J: gone\n");
        assert_eq!(failure.line(), "cannot fetch a b [2J: gone");
    }

    #[test]
    fn integrity_outweighs_all() {
        let all = [Exit::Done, Exit::Failed, Exit::Incomplete, Exit::Integrity, Exit::Refused];
        assert_eq!(all.into_iter().fold(Exit::Done, Exit::graver), Exit::Integrity);
        assert_eq!(Exit::Incomplete.graver(Exit::Done), Exit::Incomplete);
    }
}
