//! The loop: input first, then everything else; draws when the scheduler says so.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crossterm::event::{Event as TermEvent, EventStream, KeyEventKind};
use futures_util::{FutureExt as _, StreamExt as _};
use skep_engine::control::{Control, Focus};

use super::ground::{self, GroundProbe, Heard};
use super::meter::Meter;
use super::options::{ConsoleError, ConsoleOptions, Exit};
use super::panics::PanicHook;
use super::scheduler::{Attention, Due, Scheduler};
use super::screen::Screen;
use super::signals::{Asked, Signals};
use super::tasks::Tasks;
use super::themes::ThemeWatch;
use super::tty::Tty;
use super::writer::{Flushed, Writer};
use crate::console::derive::Derived;
use crate::console::effect::Effect;
use crate::console::event::Event;
use crate::console::keymap::Key;
use crate::console::model::{Cost, Model, Moment};
use crate::console::reduce::reduce;
use crate::console::source::{Change, Source};
use crate::console::view;

mod setup;

/// Terminal events taken in one go before a frame: a storm of them must not starve drawing.
const MAX_DRAIN: usize = 1_024;

/// Why the loop ends, or that it goes on.
type Flow = Option<Exit>;

struct Driver<'a> {
    model: Model,
    derived: Derived,
    screen: Screen,
    scheduler: Scheduler,
    meter: Meter,
    source: Source,
    tasks: Tasks,
    writer: Writer,
    signals: Signals,
    input: EventStream,
    ground: GroundProbe,
    themes: ThemeWatch,
    tty: Arc<Tty>,
    hook: &'a PanicHook,
    started: Instant,
    /// A newer snapshot waits to be taken.
    fresh: bool,
    /// Buffers to be used again.
    spare: Vec<u8>,
    /// The second that the clock shows.
    second: u64,
}

/// Runs the console on a terminal that is taken over already.
pub(super) async fn drive(
    control: Arc<dyn Control>,
    options: ConsoleOptions,
    tty: Arc<Tty>,
    hook: &PanicHook,
) -> Result<Exit, ConsoleError> {
    let (model, files, troubles) = setup::model(control.as_ref(), &options);
    let source = Source::new(control.view(Focus::default()));
    let (width, height) = crossterm::terminal::size()?;
    let mut driver = Driver {
        model,
        derived: Derived::default(),
        screen: Screen::new(width, height),
        scheduler: Scheduler::new(options.fps, options.byte_budget),
        meter: Meter::default(),
        source,
        tasks: Tasks::new(control),
        writer: Writer::start(Arc::clone(&tty))?,
        signals: Signals::listen()?,
        input: EventStream::new(),
        ground: GroundProbe::default(),
        themes: ThemeWatch::start(options.theme_dir.clone(), files),
        tty,
        hook,
        started: Instant::now(),
        fresh: true,
        spare: Vec::with_capacity(32 * 1024),
        second: 0,
    };
    driver.model.eco = options.eco;
    driver.reduce(Event::Resize(width, height)).await?;
    for trouble in troubles {
        driver.reduce(Event::Trouble(trouble)).await?;
    }
    if setup::answers_questions() {
        driver.screen.send(ground::QUESTION);
        driver.ground.on_asked(driver.now().mono_ms);
    }
    driver.run().await
}

