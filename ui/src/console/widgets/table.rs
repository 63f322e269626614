//! Columns that give way: which fit a width, and how wide each becomes.

use super::Align;

/// What a column asks for.
#[derive(Debug, Clone, Copy)]
pub struct Column<K: 'static> {
    /// Which it is.
    pub key: K,
    /// Its heading.
    pub title: &'static str,
    /// Narrowest that makes sense.
    pub min: u16,
    /// Widest that it can use.
    pub max: u16,
    /// 0 stays longest.
    pub priority: u8,
    /// Where its text stands.
    pub align: Align,
}

impl<K> Column<K> {
    /// In the order of its fields.
    pub const fn new(key: K, title: &'static str, min: u16, max: u16, priority: u8, align: Align) -> Self {
        Self { key, title, min, max, priority, align }
    }
}

/// A column that found its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Placed<K> {
    /// Which it is.
    pub key: K,
    /// Its heading.
    pub title: &'static str,
    /// Columns from the left edge of the table.
    pub x: u16,
    /// Its width.
    pub width: u16,
    /// Where its text stands.
    pub align: Align,
}

/// Blanks between two columns: text that follows a number needs two to stand apart from it.
fn gap<K>(before: &Column<K>, after: &Column<K>) -> u16 {
    if before.align == Align::Right && after.align == Align::Left { 2 } else { 1 }
}

/// Places the columns that fit into `width`, in their order, with a blank or two between them. Columns go
/// by priority; what is left widens those that can use it, most important first by the order of `grow`.
pub fn fit<K: Copy + PartialEq>(columns: &[Column<K>], width: u16, grow: &[K]) -> Vec<Placed<K>> {
    let mut kept: Vec<&Column<K>> = columns.iter().collect();
    let need = |kept: &[&Column<K>]| -> u32 {
        let gaps: u32 = kept.windows(2).map(|pair| u32::from(gap(pair[0], pair[1]))).sum();
        kept.iter().map(|c| u32::from(c.min)).sum::<u32>() + gaps
    };
    while need(&kept) > u32::from(width) {
        let Some((at, _)) = kept.iter().enumerate().max_by_key(|(at, c)| (c.priority, *at)) else { break };
        kept.remove(at);
    }
    let mut spare = width.saturating_sub(need(&kept) as u16);
    let mut placed: Vec<Placed<K>> =
        kept.iter().map(|c| Placed { key: c.key, title: c.title, x: 0, width: c.min, align: c.align }).collect();
    // A column at a time, round and round: growing columns widen together.
    let mut moved = true;
    while spare > 0 && moved {
        moved = false;
        for key in grow {
            if let (Some(place), Some(column)) =
                (placed.iter_mut().find(|p| p.key == *key), kept.iter().find(|c| c.key == *key))
                && place.width < column.max
                && spare > 0
            {
                place.width += 1;
                spare -= 1;
                moved = true;
            }
        }
    }
    let mut x = 0;
    for (at, place) in placed.iter_mut().enumerate() {
        if at > 0 {
            x += gap(kept[at - 1], kept[at]);
        }
        place.x = x;
        x += place.width;
    }
    placed
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const COLUMNS: &[Column<u8>] = &[
        Column { key: 0, title: "name", min: 8, max: 40, priority: 0, align: Align::Left },
        Column { key: 1, title: "rate", min: 9, max: 9, priority: 1, align: Align::Right },
        Column { key: 2, title: "why", min: 10, max: 60, priority: 3, align: Align::Left },
        Column { key: 3, title: "eta", min: 6, max: 6, priority: 2, align: Align::Right },
    ];

    #[test]
    fn the_least_important_goes_first() {
        let keys = |width| fit(COLUMNS, width, &[0, 2]).iter().map(|p| p.key).collect::<Vec<_>>();
        assert_eq!(keys(80), [0, 1, 2, 3]);
        assert_eq!(keys(30), [0, 1, 3]);
        assert_eq!(keys(20), [0, 1]);
        let apart = fit(COLUMNS, 80, &[]);
        assert_eq!(apart[2].x - (apart[1].x + apart[1].width), 2, "text after a number");
        assert_eq!(keys(8), [0]);
        assert_eq!(keys(7), [] as [u8; 0]);
    }

    proptest! {
        #[test]
        fn never_overlaps_nor_overflows(width in 0u16..300) {
            let mut edge = 0;
            for place in fit(COLUMNS, width, &[0, 2]) {
                prop_assert!(place.x >= edge);
                edge = place.x + place.width + 1;
            }
            prop_assert!(edge == 0 || edge - 1 <= width);
        }
    }
}
