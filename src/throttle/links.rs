//! Limits of single links. They hold for what a connection carries, whatever transfer it belongs to: a fetch has many peers,
//! a push may have several paths.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::Throttle;
use crate::control::Rate;

/// The limits of one link.
#[derive(Debug, Default)]
pub struct LinkLimit {
    /// What is sent there.
    pub up: Arc<Throttle>,
    /// What comes from there.
    pub down: Arc<Throttle>,
}

/// Links with limits of their own, by `host:port`.
#[derive(Debug, Default)]
pub struct LinkLimits(BTreeMap<String, LinkLimit>);

impl LinkLimits {
    /// Those of these links; nothing is limited yet.
    pub fn of<'a>(links: impl Iterator<Item = &'a str>) -> Self {
        Self(links.map(|link| (link.to_owned(), LinkLimit::default())).collect())
    }

    /// Sets the limits of a link; one that has none of its own is left alone.
    pub fn set(&self, link: &str, up: Rate, down: Rate) {
        if let Some(limit) = self.0.get(link) {
            limit.up.set(up);
            limit.down.set(down);
        }
    }

    /// The limits of the link to this URL, if it has some.
    pub fn towards(&self, url: &str) -> Option<&LinkLimit> {
        if self.0.is_empty() {
            return None;
        }
        self.0.get(&host_and_port(url)?)
    }
}

/// A transfer's limits, and that of the link that it goes over.
pub fn over(limits: &Arc<[Arc<Throttle>]>, link: Option<&Arc<Throttle>>) -> Arc<[Arc<Throttle>]> {
    match link {
        Some(link) => limits.iter().chain([link]).cloned().collect(),
        None => limits.clone(),
    }
}

fn host_and_port(url: &str) -> Option<String> {
    // What goes by HTTP/2 is at the same place.
    let url = reqwest::Url::parse(&url.replacen("http2://", "http://", 1)).ok()?;
    Some(format!("{}:{}", url.host_str()?, url.port_or_known_default()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_is_known_by_host_and_port() {
        let limits = LinkLimits::of(["far:7070", "near:80"].into_iter());
        assert!(limits.towards("http://far:7070/in/").is_some() && limits.towards("http://near/x").is_some());
        assert!(limits.towards("http2://far:7070").is_some());
        assert!(limits.towards("http://far:7071/").is_none() && limits.towards("no url").is_none());
        limits.set("far:7070", None, Some(5));
        limits.set("elsewhere:1", Some(1), None);
        let far = limits.towards("http://far:7070").unwrap();
        assert_eq!((far.up.rate(), far.down.rate()), (None, Some(5)));
        let own: Arc<[Arc<Throttle>]> = [Arc::new(Throttle::new(Some(9)))].into();
        let rates = |limits: Arc<[Arc<Throttle>]>| limits.iter().map(|limit| limit.rate()).collect::<Vec<_>>();
        assert_eq!(rates(over(&own, Some(&far.down))), [Some(9), Some(5)]);
        assert_eq!(rates(over(&own, None)), [Some(9)]);
    }
}
