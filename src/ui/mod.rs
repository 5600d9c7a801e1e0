//! Draws the state; changes nothing. What it keeps are layouts, which can be made again at any time.

mod areas;
pub mod bench;
mod editor;
pub mod highlight;
mod input;
pub mod markdown;
mod message;
mod overlay;
mod pane;
pub mod sanitise;
mod status;
#[cfg(test)]
mod tests;
pub mod theme;
pub mod wrap;

use std::cell::RefCell;

use ratatui::Frame;
use ratatui::buffer::Buffer;
use ratatui::layout::{Position, Rect};
use ratatui::text::{Line, Span};
use ratatui::widgets::Widget;

use crate::app::model::State;
use crate::app::msg::{Level, Move, Scrolled};
use crate::app::notice::Notice;
use crate::app::{App, Pane};
use areas::Areas;
use highlight::Highlighter;
use theme::{Ability, Theme};

/// What drawing keeps from frame to frame.
pub struct View {
    ability: Ability,
    highlighter: Highlighter,
    cache: RefCell<pane::Cache>,
    sheets: RefCell<highlight::sheet::Sheets>,
}

impl std::fmt::Debug for View {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("View").field("ability", &self.ability).finish_non_exhaustive()
    }
}

impl View {
    /// For a terminal of this ability.
    pub fn new(ability: Ability, highlighter: Highlighter) -> Self {
        Self { ability, highlighter, cache: pane::cache(), sheets: RefCell::default() }
    }

    fn theme(&self, app: &App) -> Theme {
        Theme::new(app.settings.ui.theme, self.ability)
    }

    /// Draws the state. The terminal's cursor is put where the person types, or hidden.
    pub fn render(&self, app: &App, frame: &mut Frame<'_>) {
        let area = frame.area();
        if let Some(position) = self.draw(app, area, frame.buffer_mut()) {
            frame.set_cursor_position(position);
        }
    }

    /// Draws into a buffer; gives the cursor's place.
    pub fn draw(&self, app: &App, area: Rect, screen: &mut Buffer) -> Option<Position> {
        if area.is_empty() {
            return None;
        }
        let theme = self.theme(app);
        let (chat, editor) = app.columns();
        let chat = Rect { width: chat.min(area.width), ..area };
        let editor = Rect { x: area.right().saturating_sub(editor), width: editor, ..area }.intersection(area);
        if app.is_split() {
            let between = Rect { x: chat.right(), width: 1, ..area }.intersection(area);
            for y in between.top()..between.bottom() {
                Line::styled("│", theme.border).render(Rect { y, height: 1, ..between }, screen);
            }
        }
        let in_file = editor::draw(app, self, editor, &theme, screen);
        if chat.is_empty() {
            return overlay::draw(app, self, editor, &theme, screen).unwrap_or(in_file);
        }
        let in_chat = self.draw_chat(app, chat, &theme, screen);
        if app.pane == Pane::Editor && app.overlay.is_none() { in_file } else { in_chat }
    }

    fn draw_chat(&self, app: &App, area: Rect, theme: &Theme, screen: &mut Buffer) -> Option<Position> {
        let areas = Areas::new(app, area);
        let rows = pane::Rows::new(app, self, theme, areas.chat.width);
        if app.path.is_empty() {
            greeting(app, areas.chat, theme, screen);
        } else if rows.draw(areas.chat, screen) {
            below(app, areas.chat, theme, screen);
        }
        notices(app, areas.notices, theme, screen);
        waiting(app, areas.waiting, theme, screen);
        if !areas.rule.is_empty() {
            input::rule(app, areas.rule, theme, screen);
        }
        let cursor = input::input(app, areas.input, theme, screen);
        if !areas.status.is_empty() {
            status::status(app, areas.status, theme, screen);
        }
        overlay::draw(app, self, areas.chat, theme, screen).unwrap_or(cursor)
    }

    /// Where a movement leads: in the page that is open, else in the chat.
    pub fn moved(&self, app: &App, by: Move) -> Scrolled {
        let (chat, editor) = app.columns();
        let width = if chat == 0 { editor } else { chat };
        let area = Rect { x: 0, y: 0, width, height: app.size.1 };
        let theme = self.theme(app);
        let areas = if chat == 0 { Areas { chat: area, ..Areas::default() } } else { Areas::new(app, area) };
        if let Some(scrolled) = overlay::moved(app, self, areas.chat, &theme, by) {
            return scrolled;
        }
        let rows = pane::Rows::new(app, self, &theme, areas.chat.width);
        Scrolled::Chat(rows.moved(by, usize::from(areas.chat.height)))
    }
}

