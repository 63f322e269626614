//! What a field could hold: destinations that were used before, ways out of the node's machine. Taking one
//! only changes the text.

use skep_engine::control::InterfaceRow;

/// Something that can be taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proposal {
    /// What is put into the field.
    pub text: String,
    /// What there is to say of it.
    pub note: String,
}

/// Everything that can be proposed, and what fits the field that takes keys.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Proposals {
    /// Destinations, the best first.
    dests: Vec<Proposal>,
    /// What those are.
    dests_are: &'static str,
    /// What the node can leave by; none: not known yet.
    vias: Option<Vec<Proposal>>,
    /// Those that fit, in order.
    pub shown: Vec<Proposal>,
    /// What they are, for a heading.
    pub heading: &'static str,
    /// The chosen one among those shown; none while the text alone counts.
    pub at: Option<usize>,
}

impl Proposals {
    /// With these destinations.
    pub fn new(dests: Vec<Proposal>) -> Self {
        Self::called(dests, "used before")
    }

    /// With these destinations, and what they are in words.
    pub fn called(dests: Vec<Proposal>, dests_are: &'static str) -> Self {
        Self { dests, dests_are, ..Self::default() }
    }

    /// Takes what the node can leave by: interfaces, and the addresses of those that have several.
    pub fn take_interfaces(&mut self, interfaces: &[InterfaceRow]) {
        let mut vias = Vec::new();
        for row in interfaces {
            vias.push(Proposal { text: row.name.clone(), note: row.addresses.join(", ") });
        }
        for row in interfaces {
            let address = |text: &String| Proposal { text: text.clone(), note: row.name.clone() };
            vias.extend(row.addresses.iter().map(address));
        }
        self.vias = Some(vias);
    }

    /// True if the node has an interface or address of this name, as far as is known.
    pub fn is_via(&self, text: &str) -> bool {
        self.vias.as_ref().is_none_or(|vias| vias.iter().any(|via| via.text == text))
    }

    /// The interfaces, by name.
    pub fn interfaces(&self) -> String {
        let vias = self.vias.iter().flatten();
        let names: Vec<&str> =
            vias.filter(|via| via.text.parse::<std::net::IpAddr>().is_err()).map(|via| via.text.as_str()).collect();
        names.join(", ")
    }

    /// Shows destinations that contain this, and behind them `more`.
    pub fn show_dests(&mut self, typed: &str, more: Vec<Proposal>) {
        let fits = |p: &&Proposal| p.text != typed && p.text.contains(typed);
        let used = self.dests.iter().filter(fits).filter(|p| more.iter().all(|one| one.text != p.text));
        let used: Vec<Proposal> = used.cloned().collect();
        let heading = match (used.is_empty(), more.is_empty()) {
            (true, false) => "of the pool",
            (false, false) => "used before, and the pool",
            _ => self.dests_are,
        };
        self.show(used.into_iter().chain(more).collect(), heading);
    }

    /// Shows ways out that begin like the last word and do not stand in the field yet.
    pub fn show_vias(&mut self, typed: &str) {
        let (before, last) = split(typed);
        let taken: Vec<&str> = words(before).collect();
        let fits = |p: &&Proposal| p.text.starts_with(last) && p.text != last && !taken.contains(&p.text.as_str());
        let shown = self.vias.iter().flatten().filter(fits).cloned().collect();
        self.show(shown, "of the node");
    }

    /// Shows nothing.
    pub fn hide(&mut self) {
        self.show(Vec::new(), "");
    }

    fn show(&mut self, shown: Vec<Proposal>, heading: &'static str) {
        if self.shown != shown {
            (self.shown, self.heading, self.at) = (shown, heading, None);
        }
    }

    /// Moves the choice; above the first there is none.
    pub fn move_by(&mut self, lines: isize) {
        let Some(last) = self.shown.len().checked_sub(1) else { return };
        self.at = match self.at {
            None if lines > 0 => Some((lines as usize - 1).min(last)),
            None => None,
            Some(0) if lines < 0 => None,
            Some(at) => Some(at.saturating_add_signed(lines).min(last)),
        };
    }

    /// The chosen one.
    pub fn chosen(&self) -> Option<&Proposal> {
        self.shown.get(self.at?)
    }
}

/// The words of a field that takes several.
pub fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split([' ', ',']).filter(|word| !word.is_empty())
}

/// What stands before the word that is being typed, and that word.
pub fn split(text: &str) -> (&str, &str) {
    text.split_at(text.rfind([' ', ',']).map_or(0, |at| at + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(proposals: &Proposals) -> Vec<&str> {
        proposals.shown.iter().map(|p| p.text.as_str()).collect()
    }

    #[test]
    fn what_fits_is_shown_and_what_stands_there_is_not() {
        let dest = |text: &str| Proposal { text: text.into(), note: String::new() };
        let mut proposals = Proposals::new(vec![dest("http://a:1/in/"), dest("http://b:1/")]);
        proposals.show_dests("", Vec::new());
        assert_eq!(texts(&proposals), ["http://a:1/in/", "http://b:1/"]);
        proposals.move_by(5);
        assert_eq!(proposals.chosen().map(|p| p.text.as_str()), Some("http://b:1/"));
        proposals.show_dests("a:1", Vec::new());
        assert_eq!((texts(&proposals), proposals.at), (vec!["http://a:1/in/"], None));
        assert!(proposals.is_via("anything"), "not known yet");
        let row = |name: &str, addresses: &[&str]| InterfaceRow {
            name: name.into(),
            addresses: addresses.iter().map(ToString::to_string).collect(),
        };
        proposals.take_interfaces(&[row("eth0", &["10.0.0.2"]), row("eth1", &["10.1.0.2", "fd00::2"])]);
        proposals.show_vias("eth0 e");
        assert_eq!(texts(&proposals), ["eth1"]);
        proposals.show_vias("eth0,");
        assert_eq!(texts(&proposals), ["eth1", "10.0.0.2", "10.1.0.2", "fd00::2"]);
        assert!(proposals.is_via("fd00::2") && !proposals.is_via("eth2"));
        assert_eq!(proposals.interfaces(), "eth0, eth1");
        proposals.move_by(1);
        proposals.move_by(-1);
        assert_eq!(proposals.at, None, "above the first there is none");
        proposals.hide();
        proposals.move_by(1);
        assert_eq!(proposals.chosen(), None);
    }
}
