//! What is decided about operations that wait, without a node.

use super::*;
use crate::control::queue::{PurgeRequest, QueueMove, QueueRow, QueueState};
use crate::control::{CommandError, CommandErrorKind, PriorityClass, Reply, SendRequest, SyncRequest};
use crate::queue::links::AnyLink;
use crate::queue::outbox::Found;

const A: &str = "http://a:1";

/// A book with its clock, whose endpoints answer as it is said.
struct Desk {
    book: Book,
    now: u64,
    /// Begun and not over.
    begun: Vec<QueueId>,
    asked: Vec<Arc<str>>,
}

impl Desk {
    fn new(capacity: usize) -> Self {
        let found = Found { entries: BTreeMap::new(), corrupt: 0, next: QueueId(1) };
        let limits = Limits { capacity, age_ms: 600_000 };
        Self { book: Book::new(limits, found, true, 1_000, 1.0), now: 1_000, begun: Vec::new(), asked: Vec::new() }
    }

    fn wanted(name: &str, class: Option<PriorityClass>) -> Wanted {
        let (path, dest) = (format!("/{name}").into(), format!("{A}/"));
        let operation = Operation::Send(SendRequest { path, dest, ..SendRequest::default() });
        Wanted { operation, class, target: A.into(), name: name.into(), bytes: 10 }
    }

    fn add(&mut self, name: &str, class: PriorityClass) -> QueueId {
        match self.book.enqueue(Self::wanted(name, Some(class)), self.now, self.now) {
            Ok(Reply::Enqueued { id, .. }) => id,
            other => panic!("{other:?}"),
        }
    }

    /// Carries out what is to be done, so far as tests need it.
    fn acts(&mut self, links: &dyn Links) {
        for effect in self.book.effects(self.now, links, false, 10) {
            match effect {
                Effect::Begin { id, .. } => {
                    self.begun.push(id);
                    self.book.on_begun(id, Ok(TransferId(id.0 + 100)), self.now, 0.5);
                }
                Effect::Ask { target, .. } => self.asked.push(target),
                other => panic!("{other:?}"),
            }
        }
    }

    /// The endpoint is asked, and answers this.
    fn answers(&mut self, answer: Result<(), &str>) {
        self.acts(&AnyLink);
        assert_eq!(std::mem::take(&mut self.asked), [A.into()], "asked once");
        self.book.on_answer(A, answer.map_err(str::to_owned), self.now, 0.5);
        self.acts(&AnyLink);
    }

    fn fails(&mut self, id: QueueId, fault: Fault) {
        let turn = Turn::Failed { fault, why: "broke".into(), moved: false };
        self.book.on_turn(id, TransferId(id.0 + 100), turn, self.now, 0.5);
        self.begun.retain(|begun| *begun != id);
    }

    fn row(&mut self, id: QueueId) -> QueueRow {
        let view = self.book.view(self.now, self.now, &AnyLink, false, Vec::new());
        QueueRow::clone(view.rows.iter().find(|row| row.id == id).unwrap())
    }

    fn is_gone(&mut self, id: QueueId) -> bool {
        self.book.view(self.now, self.now, &AnyLink, false, Vec::new()).rows.iter().all(|row| row.id != id)
    }
}

#[test]
fn two_at_a_time_by_class_and_each_one_makes_room_for_the_next() {
    let mut desk = Desk::new(10);
    let classes = [PriorityClass::Background, PriorityClass::Normal, PriorityClass::Critical, PriorityClass::High];
    let ids: Vec<QueueId> = classes.iter().enumerate().map(|(n, class)| desk.add(&format!("f{n}"), *class)).collect();
    desk.answers(Ok(()));
    assert_eq!(desk.begun, [ids[2], ids[3]]);
    assert_eq!(desk.row(ids[1]).why, "2 at a time over this link");
    desk.book.on_turn(ids[2], TransferId(ids[2].0 + 100), Turn::Done, desk.now, 0.5);
    desk.acts(&AnyLink);
    assert_eq!(desk.begun[2..], [ids[1]]);
    assert!(desk.is_gone(ids[2]));
}

