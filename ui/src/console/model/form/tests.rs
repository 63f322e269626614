//! Forms as tables: what is typed, what is said and asked for.

use std::path::Path;
use std::sync::Arc;

use skep_engine::control::pool::{Balancer, PoolNodeRow};
use skep_engine::control::{Command, NodeRow};

use super::*;
use crate::console::effect::PreviewFrom;

fn type_in(form: &mut Form, text: &str) -> Vec<Effect> {
    form.set_text(text);
    form.update()
}

fn here() -> Places {
    Places { home: Some("/home/op".into()), current: None, here: true }
}

fn link(digit: char) -> String {
    format!("skep://h:1/{}", digit.to_string().repeat(64))
}

fn listing(names: &[&str]) -> Listing {
    let entry = |name: &&str| Entry {
        name: name.trim_end_matches('/').to_owned(),
        folder: name.ends_with('/'),
        ..Entry::default()
    };
    Listing::Read { entries: Arc::new(names.iter().map(entry).collect()), omitted: 0 }
}

fn preview(size: u64) -> Result<Box<Preview>, String> {
    let preview = Preview {
        name: "data".into(),
        contents: 1,
        size,
        files: 2,
        strategy: "transit-p2p-swarm".into(),
        why: "from 1 node".into(),
        path: "/srv/data".into(),
        disk_free: Some(5_000_000),
        ..Preview::default()
    };
    Ok(Box::new(preview))
}

#[test]
fn a_wrong_field_is_named_and_nothing_is_sent() {
    let mut form = Form::add(Some("/data"), Places::default());
    assert_eq!(form.submit(), Err(0));
    type_in(&mut form, &link('0'));
    form.go(false);
    type_in(&mut form, "relative/dir");
    assert_eq!(form.submit(), Err(1));
    type_in(&mut form, "/srv");
    let effects = form.submit().unwrap();
    let [Effect::Command { command: Command::Add(add), .. }] = effects.as_slice() else { panic!("{effects:?}") };
    assert_eq!((add.dir.as_deref(), add.seed), (Some(Path::new("/srv")), true));
}

#[test]
fn several_links_become_a_transfer_each() {
    let mut form = Form::add(None, here());
    let text = format!("{} {}\t{} https://h/x.meta4", link('a'), link('b'), link('a'));
    let effects = type_in(&mut form, &text);
    assert!(matches!(&effects[..], [Effect::Preview(asks)] if asks.len() == 3), "{effects:?}");
    assert_eq!(form.remark(FieldKey::Link), Ok("3 links: a transfer each".into()));
    assert_eq!(form.submit().unwrap().len(), 3);
    type_in(&mut form, &format!("{} skep://h:1/abc", link('a')));
    assert_eq!(form.remark(FieldKey::Link), Err("link 2 of 2: the content id has 3 of 64 hex digits".into()));
    assert_eq!(form.submit(), Err(0));
}

#[test]
fn a_local_manifest_is_read_here_and_must_be_there() {
    let mut form = Form::add(None, here());
    let effects = type_in(&mut form, "~/x.meta4");
    assert_eq!(effects[0], Effect::ListFolder(PathBuf::from("/home/op/")));
    let Effect::Preview(asks) = &effects[1] else { panic!("{effects:?}") };
    assert!(matches!(&asks[0].from, PreviewFrom::File(path, _) if path == Path::new("/home/op/x.meta4")));
    form.take_preview(&asks[0].key, Err("there is no such file".into()));
    assert_eq!(form.submit(), Err(0));
    form.take_preview(&asks[0].key, preview(10));
    let effects = form.submit().unwrap();
    assert!(matches!(&effects[..], [Effect::AddFile { path, add }]
        if path == Path::new("/home/op/x.meta4") && add.link.is_empty()));
}

