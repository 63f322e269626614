//! The loop: input first, then everything else; draws when the scheduler says so.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crossterm::event::{Event as TermEvent, KeyEventKind};
use skep_engine::control::Focus;

use super::Opening;
use super::cpu_us;
use super::frames::Frames;
use super::ground::{self, GroundProbe, Heard};
use super::input::Input;
use super::options::{ConsoleError, ConsoleOptions, Exit};
use super::panics::PanicHook;
use super::signals::{Asked, Signals};
use super::tasks::Tasks;
use super::themes::ThemeWatch;
use super::tty::Tty;
use super::writer::{Flushed, Writer};
use crate::console::effect::Effect;
use crate::console::event::Event;
use crate::console::keymap::Key;
use crate::console::model::{Model, Moment};
use crate::console::reduce::{chord_ends_ms, reduce};
use crate::console::source::{Change, Source};
use crate::console::targets::TargetSettings;

mod setup;
mod switching;
mod time;

use switching::{Opened, Switching};
use time::Time;

/// Terminal events taken in one go before a frame: a storm of them must not starve drawing.
const MAX_DRAIN: usize = 1_024;

/// Why the loop ends, or that it goes on.
type Flow = Option<Exit>;

struct Driver<'a> {
    model: Model,
    frames: Frames,
    source: Source,
    tasks: Tasks,
    time: Time,
    switching: Switching,
    writer: Writer,
    signals: Signals,
    input: Input,
    ground: GroundProbe,
    themes: ThemeWatch,
    tty: Arc<Tty>,
    hook: &'a PanicHook,
    started: Instant,
    /// A newer snapshot waits to be taken.
    fresh: bool,
}

/// Runs the console on a terminal that is taken over already.
pub(super) async fn drive(
    opening: Opening,
    options: ConsoleOptions,
    tty: Arc<Tty>,
    hook: &PanicHook,
) -> Result<Exit, ConsoleError> {
    let (model, files, troubles) = setup::model(&opening, &options);
    let Opening { control, switchboard, replay } = opening;
    let replayed = replay.is_some();
    let source = Source::new(control.view(Focus::default()));
    let (width, height) = crossterm::terminal::size()?;
    let mut driver = Driver {
        model,
        frames: Frames::new((width, height), options.fps, options.byte_budget),
        source,
        tasks: Tasks::new(control),
        time: Time::new(options.recording.clone()),
        switching: Switching::new(switchboard),
        writer: Writer::start(Arc::clone(&tty))?,
        signals: Signals::listen()?,
        input: Input::start()?,
        ground: GroundProbe::default(),
        themes: ThemeWatch::start(options.theme_dir.clone(), files),
        tty,
        hook,
        started: Instant::now(),
        fresh: !replayed,
    };
    driver.model.eco = options.eco;
    driver.reduce(Event::Resize(width, height)).await?;
    for trouble in troubles {
        driver.reduce(Event::Trouble(trouble)).await?;
    }
    if setup::answers_questions() {
        driver.frames.screen().send(ground::QUESTION);
        driver.ground.on_asked(driver.now().mono_ms);
    }
    if let Some(tape) = replay {
        driver.time.replay(tape);
        driver.reduce(Event::Replay).await?;
    } else {
        driver.record().await?;
    }
    let exit = driver.run().await;
    driver.time.close().await;
    exit
}

