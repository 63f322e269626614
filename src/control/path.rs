//! Paths in commands: JSON is text, a path is bytes. They are spelled as names in manifests are
//! ([`crate::content::name`]): a backslash doubled, a byte that is not part of UTF-8 as `\xHH`.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Deserializer, Serializer, de};

use crate::content::name::{escape, unescape};

pub(super) fn serialize<S: Serializer>(path: &Path, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&escape(path.as_os_str()))
}

pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<PathBuf, D::Error> {
    let text = String::deserialize(deserializer)?;
    unescape(&text).map(PathBuf::from).map_err(|error| de::Error::custom(format!("bad path: {error}")))
}

/// The same for a path that may be missing.
pub(super) mod optional {
    use super::*;

    pub(in super::super) fn serialize<S: Serializer>(path: &Option<PathBuf>, serializer: S) -> Result<S::Ok, S::Error> {
        match path {
            Some(path) => serializer.serialize_some(&escape(path.as_os_str())),
            None => serializer.serialize_none(),
        }
    }

    pub(in super::super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<PathBuf>, D::Error> {
        let text = Option::<String>::deserialize(deserializer)?;
        let path = |text: String| unescape(&text).map(PathBuf::from);
        text.map(path).transpose().map_err(|error| de::Error::custom(format!("bad path: {error}")))
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt as _;

    use crate::control::{AddTransfer, ShareRequest};

    #[test]
    fn every_path_there_is_crosses_a_channel_of_text() {
        for raw in [&b"/plain"[..], b"/not-utf8-\xff\xfe", b"/back\\slash", b"/\xc3\xbcn\xc3\xaf", b"/\\xff"] {
            let path = std::path::PathBuf::from(OsStr::from_bytes(raw));
            let share = ShareRequest { path: path.clone(), ..ShareRequest::default() };
            let json = serde_json::to_string(&share).unwrap();
            assert_eq!(serde_json::from_str::<ShareRequest>(&json).unwrap(), share, "{json}");
            let add = AddTransfer { dir: Some(path), ..AddTransfer::default() };
            let json = serde_json::to_string(&add).unwrap();
            assert_eq!(serde_json::from_str::<AddTransfer>(&json).unwrap(), add, "{json}");
        }
        assert!(
            serde_json::from_str::<ShareRequest>(r#"{"path":"/a\\b"}"#).is_err(),
            "a single backslash is no spelling"
        );
        assert_eq!(serde_json::from_str::<AddTransfer>("{}").unwrap().dir, None);
        assert_eq!(serde_json::from_str::<AddTransfer>(r#"{"dir":null}"#).unwrap().dir, None);
    }
}
