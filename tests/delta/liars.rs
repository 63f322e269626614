//! Receivers that lie about what they have, and worlds that change between two requests. Whatever they say: the right file
//! arrives, or an error does and the old one is whole.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use axum::body::Body;
use axum::http::{HeaderMap, Method};
use skep_engine::control::{TransferRow, TransferState};

use super::{Pair, versions};
use crate::common::meddler::{Asked, Meddle, Meddler, endless};
use crate::common::noise;

const SIGNATURES: &str = "/delta/signatures/";
const APPLY: &str = "/delta/apply/";

/// Sends through somebody who meddles; how it ended, which must be well, or with an error and the old file as it was.
async fn through(pair: &Pair, old: &[u8], decide: impl Fn(&Asked) -> Meddle + Send + Sync + 'static) -> TransferRow {
    through_at(pair, old, None, decide).await
}

/// The same at so many bytes per second.
async fn through_at(
    pair: &Pair,
    old: &[u8],
    up: Option<u64>,
    decide: impl Fn(&Asked) -> Meddle + Send + Sync + 'static,
) -> TransferRow {
    let liar = Meddler::to(&pair.to.url(), decide).await;
    let id = pair.begin_to(&liar.url, |request| request.up = up).await;
    let row = pair.from.wait(id, |row| row.state.is_settled()).await;
    match row.state {
        TransferState::Done => pair.is_the_same(),
        TransferState::Failed => {
            let error = row.error.as_deref().unwrap();
            assert!(
                !error.is_empty() && !error.contains("internal") && !error.chars().any(char::is_control),
                "{error}"
            );
            assert!(fs::read(pair.old_file()).unwrap() == old, "{error}");
            pair.nothing_stays().await;
        }
        _ => panic!("{row:#?}"),
    }
    row
}

type Lie = fn(&mut HeaderMap, Vec<u8>) -> Body;

fn put(bytes: &mut [u8], at: usize, what: &[u8]) {
    bytes[at..at + what.len()].copy_from_slice(what);
}

/// Bytes of a signature's header: the second version has a seed.
fn head(body: &[u8]) -> usize {
    if body[4] == 1 { 24 } else { 32 }
}

/// The first block's hashes, said to be those of all of a file of this many bytes.
fn all_equal(headers: &mut HeaderMap, body: &[u8], size: u64, length: u32) -> Body {
    let (strong, head) = (usize::from(body[5]), head(body));
    let blocks = size.div_ceil(length.into()) as u32;
    let mut out = body[..head].to_vec();
    put(&mut out, 8, &length.to_le_bytes());
    put(&mut out, 12, &blocks.to_le_bytes());
    put(&mut out, 16, &size.to_le_bytes());
    out.extend_from_slice(&(blocks | 1 << 31).to_le_bytes());
    out.extend_from_slice(&body[head + 4..head + 8 + strong]);
    headers.insert("skep-size", size.into());
    out.into()
}

