//! Glyph sets: the shapes that carry meaning beside the words.
//!
//! Every glyph is one column wide. A piece map's state is told by its glyph alone, so that it can
//! be read without colour: `█` have, `▸` in flight, `▓▒░·` ever more missing, `0` or `1` where a
//! missing piece is rare (so many peers have it), `!` where a piece failed.

pub mod dots;

use dots::Dots;

/// Which glyphs are wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum GlyphChoice {
    /// What the terminal is known to show.
    #[default]
    Auto,
    /// Octants: 2 × 4 solid dots in a cell (Unicode 16).
    Octant,
    /// Braille patterns: 2 × 4 points in a cell.
    Braille,
    /// Block elements.
    Block,
    /// Nothing beyond ASCII.
    Ascii,
}

/// Which characters a terminal is known to show.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Charset {
    /// No more than ASCII: the locale is not UTF-8, or the terminal is the kernel's own.
    Ascii,
    /// What fonts have had for long.
    #[default]
    Unicode,
    /// Octants too.
    Octants,
}

impl GlyphChoice {
    /// All choices, in the order that the key cycles through.
    pub const ALL: [Self; 5] = [Self::Auto, Self::Octant, Self::Braille, Self::Block, Self::Ascii];

    /// Its name in the configuration and on screen.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Octant => "octant",
            Self::Braille => "braille",
            Self::Block => "block",
            Self::Ascii => "ascii",
        }
    }

    /// The choice of this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|c| c.name() == name)
    }

    /// The set that it stands for on a terminal that shows these characters.
    pub const fn set(self, charset: Charset) -> &'static Glyphs {
        match (self, charset) {
            (Self::Ascii, _) | (Self::Auto, Charset::Ascii) => &ASCII,
            (Self::Auto, Charset::Octants) | (Self::Octant, _) => &OCTANT,
            (Self::Auto, Charset::Unicode) | (Self::Block, _) => &BLOCK,
            (Self::Braille, _) => &BRAILLE,
        }
    }
}

/// What the environment promises: UTF-8, a font beyond ASCII, octants.
///
/// Octants are drawn by few terminals and are in few fonts, and a missing one shows as an empty box. The
/// one terminal that says a version from which they are known to be there is Ghostty (1.2 draws them
/// itself); within tmux or screen the terminal behind is not known.
pub fn detect_charset(env: impl Fn(&str) -> Option<String>) -> Charset {
    let locale = ["LC_ALL", "LC_CTYPE", "LANG"].iter().find_map(|name| env(name).filter(|v| !v.is_empty()));
    let utf8 = locale.is_none_or(|l| {
        let l = l.to_ascii_lowercase();
        l.contains("utf-8") || l.contains("utf8")
    });
    if !utf8 || env("TERM").is_some_and(|t| t == "linux" || t == "dumb") {
        return Charset::Ascii;
    }
    let version = env("TERM_PROGRAM_VERSION").unwrap_or_default();
    let mut numbers = version.split(['.', '-']).map(|n| n.parse::<u32>().unwrap_or(0));
    let version = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    if env("TERM_PROGRAM").is_some_and(|p| p == "ghostty") && env("TMUX").is_none() && version >= (1, 2) {
        return Charset::Octants;
    }
    Charset::Unicode
}