impl Driver<'_> {
    async fn run(&mut self) -> Result<Exit, ConsoleError> {
        loop {
            let late = self.ground.overdue(self.now().mono_ms);
            if let Some(exit) = self.keys_if_any(late).await? {
                return Ok(exit);
            }
            self.end_chord_if_due().await?;
            self.draw_if_due().await?;
            let wake = self.frames.wait_ms(&self.model, self.now(), self.writer.is_busy());
            let flow = tokio::select! {
                biased;
                asked = self.signals.next() => self.signal(asked).await?,
                event = self.input.next() => self.terminal(event).await?,
                flushed = self.writer.flushed() => self.flushed(flushed)?,
                event = self.tasks.next() => {
                    self.frames.on_input();
                    self.reduce(event).await?
                }
                event = self.themes.next() => {
                    self.frames.on_input();
                    self.reduce(event).await?
                }
                opened = self.switching.opened() => self.switched(opened).await?,
                change = self.source.changed(), if !self.fresh => self.changed(change).await?,
                () = tokio::time::sleep(Duration::from_millis(wake)) => None,
            };
            if let Some(exit) = flow {
                return Ok(exit);
            }
        }
    }

    fn now(&self) -> Moment {
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Moment { mono_ms: self.started.elapsed().as_millis() as u64, wall_ms: wall.as_millis() as u64 }
    }

    /// Takes an event into the model and carries out what follows from it.
    async fn reduce(&mut self, event: Event) -> Result<Flow, ConsoleError> {
        let now = self.now();
        let effects = reduce(&mut self.model, event, now);
        for effect in effects {
            let Some(effect) = self.tasks.start(effect) else { continue };
            match effect {
                Effect::SetFocus(focus) => self.source.focus(focus),
                Effect::Seek { number, seek } => self.tasks.spawn(self.time.seek(number, seek)),
                Effect::SaveRecording => self.tasks.spawn(self.time.save(&self.model.snapshot.node.name, now.wall_ms)),
                Effect::Switch(at) => self.switching.start(at),
                Effect::Copy(text) => self.frames.screen().copy(&text),
                Effect::Export(stem) => {
                    let frame = self.frames.picture(&self.model);
                    self.tasks.export(frame, Arc::clone(&self.model.theme), stem);
                }
                Effect::Redraw => self.frames.screen().forget(),
                Effect::Suspend => self.suspend(true).await?,
                Effect::Quit => return Ok(Some(Exit::Quit)),
                #[allow(clippy::panic, reason = "asked for, in debug builds, to see the terminal restored")]
                Effect::Panic if cfg!(debug_assertions) => panic!("as asked"),
                _ => {}
            }
        }
        Ok(None)
    }

    /// Takes terminal events until there are none: a frame shows the result of all of them.
    async fn terminal(&mut self, first: Option<io::Result<TermEvent>>) -> Result<Flow, ConsoleError> {
        let mut next = first;
        for _ in 0..MAX_DRAIN {
            // No more input at all means that the terminal is gone.
            let Some(event) = next else { return Ok(Some(Exit::Terminated)) };
            if let Some(exit) = self.terminal_event(event?).await? {
                return Ok(Some(exit));
            }
            match self.input.ready() {
                Some(event) => next = Some(event),
                None => break,
            }
        }
        Ok(None)
    }

    async fn terminal_event(&mut self, event: TermEvent) -> Result<Flow, ConsoleError> {
        let event = match event {
            TermEvent::Key(key) if key.kind == KeyEventKind::Release => return Ok(None),
            TermEvent::Key(key) => {
                let now = self.now().mono_ms;
                match self.ground.on_key(Key::from(key), now) {
                    Heard::Keys(keys) => return self.keys(keys).await,
                    Heard::Held => return Ok(None),
                    Heard::Ground(color) => Event::Ground { light: color.is_light() },
                }
            }
            TermEvent::Paste(text) => Event::Paste(text),
            TermEvent::Mouse(mouse) => Event::Mouse(mouse),
            TermEvent::Resize(width, height) => {
                self.frames.screen().resize(width, height);
                Event::Resize(width, height)
            }
            TermEvent::FocusGained => Event::TerminalFocus(true),
            TermEvent::FocusLost => Event::TerminalFocus(false),
        };
        self.frames.on_input();
        self.reduce(event).await
    }

    async fn keys_if_any(&mut self, keys: Vec<Key>) -> Result<Flow, ConsoleError> {
        if keys.is_empty() { Ok(None) } else { self.keys(keys).await }
    }

    async fn keys(&mut self, keys: Vec<Key>) -> Result<Flow, ConsoleError> {
        self.frames.on_input();
        for key in keys {
            if let Some(exit) = self.reduce(Event::Key(key)).await? {
                return Ok(Some(exit));
            }
        }
        Ok(None)
    }

    async fn changed(&mut self, change: Change) -> Result<Flow, ConsoleError> {
        match change {
            Change::Snapshot => {
                // Taken when it is drawn, so that snapshots in between cost nothing.
                self.fresh = true;
                self.frames.on_data();
                Ok(None)
            }
            Change::Connection => {
                self.frames.on_input();
                let connection = self.source.connection();
                self.reduce(Event::Connection(connection)).await
            }
        }
    }

    /// What the keys of a chord mean by themselves is done when nobody goes on with it.
    async fn end_chord_if_due(&mut self) -> Result<(), ConsoleError> {
        if chord_ends_ms(&self.model).is_some_and(|end| end <= self.now().mono_ms) {
            self.frames.on_input();
            self.reduce(Event::Tick).await?;
        }
        Ok(())
    }

    fn flushed(&mut self, flushed: Flushed) -> Result<Flow, ConsoleError> {
        if let Some(error) = flushed.error {
            // The terminal is gone: that is a hangup, whether or not the signal came.
            tracing::debug!(target: "console", "the terminal is gone: {error}");
            return Ok(Some(Exit::Terminated));
        }
        let took_ms = flushed.took.as_millis() as u64;
        self.frames.on_flushed(self.now().mono_ms, took_ms, flushed.bytes, flushed.buffer);
        Ok(None)
    }

    async fn draw_if_due(&mut self) -> Result<(), ConsoleError> {
        if self.writer.is_busy() {
            return Ok(());
        }
        let now = self.now();
        let Some(turn) = self.frames.turn(&self.model, now) else { return Ok(()) };
        if turn.with_data {
            self.take_data(now).await?;
        }
        if let Some(bytes) = self.frames.draw(&self.model, now, turn) {
            self.writer.send(bytes);
        }
        Ok(())
    }

    /// Brings newer data into the model: the snapshot, the time, the console's own cost.
    async fn take_data(&mut self, now: Moment) -> Result<(), ConsoleError> {
        if std::mem::take(&mut self.fresh) {
            let snapshot = self.source.snapshot();
            let focus = Focus { transfer: self.model.transfers.selected };
            self.time.note(Arc::clone(&snapshot), focus, now);
            // The one that stands there before a node has sent its first says nothing.
            if snapshot.generation > 0 {
                self.reduce(Event::Snapshot(snapshot)).await?;
            }
        }
        for message in self.hook.take() {
            self.reduce(Event::Trouble(format!("something panicked, see the log: {message}"))).await?;
        }
        if let Some(trouble) = self.time.trouble() {
            self.reduce(Event::Trouble(trouble)).await?;
        }
        self.reduce(Event::Tick).await?;
        let cost = self.frames.cost(now.mono_ms, cpu_us());
        self.reduce(Event::Cost(cost)).await?;
        Ok(())
    }

    /// Begins the recording of the node that is shown.
    async fn record(&mut self) -> Result<(), ConsoleError> {
        let now = self.now();
        let troubles = self.time.start(now.wall_ms);
        self.model.settings.recorded = self.time.is_on();
        if let Err(error) = troubles {
            self.reduce(Event::Trouble(error.to_string())).await?;
        }
        Ok(())
    }

    /// Another node was found, or not.
    async fn switched(&mut self, opened: Opened) -> Result<Flow, ConsoleError> {
        self.frames.on_input();
        let (at, control, read_only) = match opened {
            Ok(opened) => opened,
            Err(why) => return self.reduce(Event::NotSwitched(why)).await,
        };
        let settings = TargetSettings { target: control.target(), embedded: control.is_embedded(), read_only };
        self.source = Source::new(control.view(Focus::default()));
        self.tasks.switch(control);
        self.frames.change_node();
        self.fresh = true;
        self.frames.on_data();
        self.reduce(Event::Switched { at, settings }).await?;
        self.record().await?;
        let connection = self.source.connection();
        self.reduce(Event::Connection(connection)).await
    }

    async fn signal(&mut self, asked: Asked) -> Result<Flow, ConsoleError> {
        match asked {
            Asked::Leave => return Ok(Some(Exit::Terminated)),
            Asked::Suspend => self.suspend(false).await?,
            Asked::Continue => self.wake()?,
        }
        Ok(None)
    }

    /// Gives the terminal back, sleeps, and takes it again.
    async fn suspend(&mut self, group: bool) -> Result<(), ConsoleError> {
        self.tty.leave();
        self.signals.sleep(group).await?;
        self.wake()
    }

    /// Takes the terminal again after somebody else had it.
    fn wake(&mut self) -> Result<(), ConsoleError> {
        self.tty.resume()?;
        let (width, height) = crossterm::terminal::size()?;
        self.frames.screen().resize(width, height);
        self.frames.screen().forget();
        self.model.size = (width, height);
        self.frames.on_input();
        Ok(())
    }
}
