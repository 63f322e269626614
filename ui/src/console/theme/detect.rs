//! How many colours the terminal shows, from its environment.

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
}
