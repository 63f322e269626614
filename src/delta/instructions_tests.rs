use proptest::prelude::*;

use super::*;

/// Old file of 1000 bytes in blocks of 100 (the last is whole), new one of 455: two blocks, five bytes, two and a half blocks.
fn example() -> Vec<u8> {
    let header = Header { block_length: 100, destination_size: 950, source_size: 455 };
    let mut writer = Writer::new(Vec::new(), header).unwrap();
    writer.matched(&Run { source: 0, destination: 300, length: 200 }).unwrap();
    writer.literal(b"hello").unwrap();
    writer.matched(&Run { source: 205, destination: 700, length: 250 }).unwrap();
    writer.finish(&Digest([9; 32])).unwrap()
}

fn read(mut bytes: &[u8]) -> io::Result<Vec<(u64, u64, Vec<u8>)>> {
    let mut reader = Reader::new(&mut bytes)?;
    let mut out = Vec::new();
    while let Some(instruction) = reader.read()? {
        out.push(match instruction {
            Instruction::Match(run) => (run.source, run.destination, vec![0; run.length as usize]),
            Instruction::Literal { source, data } => (source, u64::MAX, data.to_vec()),
        });
    }
    assert_eq!(reader.digest(), Some(&Digest([9; 32])));
    Ok(out)
}

#[test]
fn the_layout_is_what_the_protocol_says() {
    let hex = concat!(
        "534b444901000000",
        "64000000",
        "b603000000000000",
        "c701000000000000",
        "03000000",
        "00",
        "0300000000000000",
        "0000000000000000",
        "02000000",
        "01",
        "c800000000000000",
        "05000000",
        "68656c6c6f",
        "00",
        "0700000000000000",
        "cd00000000000000",
        "03000000",
        "00000000",
    );
    let mut wanted = data_encoding::HEXLOWER.decode(hex.as_bytes()).unwrap();
    wanted.extend([9; 32]);
    assert_eq!(example(), wanted);
    let parts = read(&wanted).unwrap();
    assert_eq!(parts, [(0, 300, vec![0; 200]), (200, u64::MAX, b"hello".to_vec()), (205, 700, vec![0; 250])]);
}

#[test]
fn every_cut_is_noticed() {
    let whole = example();
    for cut in 0..whole.len() {
        assert_eq!(read(&whole[..cut]).unwrap_err().kind(), io::ErrorKind::UnexpectedEof, "at {cut}");
    }
    assert!(read(&[&whole[..], b"x"].concat()).unwrap_err().to_string().contains("behind their end"));
}

#[test]
fn what_breaks_a_rule_is_refused() {
    let refused = |at: usize, bytes: &[u8]| {
        let mut out = example();
        out[at..at + bytes.len()].copy_from_slice(bytes);
        read(&out).unwrap_err().to_string()
    };
    let cases: [(usize, &[u8], &str); 15] = [
        (0, b"gzip", "something else"),
        (4, &[2], "another version"),
        (8, &[63, 0, 0, 0], "header"),
        (12, &[0xff; 8], "header"),
        (20, &[0xff; 8], "header"),
        (28, &[0xff; 4], "too many instructions"),
        (32, &[3], "neither match nor literal"),
        (33, &[10], "beyond the end of the old file"),
        (33, &[0xff; 8], "beyond the end of the old file"),
        (41, &[1], "does not go on"),
        (49, &[0, 0, 0, 0], "beyond the end of the new file"),
        (49, &[7, 0, 0, 0], "beyond the end of the new file"),
        (49, &[0xff; 4], "beyond the end of the old file"),
        (54, &[0xc7], "does not go on"),
        (62, &[0xff, 0xff, 0xff, 0], "too long"),
    ];
    for (at, bytes, why) in cases {
        let said = refused(at, bytes);
        assert!(said.contains(why), "{at}: {said}");
    }
    assert!(refused(28, &[2, 0, 0, 0]).contains("malformed") || refused(28, &[2, 0, 0, 0]).contains("fill"));
    // An empty literal would be endless.
    assert!(refused(62, &[0; 4]).contains("beyond"));
}

#[test]
fn the_writer_refuses_what_no_reader_would_take() {
    let header = Header { block_length: 100, destination_size: 950, source_size: 455 };
    let writer = || Writer::new(Vec::new(), header).unwrap();
    for (source, destination, length) in [(1, 0, 100), (0, 50, 100), (0, 0, 150), (0, 0, 0)] {
        assert!(writer().matched(&Run { source, destination, length }).is_err());
    }
    assert!(writer().literal(&[]).is_err());
    assert!(writer().literal(&vec![0; MAX_LITERAL + 1]).is_err());
    assert!(writer().finish(&Digest([0; 32])).is_err(), "something is missing");
    assert!(Writer::new(Vec::new(), Header { block_length: 1, ..header }).is_err());
}

#[test]
fn signs_of_life_are_nothing_and_end() {
    let header = Header { block_length: 100, destination_size: 950, source_size: 5 };
    let alive = |times: u32| {
        let mut writer = Writer::new(Vec::new(), header).unwrap();
        (0..times).for_each(|_| writer.alive().unwrap());
        writer.literal(b"hello").unwrap();
        read(&writer.finish(&Digest([9; 32])).unwrap())
    };
    assert_eq!(alive(3).unwrap(), [(0, u64::MAX, b"hello".to_vec())]);
    assert!(alive(MOST_ALIVE + 1).unwrap_err().to_string().contains("without end"));
}

#[test]
fn runs_share_a_grain() {
    let run = |destination, length| Run { source: 0, destination, length };
    let grain = |runs: &[Run]| Header::for_runs(runs, 1_000_010, 5).block_length;
    assert_eq!(grain(&[]), 16 << 20);
    assert_eq!(grain(&[run(0, 65_536), run(131_072, 4096)]), 4096);
    assert_eq!(grain(&[run(0, 4096), run(512, 512), run(999_936, 74)]), 512, "the last block may be short");
    assert_eq!(grain(&[run(3000, 6000)]), 3000);
}

proptest! {
    #[test]
    fn nonsense_is_refused_or_read_but_never_a_panic(mut bytes in prop::collection::vec(any::<u8>(), 0..300), at in 0_usize..120, keep: bool) {
        if keep {
            let mut whole = example();
            let at = at.min(whole.len());
            whole.splice(at..(at + bytes.len()).min(whole.len()), bytes.drain(..));
            bytes = whole;
        }
        let Ok(mut reader) = Reader::new(&bytes[..]) else { return Ok(()) };
        while let Ok(Some(_)) = reader.read() {}
    }
}