#[test]
fn a_folder_is_walked_with_the_list() {
    let mut form = Form::share(here());
    assert_eq!(form.update(), [Effect::ListFolder(PathBuf::from("/home/op/"))]);
    form.take_listing(Path::new("/elsewhere/"), listing(&["wrong"]));
    form.take_listing(Path::new("/home/op/"), listing(&["data/", "disk.img"]));
    form.browser.as_mut().unwrap().move_by(1);
    assert!(form.take_chosen());
    assert_eq!(form.text(FieldKey::Path), "~/data/");
    let effects = form.update();
    assert_eq!(effects[0], Effect::ListFolder(PathBuf::from("/home/op/data/")));
    assert!(matches!(&effects[1], Effect::Preview(_)), "the node counts it");
    assert!(!form.take_chosen(), "nothing is chosen: Enter shares the folder");
    for (typed, above) in [("~/data/", "~/"), ("~/", "/home/"), ("/home/", "/"), ("/a/b//", "/a/")] {
        form.set_text(typed);
        assert!(form.go_up());
        assert_eq!(form.text(FieldKey::Path), above, "{typed}");
    }
    form.set_text("/a/b");
    assert!(!form.go_up(), "that deletes a character");
}

#[test]
fn tab_completes_what_is_typed() {
    let mut form = Form::share(here());
    type_in(&mut form, "/srv/da");
    form.take_listing(Path::new("/srv/"), listing(&["data1/", "data2/", "other"]));
    assert!(form.complete());
    assert_eq!(form.text(FieldKey::Path), "/srv/data");
    form.update();
    assert!(!form.complete(), "it says no more: Tab goes on");
    type_in(&mut form, "/srv/o");
    assert!(form.complete());
    assert_eq!(form.text(FieldKey::Path), "/srv/other");
}

#[test]
fn folders_of_another_machine_are_not_listed() {
    let mut form = Form::share(Places { home: Some("/home/op".into()), current: None, here: false });
    assert_eq!(form.update(), []);
    let effects = type_in(&mut form, "/srv/x");
    assert!(matches!(&effects[..], [Effect::Preview(_)]), "the node itself is asked: {effects:?}");
}

#[test]
fn the_summary_tells_what_enter_does() {
    let node = NodeRow { limit_down: Some(100_000), ..NodeRow::default() };
    let say = |form: &Form| summary(form, &node).into_iter().map(|(_, text)| text).collect::<Vec<_>>().join("\n");
    let mut form = Form::add(None, here());
    assert_eq!(say(&form), "");
    type_in(&mut form, &link('a'));
    assert!(say(&form).contains("asking how large"));
    let key = form.seen[0].0.clone();
    form.take_preview(&key, preview(2_000_000));
    let said = say(&form);
    for part in
        ["fetches data: 2.00 MB in 2 files; 20s or more at", "into /srv/data; 5.00 MB free", "via swarm: from 1"]
    {
        assert!(said.contains(part), "{part}: {said}");
    }
    form.take_preview(&key, preview(7_000_000));
    assert!(say(&form).contains("only 5.00 MB free there, 2.00 MB too little"), "{}", say(&form));
    form.take_preview(&key, Err("connection refused".into()));
    assert!(say(&form).contains("connection refused; Enter adds it all the same"));
    assert!(form.submit().is_ok());
    let mut form = Form::share(here());
    type_in(&mut form, "/srv/data");
    form.take_preview(&form.seen[0].0.clone(), preview(2_000_000));
    assert!(say(&form).contains("shares data: 2.00 MB in 2 files"), "{}", say(&form));
}

#[test]
fn limits_start_from_what_they_are() {
    let mut form = Form::limit(vec![TransferId(3)], "x", Some(5_000_000), None);
    assert_eq!(form.text(FieldKey::Down), "5.00 MB/s");
    type_in(&mut form, "unlimited");
    let expected = Command::Limit { id: Some(TransferId(3)), up: Some(None), down: Some(None) };
    assert_eq!(form.submit(), Ok(vec![Effect::command(expected, "limit")]));
}