/// An empty conversation.
fn greeting(app: &App, area: Rect, theme: &Theme, screen: &mut Buffer) {
    let model = match &app.model.state {
        State::Absent => "No model yet: /model downloads one.".to_owned(),
        State::Loading(_) => "The model is loading; you can type already.".to_owned(),
        State::Ready(facts) => match (&facts.server, facts.n_ctx) {
            (None, n_ctx) => format!("{n_ctx} tokens of context, all on this device."),
            (Some(_), 0) => "The model is on a server.".to_owned(),
            (Some(_), n_ctx) => format!("{n_ctx} tokens of context, on a server."),
        },
        State::Failed(error) => sanitise::line(&error.message).into_owned(),
    };
    let key = |name: &'static str| Span::styled(name, theme.accent);
    let goes_to = |host| Line::styled(format!("What you write goes to {}.", sanitise::line(host)), theme.dim);
    let mut lines = vec![Line::styled("Zord Coder", theme.heading[0]), Line::styled(model, theme.dim)];
    lines.extend(app.model.server().map(goes_to));
    let with = |name: &str| Line::styled(format!("{} goes with the questions.", sanitise::line(name)), theme.dim);
    lines.extend(app.used_notes().map(|notes| with(&notes.name)));
    lines.extend([
        Line::default(),
        Line::from(vec![key("Enter"), Span::raw(" sends, "), key("\\ Enter"), Span::raw(" begins a new line")]),
        Line::from(vec![key("@"), Span::raw(" shows it a file, "), key("/"), Span::raw(" lists the commands")]),
        Line::from(vec![key("/help start"), Span::raw(" for the first ten minutes")]),
    ]);
    for (n, line) in (0u16..).zip(lines) {
        let inner =
            Rect { x: area.x + u16::from(area.width > 20), ..areas::row(area, n + u16::from(area.height > 12)) };
        line.render(inner.intersection(area), screen);
    }
}

/// A mark that there is more below.
fn below(app: &App, area: Rect, theme: &Theme, screen: &mut Buffer) {
    let text = if app.unread { " ↓ new text " } else { " ↓ " };
    let width = u16::try_from(sanitise::width(text)).unwrap_or(0).min(area.width);
    let mark = Rect { x: area.right() - width, y: area.bottom().saturating_sub(1), width, height: area.height.min(1) };
    Line::styled(text, theme.selection).render(mark, screen);
}

/// What was told: the newest whole, then those before it as far as there is room. Of one that is too long its beginning is
/// what tells what happened.
fn notices(app: &App, area: Rect, theme: &Theme, screen: &mut Buffer) {
    let height = usize::from(area.height);
    let mut lines: Vec<Line<'static>> = Vec::new();
    for notice in app.notices.iter().rev() {
        let mut told = told(notice, area.width, theme);
        if lines.is_empty() && told.len() > height {
            told.truncate(height);
            if let Some(last) = told.last_mut() {
                let text = last.spans.iter().map(|span| span.content.as_ref()).collect::<String>();
                let room = usize::from(area.width).saturating_sub(2);
                *last = Line::styled(format!("{} …", input::cut(text.trim_end(), room)), last.style);
            }
        }
        if lines.len() + told.len() > height {
            break;
        }
        told.append(&mut lines);
        lines = told;
    }
    for (n, line) in (0u16..).zip(lines) {
        line.render(areas::row(area, n), screen);
    }
}

fn told(notice: &Notice, width: u16, theme: &Theme) -> Vec<Line<'static>> {
    let (sign, style) = match notice.level {
        Level::Info => ("· ", theme.dim),
        Level::Warning => ("! ", theme.warning),
        Level::Error => ("✗ ", theme.error),
    };
    let text = sanitise::line(&notice.text);
    let rows = crate::text::wrap::rows(&text, usize::from(width.saturating_sub(2)));
    let row = |(n, row): (usize, &crate::text::wrap::Row)| {
        let sign = if n == 0 { sign } else { "  " };
        Line::styled(format!("{sign}{}", text[row.start..row.end].trim_end()), style)
    };
    rows.iter().enumerate().map(row).collect()
}

/// The message that waits.
fn waiting(app: &App, area: Rect, theme: &Theme, screen: &mut Buffer) {
    if let Some(outgoing) = &app.outgoing {
        let why = match outgoing {
            crate::app::compose::Outgoing::Reading(_) => "reading files",
            crate::app::compose::Outgoing::Waiting(_) => "queued · Esc to edit",
        };
        let room = usize::from(area.width).saturating_sub(sanitise::width(why) + 7);
        let text = input::cut(&sanitise::line(&outgoing.draft().text), room);
        Line::styled(format!("❯ “{text}” {why}"), theme.dim).render(areas::row(area, 0), screen);
    }
}