impl Driver<'_> {
    async fn run(&mut self) -> Result<Exit, ConsoleError> {
        loop {
            let late = self.ground.overdue(self.now().mono_ms);
            if let Some(exit) = self.keys_if_any(late).await? {
                return Ok(exit);
            }
            self.draw_if_due().await?;
            let wake = self.wake_in();
            let flow = tokio::select! {
                biased;
                asked = self.signals.next() => self.signal(asked).await?,
                event = self.input.next() => self.terminal(event).await?,
                flushed = self.writer.flushed() => self.flushed(flushed)?,
                event = self.tasks.next() => {
                    self.scheduler.on_input();
                    self.reduce(event).await?
                }
                event = self.themes.next() => {
                    self.scheduler.on_input();
                    self.reduce(event).await?
                }
                change = self.source.changed(), if !self.fresh => self.changed(change).await?,
                () = tokio::time::sleep(wake) => None,
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

    fn attention(&self) -> Attention {
        if self.model.terminal_focused && !self.model.eco { Attention::Close } else { Attention::Relaxed }
    }

    /// How long to sleep if nothing happens: until the next frame, the next second or the end of a
    /// message. While a frame is on its way its end wakes the loop.
    fn wake_in(&self) -> Duration {
        let now = self.now();
        let next_second = 1_000 - now.wall_ms % 1_000;
        let mut wait = next_second;
        if !self.writer.is_busy()
            && let Due::At(at) = self.scheduler.due(now.mono_ms, self.attention())
        {
            wait = wait.min(at.saturating_sub(now.mono_ms));
        }
        Duration::from_millis(wait.max(1))
    }

    /// Takes an event into the model and carries out what follows from it.
    async fn reduce(&mut self, event: Event) -> Result<Flow, ConsoleError> {
        let now = self.now();
        let effects = reduce(&mut self.model, event, now);
        for effect in effects {
            let Some(effect) = self.tasks.start(effect) else { continue };
            match effect {
                Effect::SetFocus(focus) => self.source.focus(focus),
                Effect::Copy(text) => self.screen.copy(&text),
                Effect::Export(stem) => {
                    let mut frame = self.screen.buffer().clone();
                    view::draw(&self.model, &mut self.derived, &mut frame);
                    self.tasks.export(frame, Arc::clone(&self.model.theme), stem);
                }
                Effect::Redraw => self.screen.forget(),
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
            match self.input.next().now_or_never() {
                Some(event) => next = event,
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
                self.screen.resize(width, height);
                Event::Resize(width, height)
            }
            TermEvent::FocusGained => Event::TerminalFocus(true),
            TermEvent::FocusLost => Event::TerminalFocus(false),
        };
        self.scheduler.on_input();
        self.reduce(event).await
    }

    async fn keys_if_any(&mut self, keys: Vec<Key>) -> Result<Flow, ConsoleError> {
        if keys.is_empty() { Ok(None) } else { self.keys(keys).await }
    }

    async fn keys(&mut self, keys: Vec<Key>) -> Result<Flow, ConsoleError> {
        self.scheduler.on_input();
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
                self.scheduler.on_data();
                Ok(None)
            }
            Change::Connection => {
                self.scheduler.on_input();
                let connection = self.source.connection();
                self.reduce(Event::Connection(connection)).await
            }
        }
    }

    fn flushed(&mut self, flushed: Flushed) -> Result<Flow, ConsoleError> {
        if let Some(error) = flushed.error {
            // The terminal is gone: that is a hangup, whether or not the signal came.
            tracing::debug!(target: "console", "the terminal is gone: {error}");
            return Ok(Some(Exit::Terminated));
        }
        self.spare = flushed.buffer;
        let now = self.now().mono_ms;
        self.meter.note(now, flushed.bytes as u64);
        let bytes_per_s = self.meter.bytes_per_s(now);
        self.scheduler.on_flushed(now, flushed.took.as_millis() as u64, bytes_per_s);
        Ok(None)
    }

    async fn draw_if_due(&mut self) -> Result<(), ConsoleError> {
        let now = self.now();
        if now.wall_ms / 1_000 != self.second {
            self.second = now.wall_ms / 1_000;
            self.scheduler.on_data();
        }
        let attention = self.attention();
        if self.writer.is_busy() || self.scheduler.due(now.mono_ms, attention) != Due::Now {
            return Ok(());
        }
        let with_data = self.scheduler.is_data_due(now.mono_ms, attention);
        if with_data {
            self.take_data(now).await?;
        }
        let cursor = view::draw(&self.model, &mut self.derived, self.screen.buffer());
        let mut bytes = std::mem::take(&mut self.spare);
        bytes.clear();
        self.screen.frame(cursor, &mut bytes);
        self.scheduler.on_drawn(now.mono_ms, with_data);
        if bytes.is_empty() {
            self.spare = bytes;
        } else {
            self.writer.send(bytes);
        }
        Ok(())
    }

    /// Brings newer data into the model: the snapshot, the time, the console's own cost.
    async fn take_data(&mut self, now: Moment) -> Result<(), ConsoleError> {
        if std::mem::take(&mut self.fresh) {
            let snapshot = self.source.snapshot();
            self.reduce(Event::Snapshot(snapshot)).await?;
        }
        for message in self.hook.take() {
            self.reduce(Event::Trouble(format!("something panicked, see the log: {message}"))).await?;
        }
        let cost = Cost {
            fps_x10: self.meter.fps_x10(now.mono_ms),
            bytes_per_s: self.meter.bytes_per_s(now.mono_ms),
            slowdown: self.scheduler.slowdown(),
        };
        self.reduce(Event::Cost(cost)).await?;
        Ok(())
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
        self.screen.resize(width, height);
        self.screen.forget();
        self.model.size = (width, height);
        self.scheduler.on_input();
        Ok(())
    }
}
