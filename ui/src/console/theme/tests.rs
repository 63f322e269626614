use super::*;

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
];

#[test]
fn every_builtin_theme_parses_and_is_complete() {
    for (name, text) in BUILTIN {
        let spec = parse(text).unwrap_or_else(|e| panic!("{name}: {e}"));
        assert_eq!(spec.name, *name);
        assert_eq!(spec.tokens.len(), Token::COUNT);
    }
}

#[test]
fn text_of_every_builtin_theme_can_be_read() {
    for name in builtin_names().filter(|n| *n != "mono") {
        let spec = builtin(name).unwrap();
        let ground = spec.tokens[Token::Base as usize].bg.unwrap();
        let grounds = [Token::Base, Token::Selected, Token::SelectedDim, Token::Overlay, Token::Input]
            .map(|t| (t, spec.tokens[t as usize].bg.unwrap_or(ground)));
        for token in READ {
            let fg = spec.tokens[*token as usize].fg.unwrap_or_else(|| panic!("{name}: {} has no fg", token.name()));
            for (on, bg) in grounds {
                let contrast = fg.contrast(bg);
                assert!(contrast >= 4.5, "{name}: {} on {} is only {contrast:.2}:1", token.name(), on.name());
            }
        }
        for token in SEEN {
            let fg = spec.tokens[*token as usize].fg.unwrap_or_else(|| panic!("{name}: {} has no fg", token.name()));
            let contrast = fg.contrast(ground);
            assert!(contrast >= 3.0, "{name}: {} is only {contrast:.2}:1", token.name());
        }
        for badge in [Token::BadgeEmbedded, Token::BadgeRemote, Token::BadgeReadOnly, Token::BadgeLost] {
            let TokenSpec { fg: Some(fg), bg: Some(bg), .. } = spec.tokens[badge as usize] else {
                panic!("{name}: {} needs fg and bg", badge.name())
            };
            assert!(fg.contrast(bg) >= 4.5, "{name}: {} {:.2}", badge.name(), fg.contrast(bg));
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
