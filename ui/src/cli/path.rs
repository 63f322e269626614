//! `skep path`.

use serde_json::Value;
use skep_engine::content::name::printable;
use skep_engine::control::{Command, Focus, PathRow, PathState, Snapshot, TransferId, TransferRow};

use super::context::Context;
use crate::host;
use crate::output::{Exit, Failure, path_line, path_object};

/// Steer the paths of a push while it runs, or show them
///
/// A path that is off carries nothing more: what it had goes to the others at once. Bytes follow what a path can
/// carry times its weight; weights that are all the same change nothing. Both are kept over a pause and a restart.
/// Without --on, --off and --weight: shows the paths.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// A push by its number in `skep ls`
    #[arg(value_name = "ID")]
    id: TransferId,
    /// A path: its number in what this command shows, HOST:PORT, URL,via=IFACE|ADDR, or what it leaves by; none: all
    #[arg(value_name = "PATH")]
    path: Option<String>,
    /// Let it work again
    #[arg(long, requires = "path", conflicts_with = "off")]
    on: bool,
    /// Let it carry nothing more
    #[arg(long, requires = "path")]
    off: bool,
    /// How much it works beside the others, 0.1 to 10; 1 is usual
    #[arg(long, value_name = "W", requires = "path")]
    weight: Option<f64>,
}

impl Args {
    fn enabled(&self) -> Option<bool> {
        (self.on || self.off).then_some(self.on)
    }
}

pub(super) fn run(cx: &Context, args: &Args) -> Result<Exit, Failure> {
    cx.talk(async {
        let node = host::require(cx).await?;
        let mut view = node.control.view(Focus::default());
        let before = host::snapshot(&mut view).await?;
        let row = row(&before, args.id)?;
        let chosen = args.path.as_deref().map(|given| named(args.id, &row.paths, given)).transpose()?;
        let (enabled, weight) = (args.enabled(), args.weight);
        let snapshot = match &chosen {
            Some(path) if enabled.is_some() || weight.is_some() => {
                let command = Command::SetPath { id: args.id, path: path.clone(), enabled, weight };
                node.control.command(command).await?;
                let is_fact = |now: &Snapshot| {
                    let row = now.transfers.iter().find(|row| row.id == args.id);
                    let path = row.and_then(|row| row.paths.iter().find(|row| row.path == *path));
                    path.is_none_or(|path| is_set(path, enabled, weight))
                };
                host::snapshot_when(&mut view, is_fact).await?
            }
            _ => before,
        };
        let paths = &self::row(&snapshot, args.id)?.paths;
        for (at, path) in paths.iter().enumerate().filter(|(_, row)| chosen.as_ref().is_none_or(|c| row.path == *c)) {
            cx.out.result(|| object(args.id, path), || format!("{:>2}  {}", at + 1, path_line(path)));
        }
        Ok(Exit::Done)
    })
}

fn row(snapshot: &Snapshot, id: TransferId) -> Result<&TransferRow, Failure> {
    let row = snapshot.transfers.iter().find(|row| row.id == id);
    let row = row.ok_or_else(|| Failure::failed(format!("no transfer {id} on this node: see `skep ls --all`")))?;
    if row.paths.is_empty() {
        return Err(Failure::failed(format!("transfer {id} has no paths: only what is sent has, see `skep ls --all`")));
    }
    Ok(row)
}

fn is_set(path: &PathRow, enabled: Option<bool>, weight: Option<f64>) -> bool {
    enabled.is_none_or(|on| on == (path.state != PathState::Disabled))
        && weight.is_none_or(|weight| weight == path.weight.unwrap_or(1.0))
}

fn object(id: TransferId, path: &PathRow) -> Value {
    let mut object = path_object(path);
    if let Some(fields) = object.as_object_mut() {
        fields.insert("type".into(), "result".into());
        fields.insert("id".into(), id.0.into());
    }
    object
}

/// The name of the path that is meant.
fn named(id: TransferId, paths: &[PathRow], given: &str) -> Result<String, Failure> {
    let plain = given.strip_prefix("http://").unwrap_or(given).trim_end_matches('/').replacen("/,via=", ",via=", 1);
    let endpoint = |row: &PathRow| row.path.split(" via ").next().unwrap_or_default().to_owned();
    let spelled = |row: &PathRow| match &row.via {
        Some(via) => format!("{},via={via}", endpoint(row)),
        None => row.path.clone(),
    };
    if let Some(row) = paths.iter().find(|row| row.path == plain || spelled(row) == plain) {
        return Ok(row.path.clone());
    }
    if let Some(row) = plain.parse::<usize>().ok().and_then(|at| paths.get(at.checked_sub(1)?)) {
        return Ok(row.path.clone());
    }
    let meant: Vec<_> =
        paths.iter().filter(|row| endpoint(row) == plain || row.via.as_deref() == Some(plain.as_str())).collect();
    let known = |rows: &[&PathRow]| rows.iter().map(|row| spelled(row)).collect::<Vec<_>>().join(", ");
    match meant.as_slice() {
        [one] => Ok(one.path.clone()),
        [] => {
            let all: Vec<_> = paths.iter().collect();
            let given = printable(given);
            Err(Failure::failed(format!("transfer {id} has no path {given:?}; it has: {}", known(&all))))
        }
        many => Err(Failure::usage(format!("{:?} may be any of: {}", printable(given), known(many)))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_may_be_named_in_many_ways_if_it_is_clear_which() {
        let row = |endpoint: &str, via: Option<&str>| PathRow {
            path: via.map_or_else(|| endpoint.to_owned(), |via| format!("{endpoint} via {via}")),
            via: via.map(str::to_owned),
            ..PathRow::default()
        };
        let paths = [row("a:1", Some("eth0")), row("a:1", Some("eth1")), row("b:2", None), row("https://c:3", None)];
        let of = |given| named(TransferId(7), &paths, given).map_err(|failure| (failure.exit, failure.line()));
        for (given, at) in [
            ("a:1 via eth0", 0),
            ("http://a:1,via=eth1", 1),
            ("http://a:1/,via=eth1", 1),
            ("eth1", 1),
            ("b:2", 2),
            ("http://b:2/", 2),
            ("https://c:3", 3),
            ("2", 1),
        ] {
            assert_eq!(of(given).as_ref(), Ok(&paths[at].path), "{given}");
        }
        assert!(matches!(of("a:1"), Err((Exit::Usage, words)) if words.contains("a:1,via=eth0, a:1,via=eth1")));
        for unknown in ["0", "5", "d:4", "\u{1b}x"] {
            let Err((Exit::Failed, words)) = of(unknown) else { panic!("{unknown}") };
            assert!(words.contains("it has: a:1,via=eth0") && !words.contains('\u{1b}'), "{words}");
        }
    }
}
