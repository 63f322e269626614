//! Limits that hold at certain times or on certain links: which apply now. Pure: days and minutes come in.

use std::collections::BTreeMap;

use crate::control::Rate;

/// Minutes of a day.
pub const DAY: u16 = 24 * 60;

/// A limit, and when and where it holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// Days of the week on which it begins, Monday first.
    pub days: [bool; 7],
    /// From this minute of the day to before that one; where the second is not later, it ends on the next day.
    pub minutes: (u16, u16),
    /// `host:port` whose transfers it is for; none: the whole node.
    pub link: Option<String>,
    /// Bytes per second up; outer none: it says nothing of that.
    pub up: Option<Rate>,
    /// Bytes per second down.
    pub down: Option<Rate>,
}

impl Rule {
    fn holds(&self, day: usize, minute: u16) -> bool {
        let (from, to) = self.minutes;
        let yesterday = (day + 6) % 7;
        if from < to {
            self.days[day % 7] && (from..to).contains(&minute)
        } else {
            (self.days[day % 7] && minute >= from) || (self.days[yesterday] && minute < to)
        }
    }
}

/// What the rules say, up and down; outer none: nothing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Said {
    /// Bytes per second up.
    pub up: Option<Rate>,
    /// Bytes per second down.
    pub down: Option<Rate>,
}

/// All rules; where two hold, the first one counts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Schedule(pub Vec<Rule>);

impl Schedule {
    /// The links that some rule is for.
    pub fn links(&self) -> impl Iterator<Item = &str> {
        self.0.iter().filter_map(|rule| rule.link.as_deref())
    }

    /// What holds at a minute of a day (0: Monday): for the node, and for each link that a rule is for.
    pub fn at(&self, day: usize, minute: u16) -> (Said, BTreeMap<&str, Said>) {
        let mut links: BTreeMap<&str, Said> = self.links().map(|link| (link, Said::default())).collect();
        let mut node = Said::default();
        for rule in self.0.iter().filter(|rule| rule.holds(day, minute)) {
            let said = match &rule.link {
                None => &mut node,
                Some(link) => links.entry(link).or_default(),
            };
            said.up = said.up.or(rule.up);
            said.down = said.down.or(rule.down);
        }
        (node, links)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(days: &[usize], minutes: (u16, u16), up: u64) -> Rule {
        let mut all = [false; 7];
        days.iter().for_each(|day| all[*day] = true);
        Rule { days: all, minutes, link: None, up: Some(Some(up)), down: None }
    }

    #[test]
    fn a_rule_holds_from_its_first_minute_to_before_its_last() {
        let office = Schedule(vec![rule(&[0, 1, 2, 3, 4], (480, 1_080), 5)]);
        let up = |day, minute| office.at(day, minute).0.up;
        assert_eq!(
            [up(0, 479), up(0, 480), up(4, 1_079), up(4, 1_080), up(5, 600)],
            [None, Some(Some(5)), Some(Some(5)), None, None]
        );
    }

    #[test]
    fn a_night_ends_in_the_morning_and_a_week_with_its_sunday() {
        let night = Schedule(vec![rule(&[6], (1_320, 360), 7)]);
        let holds = |day, minute| night.at(day, minute).0.up.is_some();
        assert!(holds(6, 1_320) && holds(0, 0) && holds(0, 359) && !holds(0, 360) && !holds(6, 100));
        let always = Schedule(vec![rule(&[0, 1, 2, 3, 4, 5, 6], (0, DAY), 7)]);
        assert!((0..7).all(|day| (0..DAY).all(|minute| always.at(day, minute).0.up.is_some())));
    }

    #[test]
    fn the_first_rule_counts_and_links_have_their_own() {
        let every = [0, 1, 2, 3, 4, 5, 6];
        let far = |rule: Rule| Rule { link: Some("far:7070".into()), ..rule };
        let both = Schedule(vec![
            rule(&[0], (0, 60), 1),
            Rule { up: Some(None), down: Some(Some(9)), ..rule(&every, (0, DAY), 0) },
            far(rule(&[1], (0, DAY), 3)),
        ]);
        assert_eq!(both.at(0, 0).0, Said { up: Some(Some(1)), down: Some(Some(9)) });
        assert_eq!(both.at(0, 60).0, Said { up: Some(None), down: Some(Some(9)) });
        assert_eq!(both.at(0, 0).1, BTreeMap::from([("far:7070", Said::default())]), "its time is over: no limit");
        assert_eq!(both.at(1, 0).1["far:7070"].up, Some(Some(3)));
    }
}
