//! The nodes that the console can be switched to: the one it was opened on, and those of `console.targets`.

use std::path::PathBuf;
use std::sync::Arc;

use skep_engine::control::Control;
use skep_engine::rpc::RemoteControl;

use crate::cli::Context;
use crate::config::targets::{self, NamedTarget};
use crate::console::targets::{Switchboard, Target};
use crate::host::{self, ReadOnly};
use crate::output::Failure;

/// The nodes by their place in the list.
pub struct Nodes {
    home: (Target, Arc<dyn Control>),
    others: Vec<NamedTarget>,
    /// Where none of its own is named.
    token_file: Option<PathBuf>,
}

impl Nodes {
    /// `control` is the node that the console is opened on, called `name`, or simply this one.
    ///
    /// # Errors
    /// The configuration has a target that is none.
    pub fn new(cx: &Context, control: Arc<dyn Control>, name: Option<&str>, read_only: bool) -> Result<Self, Failure> {
        let mut others = targets::all(&cx.config).map_err(Failure::usage)?;
        others.retain(|target| Some(target.name.as_str()) != name);
        let embedded = control.is_embedded();
        let home = Target {
            name: name.unwrap_or(if embedded { "this node" } else { "first node" }).to_owned(),
            address: control.target(),
            embedded,
            read_only,
        };
        Ok(Self { home: (home, control), others, token_file: cx.settings().token_file.clone() })
    }
}

impl Switchboard for Nodes {
    fn targets(&self) -> Vec<Target> {
        let others = self.others.iter().map(|target| Target {
            name: target.name.clone(),
            address: target.url.clone(),
            embedded: false,
            read_only: target.read_only,
        });
        std::iter::once(self.home.0.clone()).chain(others).collect()
    }

    fn open(&self, at: usize) -> Result<Arc<dyn Control>, String> {
        let Some(at) = at.checked_sub(1) else { return Ok(self.home.1.clone()) };
        let target = self.others.get(at).ok_or("there is no such node in the list")?;
        open(target, self.token_file.as_ref()).map_err(|why| format!("cannot show {}: {why}", target.name))
    }
}

/// Starts connecting; whether it works is in the views.
fn open(target: &NamedTarget, token_file: Option<&PathBuf>) -> Result<Arc<dyn Control>, String> {
    let token = target.token_file.as_ref().or(token_file);
    let token = token.map(|file| host::read_token(file)).transpose().map_err(|failure| failure.line())?;
    let control = RemoteControl::connect(&target.url, token).map_err(|error| error.to_string())?;
    Ok(if target.read_only { Arc::new(ReadOnly(Arc::new(control))) } else { Arc::new(control) })
}
