//! Reading a Metalink that came from outside.

use quick_xml::XmlVersion;
use quick_xml::escape::resolve_predefined_entity;
use quick_xml::events::{BytesStart, Event};
use quick_xml::name::{Namespace, ResolveResult};
use quick_xml::reader::NsReader;

use super::{MetalinkError, MetalinkFile, NAMESPACE, SHA_256};
use crate::content::manifest::{MAX_PIECES, MAX_SIZE};
use crate::content::{Digest, name};

/// Longest text of an element that is read (RFC 9110 asks for 8,000 bytes of a URI).
const MAX_TEXT: usize = 16 << 10;
/// Priority of a URL that names none: behind all that do (RFC 5854, section 4.2.16.1: 1 to 999999).
const NO_PRIORITY: u32 = 1_000_000;

/// What a Metalink may hold before it is refused.
#[derive(Debug, Clone, Copy)]
pub struct Caps {
    /// Bytes of XML.
    pub bytes: usize,
    /// Files.
    pub files: usize,
    /// Pieces of all files.
    pub pieces: usize,
    /// URLs per file; further ones are ignored, as they only add mirrors.
    pub urls: usize,
    /// Nesting of elements; the format itself needs 4.
    pub depth: usize,
}

impl Default for Caps {
    fn default() -> Self {
        Self { bytes: 256 << 20, files: 100_000, pieces: MAX_PIECES, urls: 256, depth: 16 }
    }
}

/// Reads a Metalink 4. Elements it does not know are passed over, whatever their namespace; hashes
/// other than SHA-256 and URLs other than HTTP likewise.
///
/// # Errors
/// Anything that is not a sound Metalink within the caps.
pub fn parse(xml: &[u8], caps: &Caps) -> Result<Vec<MetalinkFile>, MetalinkError> {
    cap("the Metalink's length", xml.len(), caps.bytes)?;
    let text = std::str::from_utf8(xml).map_err(|_| MetalinkError::Xml("it is not UTF-8".into()))?;
    let mut reader = NsReader::from_str(text.strip_prefix('\u{feff}').unwrap_or(text));
    reader.config_mut().expand_empty_elements = true;
    let mut parser =
        Parser { caps, open: Vec::new(), text: String::new(), files: Vec::new(), pieces: 0, urls: Vec::new() };
    loop {
        let (namespace, event) = reader.read_resolved_event().map_err(broken)?;
        let ours = matches!(namespace, ResolveResult::Bound(Namespace(NAMESPACE)));
        match event {
            Event::Start(start) => parser.start(&start, ours)?,
            Event::End(_) => parser.end()?,
            Event::Text(text) => parser.text(&text.xml10_content())?,
            Event::CData(text) => parser.text(&text.xml10_content())?,
            Event::GeneralRef(reference) => match reference.resolve_char_ref().map_err(broken)? {
                Some(c) => parser.text(c.encode_utf8(&mut [0; 4]))?,
                None => {
                    let known = resolve_predefined_entity(&reference.xml10_content());
                    parser.text(known.ok_or_else(|| MetalinkError::Xml("an unknown entity".into()))?)?;
                }
            },
            Event::DocType(_) => return Err(MetalinkError::Doctype),
            Event::Eof => break,
            _ => {}
        }
    }
    if !parser.open.is_empty() {
        return Err(MetalinkError::Xml("it ends in the middle".into()));
    }
    if parser.files.is_empty() { Err(MetalinkError::Empty) } else { Ok(parser.files) }
}

fn broken(error: impl std::fmt::Display) -> MetalinkError {
    MetalinkError::Xml(name::printable(&error.to_string()).chars().take(200).collect())
}

fn cap(what: &'static str, got: usize, limit: usize) -> Result<(), MetalinkError> {
    if got > limit { Err(MetalinkError::Cap { what, got: got as u64, limit: limit as u64 }) } else { Ok(()) }
}

/// An element that is open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Element {
    Metalink,
    File,
    Size,
    /// SHA-256 of the whole.
    Hash,
    /// SHA-256 pieces.
    Pieces,
    PieceHash,
    Url {
        priority: u32,
    },
    Other,
}

struct Parser<'a> {
    caps: &'a Caps,
    open: Vec<Element>,
    /// Text of the innermost element.
    text: String,
    files: Vec<MetalinkFile>,
    /// Pieces of all files.
    pieces: usize,
    /// URLs of the file being read, with their priorities.
    urls: Vec<(u32, String)>,
}