#[test]
fn what_is_for_an_endpoint_that_does_not_answer_is_stored_and_goes_out_when_it_is_back() {
    let mut desk = Desk::new(10);
    let id = desk.add("f", PriorityClass::Normal);
    desk.answers(Err("connection refused"));
    let row = desk.row(id);
    assert_eq!((row.state, row.attempts, row.retry_at_ms), (QueueState::Stored, 0, Some(desk.now + 1_000)));
    assert!(row.why.contains("connection refused"), "{}", row.why);
    desk.acts(&AnyLink);
    assert!(desk.asked.is_empty(), "not before its time");
    desk.now += 1_000;
    desk.answers(Ok(()));
    assert_eq!((desk.row(id).state, &desk.begun[..]), (QueueState::Running, &[id][..]));
    // The way breaks under it: it waits, and then its endpoint is away.
    desk.fails(id, Fault::Away);
    desk.answers(Ok(()));
    assert_eq!((desk.row(id).state, desk.begun.len()), (QueueState::Retrying, 0), "it answers, so there is a pause");
    desk.now += 2_000;
    desk.acts(&AnyLink);
    assert_eq!(desk.begun, [id]);
    desk.fails(id, Fault::Away);
    desk.now += 60_000;
    desk.answers(Err("timed out"));
    assert_eq!(desk.row(id).state, QueueState::Stored);
    desk.now += 1_000;
    desk.answers(Ok(()));
    assert_eq!(desk.begun, [id], "at once, whatever pause it was in");
    assert_eq!(desk.row(id).transfer, Some(TransferId(id.0 + 100)), "always the same one");
}

#[test]
fn one_that_is_refused_is_put_aside_until_somebody_says_so() {
    let mut desk = Desk::new(10);
    let (bad, good) = (desk.add("bad", PriorityClass::Critical), desk.add("good", PriorityClass::Normal));
    desk.answers(Ok(()));
    desk.fails(bad, Fault::Never);
    let row = desk.row(bad);
    assert_eq!((row.state, row.why.as_str(), row.retry_at_ms), (QueueState::Parked, "broke", None));
    assert_eq!(desk.begun, [good], "the others go on");
    desk.now += 3_600_000;
    desk.acts(&AnyLink);
    assert_eq!(desk.begun, [good]);
    desk.book.retry(&[bad]).unwrap();
    desk.acts(&AnyLink);
    assert_eq!(desk.begun, [good, bad]);
    let refusal = desk.book.retry(&[bad]).unwrap_err();
    assert_eq!(refusal.kind, CommandErrorKind::Conflict);
    assert!(desk.book.notes().iter().any(|note| note.warns && note.words.contains("put aside")));
}

#[test]
fn tries_are_counted_unless_the_link_is_to_blame_or_something_moved() {
    for (fault, moved, parked) in
        [(Fault::Again, false, true), (Fault::Again, true, false), (Fault::Away, false, false)]
    {
        let mut desk = Desk::new(10);
        let id = desk.add("f", PriorityClass::Normal);
        desk.answers(Ok(()));
        for _ in 0..30 {
            let turn = Turn::Failed { fault, why: "broke".into(), moved };
            desk.book.on_turn(id, TransferId(id.0 + 100), turn, desk.now, 0.5);
            desk.now += 1_000_000;
            desk.acts(&AnyLink);
            if desk.asked.pop().is_some() {
                desk.book.on_answer(A, Ok(()), desk.now, 0.5);
                desk.acts(&AnyLink);
            }
        }
        assert_eq!(desk.row(id).state == QueueState::Parked, parked, "{fault:?} {moved}");
    }
}

#[test]
fn a_second_wish_for_what_waits_is_taken_up_and_one_for_what_runs_comes_after_it() {
    let mut desk = Desk::new(10);
    let id = desk.add("f", PriorityClass::Normal);
    let again = desk.book.enqueue(Desk::wanted("f", Some(PriorityClass::High)), desk.now, 0).unwrap();
    assert_eq!(again, Reply::Enqueued { id, again: true });
    assert_eq!(desk.row(id).class, PriorityClass::High);
    desk.book.enqueue(Desk::wanted("f", None), desk.now, 0).unwrap();
    assert_eq!(desk.row(id).class, PriorityClass::High, "as it was");
    desk.answers(Ok(()));
    let second = desk.add("f", PriorityClass::Critical);
    assert_ne!(second, id);
    desk.acts(&AnyLink);
    assert_eq!(desk.begun, [id], "not both at once");
    desk.book.on_turn(id, TransferId(id.0 + 100), Turn::Done, desk.now, 0.5);
    desk.acts(&AnyLink);
    assert_eq!(desk.begun, [id, second]);
}

