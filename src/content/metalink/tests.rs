use super::*;
use proptest::prelude::*;
use sha2::{Digest as _, Sha256};

const HASH: &str = "07070707070707070707070707070707070707070707070707070707070707aa";

fn read(xml: &str) -> Result<Vec<MetalinkFile>, MetalinkError> {
    parse(xml.as_bytes(), &Caps::default())
}

/// A document with this inside its one file.
fn file(inside: &str) -> String {
    format!("<metalink xmlns=\"{NAMESPACE}\"><file name=\"f\">{inside}</file></metalink>")
}

fn entry(path: &str, size: u64) -> FileEntry {
    FileEntry { mode: 0o644, mtime: None, path: path.into(), size, symlink: None }
}

fn manifest(name: &str, files: Vec<FileEntry>) -> Manifest {
    let size: u64 = files.iter().map(|f| f.size).sum();
    let pieces = (0..size.div_ceil(1024)).map(|i| Digest(Sha256::digest(i.to_be_bytes()).into())).collect();
    Manifest { files, name: name.into(), piece_length: 1024, pieces, tree: false, version: 1 }
}

#[test]
fn one_file_there_and_back() {
    let original = manifest("a b & <c>.iso", vec![entry("a b & <c>.iso", 3000)]);
    let urls = vec!["http://h/x?a=1&b=2".to_owned(), "https://h2/x".to_owned()];
    let hash: Digest = HASH.parse().unwrap();
    let xml = write(&original, |_| urls.clone(), |_| Some(hash));
    let files = read(&xml).unwrap();
    assert_eq!(files.len(), 1);
    assert_eq!(files[0].urls, urls);
    assert_eq!(files[0].sha256, Some(hash));
    assert_eq!(files[0].to_manifest().unwrap(), original);
}

#[test]
fn a_trees_files_have_pieces_where_they_are_their_own() {
    let tree = manifest(
        "t",
        vec![entry("aligned", 2048), entry("crosses", 1500), entry("d/", 0), entry("empty", 0), entry("ends", 700)],
    );
    let files = read(&write(&tree, |f| vec![format!("http://h/{}", f.path)], |_| None)).unwrap();
    let seen: Vec<_> = files.iter().map(|f| (f.name.as_str(), f.pieces.len(), f.sha256.is_some())).collect();
    let expected = [("t/aligned", 2, false), ("t/crosses", 0, false), ("t/empty", 0, true), ("t/ends", 0, false)];
    assert_eq!(seen, expected);
    assert_eq!(files[0].pieces, tree.pieces[..2]);
    assert_eq!(files[2].sha256.unwrap().0, <[u8; 32]>::from(Sha256::digest(b"")));

    let tree = manifest("t", vec![entry("a", 1024), entry("b", 10)]);
    let files = read(&write(&tree, |_| Vec::new(), |_| None)).unwrap();
    assert_eq!(files[1].sha256, Some(tree.pieces[1]), "one piece is the whole file");
    assert_eq!(files[1].to_manifest().unwrap().pieces, [tree.pieces[1]]);
}

#[test]
fn odd_names_come_through() {
    let name = "new\nline\ttab \"quote' back\\\\slash é";
    let original = manifest(name, vec![entry(name, 10)]);
    assert_eq!(read(&write(&original, |_| Vec::new(), |_| None)).unwrap()[0].to_manifest().unwrap().name, name);
    // XML can hold neither of these; the escape is what is left of them.
    for (name, left) in [("\\xff", "\\\\xff"), ("\u{1}", "\\\\x01"), ("\u{ffff}", "\\\\xffff")] {
        let original = manifest(name, vec![entry(name, 10)]);
        assert_eq!(read(&write(&original, |_| Vec::new(), |_| None)).unwrap()[0].name, left);
    }
}

