//! What a thing on screen *means*; a theme says how each meaning looks.

macro_rules! tokens {
    ($($(#[doc = $doc:literal])+ $variant:ident = $name:literal,)+) => {
        /// A meaning on screen. Panes speak of tokens only, never of colours.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Token { $($(#[doc = $doc])+ $variant,)+ }

        impl Token {
            /// All of them, in the order of their discriminants.
            pub const ALL: &'static [Token] = &[$(Token::$variant,)+];

            /// Its name in a theme file.
            pub const fn name(self) -> &'static str {
                match self { $(Token::$variant => $name,)+ }
            }
        }
    };
}

tokens! {
    /// The ground everything stands on.
    Base = "base",
    /// Ordinary text.
    Text = "text",
    /// What matters most in its place.
    Strong = "strong",
    /// Secondary text.
    Muted = "muted",
    /// Rules, what an empty field hints at, the unlit part of a bar.
    Faint = "faint",
    /// Border of a pane.
    Border = "border",
    /// Border of the pane that has the keys.
    BorderFocus = "border-focus",
    /// Title of a pane.
    Title = "title",
    /// Title of the pane that has the keys.
    TitleFocus = "title-focus",
    /// Column headings.
    Heading = "heading",
    /// The selected row (a background or a modifier).
    Selected = "selected",
    /// The selected row of a pane that does not have the keys.
    SelectedDim = "selected-dim",
    /// The mark of the cursor and of marked rows.
    Cursor = "cursor",
    /// Ground of an overlay.
    Overlay = "overlay",
    /// The field that takes input.
    Input = "input",
    /// A key in the footer, help and palette.
    Key = "key",
    /// The program's name.
    Brand = "brand",
    /// The node lives in this process.
    BadgeEmbedded = "badge-embedded",
    /// The node is elsewhere.
    BadgeRemote = "badge-remote",
    /// Nothing can be changed from here.
    BadgeReadOnly = "badge-read-only",
    /// What is shown is old.
    BadgeLost = "badge-lost",
    /// A transfer that moves bytes.
    Running = "running",
    /// A transfer that serves others.
    Seeding = "seeding",
    /// A transfer that is complete.
    Done = "done",
    /// A transfer that waits, starts or checks.
    Waiting = "waiting",
    /// A transfer that was paused.
    Paused = "paused",
    /// A wish that is not a fact yet.
    Wish = "wish",
    /// Something to look at.
    Warn = "warn",
    /// Something failed.
    Error = "error",
    /// Bytes to this node.
    Down = "down",
    /// Bytes from this node.
    Up = "up",
    /// What was before in the chart of bytes to this node; now is `down`.
    ChartDown = "chart-down",
    /// What was before in the chart of bytes from this node; now is `up`.
    ChartUp = "chart-up",
    /// The lit part of a progress bar.
    BarFill = "bar-fill",
    /// Pieces that are here.
    MapHave = "map-have",
    /// Pieces under way.
    MapFlight = "map-flight",
    /// Pieces that are missing.
    MapMissing = "map-missing",
    /// Missing pieces that few have.
    MapRare = "map-rare",
    /// Pieces that failed their digest.
    MapFailed = "map-failed",
    /// What a peer has.
    Lane = "lane",
}

impl Token {
    /// Number of tokens.
    pub const COUNT: usize = Self::ALL.len();
}
