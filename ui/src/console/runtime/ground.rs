//! Asks the terminal for the colour of its ground (OSC 11), without waiting for it and without taking
//! a key from the operator (a decider).
//!
//! The answer comes as `ESC ] 11;rgb:RRRR/GGGG/BBBB` and BEL or `ESC \`, in between what is typed, and
//! reaches the console as keys: Alt-], characters, Ctrl-G or Alt-\. What starts like an answer is held
//! back; what turns out to be none, or stays unfinished, is given back as the keys it is.

use crossterm::event::KeyCode;

use crate::console::keymap::Key;
use crate::console::theme::Rgb;

/// The question.
pub const QUESTION: &[u8] = b"\x1b]11;?\x1b\\";
/// Terminals on slow lines answer late; what comes later than this is typed.
const WINDOW_MS: u64 = 60_000;
/// An answer comes in one piece; what is unfinished for so long is typed.
const PAUSE_MS: u64 = 500;
/// The longest answer: `11;rgb:` and three times four digits.
const LONGEST: usize = 7 + 14;

/// What became of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Heard {
    /// It was typed, with others that were held back.
    Keys(Vec<Key>),
    /// It may be part of the answer.
    Held,
    /// The answer.
    Ground(Rgb),
}

/// Listens for the answer.
#[derive(Debug, Default)]
pub struct GroundProbe {
    asked_ms: Option<u64>,
    held: Vec<Key>,
    held_ms: u64,
}

impl GroundProbe {
    /// The question went out.
    pub fn on_asked(&mut self, now_ms: u64) {
        self.asked_ms = Some(now_ms);
    }

    /// Takes a key as it comes from the terminal.
    pub fn on_key(&mut self, key: Key, now_ms: u64) -> Heard {
        if self.held.is_empty() {
            let listens = self.asked_ms.is_some_and(|asked| now_ms.saturating_sub(asked) < WINDOW_MS);
            if !(listens && is_alt(key, ']')) {
                return Heard::Keys(vec![key]);
            }
            self.held_ms = now_ms;
        }
        self.held.push(key);
        let ends = is_alt(key, '\\') || (key.ctrl && key.code == KeyCode::Char('g'));
        let body = &self.held[1..self.held.len() - usize::from(ends && self.held.len() > 1)];
        let text: Option<String> = body.iter().map(|k| k.typed()).collect();
        match text {
            Some(text) if ends => match parse(&text) {
                Some(ground) => {
                    self.held.clear();
                    self.asked_ms = None;
                    Heard::Ground(ground)
                }
                None => Heard::Keys(std::mem::take(&mut self.held)),
            },
            Some(text) if could_become(&text) => Heard::Held,
            _ => Heard::Keys(std::mem::take(&mut self.held)),
        }
    }

    /// Keys that were held back in vain.
    pub fn overdue(&mut self, now_ms: u64) -> Vec<Key> {
        if now_ms.saturating_sub(self.held_ms) < PAUSE_MS { Vec::new() } else { std::mem::take(&mut self.held) }
    }
}

fn is_alt(key: Key, c: char) -> bool {
    key.alt && !key.ctrl && key.code == KeyCode::Char(c)
}

fn could_become(text: &str) -> bool {
    const START: &str = "11;rgb:";
    match text.strip_prefix(START) {
        Some(rest) => text.len() <= LONGEST && rest.chars().all(|c| c.is_ascii_hexdigit() || c == '/'),
        None => START.starts_with(text),
    }
}

/// `11;rgb:RRRR/GGGG/BBBB` with one to four digits each (XParseColor).
fn parse(text: &str) -> Option<Rgb> {
    let mut parts = text.strip_prefix("11;rgb:")?.split('/').map(|digits| {
        let most = (1u32 << (4 * digits.len().min(4) as u32)) - 1;
        let value = u32::from_str_radix(digits, 16).ok().filter(|v| *v <= most)?;
        Some((value * 255 / most) as u8)
    });
    let color = Rgb(parts.next()??, parts.next()??, parts.next()??);
    parts.next().is_none().then_some(color)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn plain(c: char) -> Key {
        Key::plain(KeyCode::Char(c))
    }

    fn alt(c: char) -> Key {
        Key { alt: true, ..plain(c) }
    }

    fn asked() -> GroundProbe {
        let mut probe = GroundProbe::default();
        probe.on_asked(0);
        probe
    }

    fn answer(text: &str, end: Key) -> Vec<Key> {
        std::iter::once(alt(']')).chain(text.chars().map(plain)).chain([end]).collect()
    }

    #[test]
    fn the_answer_is_heard_and_nothing_of_it_typed() {
        let bell = Key { ctrl: true, ..plain('g') };
        for (text, end, ground) in [
            ("11;rgb:ffff/ffff/dddd", alt('\\'), Rgb(255, 255, 221)),
            ("11;rgb:11/1b/21", bell, Rgb(17, 27, 33)),
            ("11;rgb:0/0/0", bell, Rgb(0, 0, 0)),
        ] {
            let mut probe = asked();
            let heard: Vec<Heard> = answer(text, end).into_iter().map(|k| probe.on_key(k, 40)).collect();
            let (last, before) = heard.split_last().unwrap();
            assert_eq!(*last, Heard::Ground(ground));
            assert!(before.iter().all(|h| *h == Heard::Held));
            assert_eq!(probe.on_key(alt(']'), 50), Heard::Keys(vec![alt(']')]), "one answer to one question");
        }
    }

    #[test]
    fn what_is_typed_comes_back() {
        let mut probe = asked();
        assert_eq!(probe.on_key(plain('a'), 1), Heard::Keys(vec![plain('a')]));
        assert_eq!(probe.on_key(alt(']'), 2), Heard::Held);
        assert_eq!(probe.on_key(plain('q'), 3), Heard::Keys(vec![alt(']'), plain('q')]));
        assert_eq!(probe.on_key(alt(']'), 4), Heard::Held);
        assert_eq!(probe.overdue(5), []);
        assert_eq!(probe.overdue(4 + PAUSE_MS), [alt(']')]);
        assert_eq!(probe.on_key(alt(']'), WINDOW_MS), Heard::Keys(vec![alt(']')]));
        assert_eq!(GroundProbe::default().on_key(alt(']'), 0), Heard::Keys(vec![alt(']')]), "nobody asked");
    }

    proptest! {
        #[test]
        fn no_key_is_lost_or_reordered(keys in proptest::collection::vec((any::<bool>(), "[]1;rgb:f/q\\\\]"), 0..60)) {
            let keys: Vec<Key> =
                keys.iter().map(|(held, c)| Key { alt: *held, ..plain(c.chars().next().unwrap()) }).collect();
            let mut probe = asked();
            let mut typed = Vec::new();
            let mut answered = false;
            for key in &keys {
                match probe.on_key(*key, 1) {
                    Heard::Keys(keys) => typed.extend(keys),
                    Heard::Held => {}
                    Heard::Ground(_) => answered = true,
                }
            }
            typed.extend(probe.overdue(10_000));
            prop_assert!(answered || typed == keys);
        }
    }
}
