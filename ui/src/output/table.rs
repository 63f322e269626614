//! Aligned columns for `ls` and its like.

use unicode_width::UnicodeWidthStr as _;

/// Where a column's text stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Align {
    /// Texts.
    Left,
    /// Numbers.
    Right,
}

/// Rows of cells under a head. Cells must be printable.
#[derive(Debug)]
pub struct Table {
    head: Vec<(&'static str, Align)>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// Columns.
    pub fn new(head: &[(&'static str, Align)]) -> Self {
        Self { head: head.to_vec(), rows: Vec::new() }
    }

    /// One more row; cells beyond the head are dropped.
    pub fn row(&mut self, cells: Vec<String>) {
        self.rows.push(cells);
    }

    /// Lines: the head, then the rows. Columns that are empty in every row are left out.
    pub fn lines(&self) -> Vec<String> {
        let cell = |row: &Vec<String>, i: usize| row.get(i).map(String::as_str).unwrap_or_default().to_owned();
        let widths: Vec<usize> = (0..self.head.len())
            .map(|i| {
                let widest = self.rows.iter().map(|r| cell(r, i).width()).max().unwrap_or(0);
                if widest == 0 { 0 } else { widest.max(self.head[i].0.width()) }
            })
            .collect();
        let line = |texts: Vec<String>| {
            let mut out = String::new();
            for (i, text) in texts.iter().enumerate().filter(|(i, _)| widths[*i] > 0) {
                let pad = " ".repeat(widths[i].saturating_sub(text.width()));
                let gap = if out.is_empty() { "" } else { "  " };
                match self.head[i].1 {
                    Align::Left => out.extend([gap, text, &pad]),
                    Align::Right => out.extend([gap, &pad, text]),
                }
            }
            out.trim_end().to_owned()
        };
        let head = line(self.head.iter().map(|(name, _)| (*name).to_owned()).collect());
        let rows = self.rows.iter().map(|row| line((0..self.head.len()).map(|i| cell(row, i)).collect()));
        std::iter::once(head).chain(rows).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up_whatever_is_in_them() {
        let mut table =
            Table::new(&[("ID", Align::Right), ("NAME", Align::Left), ("NOTE", Align::Left), ("SIZE", Align::Right)]);
        table.row(vec!["1".into(), "日本".into(), String::new(), "10 B".into()]);
        table.row(vec!["12".into(), "a".into(), String::new(), "9.99 GB".into()]);
        assert_eq!(table.lines(), ["ID  NAME     SIZE", " 1  日本     10 B", "12  a     9.99 GB"]);
    }
}
