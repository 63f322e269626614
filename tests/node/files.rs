//! Files, as any HTTP client sees them.

use skep_engine::swarm::choker::ChokerConfig;

use super::support::*;

#[tokio::test]
async fn a_file_comes_whole_or_in_part() {
    let node = TestNode::start().await;
    let content = Content::tree(&[("a.bin", 100_000), ("sub/b c\n.bin", 200_000), ("z\\xff", 10), ("empty", 0)]);
    node.serve(&content);
    let base = format!("/swarm/file/{}", content.id());
    let b = &content.bytes[100_000..300_000];
    let path = format!("{base}/sub/b%20c%0A.bin");

    let whole = node.get(&path).await;
    assert_eq!(whole.status(), 200);
    assert_eq!(header(&whole, "accept-ranges"), "bytes");
    assert_eq!(header(&whole, "content-length"), "200000");
    assert_eq!(
        header(&whole, "content-disposition"),
        "attachment; filename=\"b c_.bin\"; filename*=UTF-8''b%20c%0A.bin"
    );
    let etag = header(&whole, "etag");
    assert!(whole.bytes().await.unwrap() == b);

    let ranges: [(&str, &str, std::ops::Range<usize>); 4] = [
        ("bytes=5-9", "bytes 5-9/200000", 5..10),
        ("bytes=199990-", "bytes 199990-199999/200000", 199_990..200_000),
        ("bytes=-10", "bytes 199990-199999/200000", 199_990..200_000),
        ("bytes=0-99,100-131071", "bytes 0-131071/200000", 0..131_072),
    ];
    for (range, content_range, bytes) in ranges {
        let part = node.get_with(&path, &[("range", range)]).await;
        assert_eq!(part.status(), 206, "{range}");
        assert_eq!(header(&part, "content-range"), content_range);
        assert!(part.bytes().await.unwrap() == b[bytes], "{range}");
    }
    for range in ["bytes=200000-", "bytes=0-9,100000-100009"] {
        let refused = node.get_with(&path, &[("range", range)]).await;
        assert_eq!(header(&refused, "content-range"), "bytes */200000");
        problem(refused, 416, "out-of-range").await;
    }

    assert_eq!(node.get_with(&path, &[("if-none-match", &etag)]).await.status(), 304);
    let matching = node.get_with(&path, &[("range", "bytes=0-9"), ("if-range", &etag)]).await;
    assert_eq!(matching.status(), 206);
    let other = node.get_with(&path, &[("range", "bytes=0-9"), ("if-range", "\"other\"")]).await;
    assert_eq!(other.status(), 200);

    let odd = node.get(&format!("{base}/z%5Cxff")).await;
    assert!(odd.bytes().await.unwrap() == content.bytes[300_000..]);
    let empty = node.get(&format!("{base}/empty")).await;
    assert_eq!((empty.status().as_u16(), header(&empty, "content-length")), (200, "0".into()));
    assert!(!header(&empty, "repr-digest").is_empty());
}

#[tokio::test]
async fn head_tells_without_sending() {
    let node = TestNode::start().await;
    let content = Content::file("one.bin", 1000);
    let held = node.serve(&content);
    let url = node.at(&format!("/swarm/file/{}/one.bin", content.id()));
    let head = patiently(client().head(&url).header("range", "bytes=0-9").send()).await.unwrap();
    assert_eq!((head.status().as_u16(), header(&head, "content-length")), (206, "10".into()));
    let head = patiently(client().head(&url).send()).await.unwrap();
    assert_eq!(header(&head, "content-length"), "1000");
    let digest = data_encoding::BASE64.encode(&content.manifest.pieces[0].0);
    assert_eq!(header(&head, "repr-digest"), format!("sha-256=:{digest}:"), "one piece is the whole file");
    assert_eq!(held.uploaded(), 0);
}

#[tokio::test]
async fn only_what_the_manifest_names_can_be_reached() {
    let node = TestNode::start().await;
    let content = Content::tree(&[("a", 10), ("sub/b", 10)]);
    std::fs::write(content.dir.path().join("tree/secret"), "not shared").unwrap();
    std::fs::write(content.dir.path().join("outside"), "not shared").unwrap();
    node.serve(&content);
    for path in ["secret", "..%2Foutside", "%2e%2e/outside", "sub", "sub/", "%2Fetc%2Fpasswd", "a%00", "sub%2F..%2Fa"] {
        problem(node.get(&format!("/swarm/file/{}/{path}", content.id())).await, 404, "not-found").await;
    }
}

