//! What the link to an endpoint allows the queue.

use crate::control::PriorityClass;
use crate::control::link::SyncParams;

/// What may be done over a link now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Terms {
    /// Operations at a time.
    pub concurrent: usize,
    /// The lowest class whose data may go now; what is below waits for a better link.
    pub lowest: PriorityClass,
    /// The far side is told what is stale of the syncs that wait for a better link.
    pub summary: bool,
    /// Every byte costs there.
    pub metered: bool,
}

impl Default for Terms {
    /// Where nothing is known of the link: two at a time, of every class.
    fn default() -> Self {
        Self { concurrent: 2, lowest: PriorityClass::Background, summary: false, metered: false }
    }
}

impl Terms {
    /// As the parameters of a link have it. `metered`: every byte costs.
    pub fn of(params: &SyncParams, metered: bool) -> Self {
        let kept_back = params.summary_only || metered;
        Self {
            concurrent: (params.concurrent as usize).max(1),
            lowest: if kept_back { PriorityClass::Critical } else { PriorityClass::Background },
            summary: params.summary_only,
            metered,
        }
    }
}

/// Who knows the links.
pub trait Links: Send + Sync {
    /// What may be done over the link to this endpoint now.
    fn terms(&self, endpoint: &str) -> Terms;
}

/// Nobody does.
#[derive(Debug, Clone, Copy, Default)]
pub struct AnyLink;

impl Links for AnyLink {
    fn terms(&self, _: &str) -> Terms {
        Terms::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_critical_waits_where_only_summaries_go_or_every_byte_costs() {
        let params = SyncParams { concurrent: 5, ..SyncParams::default() };
        let all = Terms { concurrent: 5, ..Terms::default() };
        assert_eq!(Terms::of(&params, false), all);
        assert_eq!(Terms::of(&params, true), Terms { lowest: PriorityClass::Critical, metered: true, ..all });
        let summaries = Terms::of(&SyncParams { summary_only: true, concurrent: 0, ..params }, false);
        assert_eq!(summaries, Terms { concurrent: 1, lowest: PriorityClass::Critical, summary: true, metered: false });
    }
}
