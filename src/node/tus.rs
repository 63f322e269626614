//! The words of tus 1.0 (<https://tus.io/protocols/resumable-upload>): its headers, read and written.
//! Pure.

use axum::http::{HeaderMap, HeaderName, header};
use data_encoding::{BASE64, BASE64_NOPAD};
use sha1::Sha1;
use sha2::{Digest as _, Sha256};

use crate::content::name;
use crate::upload::{Description, Policy};

/// The version spoken here.
pub const VERSION: &str = "1.0.0";
/// What is understood beyond the core.
pub const EXTENSIONS: &str = "creation,creation-with-upload,creation-defer-length,expiration,checksum,checksum-trailer,termination,concatenation";
/// Digests of a request's body that are understood; tus wants the first.
pub const ALGORITHMS: &str = "sha1,sha256";
/// Media type of a request's body.
pub const OFFSET_STREAM: &str = "application/offset+octet-stream";
/// Most bytes of an upload: the most segments of the longest kind.
pub const MAX_SIZE: u64 = SEGMENTS << 26;

pub const RESUMABLE: HeaderName = HeaderName::from_static("tus-resumable");
pub const TUS_VERSION: HeaderName = HeaderName::from_static("tus-version");
pub const TUS_EXTENSION: HeaderName = HeaderName::from_static("tus-extension");
pub const TUS_MAX_SIZE: HeaderName = HeaderName::from_static("tus-max-size");
pub const TUS_CHECKSUM_ALGORITHM: HeaderName = HeaderName::from_static("tus-checksum-algorithm");
pub const OFFSET: HeaderName = HeaderName::from_static("upload-offset");
pub const LENGTH: HeaderName = HeaderName::from_static("upload-length");
pub const DEFER_LENGTH: HeaderName = HeaderName::from_static("upload-defer-length");
pub const METADATA: HeaderName = HeaderName::from_static("upload-metadata");
pub const CHECKSUM: HeaderName = HeaderName::from_static("upload-checksum");
pub const CONCAT: HeaderName = HeaderName::from_static("upload-concat");
pub const EXPIRES: HeaderName = HeaderName::from_static("upload-expires");
pub const METHOD_OVERRIDE: HeaderName = HeaderName::from_static("x-http-method-override");

/// Segments that an upload is cut into, at most ...
const SEGMENTS: u64 = 1 << 20;
/// ... and their length unless there would be more.
const SEGMENT_LENGTH: u64 = 4 << 20;
/// Most bytes of an upload whose length is not known from the start: the most segments of the usual kind.
pub const MAX_DEFERRED: u64 = SEGMENTS * SEGMENT_LENGTH;
/// Most parts of one upload.
const MAX_PARTS: usize = 256;

/// The text of a header.
pub fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

/// A header's whole number.
pub fn number(headers: &HeaderMap, name: &HeaderName) -> Option<u64> {
    text(headers, name)?.trim().parse().ok()
}

/// What `Upload-Concat` makes of an upload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Concat {
    /// One by itself.
    Whole,
    /// A part of another.
    Part,
    /// These, by name, one after another.
    Final(Vec<String>),
}

/// Reads an `Upload-Concat`; the URLs in it are those of this node, so their last parts are names.
pub fn concat(header: Option<&str>) -> Option<Concat> {
    match header.map(str::trim) {
        None => Some(Concat::Whole),
        Some("partial") => Some(Concat::Part),
        Some(other) => {
            let urls = other.strip_prefix("final;")?.split_ascii_whitespace();
            let names: Vec<String> =
                urls.take(MAX_PARTS + 1).map(|url| url.rsplit('/').next().unwrap_or_default().to_owned()).collect();
            (!names.is_empty() && names.len() <= MAX_PARTS).then_some(Concat::Final(names))
        }
    }
}

