//! What follows when a node of a pool comes or goes, in words, a line each: for the command line and the console.

use skep_engine::control::pool::Moves;

use super::human::{bytes, counted};

/// A node comes, or gets another weight.
pub fn coming(moves: &Moves) -> Vec<String> {
    let keys = match moves.keys {
        0 => "no known key would belong to it".to_owned(),
        count => format!("{} would belong to it; what is there stays", counted(count, "known key")),
    };
    vec![keys, share(moves)]
}

/// A node goes: it is taken off the list, or drained.
pub fn going(moves: &Moves) -> Vec<String> {
    if moves.stays {
        return vec!["gossip tells of it: it stays in the pool, and nothing is copied".to_owned(), share(moves)];
    }
    let (copied, least) = (counted(moves.keys, "key"), if moves.partial { "at least " } else { "" });
    let verb = if moves.keys == 1 { "is" } else { "are" };
    let mut lines = vec![match (moves.keys, moves.holds) {
        (_, 0) if moves.partial => "what it holds is not known (no gossip): nothing is copied".to_owned(),
        (_, 0) => "it holds nothing: nothing is copied".to_owned(),
        (0, _) => "nothing that it tells it holds is copied again elsewhere".to_owned(),
        _ => format!("{least}{copied} {verb} copied again elsewhere, {}", bytes(moves.bytes)),
    }];
    if moves.short > 0 {
        lines.push(format!("{} keep too few copies: no node is left for more", counted(moves.short, "key")));
    }
    if moves.alone > 0 {
        lines.push(format!("not copied, and nowhere else: {}, not sent to the pool", counted(moves.alone, "content")));
    }
    lines.push(share(moves));
    lines
}

fn share(moves: &Moves) -> String {
    format!("{:.1} % of the ring gets another node", moves.ring_share * 100.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_follows_is_said_in_words() {
        let none = Moves { ring_share: 0.1823, ..Moves::default() };
        let came = |keys| coming(&Moves { keys, ..none }).join("; ");
        assert_eq!(
            came(1_204),
            "1204 known keys would belong to it; what is there stays; 18.2 % of the ring gets another node"
        );
        assert!(came(1).starts_with("1 known key would"));
        assert!(came(0).starts_with("no known key"));
        let went = |moves: Moves| going(&moves).join("; ");
        let some = Moves { keys: 12, bytes: 1_240_000_000, holds: 40, ..none };
        assert_eq!(went(some), "12 keys are copied again elsewhere, 1.24 GB; 18.2 % of the ring gets another node");
        assert!(went(Moves { keys: 1, ..some }).starts_with("1 key is copied again"));
        assert!(went(Moves { partial: true, ..some }).starts_with("at least 12 keys are copied again"));
        assert!(went(Moves { keys: 0, ..some }).starts_with("nothing that it tells it holds is copied"));
        assert!(went(none).starts_with("it holds nothing"));
        assert!(went(Moves { partial: true, ..none }).starts_with("what it holds is not known"));
        assert!(went(Moves { stays: true, ..some }).starts_with("gossip tells of it: it stays"));
        let hard = went(Moves { short: 2, alone: 3, ..some });
        assert!(hard.contains("; 2 keys keep too few copies: no node is left for more; "), "{hard}");
        assert!(hard.contains("; not copied, and nowhere else: 3 contents, not sent to the pool; "), "{hard}");
        for line in going(&Moves { short: 999, alone: 999, keys: 9_999, partial: true, ..some }) {
            assert!(line.chars().count() <= 66, "it fits a dialog: {line}");
        }
    }
}
