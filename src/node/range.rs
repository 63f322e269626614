//! Byte ranges and the conditions around them (RFC 9110, sections 13 and 14). Pure.

use std::ops::Range;

use axum::http::{HeaderMap, header};

/// Most ranges in one header.
const MAX_RANGES: usize = 16;
/// Ranges with a gap up to this are answered as one (RFC 9110, 14.2 and 15.3.7.2).
const COALESCED_GAP: u64 = 80;

/// What a `Range` header asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wanted {
    /// Everything: no header, another unit, or one that makes no sense.
    Whole,
    /// These bytes.
    Part(Range<u64>),
    /// Nothing that can be given in one part.
    Unsatisfiable,
}

/// Reads a `Range` header for a file of `size` bytes. Several ranges are answered where they make
/// one; a multipart answer is never given.
pub fn parse(header: Option<&str>, size: u64) -> Wanted {
    let Some(set) = header.and_then(|text| text.trim().strip_prefix("bytes=")) else {
        return Wanted::Whole;
    };
    let mut ranges = Vec::new();
    let mut specs = 0;
    for spec in set.split(',').map(str::trim).filter(|spec| !spec.is_empty()) {
        specs += 1;
        if specs > MAX_RANGES {
            return Wanted::Unsatisfiable;
        }
        match one(spec, size) {
            Ok(Some(range)) => ranges.push(range),
            Ok(None) => {}
            Err(()) => return Wanted::Whole,
        }
    }
    if specs == 0 {
        return Wanted::Whole;
    }
    ranges.sort_by_key(|range| range.start);
    let mut merged: Option<Range<u64>> = None;
    for range in ranges {
        merged = match merged {
            None => Some(range),
            Some(before) if range.start <= before.end.saturating_add(COALESCED_GAP) => {
                Some(before.start..before.end.max(range.end))
            }
            Some(_) => return Wanted::Unsatisfiable,
        };
    }
    merged.map_or(Wanted::Unsatisfiable, Wanted::Part)
}

/// Reads a `Content-Range` of a request: the bytes, and the size of the whole. `None`: not one, or
/// one without either.
pub fn content_range(header: &str) -> Option<(Range<u64>, u64)> {
    let (range, size) = header.trim().strip_prefix("bytes ")?.split_once('/')?;
    let (first, last) = range.split_once('-')?;
    let exact = |text: &str| number(text).ok().filter(|number| *number < u64::MAX);
    let (first, end, size) = (exact(first)?, exact(last)?.checked_add(1)?, exact(size)?);
    (first < end && end <= size).then_some((first..end, size))
}

/// One `first-last`, `first-` or `-suffix`. `None`: lies behind the end. Err: not a range.
fn one(spec: &str, size: u64) -> Result<Option<Range<u64>>, ()> {
    let (first, last) = spec.split_once('-').ok_or(())?;
    let range = if first.is_empty() {
        size.saturating_sub(number(last)?)..size
    } else {
        let first = number(first)?;
        let end = if last.is_empty() { size } else { number(last)?.saturating_add(1) };
        if end <= first && !last.is_empty() {
            return Err(());
        }
        first..end.min(size)
    };
    Ok((!range.is_empty()).then_some(range))
}

/// Digits only; more than fit mean "to the end".
fn number(text: &str) -> Result<u64, ()> {
    if text.is_empty() || !text.bytes().all(|b| b.is_ascii_digit()) {
        return Err(());
    }
    Ok(text.parse().unwrap_or(u64::MAX))
}

/// True if `If-None-Match` names this entity tag or is `*` (weak comparison).
pub fn none_match(headers: &HeaderMap, etag: &str) -> bool {
    let values = headers.get_all(header::IF_NONE_MATCH);
    values.iter().filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(',')).any(|tag| {
        let tag = tag.trim();
        tag == "*" || tag.strip_prefix("W/").unwrap_or(tag) == etag
    })
}

/// True if a `Range` counts: there is no `If-Range`, or it names this entity tag (strong
/// comparison; we send no dates, so a date never matches).
pub fn if_range(headers: &HeaderMap, etag: &str) -> bool {
    headers.get(header::IF_RANGE).is_none_or(|value| value.as_bytes() == etag.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn content_ranges_of_requests_are_exact() {
        assert_eq!(content_range("bytes 0-499/1234"), Some((0..500, 1234)));
        assert_eq!(content_range("bytes 5-5/6"), Some((5..6, 6)));
        for bad in [
            "",
            "bytes 0-499/*",
            "bytes */5",
            "bytes 5-4/6",
            "bytes 0-6/6",
            "bytes=0-1/2",
            "items 0-1/2",
            "bytes -1/2",
            "bytes 0-18446744073709551615/18446744073709551615",
            "bytes 0-99999999999999999999/5",
        ] {
            assert_eq!(content_range(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn the_forms_of_rfc_9110() {
        let cases = [
            (None, Wanted::Whole),
            (Some("items=0-5"), Wanted::Whole),
            (Some("bytes=0-499"), Wanted::Part(0..500)),
            (Some("bytes=9500-"), Wanted::Part(9500..10000)),
            (Some("bytes=-500"), Wanted::Part(9500..10000)),
            (Some("bytes=-20000"), Wanted::Part(0..10000)),
            (Some("bytes=9999-99999999999999999999999"), Wanted::Part(9999..10000)),
            (Some("bytes=10000-"), Wanted::Unsatisfiable),
            (Some("bytes=-0"), Wanted::Unsatisfiable),
            (Some("bytes=5-4"), Wanted::Whole),
            (Some("bytes=x-4"), Wanted::Whole),
            (Some("bytes="), Wanted::Whole),
            (Some("bytes=+1-4"), Wanted::Whole),
            (Some("bytes=0-9,10-19, 5-12"), Wanted::Part(0..20)),
            (Some("bytes=0-9,20000-"), Wanted::Part(0..10)),
            (Some("bytes=0-9,5000-5009"), Wanted::Unsatisfiable),
        ];
        for (header, expected) in cases {
            assert_eq!(parse(header, 10000), expected, "{header:?}");
        }
        assert_eq!(parse(Some(&format!("bytes={}", "0-1,".repeat(17))), 100), Wanted::Unsatisfiable);
        assert_eq!(parse(Some("bytes=0-"), 0), Wanted::Unsatisfiable);
    }

    #[test]
    fn conditions() {
        let mut headers = HeaderMap::new();
        assert!(if_range(&headers, "\"a\"") && !none_match(&headers, "\"a\""));
        headers.insert(header::IF_NONE_MATCH, "\"b\", W/\"a\"".parse().unwrap());
        assert!(none_match(&headers, "\"a\"") && !none_match(&headers, "\"c\""));
        headers.insert(header::IF_RANGE, "W/\"a\"".parse().unwrap());
        assert!(!if_range(&headers, "\"a\""));
    }

    proptest! {
        #[test]
        fn never_leaves_the_file(text in "bytes=[0-9,\\- ]{0,30}", size in 0u64..1000) {
            if let Wanted::Part(range) = parse(Some(&text), size) {
                prop_assert!(range.start < range.end && range.end <= size);
            }
        }
    }
}
