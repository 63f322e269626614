//! How many colours the terminal shows and what its ground is, from its environment.

use super::Depth;

/// `--color`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ColorChoice {
    /// As the environment says.
    #[default]
    Auto,
    /// Colours, also under `NO_COLOR`.
    Always,
    /// None.
    Never,
}

/// The depth for a choice and an environment (`NO_COLOR`, `COLORTERM`, `TERM`).
///
/// `NO_COLOR` counts when it is set and not empty (no-color.org).
pub fn detect_depth(choice: ColorChoice, env: impl Fn(&str) -> Option<String>) -> Depth {
    let set = |name: &str| env(name).filter(|v| !v.is_empty());
    let term = set("TERM").unwrap_or_default();
    match choice {
        ColorChoice::Never => return Depth::None,
        ColorChoice::Auto if set("NO_COLOR").is_some() || term == "dumb" => return Depth::None,
        _ => {}
    }
    let colorterm = set("COLORTERM").unwrap_or_default();
    if colorterm.contains("truecolor") || colorterm.contains("24bit") || term.ends_with("-direct") {
        Depth::True
    } else if term.contains("256color") || ["kitty", "ghostty", "alacritty", "foot"].iter().any(|t| term.contains(t)) {
        if term.contains("256color") { Depth::Ansi256 } else { Depth::True }
    } else {
        Depth::Ansi16
    }
}

/// True if the environment says that the terminal's ground is light: `COLORFGBG` (rxvt, Konsole and
/// others) ends with the number of the background among the sixteen. Dark where nothing is said.
pub fn detect_light(env: impl Fn(&str) -> Option<String>) -> bool {
    let said = env("COLORFGBG");
    let number = said.as_deref().and_then(|v| v.rsplit(';').next()).and_then(|n| n.trim().parse::<u8>().ok());
    matches!(number, Some(7 | 9..=15))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_environment_decides_unless_told() {
        type Case = (ColorChoice, &'static [(&'static str, &'static str)], Depth);
        let cases: &[Case] = &[
            (ColorChoice::Auto, &[("TERM", "xterm-256color"), ("COLORTERM", "truecolor")], Depth::True),
            (ColorChoice::Auto, &[("TERM", "tmux-256color")], Depth::Ansi256),
            (ColorChoice::Auto, &[("TERM", "linux")], Depth::Ansi16),
            (ColorChoice::Auto, &[("TERM", "xterm-256color"), ("NO_COLOR", "1")], Depth::None),
            (ColorChoice::Auto, &[("TERM", "xterm-256color"), ("NO_COLOR", "")], Depth::Ansi256),
            (ColorChoice::Always, &[("TERM", "xterm-256color"), ("NO_COLOR", "1")], Depth::Ansi256),
            (ColorChoice::Never, &[("COLORTERM", "24bit")], Depth::None),
            (ColorChoice::Auto, &[("TERM", "dumb")], Depth::None),
        ];
        for (choice, vars, depth) in cases {
            let env = |name: &str| vars.iter().find(|(n, _)| *n == name).map(|(_, v)| (*v).to_owned());
            assert_eq!(detect_depth(*choice, env), *depth, "{vars:?}");
        }
    }

    #[test]
    fn the_ground_is_dark_unless_said_otherwise() {
        for (value, light) in [("0;15", true), ("15;0", false), ("0;default;15", true), ("12;8", false), ("x", false)] {
            assert_eq!(detect_light(|_| Some(value.to_owned())), light, "{value}");
        }
        assert!(!detect_light(|_| None));
    }
}
