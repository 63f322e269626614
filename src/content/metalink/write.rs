//! Writing a Metalink.

use std::fmt::Write as _;

use quick_xml::escape;
use sha2::{Digest as _, Sha256};

use super::{NAMESPACE, SHA_256};
use crate::content::{Digest, EntryKind, FileEntry, Layout, Manifest, name};

/// Writes a checked manifest as Metalink 4, one `<file>` per regular file; a tree's files carry the
/// tree's name as their first folder. `file_urls` gives a file's URLs, the preferred one first, and
/// `file_hash` its SHA-256 if it is known (where one piece is the whole file, it is known anyway).
///
/// `<pieces>` are written for a file whose pieces are its own: it starts at a piece boundary and
/// ends at one, or ends the content. Folders and links have no place in the format. RFC 5854 wants
/// at least one URL per file; with none given, what comes out is a form for others to complete.
pub fn write(
    manifest: &Manifest,
    file_urls: impl Fn(&FileEntry) -> Vec<String>,
    file_hash: impl Fn(&FileEntry) -> Option<Digest>,
) -> String {
    let layout = Layout::new(manifest);
    let mut out = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    // Writing to a String cannot fail.
    let _ = writeln!(out, "<metalink xmlns=\"{NAMESPACE}\">");
    let _ = writeln!(out, "  <generator>skep/{}</generator>", env!("CARGO_PKG_VERSION"));
    let folder = (!manifest.is_single_file()).then(|| format!("{}/", plain(&manifest.name)));
    for (index, entry) in manifest.files.iter().enumerate().filter(|(_, e)| e.kind() == EntryKind::File) {
        let name = format!("{}{}", folder.as_deref().unwrap_or_default(), plain(&entry.path));
        let pieces = own_pieces(manifest, &layout, index);
        let _ = writeln!(out, "  <file name=\"{}\">", xml(&name));
        let _ = writeln!(out, "    <size>{}</size>", entry.size);
        let hash = match pieces {
            _ if entry.size == 0 => Some(Digest(Sha256::digest(b"").into())),
            Some([whole]) => Some(*whole),
            _ => file_hash(entry),
        };
        if let Some(hash) = hash {
            let _ = writeln!(out, "    <hash type=\"{SHA_256}\">{hash}</hash>");
        }
        if let Some(pieces) = pieces {
            let _ = writeln!(out, "    <pieces length=\"{}\" type=\"{SHA_256}\">", manifest.piece_length);
            for piece in pieces {
                let _ = writeln!(out, "      <hash>{piece}</hash>");
            }
            out.push_str("    </pieces>\n");
        }
        for (rank, url) in file_urls(entry).iter().enumerate() {
            let _ = writeln!(out, "    <url priority=\"{}\">{}</url>", rank + 1, xml(url));
        }
        out.push_str("  </file>\n");
    }
    out.push_str("</metalink>\n");
    out
}

/// The pieces that hold this file and nothing else.
fn own_pieces<'a>(manifest: &'a Manifest, layout: &Layout, file: usize) -> Option<&'a [Digest]> {
    let bytes = layout.file(file);
    let own = !bytes.is_empty()
        && bytes.start.is_multiple_of(manifest.piece_length)
        && (bytes.end.is_multiple_of(manifest.piece_length) || bytes.end == layout.size());
    let pieces = layout.pieces_of(&bytes);
    own.then(|| manifest.pieces.get(pieces.start as usize..pieces.end as usize)).flatten()
}

/// A manifest's spelling as the plain text that a Metalink wants. Bytes that are not UTF-8 keep
/// their escape, and control characters that XML cannot hold get one: there is no lossless way.
fn plain(spelled: &str) -> String {
    let raw = name::unescape(spelled).ok().and_then(|raw| raw.into_string().ok());
    let mut out = String::with_capacity(spelled.len());
    for c in raw.as_deref().unwrap_or(spelled).chars() {
        // XML 1.0, section 2.2.
        let allowed = matches!(c, '\t' | '\n' | '\r') || (c >= ' ' && !matches!(c, '\u{fffe}' | '\u{ffff}'));
        if allowed {
            out.push(c);
        } else {
            let _ = write!(out, "\\x{:02x}", u32::from(c));
        }
    }
    out
}

/// Text made safe for XML. White space that a reader would fold becomes a reference.
fn xml(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in escape::escape(text).chars() {
        match c {
            '\t' | '\n' | '\r' => {
                let _ = write!(out, "&#{};", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out
}