#[test]
fn other_programs_metalinks_are_read() {
    let xml = format!(
        r#"<?xml version="1.0" encoding="UTF-8"?><!-- made elsewhere -->
        <m:metalink xmlns:m="{NAMESPACE}" xmlns:x="urn:x"><m:published>2026-01-01T00:00:00Z</m:published>
          <m:file name="dir/example.ext"><m:size> 2000 </m:size><x:size>7</x:size><m:identity>E</m:identity>
            <m:hash type="md5">abc</m:hash><m:hash type="sha-256">{upper}</m:hash>
            <m:pieces length="512" type="sha-1"><m:hash>1</m:hash></m:pieces>
            <m:pieces length="1024" type="sha-256"><m:hash>{HASH}</m:hash><m:hash>
              {HASH}</m:hash></m:pieces>
            <m:url>http://last/</m:url><m:url location="de" priority="2">https://b/x&amp;y</m:url>
            <m:url priority="1"><![CDATA[http://a/]]></m:url><m:url priority="1">ftp://h/f</m:url><m:url>nonsense</m:url>
            <m:metaurl mediatype="torrent">http://h/t.torrent</m:metaurl></m:file></m:metalink>"#,
        upper = HASH.to_uppercase()
    );
    let hash: Digest = HASH.parse().unwrap();
    let expected = MetalinkFile {
        name: "dir/example.ext".into(),
        size: Some(2000),
        urls: vec!["http://a/".into(), "https://b/x&y".into(), "http://last/".into()],
        piece_length: 1024,
        pieces: vec![hash, hash],
        sha256: Some(hash),
    };
    assert_eq!(read(&xml).unwrap(), [expected]);
    assert_eq!(read(&format!("\u{feff}{xml}")).unwrap()[0].to_manifest().unwrap().name, "example.ext");
}

#[test]
fn what_cannot_be_checked_is_said() {
    let whole = format!("<hash type=\"sha-256\">{HASH}</hash>");
    let manifest = |inside: &str| read(&file(inside)).unwrap()[0].to_manifest();
    let small = manifest(&format!("<size>5</size>{whole}")).unwrap();
    assert_eq!((small.piece_length, small.pieces.len()), (MIN_PIECE_LENGTH, 1));
    assert_eq!(manifest("<size>0</size>").unwrap().pieces, []);
    let pieces = |length: u64| format!("<pieces length=\"{length}\" type=\"sha-256\"><hash>{HASH}</hash></pieces>");
    let cases = [
        (whole.clone(), "size is not told"),
        ("<size>5</size>".into(), "no SHA-256"),
        ("<size>5</size><hash type=\"sha-1\">x</hash>".into(), "no SHA-256"),
        (format!("<size>{}</size>{whole}", MAX_PIECE_LENGTH + 1), "needs SHA-256 pieces"),
        (format!("<size>5000</size>{}", pieces(1024)), "are 5 pieces, but 1"),
        (format!("<size>0</size>{}", pieces(1024)), "are 0 pieces, but 1"),
        (format!("<size>10</size>{}", pieces(512)), "per KiB"),
        (format!("<size>10</size>{}", pieces(1 << 40)), "piece length"),
    ];
    for (inside, expected) in cases {
        let error = manifest(&inside).unwrap_err().to_string();
        assert!(error.contains(expected), "{inside}: {error} should speak of {expected:?}");
    }
}

#[test]
fn hostile_metalinks_are_refused() {
    let named = |name: &str| format!("<metalink xmlns=\"{NAMESPACE}\"><file name=\"{name}\"></file></metalink>");
    let bomb = "<!DOCTYPE x [<!ENTITY a \"aaaaaaaaaa\"><!ENTITY b \"&a;&a;&a;\">]>";
    let cases: Vec<(String, &str)> = vec![
        (String::new(), "no file"),
        ("{}".into(), "no file"),
        ("<html></html>".into(), "root must be"),
        ("<metalink version=\"3.0\" xmlns=\"http://www.metalinker.org/\"></metalink>".into(), "root must be"),
        (format!("<metalink xmlns=\"{NAMESPACE}\"></metalink>"), "no file"),
        (format!("<metalink xmlns=\"{NAMESPACE}\"><file name=\"f\">"), "ends in the middle"),
        (file("</size>"), "not a Metalink"),
        (format!("{bomb}{}", file("<size>1</size>")), "DOCTYPE"),
        (format!("{bomb}{}", named("&b;")), "DOCTYPE"),
        (file("<size>&b;</size>"), "entity"),
        (named("&b;"), "not a Metalink"),
        (named("../../etc/passwd"), "component"),
        (named("/etc/passwd"), "absolute"),
        (named("a//b"), "empty name"),
        (named(""), "empty name"),
        (named(&"n".repeat(300)), "longer"),
        (named(&"n".repeat(20_000)), "length of a name"),
        (format!("<metalink xmlns=\"{NAMESPACE}\"><file></file></metalink>"), "empty name"),
        (file("<size>-1</size>"), "size"),
        (file("<size>99999999999999999999999</size>"), "size"),
        (file("<size>9999999999999999</size>"), "size"),
        (file("<size>1</size><size>2</size>"), "two sizes"),
        (file(&format!("<url>http://{}</url>", "x".repeat(20_000))), "element's text"),
        (file("<hash type=\"sha-256\">zz</hash>"), "hex"),
        (file("<pieces length=\"0\" type=\"sha-256\"></pieces>"), "piece length"),
        (file("<pieces length=\"1e9\" type=\"sha-256\"></pieces>"), "piece length"),
        (file("<pieces type=\"sha-256\"></pieces>"), "piece length"),
        (file(&"<pieces length=\"1024\" type=\"sha-256\"></pieces>".repeat(2)), "two lists"),
        (file(&format!("{}{}", "<a>".repeat(1000), "</a>".repeat(1000))), "nesting"),
        (file("<url priority=1>http://h/</url>"), "not a Metalink"),
    ];
    for (xml, expected) in cases {
        let error = read(&xml).expect_err(&xml).to_string();
        assert!(error.contains(expected), "{xml:.300}: {error} should speak of {expected:?}");
        assert!(error.len() < 500 && !error.contains('\x1b'), "{error:?}");
    }
    assert!(parse(b"<metalink\xff>", &Caps::default()).is_err());
    let steering = read(&named("..&#x9b;/&#x202e;/..")).unwrap_err().to_string();
    assert!(!steering.contains(['\u{9b}', '\u{202e}']), "{steering:?}");
}

#[test]
fn counts_are_capped() {
    let caps = Caps { bytes: 4000, files: 2, pieces: 2, urls: 2, depth: 4 };
    let piece = format!("<hash>{HASH}</hash>");
    let pieces = |n: usize| file(&format!("<pieces length=\"1024\" type=\"sha-256\">{}</pieces>", piece.repeat(n)));
    assert_eq!(parse(pieces(2).as_bytes(), &caps).unwrap()[0].pieces.len(), 2);
    let files = |n: usize| {
        format!("<metalink xmlns=\"{NAMESPACE}\">{}</metalink>", "<file name=\"f\"><size>1</size></file>".repeat(n))
    };
    assert_eq!(parse(files(2).as_bytes(), &caps).unwrap().len(), 2);
    for (xml, what) in [(pieces(3), "pieces"), (files(3), "files"), (files(200), "length")] {
        let error = parse(xml.as_bytes(), &caps).unwrap_err();
        assert!(matches!(error, MetalinkError::Cap { what: over, .. } if over.contains(what)), "{error}");
    }
    let urls = file(&"<url>http://h/</url>".repeat(5));
    assert_eq!(parse(urls.as_bytes(), &caps).unwrap()[0].urls.len(), 2, "further mirrors are just not used");
}

proptest! {
    #[test]
    fn no_document_makes_it_panic(inside in "(<|>|/|file|size|&|;|#|\"|=| |hash|url|pieces|[!-~]){0,80}") {
        let _ = read(&inside);
        let _ = read(&file(&inside));
    }

    #[test]
    fn every_name_comes_back_or_is_escaped(raw in "\\PC{1,40}") {
        let spelled = name::escape(raw.as_ref());
        prop_assume!(name::checked_path(&spelled).is_ok() && !spelled.contains('/'));
        let original = manifest(&spelled, vec![entry(&spelled, 1)]);
        let xml = write(&original, |_| Vec::new(), |_| None);
        prop_assert_eq!(&read(&xml).unwrap()[0].name, &spelled);
    }
}