#[test]
fn a_sync_is_planned_as_soon_as_it_can_be() {
    let mut form = Form::sync(here(), std::iter::empty());
    assert_eq!(form.update(), [Effect::ListFolder(PathBuf::from("/home/op/"))], "folders only are listed");
    type_in(&mut form, "/srv/data");
    form.go(false);
    let effects = type_in(&mut form, "h:7070/in/");
    let [Effect::Preview(asks)] = &effects[..] else { panic!("{effects:?}") };
    let PreviewFrom::Command(Command::PreviewSync(request)) = &asks[0].from else { panic!("{asks:?}") };
    assert_eq!((request.path.as_path(), request.dest.as_str()), (Path::new("/srv/data"), "http://h:7070/in/"));
    // What changes nothing of the plan asks for none: a limit, whether it goes on.
    form.at = 5;
    form.fields[5].value = Value::Choice(&["no", "yes"], 1);
    assert_eq!(form.update(), []);
    form.at = 6;
    assert_eq!(type_in(&mut form, "5M"), []);
    // What does is asked anew.
    form.at = 3;
    let effects = type_in(&mut form, "*.o");
    assert!(matches!(&effects[..], [Effect::Preview(asks)] if asks.len() == 1), "{effects:?}");
    assert_eq!(form.remark(FieldKey::Except).unwrap().split(' ').take(2).collect::<Vec<_>>(), ["1", "rule"]);
    let node = NodeRow::default();
    let key = form.seen[0].0.clone();
    let plan = SyncPlan { to: "in/data".into(), ..SyncPlan::default() };
    form.take_plan(&key, Ok(Box::new(plan)));
    let said = summary(&form, &node);
    assert!(said[0].1.starts_with("nothing to do: 0 entries here"), "{said:?}");
    assert_eq!(accept_word(&form), "Enter syncs it");
}

#[test]
fn the_balancer_of_a_push_is_completed() {
    let nodes = vec![Arc::new(PoolNodeRow { available: true, ..PoolNodeRow::default() })];
    let pool = Arc::new(PoolView { name: "default".into(), nodes, ..PoolView::default() });
    let mut form = Form::send(here(), std::iter::empty(), &pool);
    form.at = 1;
    form.update();
    assert_eq!(form.proposals.heading, "of the pool");
    form.proposals.move_by(1);
    assert!(form.take_chosen());
    type_in(&mut form, "pool:default 3 res");
    form.proposals.move_by(1);
    assert!(form.take_chosen());
    assert_eq!(form.text(FieldKey::Dest), "pool:default 3 resource-aware");
}

#[test]
fn a_pool_is_a_destination() {
    let mut form = Form::send(here(), std::iter::empty(), &Arc::default());
    type_in(&mut form, "/srv/data");
    form.go(false);
    let effects = type_in(&mut form, "pool:default 3");
    let [Effect::Preview(asks)] = &effects[..] else { panic!("{effects:?}") };
    let PreviewFrom::Command(Command::PreviewSend(request)) = &asks[0].from else { panic!("{asks:?}") };
    assert_eq!((request.dest.as_str(), request.replicas), ("pool:default", Some(3)));
    assert!(form.remark(FieldKey::Dest).unwrap().starts_with("3 copies"));
    let effects = type_in(&mut form, "pool:default 3 resource-aware");
    let [Effect::Preview(asks)] = &effects[..] else { panic!("{effects:?}") };
    let PreviewFrom::Command(Command::PreviewSend(request)) = &asks[0].from else { panic!("{asks:?}") };
    assert_eq!((request.replicas, request.balancer), (Some(3), Some(Balancer::ResourceAware)), "asked anew");
    form.go(false);
    type_in(&mut form, "http://h:1");
    assert!(form.remark(FieldKey::More).is_err(), "there are no ways to choose");
    for wrong in ["pool:", "pool:x 0", "pool:x two", "pool:x 2 2"] {
        let mut form = Form::send(here(), std::iter::empty(), &Arc::default());
        form.at = 1;
        type_in(&mut form, wrong);
        assert!(form.remark(FieldKey::Dest).is_err(), "{wrong}");
    }
}