#[test]
fn where_the_disk_refuses_everything_is_as_before() {
    let mut desk = Desk::new(2);
    let (first, second) = (desk.add("f1", PriorityClass::Background), desk.add("f2", PriorityClass::Background));
    desk.book.on_saved();
    let shown = |desk: &mut Desk| {
        let view = desk.book.view(desk.now, desk.now, &AnyLink, false, Vec::new());
        view.rows.iter().map(|row| (row.id, row.class, row.bytes)).collect::<Vec<_>>()
    };
    let before = shown(&mut desk);
    desk.book.begin_wishes();
    desk.add("f3", PriorityClass::Normal);
    desk.book.set_class(&[first], PriorityClass::Critical).unwrap();
    desk.book.enqueue(Wanted { bytes: 99, ..Desk::wanted("f1", None) }, desk.now, 0).unwrap();
    assert_eq!(shown(&mut desk).len(), 2, "one was dropped");
    desk.book.purge(&PurgeRequest { all: true, ..PurgeRequest::default() }, desk.now).unwrap();
    assert!(shown(&mut desk).is_empty());
    desk.book.take_back();
    assert_eq!(shown(&mut desk), before);
    desk.book.begin_wishes();
    desk.book.move_to(second, QueueMove::First).unwrap();
    desk.book.take_back();
    assert_eq!(shown(&mut desk), before);
    assert!(desk.book.notes().is_empty(), "nothing is told that is not so");
    desk.book.begin_wishes();
    desk.book.move_to(second, QueueMove::First).unwrap();
    desk.book.keep_wishes();
    assert_eq!(shown(&mut desk)[0].0, second);
    assert_eq!(desk.book.unsaved().len(), 3, "those that were touched, also the one that never was");
}

#[test]
fn purges_take_what_is_meant_and_stop_what_is_named() {
    let mut desk = Desk::new(10);
    let running = desk.add("r", PriorityClass::Critical);
    desk.answers(Ok(()));
    desk.add("old", PriorityClass::Background);
    desk.now += 10_000;
    let ids = [PriorityClass::Background, PriorityClass::High].map(|class| desk.add(class.name(), class));
    let purge = |desk: &mut Desk, request: PurgeRequest| match desk.book.purge(&request, desk.now).unwrap() {
        (Reply::Purged { count }, effects) => (count, effects),
        other => panic!("{other:?}"),
    };
    let none = PurgeRequest::default;
    assert_eq!(purge(&mut desk, PurgeRequest { target: Some("b:1".into()), ..none() }).0, 0);
    let old = PurgeRequest { max_age_s: Some(5), class: Some(PriorityClass::Background), ..none() };
    assert_eq!(purge(&mut desk, old.clone()), (1, vec![]));
    assert_eq!(purge(&mut desk, old).0, 0);
    assert_eq!(purge(&mut desk, PurgeRequest { target: Some("a:1".into()), ..none() }), (2, vec![]), "what runs stays");
    assert!(desk.is_gone(ids[0]) && desk.is_gone(ids[1]) && !desk.is_gone(running));
    let named = PurgeRequest { ids: vec![running], ..none() };
    assert_eq!(purge(&mut desk, named.clone()), (1, vec![Effect::Cancel(TransferId(running.0 + 100))]));
    let kind = |result: Result<_, CommandError>| result.map(|_| ()).unwrap_err().kind;
    assert_eq!(kind(desk.book.purge(&named, 0)), CommandErrorKind::NotFound);
    assert_eq!(kind(desk.book.purge(&none(), 0)), CommandErrorKind::Invalid);
}

#[test]
fn a_full_queue_tells_what_it_lost_and_what_it_did_not_take() {
    let mut desk = Desk::new(1);
    let first = desk.add("first", PriorityClass::Normal);
    let refusal = desk.book.enqueue(Desk::wanted("second", Some(PriorityClass::Normal)), desk.now, 0).unwrap_err();
    assert!(refusal.message.contains("full") && refusal.message.contains("second"), "{refusal}");
    let second = desk.add("third", PriorityClass::High);
    assert!(desk.is_gone(first) && !desk.is_gone(second));
    let notes = desk.book.notes();
    assert_eq!(notes.iter().filter(|note| note.warns && note.words.contains("full")).count(), 2, "{notes:?}");
    let view = desk.book.view(desk.now, 0, &AnyLink, false, Vec::new());
    assert_eq!((view.classes[3].dropped, view.count(), view.capacity), (2, 1, 1));
}

#[test]
fn only_critical_ones_go_where_the_link_takes_no_others() {
    struct Thin;
    impl Links for Thin {
        fn terms(&self, _: &str) -> Terms {
            Terms { concurrent: 1, lowest: PriorityClass::Critical, summary: true, metered: false }
        }
    }
    let mut desk = Desk::new(10);
    let normal = desk.add("n", PriorityClass::Normal);
    desk.acts(&Thin);
    assert!(desk.asked.is_empty(), "nothing could go there");
    let critical = desk.add("c", PriorityClass::Critical);
    desk.acts(&Thin);
    desk.book.on_answer(A, Ok(()), desk.now, 0.5);
    desk.acts(&Thin);
    assert_eq!(desk.begun, [critical]);
    let view = desk.book.view(desk.now, 0, &Thin, false, Vec::new());
    let row = view.rows.iter().find(|row| row.id == normal).unwrap();
    assert!(row.why.contains("kept back"), "{}", row.why);
    desk.asked.clear();
    desk.acts(&AnyLink);
    assert_eq!(desk.begun, [critical, normal], "the link is better now");
}

