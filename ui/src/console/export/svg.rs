//! A frame as SVG. Text stands as text; lines and blocks are drawn as shapes, since fonts leave
//! seams between cells.

use std::fmt::Write as _;

use ratatui::buffer::{Buffer, Cell};
use ratatui::style::{Color, Modifier};
use unicode_width::UnicodeWidthStr;

use super::shapes::{self, Shape};
use crate::console::theme::{Rgb, Theme, Token};

/// Width of a cell in SVG units.
const CELL_W: f64 = 9.0;
/// Height of a cell.
const CELL_H: f64 = 20.0;
/// Where letters stand in a cell.
const BASELINE: f64 = 15.0;
/// Room around the screen.
const PAD: f64 = 16.0;
/// Letters.
const FONT: &str = "'DejaVu Sans Mono','JetBrains Mono','Cascadia Mono',Menlo,Consolas,monospace";

/// The frame as an SVG document with the theme's ground behind it.
pub fn render(buffer: &Buffer, theme: &Theme) -> String {
    let (columns, rows) = (f64::from(buffer.area.width), f64::from(buffer.area.height));
    let (width, height) = (columns * CELL_W + 2.0 * PAD, rows * CELL_H + 2.0 * PAD);
    let ground = theme.style(Token::Base).bg.map_or(fallback(theme.light), |c| rgb(c, theme.light, true));
    let ink = theme.style(Token::Text).fg.map_or(fallback(!theme.light), |c| rgb(c, theme.light, false));
    let mut svg = String::with_capacity(buffer.content.len() * 24);
    // Writing to a String cannot fail.
    let _ = writeln!(
        svg,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width:.1} {height:.1}\" width=\"{width:.0}\" \
         height=\"{height:.0}\" font-family=\"{FONT}\" font-size=\"15\" xml:space=\"preserve\">\n\
         <rect width=\"100%\" height=\"100%\" rx=\"10\" fill=\"{}\"/>",
        hex(ground)
    );
    for y in 0..buffer.area.height {
        row(&mut svg, buffer, y, ground, ink, theme.light);
    }
    svg.push_str("</svg>\n");
    svg
}

/// Colours of a cell as shown: reversed and dimmed as its modifiers say.
fn colors(cell: &Cell, ground: Rgb, ink: Rgb, light: bool) -> (Rgb, Rgb) {
    let fg = if cell.fg == Color::Reset { ink } else { rgb(cell.fg, light, false) };
    let bg = if cell.bg == Color::Reset { ground } else { rgb(cell.bg, light, true) };
    let (fg, bg) = if cell.modifier.contains(Modifier::REVERSED) { (bg, fg) } else { (fg, bg) };
    if cell.modifier.contains(Modifier::DIM) {
        let mix = |a: u8, b: u8| ((u16::from(a) * 3 + u16::from(b) * 2) / 5) as u8;
        return (Rgb(mix(fg.0, bg.0), mix(fg.1, bg.1), mix(fg.2, bg.2)), bg);
    }
    (fg, bg)
}

fn row(svg: &mut String, buffer: &Buffer, y: u16, ground: Rgb, ink: Rgb, light: bool) {
    let look = |x: u16| colors(&buffer[(x, y)], ground, ink, light);
    let top = PAD + f64::from(y) * CELL_H;
    // Grounds first, in runs.
    let mut x = 0;
    while x < buffer.area.width {
        let bg = look(x).1;
        let start = x;
        while x < buffer.area.width && look(x).1 == bg {
            x += 1;
        }
        if bg != ground {
            rect(svg, PAD + f64::from(start) * CELL_W, top, f64::from(x - start) * CELL_W, CELL_H, bg, 1.0);
        }
    }
    let mut x = 0;
    while x < buffer.area.width {
        let cell = &buffer[(x, y)];
        let symbol = cell.symbol();
        let fg = look(x).0;
        let left = PAD + f64::from(x) * CELL_W;
        if symbol == " " {
            x += 1;
        } else if let Some(parts) = shapes::of(symbol) {
            // Equal glyphs side by side are one shape, so that no seam shows between them.
            let mut run = 1;
            if shapes::joins(&parts) {
                let same = |at: u16| buffer[(at, y)].symbol() == symbol && look(at).0 == fg;
                while x + run < buffer.area.width && same(x + run) {
                    run += 1;
                }
            }
            for part in parts {
                shape(svg, &part, left, top, fg, f64::from(run));
            }
            x += run;
        } else {
            x = letters(svg, buffer, x, y, fg, |at| look(at).0);
        }
    }
}