/// What a client that creates `id` wants: `filename` (one name; `name` is taken for it too), and of ours
/// `path` (below the root, spelled as in manifests) and `policy`, of its metadata.
///
/// # Errors
/// What is wrong with the metadata.
pub fn description(id: &str, size: u64, metadata: Option<&str>) -> Result<Description, String> {
    let pairs = pairs(metadata.unwrap_or_default()).ok_or("Upload-Metadata is not keys with base64 values")?;
    let of = |wanted: &str| pairs.iter().find(|(key, _)| *key == wanted).map(|(_, value)| value.as_slice());
    let words = |value: &[u8]| String::from_utf8(value.to_vec()).map_err(|_| "its metadata is not UTF-8".to_owned());
    let path = match (of("path"), of("filename").or_else(|| of("name"))) {
        (Some(path), _) => words(path)?,
        (None, Some(name)) if name.contains(&b'/') => return Err("a filename has no slash in it".into()),
        (None, Some(name)) => name::escape(std::os::unix::ffi::OsStrExt::from_bytes(name)),
        (None, None) => id.to_owned(),
    };
    let policy = match of("policy").map(words).transpose()?.as_deref() {
        None | Some("keep-both") => Policy::KeepBoth,
        Some("refuse") => Policy::Refuse,
        Some("overwrite") => Policy::Overwrite,
        Some(_) => return Err("policy is refuse, overwrite or keep-both".into()),
    };
    let segment_length = size.div_ceil(SEGMENTS).next_power_of_two().max(SEGMENT_LENGTH);
    let (files, mode, mtime, part, deferred) = (None, None, None, false, false);
    let metadata = metadata.map(str::to_owned);
    Ok(Description { version: 1, path, policy, size, segment_length, files, mode, mtime, metadata, part, deferred })
}

fn pairs(metadata: &str) -> Option<Vec<(&str, Vec<u8>)>> {
    let pair = |pair: &'_ str| -> Option<(usize, Vec<u8>)> {
        let (key, value) = pair.split_once(' ').unwrap_or((pair, ""));
        let value = value.trim();
        let decoded = BASE64.decode(value.as_bytes()).or_else(|_| BASE64_NOPAD.decode(value.as_bytes()));
        Some((key.len(), decoded.ok()?))
    };
    let all = metadata.split(',').map(str::trim).filter(|text| !text.is_empty());
    all.map(|text| pair(text).map(|(key, value)| (&text[..key], value))).collect()
}

/// A digest that a request announces of its body.
#[derive(Debug, Clone)]
pub struct Checksum {
    hash: Hash,
    wanted: Vec<u8>,
}

#[derive(Debug, Clone)]
enum Hash {
    Sha1(Sha1),
    Sha256(Sha256),
}

impl Checksum {
    /// Reads an `Upload-Checksum`; none: not one of [`ALGORITHMS`], or not a digest of it.
    pub fn parse(header: &str) -> Option<Self> {
        let (algorithm, value) = header.trim().split_once(' ')?;
        let wanted = BASE64.decode(value.trim().as_bytes()).ok()?;
        let (hash, length) = match algorithm {
            "sha1" => (Hash::Sha1(<Sha1 as sha1::Digest>::new()), 20),
            "sha256" => (Hash::Sha256(Sha256::new()), 32),
            _ => return None,
        };
        (wanted.len() == length).then_some(Self { hash, wanted })
    }

    /// Bytes of the body.
    pub fn update(&mut self, data: &[u8]) {
        match &mut self.hash {
            Hash::Sha1(hash) => sha1::Digest::update(hash, data),
            Hash::Sha256(hash) => hash.update(data),
        }
    }

    /// Whether they were those that were announced.
    pub fn matches(self) -> bool {
        match self.hash {
            Hash::Sha1(hash) => sha1::Digest::finalize(hash).as_slice() == self.wanted,
            Hash::Sha256(hash) => hash.finalize().as_slice() == self.wanted,
        }
    }
}

/// A digest that a request announces behind its body: which one is known only then.
#[derive(Debug, Clone, Default)]
pub struct LateChecksum {
    sha1: Sha1,
    sha256: Sha256,
}

impl LateChecksum {
    /// Whether a request says that its `Upload-Checksum` follows in its trailer.
    pub fn is_announced(headers: &HeaderMap) -> bool {
        let names = text(headers, &header::TRAILER).unwrap_or_default().split(',');
        names.into_iter().any(|name| name.trim().eq_ignore_ascii_case(CHECKSUM.as_str()))
    }

    /// Bytes of the body.
    pub fn update(&mut self, data: &[u8]) {
        sha1::Digest::update(&mut self.sha1, data);
        self.sha256.update(data);
    }

    /// The digest that came, with the bytes that it is about; none: not one of [`ALGORITHMS`].
    pub fn checked(self, trailer: &str) -> Option<Checksum> {
        let mut checksum = Checksum::parse(trailer)?;
        checksum.hash = match checksum.hash {
            Hash::Sha1(_) => Hash::Sha1(self.sha1),
            Hash::Sha256(_) => Hash::Sha256(self.sha256),
        };
        Some(checksum)
    }
}