#[test]
fn where_only_summaries_go_the_far_side_is_told_once_in_a_while() {
    struct Thin;
    impl Links for Thin {
        fn terms(&self, _: &str) -> Terms {
            Terms { concurrent: 1, lowest: PriorityClass::Critical, summary: true, metered: false }
        }
    }
    let mut desk = Desk::new(10);
    desk.add("push", PriorityClass::High);
    let request = SyncRequest { path: "/t".into(), dest: format!("{A}/"), ..SyncRequest::default() };
    let sync = Wanted { operation: Operation::Sync(request.clone()), ..Desk::wanted("t", None) };
    let Ok(Reply::Enqueued { id, .. }) = desk.book.enqueue(sync, desk.now, 0) else { panic!() };
    let effects = |desk: &mut Desk| desk.book.effects(desk.now, &Thin, false, 10);
    assert!(matches!(effects(&mut desk).as_slice(), [Effect::Ask { .. }]), "whether it answers at all");
    desk.book.on_answer(A, Ok(()), desk.now, 0.5);
    let tell = [Effect::Tell { id, request: Box::new(request), name: "t".into() }];
    assert_eq!(effects(&mut desk), tell);
    assert_eq!(effects(&mut desk), [], "one at a time");
    desk.book.on_told(id, Ok(Some((3, 99))), desk.now, 77);
    assert_eq!(effects(&mut desk), []);
    let view = desk.book.view(desk.now, 0, &Thin, false, Vec::new());
    let states: Vec<QueueState> = view.rows.iter().map(|row| row.state).collect();
    assert_eq!(states, [QueueState::Waiting, QueueState::Summary]);
    desk.now += 600_000;
    assert_eq!(effects(&mut desk), tell, "it may have changed");
    desk.book.on_told(id, Err("gone".into()), desk.now, 88);
    desk.acts(&AnyLink);
    assert!(desk.begun.contains(&id), "the data follows when the link allows");
}

#[test]
fn a_paused_transfer_gives_its_place_to_the_next_and_one_that_was_cancelled_leaves() {
    let mut desk = Desk::new(10);
    let ids: Vec<QueueId> = (0..3).map(|n| desk.add(&format!("f{n}"), PriorityClass::Normal)).collect();
    desk.answers(Ok(()));
    let turn = |desk: &mut Desk, id: QueueId, turn| {
        desk.book.on_turn(id, TransferId(id.0 + 100), turn, desk.now, 0.5);
        desk.acts(&AnyLink);
    };
    turn(&mut desk, ids[0], Turn::Paused);
    assert_eq!(desk.begun, ids);
    assert_eq!(desk.row(ids[0]).state, QueueState::Paused);
    assert!(desk.book.retry(&[ids[0]]).is_err());
    turn(&mut desk, ids[0], Turn::Runs);
    assert_eq!(desk.row(ids[0]).state, QueueState::Running);
    turn(&mut desk, ids[1], Turn::Cancelled);
    assert!(desk.is_gone(ids[1]));
    let other = Turn::Failed { fault: Fault::Never, why: String::new(), moved: false };
    desk.book.on_turn(ids[2], TransferId(7), other, desk.now, 0.5);
    assert_eq!(desk.row(ids[2]).state, QueueState::Running, "that transfer is not its own");
}

#[test]
fn a_node_that_does_not_go_on_with_what_was_leaves_it_as_it_was() {
    let mut desk = Desk::new(10);
    let id = desk.add("f", PriorityClass::Normal);
    let entries = desk.book.entries().map(|(id, entry)| (id, entry.clone())).collect();
    let found = Found { entries, corrupt: 3, next: QueueId(2) };
    let limits = Limits { capacity: 10, age_ms: 1 };
    desk.book = Book::new(limits, found, false, desk.now, 1.0);
    desk.acts(&AnyLink);
    assert!(desk.asked.is_empty());
    assert!(desk.row(id).why.contains("skep serve"));
    desk.book.set_class(&[id], PriorityClass::High).unwrap();
    let kept = desk.book.unsaved();
    assert!(!String::from_utf8_lossy(kept[0].1.as_ref().unwrap()).contains("\"parked\":true"));
    // Wished again it is gone on with.
    assert_eq!(desk.add("f", PriorityClass::High), id);
    desk.answers(Ok(()));
    assert_eq!(desk.begun, [id]);
}
