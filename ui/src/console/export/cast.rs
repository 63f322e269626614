//! A recording of frames as asciinema's cast file, version 2: a header, then a line per frame with the
//! seconds since the start and the bytes (docs.asciinema.org, "asciicast v2").

use serde_json::json;

/// A recording under way.
#[derive(Debug)]
pub struct Cast {
    text: String,
}

impl Cast {
    /// A recording of a terminal of this many columns and rows.
    pub fn new(size: (u16, u16), title: &str) -> Self {
        let header = json!({ "version": 2, "width": size.0, "height": size.1, "title": title });
        let mut cast = Self { text: format!("{header}\n") };
        // As the console enters a terminal: no cursor unless a field takes text.
        cast.frame(0, b"\x1b[?25l");
        cast
    }

    /// Bytes written at a moment, in milliseconds since the start.
    pub fn frame(&mut self, at_ms: u64, bytes: &[u8]) {
        let line = json!([at_ms as f64 / 1000.0, "o", String::from_utf8_lossy(bytes)]);
        self.text.push_str(&line.to_string());
        self.text.push('\n');
    }

    /// The file.
    pub fn finish(self) -> String {
        self.text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_player_shows_what_was_drawn() {
        let mut cast = Cast::new((20, 2), "title");
        cast.frame(1_250, "\x1b[1;1Hhé".as_bytes());
        let text = cast.finish();
        let mut lines = text.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
        let header = lines.next().unwrap();
        assert_eq!((&header["version"], &header["width"], &header["height"]), (&json!(2), &json!(20), &json!(2)));
        let mut parser = vt100::Parser::new(2, 20, 0);
        let mut last = 0.0;
        for event in lines {
            assert!(event[0].as_f64().unwrap() >= last && event[1] == "o");
            last = event[0].as_f64().unwrap();
            parser.process(event[2].as_str().unwrap().as_bytes());
        }
        assert_eq!((parser.screen().contents().trim(), last), ("hé", 1.25));
    }
}