/// Milliseconds since 1970 as an HTTP date (RFC 9110, 5.6.7).
pub fn http_date(unix_ms: u64) -> String {
    let seconds = i64::try_from(unix_ms / 1000).unwrap_or(i64::MAX);
    let time = jiff::Timestamp::from_second(seconds).unwrap_or(jiff::Timestamp::MAX);
    time.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn metadata(pairs: &[(&str, &[u8])]) -> String {
        let pair = |(key, value): &(&str, &[u8])| format!("{key} {}", BASE64.encode(value));
        pairs.iter().map(pair).collect::<Vec<_>>().join(",")
    }

    #[test]
    fn metadata_says_where_it_goes() {
        let path =
            |pairs: &[(&str, &[u8])]| description("tus-1", 5, Some(&metadata(pairs))).map(|d| (d.path, d.policy));
        assert_eq!(path(&[("filename", b"a b.txt")]).unwrap(), ("a b.txt".into(), Policy::KeepBoth));
        assert_eq!(path(&[("filename", b"\xff")]).unwrap().0, "\\xff");
        let both: &[(&str, &[u8])] = &[("filename", b"x"), ("path", b"in/y"), ("policy", b"overwrite"), ("other", b"")];
        assert_eq!(path(both).unwrap(), ("in/y".into(), Policy::Overwrite));
        assert!(path(&[("filename", b"../x")]).is_err() && path(&[("policy", b"maybe")]).is_err());
        assert!(path(&[("filename", b"..")]).is_ok_and(|(path, _)| path == ".."), "for the description to refuse");
        assert_eq!(description("tus-1", 5, None).unwrap().path, "tus-1");
        assert!(description("tus-1", 5, Some("filename !")).is_err());
        assert_eq!(description("tus-1", 5, Some("flag, filename YQ==")).unwrap().path, "a");
    }

    #[test]
    fn segments_grow_with_the_upload_and_stay_within_their_bounds() {
        for (size, length) in [(0, 4 << 20), (1 << 42, 4 << 20), ((1 << 42) + 1, 8 << 20), (MAX_SIZE, 64 << 20)] {
            let description = description("tus-1", size, None).unwrap();
            assert_eq!(description.segment_length, length);
            // Of 2^53 bytes at most, as all contents.
            assert!(description.check().is_ok(), "{size}");
        }
    }

    #[test]
    fn checksums_of_both_kinds() {
        let of = |text: &str| {
            let mut checksum = Checksum::parse(text)?;
            checksum.update(b"hello ");
            checksum.update(b"world");
            Some(checksum.matches())
        };
        assert_eq!(of("sha1 Kq5sNclPz7QV2+lfQIuc6R7oRu0="), Some(true), "the example of the specification");
        assert_eq!(of("sha1 AAAAAAAAAAAAAAAAAAAAAAAAAAA="), Some(false));
        assert_eq!(of("sha256 uU0nuZNNPgilLlLX2n2r+sSE7+N6U4DukIj3rOLvzek="), Some(true));
        for bad in ["", "sha1", "md5 Kq5sNclPz7QV2+lfQIuc6R7oRu0=", "sha1 Kq5s", "sha256 Kq5sNclPz7QV2+lfQIuc6R7oRu0="]
        {
            assert_eq!(of(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn a_checksum_behind_the_body_is_of_the_kind_that_came() {
        let of = |trailer: &str| {
            let mut late = LateChecksum::default();
            late.update(b"hello ");
            late.update(b"world");
            late.checked(trailer).map(Checksum::matches)
        };
        assert_eq!(of("sha1 Kq5sNclPz7QV2+lfQIuc6R7oRu0="), Some(true));
        assert_eq!(of("sha256 uU0nuZNNPgilLlLX2n2r+sSE7+N6U4DukIj3rOLvzek="), Some(true));
        assert_eq!((of("sha1 AAAAAAAAAAAAAAAAAAAAAAAAAAA="), of("md5 AAAA")), (Some(false), None));
        let mut headers = HeaderMap::new();
        assert!(!LateChecksum::is_announced(&headers));
        headers.insert("trailer", "Expires, upload-Checksum".parse().unwrap());
        assert!(LateChecksum::is_announced(&headers));
    }

    #[test]
    fn parts_and_dates() {
        assert_eq!(concat(None), Some(Concat::Whole));
        assert_eq!(concat(Some("partial")), Some(Concat::Part));
        let two = concat(Some("final;/tus/a http://h:1/tus/b"));
        assert_eq!(two, Some(Concat::Final(vec!["a".into(), "b".into()])));
        assert_eq!((concat(Some("final;")), concat(Some("whole"))), (None, None));
        assert_eq!(concat(Some(&format!("final;{}", "/tus/a ".repeat(257)))), None);
        assert_eq!(http_date(784_111_777_999), "Sun, 06 Nov 1994 08:49:37 GMT");
    }
}