/// A run of letters of one style as one text element; gives the column behind it.
fn letters(svg: &mut String, buffer: &Buffer, start: u16, y: u16, fg: Rgb, ink: impl Fn(u16) -> Rgb) -> u16 {
    let first = &buffer[(start, y)];
    let mut run = String::new();
    let mut x = start;
    let mut columns = 0u16;
    while x < buffer.area.width {
        let cell = &buffer[(x, y)];
        let symbol = cell.symbol();
        let drawn = symbol != " " && shapes::of(symbol).is_some();
        if drawn || cell.modifier != first.modifier || (symbol != " " && ink(x) != fg) {
            break;
        }
        let wide = symbol.width().max(1) as u16;
        // Anything but ASCII may be wider or narrower in the viewer's font: it stands alone.
        if !symbol.is_ascii() && x > start {
            break;
        }
        escape(&mut run, symbol);
        columns += wide;
        x += wide;
        if !symbol.is_ascii() {
            break;
        }
    }
    let trimmed = run.trim_end();
    let shown = columns - (run.len() - trimmed.len()) as u16;
    let (left, base) = (PAD + f64::from(start) * CELL_W, PAD + f64::from(y) * CELL_H + BASELINE);
    let _ = write!(
        svg,
        "<text x=\"{left:.1}\" y=\"{base:.1}\" textLength=\"{:.1}\" lengthAdjust=\"spacingAndGlyphs\" fill=\"{}\"",
        f64::from(shown) * CELL_W,
        hex(fg)
    );
    for (modifier, attribute) in [
        (Modifier::BOLD, " font-weight=\"bold\""),
        (Modifier::ITALIC, " font-style=\"italic\""),
        (Modifier::UNDERLINED, " text-decoration=\"underline\""),
    ] {
        if first.modifier.contains(modifier) {
            svg.push_str(attribute);
        }
    }
    let _ = writeln!(svg, ">{trimmed}</text>");
    x.max(start + 1)
}

fn shape(svg: &mut String, shape: &Shape, left: f64, top: f64, fg: Rgb, run: f64) {
    match shape {
        Shape::Box { x, y, w, h, opacity } => {
            rect(svg, left + x * CELL_W, top + y * CELL_H, w * run * CELL_W, h * CELL_H, fg, *opacity);
        }
        Shape::Line(path) => {
            let _ = write!(svg, "<path d=\"");
            for (command, x, y) in *path {
                let _ = write!(svg, "{command}{:.1} {:.1}", left + x * run * CELL_W, top + y * CELL_H);
            }
            let _ = writeln!(svg, "\" fill=\"none\" stroke=\"{}\"/>", hex(fg));
        }
        Shape::Dot { x, y, r } => {
            let (cx, cy) = (left + x * CELL_W, top + y * CELL_H);
            let _ = writeln!(svg, "<circle cx=\"{cx:.1}\" cy=\"{cy:.1}\" r=\"{r:.1}\" fill=\"{}\"/>", hex(fg));
        }
    }
}

fn rect(svg: &mut String, x: f64, y: f64, w: f64, h: f64, fill: Rgb, opacity: f64) {
    let _ = write!(svg, "<rect x=\"{x:.2}\" y=\"{y:.2}\" width=\"{w:.2}\" height=\"{h:.2}\" fill=\"{}\"", hex(fill));
    if opacity < 1.0 {
        let _ = write!(svg, " fill-opacity=\"{opacity}\"");
    }
    svg.push_str("/>\n");
}

fn escape(out: &mut String, text: &str) {
    for c in text.chars() {
        match c {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            '"' => out.push_str("&quot;"),
            c if c.is_control() => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
}

fn hex(color: Rgb) -> String {
    format!("#{:02x}{:02x}{:02x}", color.0, color.1, color.2)
}

fn fallback(light: bool) -> Rgb {
    if light { Rgb(255, 255, 255) } else { Rgb(16, 18, 22) }
}

/// Any colour as RGB.
fn rgb(color: Color, light: bool, back: bool) -> Rgb {
    Rgb::of(color).unwrap_or_else(|| fallback(light == back))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::console::theme::{Depth, builtin};
    use ratatui::layout::Rect;
    use ratatui::style::Style;

    #[test]
    fn hostile_text_stays_text() {
        let theme = Theme::resolve(&builtin("slate").unwrap(), Depth::True);
        let mut buffer = Buffer::empty(Rect::new(0, 0, 40, 2));
        buffer.set_string(0, 0, "<script>&\"", Style::new());
        buffer.set_string(0, 1, "│█▒日本", Style::new().fg(Color::Indexed(200)));
        let svg = render(&buffer, &theme);
        assert!(svg.contains("&lt;script&gt;&amp;&quot;") && !svg.contains("<script"));
        assert!(svg.contains("日"));
        assert_eq!(svg.matches("<svg").count(), svg.matches("</svg>").count());
    }
}
