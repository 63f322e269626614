//! Priority classes on the command line.

use clap::ValueEnum;
use skep_engine::control::PriorityClass;

/// How much something matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Class {
    /// Before everything else (+9)
    Critical,
    /// Changes of a schema that other data needs (+6)
    SchemaChange,
    /// Soon (+3)
    High,
    /// In its turn (0)
    Normal,
    /// After what is used at once (-3)
    Analytics,
    /// When nothing else waits (-6)
    Background,
}

impl From<Class> for PriorityClass {
    fn from(class: Class) -> Self {
        match class {
            Class::Critical => Self::Critical,
            Class::SchemaChange => Self::SchemaChange,
            Class::High => Self::High,
            Class::Normal => Self::Normal,
            Class::Analytics => Self::Analytics,
            Class::Background => Self::Background,
        }
    }
}

/// What `send` and `sync` have in common to wait for their turn.
#[derive(Debug, clap::Args)]
pub struct Queued {
    /// How much it matters while it waits for its turn: its class in the queue, and its priority (-9 to 9); critical goes at
    /// once over any link that is there
    #[arg(long, value_name = "CLASS")]
    pub priority: Option<Class>,
    /// Put it into the queue: it starts when its turn comes and the receiver can be reached, also after a restart
    #[arg(long)]
    pub queue: bool,
    /// Do not wait until it is done; `skep queue` shows it
    #[arg(long, requires = "queue")]
    pub detach: bool,
}
