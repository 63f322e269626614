//! The queue: rows that stay where they are among the others cost nothing, however many there are.

use std::collections::HashMap;
use std::sync::Arc;

use super::{ApplyError, QueueDelta, QueueOp};
use crate::control::queue::{MAX_BEHIND, MAX_QUEUE_ROWS, QueueView};

/// How the new queue comes from the old one.
pub(super) fn change(old: &QueueView, new: &QueueView) -> QueueDelta {
    let head = Box::new(QueueView { rows: Vec::new(), behind: new.behind.clone(), ..*new });
    let rows = (old.rows != new.rows).then(|| {
        let places: HashMap<_, _> = old.rows.iter().enumerate().map(|(at, row)| (row.id, at)).collect();
        let mut ops = Vec::new();
        for row in &new.rows {
            let same = |at: &&usize| Arc::ptr_eq(&old.rows[**at], row) || old.rows[**at] == *row;
            match (places.get(&row.id).filter(same), ops.last_mut()) {
                (Some(at), Some(QueueOp::Keep(first, count))) if (*first + *count) as usize == *at => *count += 1,
                (Some(at), _) => ops.push(QueueOp::Keep(*at as u32, 1)),
                (None, _) => ops.push(QueueOp::Row(Arc::clone(row))),
            }
        }
        ops
    });
    QueueDelta { head, rows }
}

/// The viewer's side of it. The message comes from outside: memory stays bounded.
///
/// # Errors
/// It does not fit what was shown before.
pub(super) fn apply(old: &QueueView, delta: QueueDelta) -> Result<Arc<QueueView>, ApplyError> {
    const TOO_MANY: ApplyError = ApplyError("more of its queue than is shown");
    let mut queue = *delta.head;
    if queue.behind.len() > MAX_BEHIND {
        return Err(ApplyError("more trees behind than are shown"));
    }
    queue.rows = match delta.rows {
        None => old.rows.clone(),
        Some(ops) => {
            let mut rows = Vec::with_capacity(ops.len().min(MAX_QUEUE_ROWS));
            for op in ops {
                match op {
                    QueueOp::Keep(first, count) => {
                        let range = first as usize..(first as usize).saturating_add(count as usize);
                        let kept = old.rows.get(range).ok_or(ApplyError("of its queue what was never shown"))?;
                        if rows.len() + kept.len() > MAX_QUEUE_ROWS {
                            return Err(TOO_MANY);
                        }
                        rows.extend_from_slice(kept);
                    }
                    QueueOp::Row(row) => rows.push(row),
                }
                if rows.len() > MAX_QUEUE_ROWS {
                    return Err(TOO_MANY);
                }
            }
            rows
        }
    };
    Ok(Arc::new(queue))
}
