//! Refusals on the wire: the engine's kinds as codes in the range that JSON-RPC leaves to servers.

use jsonrpsee::types::ErrorObjectOwned;
use jsonrpsee::types::error::INVALID_PARAMS_CODE;
use serde::{Deserialize, Serialize};

use crate::content::name::printable;
use crate::control::{CommandError, CommandErrorKind};

/// Longest message taken from the other side, in characters.
const MAX_MESSAGE: usize = 1_000;

/// What stands in `data` of an error.
#[derive(Serialize, Deserialize)]
struct Data {
    kind: CommandErrorKind,
}

/// The code of a kind of refusal: -32020 internal, -32021 invalid, -32022 not found, -32023
/// conflict, -32024 refused, -32025 integrity, -32026 unavailable.
pub fn code(kind: CommandErrorKind) -> i32 {
    match kind {
        CommandErrorKind::Internal => -32020,
        CommandErrorKind::Invalid => -32021,
        CommandErrorKind::NotFound => -32022,
        CommandErrorKind::Conflict => -32023,
        CommandErrorKind::Refused => -32024,
        CommandErrorKind::Integrity => -32025,
        CommandErrorKind::Unavailable => -32026,
    }
}

/// A refusal as it goes on the wire.
pub(super) fn to_wire(error: CommandError) -> ErrorObjectOwned {
    ErrorObjectOwned::owned(code(error.kind), error.message, Some(Data { kind: error.kind }))
}

/// Parameters that are wrong: what about which.
pub(super) fn invalid_params(message: impl Into<String>) -> ErrorObjectOwned {
    ErrorObjectOwned::owned(INVALID_PARAMS_CODE, message, Some(Data { kind: CommandErrorKind::Invalid }))
}

/// An error from the wire as a refusal. Its text is data: made printable and cut.
pub(super) fn from_wire(error: &ErrorObjectOwned) -> CommandError {
    let data = error.data().and_then(|raw| serde_json::from_str::<Data>(raw.get()).ok());
    // Codes of JSON-RPC itself: what this program sent was wrong, or the node is another version.
    let kind = data.map_or(CommandErrorKind::Invalid, |data| data.kind);
    CommandError::new(kind, readable(error.message()))
}

/// Text from the other side, fit for a line on a screen.
pub(super) fn readable(text: &str) -> String {
    printable(&text.chars().take(MAX_MESSAGE).collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_comes_back() {
        use CommandErrorKind::*;
        for kind in [Internal, Invalid, NotFound, Conflict, Refused, Integrity, Unavailable] {
            let error = CommandError::new(kind, "no such transfer: 7");
            let wire = to_wire(error.clone());
            assert!((-32099..=-32012).contains(&wire.code()), "not a code of JSON-RPC or its library");
            assert_eq!(from_wire(&wire), error);
        }
    }

    #[test]
    fn text_from_the_wire_is_made_harmless() {
        let wire = ErrorObjectOwned::owned(-1, format!("\x1b[2J{}", "x".repeat(5_000)), None::<()>);
        let error = from_wire(&wire);
        assert!(!error.message.contains('\x1b') && error.message.chars().count() <= MAX_MESSAGE);
    }
}
