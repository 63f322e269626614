//! The classes that a link can be set to, with what each means for syncs.
//!
//! ```text
//! ╭ Class of van-42:7070 ──────────── Enter sets it, Esc closes ╮
//! │ ▌ auto           as it is measured                          │
//! │   ▄ mobile       what changed, compressed                   │
//! ╰─────────────────────────────────────────────────────────────╯
//! ```

use ratatui::layout::Rect;
use skep_engine::control::link::{ClassChoice, LinkClass};

use super::{centered, window};
use crate::console::derive::link::class_look;
use crate::console::model::links::authority;
use crate::console::model::overlay::ClassesView;
use crate::console::panes::Context;
use crate::console::theme::Token;
use crate::console::widgets::Canvas;

/// Columns of the names.
const NAME: u16 = 15;

/// Draws it.
pub fn draw(canvas: &mut Canvas<'_>, view: &ClassesView, context: Context<'_>) {
    let area = centered(canvas, 78, ClassesView::COUNT as u16 + 2);
    let title = format!("Class of {}", authority(&view.endpoint));
    let inner = window(canvas, area, &title, "Enter sets it, Esc closes");
    let link = context.model.snapshot.links.iter().find(|link| link.endpoint == view.endpoint);
    for place in 0..ClassesView::COUNT.min(inner.height.into()) {
        let y = inner.y + place as u16;
        let x = inner.x + 2;
        match ClassesView::choice_at(place) {
            ClassChoice::Auto => {
                canvas.text(x, y, NAME, "auto", Token::Strong);
            }
            ClassChoice::Fixed(class) => {
                let (glyph, token) = class_look(class);
                canvas.glyph(x, y, glyph(canvas.glyphs), token);
                canvas.text(x + 2, y, NAME - 2, class.name(), token);
            }
        }
        let at = x + NAME + 1;
        let mut width = inner.right().saturating_sub(at);
        let holds = link.is_some_and(|link| match ClassesView::choice_at(place) {
            ClassChoice::Auto => !link.forced,
            ClassChoice::Fixed(class) => link.forced && link.class == class,
        });
        if holds {
            width = width.saturating_sub(canvas.right(at, y, width, format_args!("now"), Token::Muted) + 1);
        }
        canvas.text(at, y, width, meaning(ClassesView::choice_at(place)), Token::Muted);
    }
    canvas.wash(area, Token::Overlay);
    let y = inner.y + view.at as u16;
    if y < inner.bottom() {
        canvas.glyph(inner.x, y, canvas.glyphs.cursor, Token::Cursor);
        canvas.wash(Rect::new(inner.x, y, inner.width, 1), Token::Selected);
    }
}

const fn meaning(choice: ClassChoice) -> &'static str {
    match choice {
        ClassChoice::Auto | ClassChoice::Fixed(LinkClass::Unknown) => "as it is measured",
        ClassChoice::Fixed(LinkClass::Fiber) => "everything, as it is",
        ClassChoice::Fixed(LinkClass::Broadband) => "everything, compressed",
        ClassChoice::Fixed(LinkClass::Mobile) => "what changed, compressed; in the queue's order",
        ClassChoice::Fixed(LinkClass::Satellite) => "what changed; summaries of what is not critical",
        ClassChoice::Fixed(LinkClass::Intermittent) => "kept here, and sent when the link is there",
    }
}
