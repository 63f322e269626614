//! Which setting a mistyped key was meant to be.

use super::table::SETTINGS;

/// The key nearest to a mistyped one, if any is near.
pub fn nearest(key: &str) -> Option<&'static str> {
    let name = |k: &'static str| k.rsplit('.').next().unwrap_or(k);
    let distance = |k: &'static str| edits(key, k).min(edits(key, name(k)) + 1);
    let best = SETTINGS.iter().map(|s| s.key).min_by_key(|k| distance(k))?;
    (distance(best) <= 1 + key.chars().count() / 3).then_some(best)
}

/// Insertions, deletions and replacements between two words (Levenshtein), neighbours swapped as one.
fn edits(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut rows = vec![vec![0; b.len() + 1]; a.len() + 1];
    for i in 0..=a.len() {
        for j in 0..=b.len() {
            rows[i][j] = if i == 0 || j == 0 {
                i + j
            } else {
                let replaced = rows[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]);
                let mut best = replaced.min(rows[i - 1][j] + 1).min(rows[i][j - 1] + 1);
                if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                    best = best.min(rows[i - 2][j - 2] + 1);
                }
                best
            };
        }
    }
    rows[a.len()][b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mistyped_keys_find_their_neighbour() {
        assert_eq!(nearest("listne"), Some("listen"));
        assert_eq!(nearest("share.piece_lenght"), Some("share.piece_length"));
        assert_eq!(nearest("piece_length"), Some("share.piece_length"));
        assert_eq!(nearest("colour"), Some("color"));
        assert_eq!(nearest("frobnication"), None);
    }
}