impl Parser<'_> {
    fn start(&mut self, start: &BytesStart<'_>, ours: bool) -> Result<(), MetalinkError> {
        cap("the Metalink's nesting", self.open.len() + 1, self.caps.depth)?;
        self.text.clear();
        let local = start.local_name();
        let element = match (self.open.last(), local.as_ref()) {
            (None, "metalink") if ours => Element::Metalink,
            (None, _) => return Err(MetalinkError::NotMetalink),
            (_, _) if !ours => Element::Other,
            (Some(Element::Metalink), "file") => self.file(start)?,
            (Some(Element::File), "size") => Element::Size,
            (Some(Element::File), "hash") if attribute(start, "type")?.as_deref() == Some(SHA_256) => Element::Hash,
            (Some(Element::File), "pieces") if attribute(start, "type")?.as_deref() == Some(SHA_256) => {
                self.start_pieces(start)?
            }
            (Some(Element::Pieces), "hash") => Element::PieceHash,
            (Some(Element::File), "url") => {
                let priority = attribute(start, "priority")?.and_then(|p| p.parse().ok()).unwrap_or(NO_PRIORITY);
                Element::Url { priority }
            }
            _ => Element::Other,
        };
        self.open.push(element);
        Ok(())
    }

    fn text(&mut self, text: &str) -> Result<(), MetalinkError> {
        if let Some(Element::Size | Element::Hash | Element::PieceHash | Element::Url { .. }) = self.open.last() {
            cap("the length of an element's text", self.text.len() + text.len(), MAX_TEXT)?;
            self.text.push_str(text);
        }
        Ok(())
    }

    fn end(&mut self) -> Result<(), MetalinkError> {
        let Some(element) = self.open.pop() else { return Ok(()) };
        let text = std::mem::take(&mut self.text);
        let text = text.trim();
        match element {
            Element::File => {
                // Equal priorities keep their order.
                self.urls.sort_by_key(|(priority, _)| *priority);
                let urls = self.urls.drain(..).map(|(_, url)| url).collect();
                if let Some(file) = self.files.last_mut() {
                    file.urls = urls;
                }
            }
            Element::Size => {
                let size = text.parse().ok().filter(|size| *size <= MAX_SIZE);
                let size = size.ok_or_else(|| self.bad("its size is not a number up to 2^53"))?;
                self.set(|file| file.size.replace(size).is_none(), "it has two sizes")?;
            }
            Element::Hash => {
                let hash = self.digest(text)?;
                self.set(|file| file.sha256.replace(hash).is_none(), "it has two SHA-256 hashes")?;
            }
            Element::PieceHash => {
                self.pieces += 1;
                cap("the number of pieces", self.pieces, self.caps.pieces)?;
                let hash = self.digest(text)?;
                if let Some(file) = self.files.last_mut() {
                    file.pieces.push(hash);
                }
            }
            Element::Url { priority } if self.urls.len() < self.caps.urls => {
                if let Some(url) = http_url(text) {
                    self.urls.push((priority, url));
                }
            }
            Element::Metalink | Element::Pieces | Element::Url { .. } | Element::Other => {}
        }
        Ok(())
    }

    fn file(&mut self, start: &BytesStart<'_>) -> Result<Element, MetalinkError> {
        cap("the number of files", self.files.len() + 1, self.caps.files)?;
        let plain = attribute(start, "name")?.unwrap_or_default();
        cap("the length of a name", plain.len(), MAX_TEXT)?;
        let name = name::escape(plain.as_ref());
        if let Err(error) = name::checked_path(&name) {
            let name = name::printable(&name).chars().take(200).collect();
            return Err(MetalinkError::Name { name, error });
        }
        let file =
            MetalinkFile { name, size: None, urls: Vec::new(), piece_length: 0, pieces: Vec::new(), sha256: None };
        self.files.push(file);
        Ok(Element::File)
    }

    fn start_pieces(&mut self, start: &BytesStart<'_>) -> Result<Element, MetalinkError> {
        let length = attribute(start, "length")?.and_then(|l| l.parse().ok()).filter(|l| (1..=MAX_SIZE).contains(l));
        let length = length.ok_or_else(|| self.bad("its piece length is not a number above 0"))?;
        let first = |file: &mut MetalinkFile| std::mem::replace(&mut file.piece_length, length) == 0;
        self.set(first, "it has two lists of SHA-256 pieces")?;
        Ok(Element::Pieces)
    }

    fn digest(&self, text: &str) -> Result<Digest, MetalinkError> {
        text.parse().map_err(|_| self.bad("a SHA-256 is not 64 hex digits"))
    }

    /// Applies `change` to the file being read; an error if it says false.
    fn set(
        &mut self,
        change: impl FnOnce(&mut MetalinkFile) -> bool,
        problem: &'static str,
    ) -> Result<(), MetalinkError> {
        if self.files.last_mut().is_none_or(change) { Ok(()) } else { Err(self.bad(problem)) }
    }

    fn bad(&self, problem: &'static str) -> MetalinkError {
        let name = self.files.last().map(|file| name::printable(&file.name)).unwrap_or_default();
        MetalinkError::Value { name, problem }
    }
}

fn attribute(start: &BytesStart<'_>, key: &str) -> Result<Option<String>, MetalinkError> {
    let Some(attribute) = start.try_get_attribute(key).map_err(broken)? else { return Ok(None) };
    Ok(Some(attribute.normalized_value(XmlVersion::Implicit1_0).map_err(broken)?.into_owned()))
}

/// An absolute HTTP URL with a host, normalised; nothing for any other.
fn http_url(text: &str) -> Option<String> {
    let url = reqwest::Url::parse(text).ok()?;
    (matches!(url.scheme(), "http" | "https") && url.has_host()).then(|| url.into())
}