/// One set of glyphs.
#[derive(Debug, PartialEq, Eq)]
pub struct Glyphs {
    /// The name of the set.
    pub name: &'static str,
    /// Characters of 2 × 4 dots, if the set has them: maps and charts are finer with them.
    pub dots: Option<&'static Dots>,
    /// Corners and lines of a pane: top left, top right, bottom left, bottom right, horizontal, vertical.
    pub border: [&'static str; 6],
    /// Pieces all here.
    pub have: &'static str,
    /// The worst piece of the cell is under way.
    pub flight: &'static str,
    /// Missing, from a few of the cell's pieces to all of them.
    pub missing: [&'static str; 4],
    /// A piece failed its digest.
    pub failed: &'static str,
    /// What a peer has of a cell: none, some (rising), all.
    pub lane: [&'static str; 6],
    /// A peer is asked for a piece in this cell.
    pub lane_flight: &'static str,
    /// Progress bar: rest, fractions of a cell (rising), full cell.
    pub bar: &'static [&'static str],
    /// Sparkline levels, rising; the first is zero.
    pub spark: [&'static str; 9],
    /// Marks the selected row.
    pub cursor: &'static str,
    /// Marks a row that was marked.
    pub mark: &'static str,
    /// Down, up.
    pub arrows: [&'static str; 2],
    /// Stands for text that was cut off.
    pub ellipsis: &'static str,
    /// Moves bytes.
    pub running: &'static str,
    /// Serves others.
    pub seeding: &'static str,
    /// Complete.
    pub done: &'static str,
    /// Waits.
    pub queued: &'static str,
    /// Gets ready or checks.
    pub busy: &'static str,
    /// Paused.
    pub paused: &'static str,
    /// Runs, but no byte comes.
    pub stalled: &'static str,
    /// Failed.
    pub error: &'static str,
    /// Stopped for good.
    pub cancelled: &'static str,
    /// On its way to what was wished.
    pub wish: &'static str,
    /// Separates facts on one line.
    pub dot: &'static str,
    /// Nothing to say.
    pub none: &'static str,
    /// Unlimited.
    pub unlimited: &'static str,
    /// Scale marks of the ruler above a map.
    pub tick: &'static str,
    /// A value that matters, across a chart.
    pub threshold: &'static str,
    /// How good a link is: comes and goes, to the best.
    pub signal: [&'static str; 5],
}

const BLOCK: Glyphs = Glyphs {
    name: "block",
    dots: None,
    border: ["╭", "╮", "╰", "╯", "─", "│"],
    have: "█",
    flight: "▸",
    missing: ["▓", "▒", "░", "·"],
    failed: "!",
    lane: ["·", "▁", "▂", "▃", "▄", "▅"],
    lane_flight: "▸",
    bar: &["─", "╾", "━"],
    spark: [" ", "▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"],
    cursor: "▌",
    mark: "●",
    arrows: ["↓", "↑"],
    ellipsis: "…",
    running: "▸",
    seeding: "▴",
    done: "✓",
    queued: "·",
    busy: "◌",
    paused: "‖",
    stalled: "▪",
    error: "✗",
    cancelled: "–",
    wish: "»",
    dot: "·",
    none: "–",
    unlimited: "∞",
    tick: "╷",
    threshold: "╌",
    signal: ["✗", "▂", "▄", "▆", "█"],
};

static OCTANT: Glyphs = Glyphs { name: "octant", dots: Some(&dots::OCTANTS), ..BLOCK };

static BRAILLE: Glyphs = Glyphs {
    name: "braille",
    dots: Some(&dots::BRAILLE),
    have: "⣿",
    missing: ["⣷", "⡶", "⠶", "⠐"],
    lane: ["⠐", "⡀", "⣀", "⣄", "⣤", "⣶"],
    bar: &["⠐", "⡀", "⡄", "⡆", "⡇", "⣇", "⣧", "⣷", "⣿"],
    spark: [" ", "⡀", "⣀", "⣄", "⣤", "⣦", "⣶", "⣷", "⣿"],
    ..BLOCK
};

const ASCII: Glyphs = Glyphs {
    name: "ascii",
    dots: None,
    border: ["+", "+", "+", "+", "-", "|"],
    have: "#",
    flight: ">",
    missing: ["=", "-", ":", "."],
    failed: "!",
    lane: [".", ":", "-", "~", "=", "#"],
    lane_flight: ">",
    bar: &[".", "#"],
    spark: [" ", "_", ".", "-", ":", "=", "+", "*", "#"],
    cursor: ">",
    mark: "*",
    arrows: ["v", "^"],
    ellipsis: "~",
    running: ">",
    seeding: "^",
    done: "+",
    queued: ".",
    busy: "o",
    paused: "=",
    stalled: "!",
    error: "x",
    cancelled: "-",
    wish: "~",
    dot: "|",
    none: "-",
    unlimited: "none",
    tick: "|",
    threshold: "-",
    signal: ["x", ".", ":", "+", "#"],
};

#[cfg(test)]
mod tests {
    use super::*;
    use unicode_width::UnicodeWidthStr;

    fn single(set: &Glyphs) -> Vec<&'static str> {
        let mut all = vec![set.have, set.flight, set.failed, set.lane_flight, set.cursor, set.mark, set.ellipsis];
        all.extend([set.running, set.seeding, set.done, set.queued, set.busy, set.paused, set.stalled, set.error]);
        all.extend([set.cancelled, set.wish, set.dot, set.none, set.tick, set.threshold]);
        all.extend(set.signal);
        all.extend(set.border.iter().chain(&set.missing).chain(&set.lane).chain(set.bar).chain(&set.spark));
        all.extend(set.arrows);
        all
    }

    #[test]
    fn every_glyph_is_one_column_wide() {
        for choice in GlyphChoice::ALL {
            for glyph in single(choice.set(Charset::Unicode)) {
                assert_eq!(glyph.width(), 1, "{}: {glyph:?}", choice.name());
            }
        }
        assert!(single(&ASCII).iter().all(|g| g.is_ascii()));
    }

    #[test]
    fn states_of_a_map_differ_by_glyph_alone() {
        for choice in GlyphChoice::ALL {
            let set = choice.set(Charset::Unicode);
            let mut all: Vec<_> = [set.have, set.flight, set.failed, "0", "1"].into_iter().collect();
            all.extend(set.missing);
            let count = all.len();
            all.sort_unstable();
            all.dedup();
            assert_eq!(all.len(), count, "{}", choice.name());
        }
    }

    #[test]
    fn no_more_than_is_promised() {
        let env = |vars: &'static [(&str, &str)]| {
            move |name: &str| vars.iter().find(|(n, _)| *n == name).map(|(_, v)| (*v).to_owned())
        };
        let charset = |vars| detect_charset(env(vars));
        assert_eq!(charset(&[("LANG", "en_US.UTF-8"), ("TERM", "xterm")]), Charset::Unicode);
        assert_eq!(charset(&[]), Charset::Unicode);
        assert_eq!(charset(&[("LC_ALL", "C"), ("LANG", "en_US.UTF-8")]), Charset::Ascii);
        assert_eq!(charset(&[("LANG", "en_US.UTF-8"), ("TERM", "linux")]), Charset::Ascii);
        let ghostty = |version| {
            move |name: &str| match name {
                "TERM_PROGRAM" => Some("ghostty".to_owned()),
                "TERM_PROGRAM_VERSION" => Some(String::from(version)),
                _ => None,
            }
        };
        assert_eq!(detect_charset(ghostty("1.2.0")), Charset::Octants);
        assert_eq!(detect_charset(ghostty("1.10.1-main+5cb2fa6f")), Charset::Octants);
        assert_eq!(detect_charset(ghostty("1.1.3")), Charset::Unicode);
        assert_eq!(detect_charset(ghostty("")), Charset::Unicode);
        assert_eq!(GlyphChoice::Auto.set(Charset::Unicode).name, "block", "no octants unless they are known to show");
    }
}