#[tokio::test]
async fn signatures_that_cannot_be_are_not_believed() {
    let lies: [(&str, Lie); 18] = [
        ("another document", |_, _| "<html>It works!</html>".into()),
        ("nothing at all", |_, _| Body::empty()),
        ("cut off", |_, body| body[..body.len() / 2].to_vec().into()),
        ("an end that does not come", |_, body| endless(body)),
        ("zeros without end", |_, _| endless(vec![0; 65_536])),
        ("something behind the end", |_, body| [&body[..], b"x"].concat().into()),
        ("of other blocks", |_, mut body| {
            put(&mut body, 8, &100_u32.to_le_bytes());
            body.into()
        }),
        ("of 4 * 10^9 blocks", |_, mut body| {
            put(&mut body, 12, &u32::MAX.to_le_bytes());
            body.into()
        }),
        ("with another seed", |_, mut body| {
            put(&mut body, 24, &[1, 2, 3, 4, 5, 6, 7, 8]);
            body.into()
        }),
        ("with hashes of a kind that nobody knows", |_, mut body| {
            body[6] = 9;
            body.into()
        }),
        ("with hashes of 255 bytes", |_, mut body| {
            body[5] = 255;
            body.into()
        }),
        ("a group of 2^31 blocks", |_, mut body| {
            let head = head(&body);
            put(&mut body, head, &u32::MAX.to_le_bytes());
            body.into()
        }),
        ("of a file of 10^12 blocks of 64 KiB", |headers, mut body| {
            let size = 1_000_000_000_000_u64 << 16;
            headers.insert("skep-size", size.into());
            put(&mut body, 16, &size.to_le_bytes());
            body.into()
        }),
        ("of a file of 2^64 bytes", |headers, body| {
            headers.insert("skep-size", u64::MAX.into());
            body.into()
        }),
        ("of a file without size", |headers, body| {
            headers.remove("skep-size");
            body.into()
        }),
        ("without a tag", |headers, body| {
            headers.remove("etag");
            body.into()
        }),
        ("with a long tag", |headers, body| {
            headers.insert("etag", "x".repeat(5_000).parse().unwrap());
            body.into()
        }),
        ("with a tag of nothing", |headers, body| {
            headers.insert("etag", "\"0\"".parse().unwrap());
            body.into()
        }),
    ];
    let (old, new) = versions();
    for (what, lie) in lies {
        let pair = Pair::new(&old, &new).await;
        let row =
            through(
                &pair,
                &old,
                move |asked| {
                    if asked.is(Method::GET, SIGNATURES) { Meddle::changed(lie) } else { Meddle::Pass }
                },
            )
            .await;
        assert_eq!(row.state, TransferState::Done, "{what}: sent whole, as if nothing were there: {row:#?}");
    }
}

#[tokio::test]
async fn a_receiver_that_knows_no_hash_but_sha256_gets_a_delta_too() {
    let (old, new) = scattered();
    let pair = Pair::new(&old, &new).await;
    let asked = Arc::new(AtomicU32::new(0));
    let counted = asked.clone();
    let row = through(&pair, &old, move |asked| match asked.path.strip_suffix("strong=xxh3") {
        Some(rest) if asked.path.starts_with(SIGNATURES) => {
            counted.fetch_add(1, Ordering::Relaxed);
            Meddle::As(rest.trim_end_matches(['?', '&']).into())
        }
        _ => Meddle::Pass,
    })
    .await;
    assert_eq!((row.state, row.strategy.as_str()), (TransferState::Done, super::DELTA), "{row:#?}");
    assert!(row.delta.unwrap().matched > 3_900_000, "{row:#?}");
    assert!(asked.load(Ordering::Relaxed) > 1, "the fast hash is asked for in every round");
}

/// Each is sound by its words, and none is true.
#[tokio::test]
async fn signatures_that_lie_cost_time_and_nothing_else() {
    let (old, new) = versions();
    let size = old.len() as u64;
    let pair = Pair::new(&old, &new).await;
    through(&pair, &old, move |asked| match asked.is(Method::GET, SIGNATURES) {
        true => Meddle::changed(move |headers, body| {
            let length = u32::from_le_bytes(body[8..12].try_into().unwrap());
            all_equal(headers, &body, size, length)
        }),
        false => Meddle::Pass,
    })
    .await;
    // The hashes of the new file: everything would be there already.
    let pair = Pair::new(&old, &new[..old.len()]).await;
    fs::write(pair.to.root().join("d/other"), &new[..old.len()]).unwrap();
    let row = through(&pair, &old, |asked| match asked.path.strip_prefix("/delta/signatures/d/f") {
        Some(query) => Meddle::As(format!("/delta/signatures/d/other{query}")),
        None => Meddle::Pass,
    })
    .await;
    assert_eq!(row.state, TransferState::Done);
    assert!(row.strategy_reason.contains("sent whole"), "{row:#?}");
    // 2^21 blocks of 16 MiB in 40 bytes: sound, and of a file that is not there.
    let pair = Pair::new(&old, &new).await;
    through(&pair, &old, |asked| match asked.is(Method::GET, SIGNATURES) {
        true => Meddle::changed(|headers, body| all_equal(headers, &body, 1 << 45, 16 << 20)),
        false => Meddle::Pass,
    })
    .await;
}

