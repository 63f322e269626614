//! Which paths lead to a destination, from what an operator typed. Pure.

use reqwest::Url;

use crate::content::name;

/// Most paths of one push.
pub const MAX_PATHS: usize = 16;

const HTTP: &str = "http://";
const HTTP2: &str = "http2://";

/// One way to the receiver: an endpoint, and what the connection leaves by.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct PathSpec {
    /// `http(s)://HOST:PORT`, or `http2://HOST:PORT`: HTTP/2 from the first byte, without TLS.
    pub endpoint: String,
    /// A local interface or address; none: the system chooses.
    pub via: Option<String>,
}

impl PathSpec {
    /// Where its requests go, and whether they are made by HTTP/2.
    pub fn base(&self) -> (String, bool) {
        match self.endpoint.strip_prefix(HTTP2) {
            Some(host) => (format!("{HTTP}{host}"), true),
            None => (self.endpoint.clone(), false),
        }
    }

    /// Where it leads, for messages: the URL of `target`, a name at the receiver in the manifest's spelling,
    /// and what it leaves by.
    pub fn at(&self, target: &str) -> String {
        let url = format!("{}/{}", self.endpoint, name::printable(target));
        match &self.via {
            Some(via) => format!("{url} via {via}"),
            None => url,
        }
    }
}

impl std::fmt::Display for PathSpec {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let host = self.endpoint.strip_prefix(HTTP).unwrap_or(&self.endpoint);
        match &self.via {
            Some(via) => write!(f, "{host} via {via}"),
            None => f.write_str(host),
        }
    }
}

/// Where a push goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Destination {
    /// Ways to the receiver, best known first: the destination's own, then the others.
    pub paths: Vec<PathSpec>,
    /// Name under the receiver's root, in the manifest's spelling.
    pub target: String,
}

/// Reads a destination. `dest`: `URL/DIR/` or `URL/NAME`, a comma-separated list of endpoints may follow the
/// first; `more`: further endpoints, each may end in `,via=IFACE|ADDR`; `via`: what every endpoint without
/// its own leaves by; `name`: the source's, in the manifest's spelling.
///
/// # Errors
/// What is wrong, in words.
pub fn resolve(dest: &str, more: &[String], via: &[String], name: &str) -> Result<Destination, String> {
    let mut endpoints = Vec::new();
    let mut target = None;
    for text in std::iter::once(dest).chain(more.iter().map(String::as_str)) {
        for part in text.split(',') {
            let part = part.trim();
            if let (Some(via), Some((_, last))) = (part.strip_prefix("via="), endpoints.last_mut()) {
                *last = Some(checked_via(via)?);
                continue;
            }
            let (url, is_http2) = parse(part)?;
            let mut endpoint = url.origin().ascii_serialization();
            if is_http2 {
                endpoint = endpoint.replacen(HTTP, HTTP2, 1);
            }
            let path = url.path();
            if target.is_none() {
                target = Some(target_of(path, name)?);
            } else if !matches!(path, "" | "/") {
                return Err(format!(
                    "{part:?}: a further path is an endpoint only; where it goes stands in the first one"
                ));
            }
            endpoints.push((endpoint, None));
        }
    }
    let mut paths = Vec::new();
    for (endpoint, own) in endpoints {
        let ways: Vec<Option<String>> = match own {
            Some(own) => vec![Some(own)],
            None if via.is_empty() => vec![None],
            None => via.iter().map(|v| checked_via(v).map(Some)).collect::<Result<_, _>>()?,
        };
        for via in ways {
            let spec = PathSpec { endpoint: endpoint.clone(), via };
            if !paths.contains(&spec) {
                paths.push(spec);
            }
        }
    }
    if paths.len() > MAX_PATHS {
        return Err(format!("{} paths: {MAX_PATHS} at most", paths.len()));
    }
    Ok(Destination { paths, target: target.unwrap_or_default() })
}

/// A URL, and whether HTTP/2 was asked for. Its scheme is http then: of no other does the parser know the rules.
fn parse(text: &str) -> Result<(Url, bool), String> {
    let wrong = || format!("{text:?} is not a destination: write http://HOST:PORT/DIR/ or http://HOST:PORT/NAME");
    let http2 = text.strip_prefix(HTTP2);
    let url = http2.map_or_else(|| Url::parse(text), |rest| Url::parse(&format!("{HTTP}{rest}")));
    let url = url.map_err(|_| wrong())?;
    let is_plain = matches!(url.scheme(), "http" | "https")
        && url.has_host()
        && url.username().is_empty()
        && url.password().is_none()
        && url.query().is_none()
        && url.fragment().is_none();
    if is_plain { Ok((url, http2.is_some())) } else { Err(wrong()) }
}

