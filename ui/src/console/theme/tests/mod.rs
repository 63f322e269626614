mod vision;

use super::*;
use vision::Eyes;

/// Tokens that carry text which must be read.
const READ: &[Token] = &[
    Token::Text,
    Token::Strong,
    Token::Title,
    Token::TitleFocus,
    Token::Key,
    Token::Running,
    Token::Seeding,
    Token::Done,
    Token::Waiting,
    Token::Paused,
    Token::Wish,
    Token::Warn,
    Token::Error,
    Token::Down,
    Token::Up,
    Token::Muted,
    Token::Heading,
];
/// Tokens of shapes: WCAG asks 3:1 of graphics.
const SEEN: &[Token] = &[
    Token::MapHave,
    Token::MapFlight,
    Token::MapMissing,
    Token::MapRare,
    Token::MapFailed,
    Token::Lane,
    Token::BarFill,
    Token::Faint,
];

#[test]
fn every_builtin_theme_parses_and_is_complete() {
    for (name, text) in BUILTIN {
        let spec = parse(text).unwrap_or_else(|e| panic!("{name}: {e}"));
        assert_eq!(spec.name, *name);
        assert_eq!(spec.tokens.len(), Token::COUNT);
    }
}

/// Meanings of which one glance must tell which it is. Glyphs and words tell them apart too.
const APART: [&[Token]; 3] = [
    &[Token::MapHave, Token::MapFlight, Token::MapMissing, Token::MapRare, Token::MapFailed],
    &[Token::Done, Token::Warn, Token::Error],
    &[Token::Down, Token::Up],
];
/// Tokens of grounds that text stands on.
const GROUNDS: [Token; 5] = [Token::Base, Token::Selected, Token::SelectedDim, Token::Overlay, Token::Input];

/// The colour of a token as a terminal of this depth shows it; none if it has none.
fn shown(spec: &ThemeSpec, token: Token, depth: Depth, back: bool) -> Option<Rgb> {
    let TokenSpec { fg, bg, ansi, ansi_bg, .. } = spec.tokens[token as usize];
    let (rgb, ansi) = if back { (bg, ansi_bg) } else { (fg, ansi) };
    color::at_depth(rgb, ansi, depth).and_then(Rgb::of)
}

fn grounds(spec: &ThemeSpec, depth: Depth) -> impl Iterator<Item = (Token, Rgb)> {
    let base = shown(spec, Token::Base, depth, true).unwrap_or_else(|| panic!("{} has no ground", spec.name));
    GROUNDS.map(|token| (token, shown(spec, token, depth, true).unwrap_or(base))).into_iter()
}

/// WCAG 2.2 asks 4.5:1 of text and 3:1 of large text and graphics. The coarser palettes round: where
/// there are 256 colours a little less is taken, where there are 16 it is 3:1 as xterm shows them.
/// Eyes that see fewer colours get at least what large text gets.
#[test]
fn text_of_every_builtin_theme_can_be_read_at_every_depth_by_all_eyes() {
    let limits = [(Depth::True, 4.5, 3.0), (Depth::Ansi256, 4.0, 2.5), (Depth::Ansi16, 3.0, 2.5)];
    for name in builtin_names().filter(|n| *n != "mono") {
        let spec = builtin(name).unwrap();
        for (depth, read, seen) in limits {
            for eyes in Eyes::ALL {
                let (read, seen) = if eyes == Eyes::Usual { (read, seen) } else { (3.0_f64.min(read), 2.5) };
                // The sixteen are the user's own: only that they differ can be promised.
                if depth == Depth::Ansi16 && eyes != Eyes::Usual {
                    continue;
                }
                for (on, ground) in grounds(&spec, depth) {
                    for token in READ.iter().chain(SEEN) {
                        let limit = if READ.contains(token) { read } else { seen };
                        let plain = depth == Depth::Ansi16 && on == Token::Input && *token != Token::Text;
                        if plain || (SEEN.contains(token) && on != Token::Base) {
                            continue;
                        }
                        let fg = shown(&spec, *token, depth, false).unwrap_or_else(|| panic!("{name}: {token:?}"));
                        let contrast = eyes.see(fg).contrast(eyes.see(ground));
                        assert!(
                            contrast >= limit,
                            "{name}: {} on {} is {contrast:.2}:1 at {depth:?} to {eyes:?} eyes",
                            token.name(),
                            on.name()
                        );
                    }
                }
            }
            for badge in [Token::BadgeEmbedded, Token::BadgeRemote, Token::BadgeReadOnly, Token::BadgeLost] {
                let (fg, bg) = (shown(&spec, badge, depth, false), shown(&spec, badge, depth, true));
                let contrast = fg.unwrap().contrast(bg.unwrap());
                assert!(contrast >= read.min(4.5), "{name}: {} is {contrast:.2}:1 at {depth:?}", badge.name());
            }
        }
    }
}

#[test]
fn what_must_be_told_apart_differs_in_colour_too() {
    for name in builtin_names().filter(|n| *n != "mono") {
        let spec = builtin(name).unwrap();
        for eyes in Eyes::ALL {
            // A theme made for certain eyes promises most to them; the ones for everybody promise
            // something to all; the loved ones keep their colours, and lean on glyphs and words.
            let made_for = match name {
                "deutan" => matches!(eyes, Eyes::Deutan | Eyes::Protan),
                "tritan" => eyes == Eyes::Tritan,
                _ => false,
            };
            let least = match (eyes, name) {
                _ if made_for => 0.08,
                (Eyes::Usual, _) => 0.06,
                (_, "slate" | "paper" | "high-contrast") => 0.05,
                _ => 0.0,
            };
            for depth in [Depth::True, Depth::Ansi256] {
                for group in APART {
                    for (at, a) in group.iter().enumerate() {
                        for b in &group[at + 1..] {
                            let see = |token: Token| eyes.see(shown(&spec, token, depth, false).unwrap());
                            let apart = vision::distance(see(*a), see(*b));
                            assert!(
                                apart >= least,
                                "{name}: {} and {} are {apart:.3} apart at {depth:?} to {eyes:?} eyes",
                                a.name(),
                                b.name()
                            );
                        }
                    }
                }
            }
        }
        for group in APART {
            let colors: Vec<_> = group.iter().map(|t| spec.tokens[*t as usize].ansi).collect();
            for (at, color) in colors.iter().enumerate() {
                assert!(!colors[at + 1..].contains(color), "{name}: {color:?} twice among {group:?}");
            }
        }
    }
}

#[test]
fn sixteen_colours_name_every_token_that_has_a_colour() {
    for name in builtin_names() {
        for (token, spec) in Token::ALL.iter().zip(&builtin(name).unwrap().tokens) {
            assert_eq!(spec.fg.is_some(), spec.ansi.is_some(), "{name}: fg and ansi of {}", token.name());
        }
    }
}

#[test]
fn without_colour_only_modifiers_remain_and_the_selection_shows() {
    for name in builtin_names() {
        let theme = Theme::resolve(&builtin(name).unwrap(), Depth::None);
        for token in Token::ALL {
            let style = theme.style(*token);
            assert_eq!((style.fg, style.bg), (None, None));
        }
        assert!(!theme.style(Token::Selected).add_modifier.is_empty());
        assert!(!theme.style(Token::TitleFocus).add_modifier.is_empty());
        assert!(!theme.style(Token::BadgeLost).add_modifier.is_empty());
    }
}