/// More edits than one round is for.
fn scattered() -> (Vec<u8>, Vec<u8>) {
    let old = noise(4_000_000, 1);
    let mut new = old.clone();
    new.iter_mut().skip(10_000).step_by(60_000).for_each(|byte| *byte ^= 1);
    (old, new)
}

/// Something that happens just before the signatures of a further round are asked for.
async fn between_rounds(pair: &Pair, old: &[u8], what: impl Fn(u32) + Send + Sync + 'static) -> (TransferRow, u32) {
    let rounds = Arc::new(AtomicU32::new(0));
    let counted = rounds.clone();
    // A round trip is weighed against what the link takes meanwhile: at this rate another round pays, however busy the machine is.
    let row = through_at(pair, old, Some(1 << 20), move |asked| {
        if asked.is(Method::POST, SIGNATURES) {
            what(counted.fetch_add(1, Ordering::Relaxed));
        }
        Meddle::Pass
    });
    (row.await, rounds.load(Ordering::Relaxed))
}

#[tokio::test]
async fn a_file_that_changes_between_two_rounds_is_asked_about_again() {
    let (old, new) = scattered();
    let pair = Pair::new(&old, &new).await;
    let mut other = old.clone();
    other[..100_000].copy_from_slice(&noise(100_000, 8));
    let there = pair.old_file();
    let change = move |round| {
        if round == 0 {
            fs::write(&there, &other).unwrap();
        }
    };
    let (row, rounds) = between_rounds(&pair, &old, change).await;
    assert!(rounds > 1, "{rounds}");
    assert_eq!((row.state, row.strategy.as_str()), (TransferState::Done, super::DELTA), "{row:#?}");
}

#[tokio::test]
async fn a_file_that_changes_in_every_round_is_sent_whole() {
    let (old, new) = scattered();
    let pair = Pair::new(&old, &new).await;
    let there = pair.old_file();
    let change = move |round: u32| {
        let mut other = scattered().0;
        other[round as usize * 1000..][..100].fill(round as u8);
        fs::write(&there, other).unwrap();
    };
    let (row, rounds) = between_rounds(&pair, &old, change).await;
    assert!(rounds > 2, "{rounds}");
    assert!(row.strategy_reason.contains("changes again and again"), "{row:#?}");
    assert_eq!(row.state, TransferState::Done);
}

#[tokio::test]
async fn a_file_that_goes_between_two_rounds_is_made_anew() {
    let (old, new) = scattered();
    let pair = Pair::new(&old, &new).await;
    let there = pair.old_file();
    let (row, _) = between_rounds(&pair, &old, move |_| drop(fs::remove_file(&there))).await;
    assert_eq!(row.state, TransferState::Done, "{row:#?}");
}

#[tokio::test]
async fn a_receiver_that_claims_to_be_done_is_not_believed() {
    let (old, new) = versions();
    for (status, answer) in [
        (201, r#"{"path":"d/f","bytes":1,"matched_bytes":1,"literal_bytes":0,"sha256":"00"}"#),
        (201, "{}"),
        (200, "<html>"),
        (204, ""),
        (302, ""),
        (500, r#"{"detail":"\u001b[2Jboo"}"#),
    ] {
        let pair = Pair::new(&old, &new).await;
        let row = through(&pair, &old, move |asked| match asked.is(Method::POST, APPLY) {
            true => Meddle::json(status, answer),
            false => Meddle::Pass,
        })
        .await;
        assert!(
            row.state == TransferState::Failed || row.strategy_reason.contains("sent whole"),
            "{status} {answer}: {row:#?}"
        );
    }
}
