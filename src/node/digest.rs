//! Digest fields (RFC 9530): dictionaries of byte sequences (RFC 8941). Pure.

use axum::http::HeaderValue;
use data_encoding::BASE64;

use crate::content::Digest;

/// The SHA-256 in a `Content-Digest` or `Repr-Digest`; other algorithms beside it are ignored.
pub fn parse(header: &str) -> Option<Digest> {
    header.split(',').find_map(|member| {
        let (algorithm, value) = member.trim().split_once('=')?;
        let value = value.split(';').next()?.trim().strip_prefix(':')?.strip_suffix(':')?;
        let bytes = BASE64.decode(value.as_bytes()).ok().filter(|_| algorithm == "sha-256")?;
        Some(Digest(bytes.try_into().ok()?))
    })
}

/// As a field's value.
pub fn write(digest: &Digest) -> Option<HeaderValue> {
    HeaderValue::try_from(format!("sha-256=:{}:", BASE64.encode(&digest.0))).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sha_256_is_found_among_others_and_nothing_else_is_taken_for_it() {
        let digest = Digest([7; 32]);
        let field = write(&digest).unwrap();
        let field = field.to_str().unwrap();
        assert_eq!(parse(field), Some(digest));
        assert_eq!(parse(&format!("sha-512=:AAAA:, {field};q=1")), Some(digest));
        for bad in
            ["", "sha-256=", "sha-256=::", "sha-256=:AAAA:", "sha-512=:AAAA:", &field.replace(':', "\""), &field[..20]]
        {
            assert_eq!(parse(bad), None, "{bad:?}");
        }
    }
}
