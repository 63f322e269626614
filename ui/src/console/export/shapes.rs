//! Glyphs that join their neighbours, as shapes within a cell (0 to 1 in both directions).

use crate::console::glyphs::dots;

/// A part of a glyph.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Shape {
    /// A filled box.
    Box {
        /// Left edge.
        x: f64,
        /// Top edge.
        y: f64,
        /// Width.
        w: f64,
        /// Height.
        h: f64,
        /// 0 to 1.
        opacity: f64,
    },
    /// A thin line: SVG path commands with points.
    Line(&'static [(&'static str, f64, f64)]),
    /// A dot.
    Dot {
        /// Centre.
        x: f64,
        /// Centre.
        y: f64,
        /// Radius, in SVG units.
        r: f64,
    },
}

const fn lower(eighths: f64) -> Shape {
    Shape::Box { x: 0.0, y: 1.0 - eighths / 8.0, w: 1.0, h: eighths / 8.0, opacity: 1.0 }
}

const fn left(eighths: f64) -> Shape {
    Shape::Box { x: 0.0, y: 0.0, w: eighths / 8.0, h: 1.0, opacity: 1.0 }
}

const fn shade(opacity: f64) -> Shape {
    Shape::Box { x: 0.0, y: 0.0, w: 1.0, h: 1.0, opacity }
}

/// A heavy line through the middle.
const fn heavy(w: f64) -> Shape {
    Shape::Box { x: 0.0, y: 0.42, w, h: 0.16, opacity: 1.0 }
}

/// Octants: solid dots, a box for each run of equal rows of one column.
fn octant(pattern: usize) -> Vec<Shape> {
    let mut parts = Vec::new();
    for column in 0..2 {
        let lit = |row: usize| row < 4 && pattern >> (row * 2 + column) & 1 == 1;
        let mut row = 0;
        while row < 4 {
            let start = row;
            while lit(row) {
                row += 1;
            }
            if row > start {
                let (y, h) = (start as f64 / 4.0, (row - start) as f64 / 4.0);
                parts.push(Shape::Box { x: column as f64 / 2.0, y, w: 0.5, h, opacity: 1.0 });
            }
            row += 1;
        }
    }
    parts
}

/// True if equal ones side by side make one longer shape: full width, and nothing but that.
pub fn joins(parts: &[Shape]) -> bool {
    match parts {
        [Shape::Box { x, w, .. }] => *x == 0.0 && *w == 1.0,
        [Shape::Line([(_, x1, y1), (_, x2, y2)])] => *x1 == 0.0 && *x2 == 1.0 && y1 == y2,
        _ => false,
    }
}

/// The shapes of a symbol; none for ordinary letters.
pub fn of(symbol: &str) -> Option<Vec<Shape>> {
    let mut chars = symbol.chars();
    let (c, None) = (chars.next()?, chars.next()) else { return None };
    Some(match c {
        '█' => vec![shade(1.0)],
        '━' => vec![heavy(1.0)],
        '╾' => vec![heavy(0.5), Shape::Line(&[("M", 0.5, 0.5), ("L", 1.0, 0.5)])],
        '▓' => vec![shade(0.72)],
        '▒' => vec![shade(0.45)],
        '░' => vec![shade(0.22)],
        '▁'..='▇' => vec![lower(f64::from(c as u32 - '▁' as u32 + 1))],
        '▉'..='▏' => vec![left(8.0 - f64::from(c as u32 - '▉' as u32 + 1))],
        '─' => vec![Shape::Line(&[("M", 0.0, 0.5), ("L", 1.0, 0.5)])],
        '│' => vec![Shape::Line(&[("M", 0.5, 0.0), ("L", 0.5, 1.0)])],
        '╭' => vec![Shape::Line(&[("M", 0.5, 1.0), ("L", 0.5, 0.75), ("Q", 0.5, 0.5), (" ", 1.0, 0.5)])],
        '╮' => vec![Shape::Line(&[("M", 0.0, 0.5), ("Q", 0.5, 0.5), (" ", 0.5, 0.75), ("L", 0.5, 1.0)])],
        '╰' => vec![Shape::Line(&[("M", 0.5, 0.0), ("L", 0.5, 0.25), ("Q", 0.5, 0.5), (" ", 1.0, 0.5)])],
        '╯' => vec![Shape::Line(&[("M", 0.0, 0.5), ("Q", 0.5, 0.5), (" ", 0.5, 0.25), ("L", 0.5, 0.0)])],
        '╷' => vec![Shape::Line(&[("M", 0.5, 0.6), ("L", 0.5, 1.0)])],
        '·' => vec![Shape::Dot { x: 0.5, y: 0.5, r: 1.0 }],
        '\u{2800}'..='\u{28ff}' => braille(c as u32 - 0x2800),
        ..='\u{257f}' => return None,
        _ => return dots::OCTANTS.iter().position(|o| *o == symbol && *o != " ").map(octant),
    })
}

/// Braille dots: bits 0 to 2 and 6 down the left side, 3 to 5 and 7 down the right.
fn braille(bits: u32) -> Vec<Shape> {
    const PLACES: [(f64, f64); 8] = [
        (0.28, 0.14),
        (0.28, 0.38),
        (0.28, 0.62),
        (0.72, 0.14),
        (0.72, 0.38),
        (0.72, 0.62),
        (0.28, 0.86),
        (0.72, 0.86),
    ];
    let dot = |bit: usize| (bits & (1 << bit) != 0).then(|| Shape::Dot { x: PLACES[bit].0, y: PLACES[bit].1, r: 1.4 });
    (0..8).filter_map(dot).collect()
}