#[tokio::test]
async fn of_an_unfinished_file_only_what_is_here_is_given() {
    let node = TestNode::start().await;
    let content = Content::file("f.bin", 4 * PIECE as usize);
    let held = node.serve_with(&content, some_of(&[1, 2], 4), ChokerConfig::default());
    let path = format!("/swarm/file/{}/f.bin", content.id());
    let detail = problem(node.get(&path).await, 404, "not-here").await;
    assert!(detail.starts_with("2 of the 4 pieces"), "{detail}");
    let here = node.get_with(&path, &[("range", &format!("bytes={}-{}", PIECE, 3 * PIECE - 1))]).await;
    assert_eq!(here.status(), 206);
    assert!(here.bytes().await.unwrap() == content.bytes[PIECE as usize..3 * PIECE as usize]);
    problem(node.get_with(&path, &[("range", &format!("bytes={}-{}", PIECE - 1, PIECE))]).await, 404, "not-here").await;
    held.mark_have(&[0, 3]);
    assert_eq!(node.get(&path).await.status(), 200);
}

#[tokio::test]
async fn a_file_that_is_gone_is_withdrawn() {
    let node = TestNode::start().await;
    let content = Content::tree(&[("a", 2 * PIECE as usize), ("b", PIECE as usize)]);
    let held = node.serve(&content);
    std::fs::remove_file(content.dir.path().join("tree/a")).unwrap();
    let id = content.id();
    problem(node.get(&format!("/swarm/piece/{id}/0")).await, 404, "not-here").await;
    assert_eq!(held.have().ones().collect::<Vec<_>>(), [2], "all pieces of the file, and only those");
    assert!(held.trouble().unwrap().contains("no longer there"));
    problem(node.get(&format!("/swarm/file/{id}/a")).await, 404, "not-here").await;
    assert_eq!(node.get(&format!("/swarm/piece/{id}/2")).await.status(), 200);
}

#[tokio::test]
async fn http_2_works_by_prior_knowledge() {
    let node = TestNode::start().await;
    let content = Content::file("f.bin", 40 * PIECE as usize);
    node.serve(&content);
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = reqwest::Client::builder().http2_prior_knowledge().tls_certs_only([]).build().unwrap();
    let url = node.at(&format!("/swarm/file/{}/f.bin", content.id()));
    let response = patiently(client.get(url).send()).await.unwrap();
    assert_eq!(response.version(), reqwest::Version::HTTP_2);
    assert!(patiently(response.bytes()).await.unwrap() == content.bytes);
    assert_eq!(node.metrics.bytes_up_uncopied.get(), 0, "frames are made of memory");
}

/// What the page cache holds leaves by sendfile(2), next to parts that are too short for it, and
/// under a limit that cuts them in slices.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn files_leave_without_a_copy() {
    for rate in [None, Some(64 << 20)] {
        let node = TestNode::start().await;
        node.up.set(rate);
        let content = Content::tree(&[("a", 1_000_003), ("b", 700), ("c", 9), ("d", 3_000_001)]);
        node.serve(&content);
        let id = content.id();
        let pieces = content.manifest.piece_count();
        // The first read opens the files, which is done elsewhere.
        for _ in 0..2 {
            let response = node.get(&format!("/swarm/piece/{id}/0?count={pieces}")).await;
            assert_eq!(header(&response, "skep-count"), pieces.to_string());
            assert!(patiently(response.bytes()).await.unwrap() == content.bytes);
        }
        let response = node.get_with(&format!("/swarm/file/{id}/d"), &[("range", "bytes=100001-2900000")]).await;
        let d = &content.bytes[1_000_712..];
        assert!(patiently(response.bytes()).await.unwrap() == d[100_001..=2_900_000]);
        assert!(node.metrics.bytes_up_uncopied.get() > 6_000_000, "{}", node.metrics.bytes_up_uncopied.get());
    }
}

/// The connection ends: never is anything else sent in place of what is not there any more.
#[tokio::test]
async fn a_file_cut_under_way_ends_the_body() {
    let node = TestNode::start().await;
    let content = Content::file("f.bin", 40 << 20);
    node.serve(&content);
    let path = format!("/swarm/file/{}/f.bin", content.id());
    assert_eq!(node.get_with(&path, &[("range", "bytes=0-99999")]).await.bytes().await.unwrap().len(), 100_000);
    // Far more than the sockets between hold, so it is under way when the file is cut.
    let mut response = node.get(&path).await;
    let mut got = response.chunk().await.unwrap().unwrap().to_vec();
    let file = std::fs::OpenOptions::new().write(true).open(content.dir.path().join("f.bin")).unwrap();
    file.set_len(1).unwrap();
    let error = patiently(async {
        loop {
            match response.chunk().await {
                Ok(Some(chunk)) => got.extend_from_slice(&chunk),
                Ok(None) => return None,
                Err(error) => return Some(error),
            }
        }
    })
    .await;
    assert!(error.is_some(), "the body looked whole");
    assert!(got.len() < content.bytes.len());
}
