//! Content ids and piece digests: 32 bytes, shown as 64 hex digits.

use std::fmt;
use std::str::FromStr;

use data_encoding::{HEXLOWER, HEXLOWER_PERMISSIVE};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Text that should have been 64 hex digits and is not.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected 64 hex digits, got {got:?}")]
pub struct ParseDigestError {
    /// What was there instead, cut to a length fit for a message.
    pub got: String,
}

fn parse(text: &str) -> Result<[u8; 32], ParseDigestError> {
    let mut out = [0; 32];
    let failed = || ParseDigestError { got: text.chars().take(80).collect() };
    if text.len() != 64 {
        return Err(failed());
    }
    HEXLOWER_PERMISSIVE.decode_mut(text.as_bytes(), &mut out).map_err(|_| failed())?;
    Ok(out)
}

macro_rules! digest_type {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub [u8; 32]);

        impl $name {
            /// The first eight hex digits: enough for people to tell two apart.
            pub fn short(&self) -> String {
                HEXLOWER.encode(&self.0[..4])
            }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&HEXLOWER.encode(&self.0))
            }
        }
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({})", stringify!($name), self.short())
            }
        }
        impl FromStr for $name {
            type Err = ParseDigestError;
            fn from_str(text: &str) -> Result<Self, Self::Err> {
                parse(text).map(Self)
            }
        }
        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
                s.collect_str(self)
            }
        }
        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
                let text = std::borrow::Cow::<'de, str>::deserialize(d)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}

digest_type! {
    /// Names a content: SHA-256 of its manifest's canonical form (see [`super::Manifest::id`]).
    ContentId
}
digest_type! {
    /// SHA-256 of one piece, a file or any other run of bytes.
    Digest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hex_round_trip_and_refusals() {
        let id = ContentId([0xab; 32]);
        assert_eq!(id.to_string().parse::<ContentId>().unwrap(), id);
        assert_eq!(id.to_string().to_uppercase().parse::<ContentId>().unwrap(), id);
        assert_eq!(id.short(), "abababab");
        assert!("ab".parse::<ContentId>().is_err());
        assert!("zz".repeat(32).parse::<ContentId>().is_err());
    }
}