fn checked_via(via: &str) -> Result<String, String> {
    // Longest name of an interface: 15 bytes; of an IPv6 address with its scope a few dozen.
    let sane = !via.is_empty() && via.len() <= 64 && via.chars().all(|c| c.is_ascii_graphic() && c != ',' && c != '/');
    if sane { Ok(via.to_owned()) } else { Err(format!("{via:?} is neither an interface nor an address")) }
}

/// The target in a URL's path: percent-decoded, then spelled as in a manifest.
fn target_of(path: &str, name: &str) -> Result<String, String> {
    use std::os::unix::ffi::OsStringExt as _;
    let mut raw = Vec::with_capacity(path.len());
    let mut rest = path.trim_start_matches('/').as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        let hex = |b: u8| (b as char).to_digit(16);
        match (first, tail) {
            (b'%', [hi, lo, after @ ..]) => {
                let (Some(hi), Some(lo)) = (hex(*hi), hex(*lo)) else { return Err(format!("{path:?}: a broken %")) };
                raw.push((hi * 16 + lo) as u8);
                rest = after;
            }
            _ => {
                raw.push(first);
                rest = tail;
            }
        }
    }
    let spelled = name::escape(&std::ffi::OsString::from_vec(raw));
    let target = match spelled.strip_suffix('/') {
        Some(folder) => format!("{folder}/{name}"),
        None if spelled.is_empty() => name.to_owned(),
        None => spelled,
    };
    name::checked_path(&target)
        .map_err(|e| format!("{:?} cannot be a name at the receiver: {e}", name::printable(&target)))?;
    Ok(target)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(dest: &str, more: &[&str], via: &[&str]) -> Result<(Vec<String>, String), String> {
        let owned = |list: &[&str]| list.iter().map(ToString::to_string).collect::<Vec<_>>();
        let found = resolve(dest, &owned(more), &owned(via), "a.iso")?;
        Ok((found.paths.iter().map(ToString::to_string).collect(), found.target))
    }

    #[test]
    fn folders_and_names() {
        for (dest, target) in [
            ("http://h:7070", "a.iso"),
            ("http://h:7070/", "a.iso"),
            ("http://h:7070/in/", "in/a.iso"),
            ("http://h:7070/in/b", "in/b"),
            ("http://h:7070/in/my%20b%5c", "in/my b\\\\"),
        ] {
            assert_eq!(of(dest, &[], &[]).unwrap(), (vec!["h:7070".to_owned()], target.to_owned()), "{dest}");
        }
        for bad in
            ["h:7070", "ftp://h/", "http://h//x//y", "http://u:p@h/", "http://h/?x", "http://h/a%00", "http://h/%zz"]
        {
            assert!(of(bad, &[], &[]).is_err(), "{bad}");
        }
    }

    #[test]
    fn http2_is_a_path_of_its_own() {
        let found = resolve("http2://h:1/in/", &["http://h:1".into()], &[], "a").unwrap();
        let shown: Vec<String> = found.paths.iter().map(ToString::to_string).collect();
        assert_eq!((shown, found.target.as_str()), (vec!["http2://h:1".to_owned(), "h:1".into()], "in/a"));
        assert_eq!(found.paths[0].base(), ("http://h:1".into(), true));
        assert_eq!(found.paths[1].base(), ("http://h:1".into(), false));
        assert_eq!(found.paths[0].at(&found.target), "http2://h:1/in/a");
        assert_eq!(resolve("http2://h/b%20c", &[], &[], "a").unwrap().target, "b c");
        for bad in ["http2:h:1", "http2://", "http2://u@h:1/", "http2s://h:1/"] {
            assert!(resolve(bad, &[], &[], "a").is_err(), "{bad}");
        }
    }

    #[test]
    fn paths_are_endpoints_times_ways_out() {
        let two = of("http://a:1/in/", &["http://b:2"], &[]).unwrap();
        assert_eq!(two, (vec!["a:1".to_owned(), "b:2".into()], "in/a.iso".into()));
        assert_eq!(of("http://a:1/in/,http://b:2", &[], &[]).unwrap(), two);
        let crossed = of("http://a:1/", &["http://b:2,via=eth9"], &["eth0", "10.0.0.1"]).unwrap().0;
        assert_eq!(crossed, ["a:1 via eth0", "a:1 via 10.0.0.1", "b:2 via eth9"]);
        assert_eq!(of("http://a:1/", &["http://a:1"], &[]).unwrap().0.len(), 1, "the same one");
        assert!(of("http://a:1/", &["http://b:2/dir/"], &[]).is_err());
        assert!(of("http://a:1/", &[], &["eth 0"]).is_err());
        let vias: Vec<String> = (0..17).map(|n| format!("eth{n}")).collect();
        assert!(of("http://a:1/", &[], &vias.iter().map(String::as_str).collect::<Vec<_>>()).is_err());
    }
}
