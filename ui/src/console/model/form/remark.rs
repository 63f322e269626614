//! Judging a form while it is typed: what to say below each field.

use skep_engine::content::name::printable;

use super::{FieldKey, Form, Purpose, Seen};
use crate::console::model::link::{Typed, judge, rate};
use crate::console::widgets::format::Rate;

impl Form {
    /// Why nothing can be made of what is in the form, as the node or the disk says.
    fn failure(&self) -> Option<&str> {
        match self.seen.first() {
            Some((_, Seen::Failed(why))) => Some(why),
            _ => None,
        }
    }

    /// What to say below a field: `Ok` when it is well, `Err` when it is not.
    ///
    /// # Errors
    /// What is wrong with it, and what to do.
    pub fn remark(&self, key: FieldKey) -> Result<String, String> {
        let text = self.text(key);
        let whole = "write the whole path, from / or ~/".to_owned();
        match key {
            FieldKey::Link => self.remark_on_links(),
            FieldKey::Folder if text.is_empty() => Ok("the node's root folder; Down looks for another".to_owned()),
            FieldKey::Folder if !self.expanded(text).starts_with('/') => Err(whole),
            FieldKey::Folder => Ok("on the node's disk; made if it is not there".to_owned()),
            FieldKey::Path if text.is_empty() && self.places.here => {
                Err("choose with the arrow keys, or type a path".to_owned())
            }
            FieldKey::Path if text.is_empty() => Err("the path of a file or folder on the node's disk".to_owned()),
            FieldKey::Path if !self.expanded(text).starts_with('/') => Err(whole),
            FieldKey::Path => match self.failure() {
                Some(why) => Err(why.to_owned()),
                None if self.purpose != Purpose::Sync && self.seen.iter().any(|(_, seen)| *seen == Seen::Asked) => {
                    Ok("looking…".to_owned())
                }
                None if self.purpose == Purpose::Send && self.seen.is_empty() => Ok("on the node's disk".to_owned()),
                None if self.purpose == Purpose::Sync => Ok("a folder on the node's disk".to_owned()),
                None => Ok("on the node's disk; it stays where it is".to_owned()),
            },
            FieldKey::Down | FieldKey::Up => rate(text).map(|r| match r {
                Some(bytes) => format!("{} at most", Rate(bytes)),
                None => "as fast as it goes".to_owned(),
            }),
            FieldKey::Delete | FieldKey::Except | FieldKey::Compare | FieldKey::Watch => self.remark_on_sync(key),
            FieldKey::Dest | FieldKey::More | FieldKey::Via | FieldKey::Way | FieldKey::Taken => {
                self.remark_on_send(key)
            }
            FieldKey::Class | FieldKey::Target | FieldKey::Older => self.remark_on_purge(key),
            FieldKey::Url | FieldKey::Name | FieldKey::Weight => self.remark_on_node(key),
            FieldKey::Order => Ok(match text {
                "sequential" => "from the first piece to the last",
                "random" => "any piece",
                _ => "the piece that the fewest peers have, first",
            }
            .to_owned()),
            FieldKey::Seed => Ok(match text {
                "no" => "stops when it is complete",
                _ => "goes on serving others when it is complete",
            }
            .to_owned()),
        }
    }

    fn remark_on_links(&self) -> Result<String, String> {
        let links = self.links();
        match links.as_slice() {
            [] | [_] => Ok(match judge(self.text(FieldKey::Link))? {
                Typed::Skep { host, id } => format!("content {id}… from {host}"),
                Typed::Pool(content) => {
                    format!("{} from the nodes of the pool that have it, the best now first", printable(&content))
                }
                Typed::Url => "a manifest or Metalink is fetched from there".to_owned(),
                Typed::Path => match self.failure() {
                    Some(why) => return Err(why.to_owned()),
                    None => "a manifest or Metalink file on this machine".to_owned(),
                },
            }),
            many => {
                for (at, link) in many.iter().enumerate() {
                    match judge(link) {
                        Ok(Typed::Path) => {
                            return Err(format!(
                                "{} of {}: add files one by one, links can go together",
                                at + 1,
                                many.len()
                            ));
                        }
                        Ok(_) => {}
                        Err(why) => return Err(format!("link {} of {}: {why}", at + 1, many.len())),
                    }
                }
                Ok(format!("{} links: a transfer each", many.len()))
            }
        }
    }

    /// True if a field is wrong only because nothing was typed yet: that is a hint, no mistake.
    pub fn is_untouched(&self, key: FieldKey) -> bool {
        !self.refused && self.text(key).is_empty()
    }
}
