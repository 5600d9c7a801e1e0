//! What lies over the chat. Popups take rows at the pane's foot, the others the whole pane.

mod lists;
mod models;
mod notes;
mod review;
mod running;
mod search;

use ratatui::buffer::Buffer;
use ratatui::layout::{Position, Rect};
use ratatui::style::Style;
use ratatui::text::{Line, Span};
use ratatui::widgets::{Clear, Widget};

use super::areas::row;
use super::input::cut;
use super::markdown::{self, Options};
use super::{View, sanitise};
use crate::app::App;
use crate::app::keymap::Hints;
use crate::app::msg::{Move, Scrolled};
use crate::app::overlay::{Overlay, Page};
use crate::ui::theme::Theme;

/// Rows of a popup at most.
const POPUP: u16 = 9;

/// Where and with what something is drawn.
pub(crate) struct Canvas<'a> {
    pub(crate) theme: &'a Theme,
    pub(crate) screen: &'a mut Buffer,
}

impl Canvas<'_> {
    /// Draws a line into a row of an area.
    pub(crate) fn line(&mut self, area: Rect, n: u16, line: impl Into<Line<'static>>) {
        line.into().render(row(area, n), self.screen);
    }

    /// A text on the left, another at the right end; the left one is cut.
    pub(crate) fn pair(&mut self, area: Rect, n: u16, left: (&str, Style), right: (&str, Style)) {
        let width = usize::from(area.width);
        let room = width.saturating_sub(sanitise::width(left.0) + 1).max(width / 2);
        let right_text = cut(right.0, room);
        let right_width = sanitise::width(&right_text);
        let left_text = cut(left.0, width.saturating_sub(right_width + usize::from(right_width > 0)));
        let gap = width.saturating_sub(sanitise::width(&left_text) + right_width);
        let spans =
            vec![Span::styled(left_text, left.1), Span::raw(" ".repeat(gap)), Span::styled(right_text, right.1)];
        self.line(area, n, Line::from(spans));
    }

    /// A rule with a title; gives what is left below it.
    pub(crate) fn title(&mut self, area: Rect, title: &str, keys: &str) -> Rect {
        let width = usize::from(area.width);
        let title = cut(&format!("── {title} "), width);
        let fits = |keys: &&str| width > sanitise::width(&title) + sanitise::width(keys) + 4;
        let keys = [keys, "Esc"].into_iter().filter(|keys| !keys.is_empty()).find(fits);
        let keys = keys.map(|keys| format!(" {keys} ─")).unwrap_or_default();
        let fill = width.saturating_sub(sanitise::width(&title) + sanitise::width(&keys));
        let spans = vec![
            Span::styled(title, self.theme.focus),
            Span::styled("─".repeat(fill), self.theme.border),
            Span::styled(keys, self.theme.dim),
        ];
        self.line(area, 0, Line::from(spans));
        Rect { y: area.y + u16::from(area.height > 0), height: area.height.saturating_sub(1), ..area }
    }

    /// Marks a row as the selected one.
    pub(crate) fn select(&mut self, area: Rect, n: u16) {
        self.screen.set_style(row(area, n), self.theme.selection);
    }
}

/// Keys and a word each.
fn keys(hints: Hints, key: Style, word: Style) -> Vec<Span<'static>> {
    let pair = |(name, does): (String, &str)| [Span::styled(name, key), Span::styled(format!(" {does}"), word)];
    hints.keys().flat_map(pair).collect()
}

/// The rows of a list that are seen: the first index, so that the selected one is among `height` rows.
pub(crate) fn window(selected: usize, len: usize, height: usize) -> usize {
    selected.saturating_sub(height / 2).min(len.saturating_sub(height))
}

/// Draws what is open over the pane; gives the cursor's place if it is in there, and `None` inside if it is hidden.
pub(crate) fn draw(app: &App, view: &View, area: Rect, theme: &Theme, screen: &mut Buffer) -> Option<Option<Position>> {
    let overlay = app.overlay.as_ref()?;
    if area.is_empty() {
        return None;
    }
    let area = match overlay {
        Overlay::Notes(_) => foot(area, notes::lines(app, usize::from(area.width), theme).len()),
        popup if popup.is_popup() => foot(area, lists::popup_rows(popup)),
        _ => area,
    };
    Clear.render(area, screen);
    let mut canvas = Canvas { theme, screen };
    match overlay {
        Overlay::Palette(palette) => {
            lists::palette(palette, area, &mut canvas);
            None
        }
        Overlay::Files(files) => {
            lists::files(files, area, &mut canvas);
            None
        }
        Overlay::Notes(_) => {
            notes::draw(app, area, &mut canvas);
            None
        }
        Overlay::Choose(choose) => Some(lists::choose(choose, area, &mut canvas)),
        Overlay::Page(page) => {
            draw_page(page, view, area, &mut canvas);
            Some(None)
        }
        Overlay::Sessions(sessions) => Some(lists::sessions(app, sessions, area, &mut canvas)),
        Overlay::Models(models) => {
            let cursor = models::models(models, area, &mut canvas);
            // at the first start the input below takes what is typed
            (!models.first || models.path.is_some() || models.asked.is_some()).then_some(cursor)
        }
        Overlay::Open(picker) => Some(lists::picker(picker, area, &mut canvas)),
        Overlay::Search => Some(search::search(app, area, &mut canvas)),
        Overlay::Resume(resume) => {
            lists::resume(app, resume, foot(area, 6), &mut canvas);
            Some(None)
        }
        Overlay::Review(review) => {
            review::draw(review, area, &mut canvas);
            Some(None)
        }
        Overlay::NewFile(file) => Some(lists::new_file(file, area, &mut canvas)),
        Overlay::Confirm(confirm) => {
            running::confirm(app, confirm, area, &mut canvas);
            Some(None)
        }
        Overlay::Running(running) => {
            running::draw(running, area, &mut canvas);
            Some(None)
        }
    }
}

/// The last rows of an area, with one for the title.
fn foot(area: Rect, rows: usize) -> Rect {
    let height = u16::try_from(rows + 1).unwrap_or(POPUP).min(POPUP + 1).min(area.height);
    Rect { y: area.bottom() - height, height, ..area }
}

fn page_lines(page: &Page, view: &View, width: u16, theme: &Theme) -> Vec<Line<'static>> {
    let options = Options { highlighter: Some(&view.highlighter), ..Options::default() };
    markdown::layout(&page.markdown, width, theme, options).lines
}

fn draw_page(page: &Page, view: &View, area: Rect, canvas: &mut Canvas<'_>) {
    let body = canvas.title(area, &page.title, &format!("arrows, {}", Hints::PAGE.line()));
    let lines = page_lines(page, view, body.width, canvas.theme);
    let top = page.top.min(lines.len().saturating_sub(usize::from(body.height)));
    for (n, line) in lines.into_iter().skip(top).take(usize::from(body.height)).enumerate() {
        canvas.line(body, u16::try_from(n).unwrap_or(u16::MAX), line);
    }
}

/// Where a movement leads in what is open; `None` where there is nothing to scroll.
pub(crate) fn moved(app: &App, view: &View, area: Rect, theme: &Theme, by: Move) -> Option<Scrolled> {
    let inner = usize::from(area.height.saturating_sub(1));
    match app.overlay.as_ref()? {
        Overlay::Page(page) => {
            let rows = page_lines(page, view, area.width, theme).len();
            Some(Scrolled::Page(scrolled(page.top, rows, inner, by)))
        }
        Overlay::Review(review) => {
            let (top, rows, height) = review::place(review, area, theme);
            Some(Scrolled::Page(scrolled(top, rows, height, by)))
        }
        Overlay::Running(running) => {
            let (rows, height) = running::place(running, area);
            Some(Scrolled::Page(scrolled(running.top.unwrap_or(usize::MAX), rows, height, by)))
        }
        Overlay::Confirm(confirm) => {
            let (top, rows, height) = running::confirm_place(app, confirm, area);
            let top = scrolled(top, rows, height, by);
            Some(Scrolled::Command(top, top + height >= rows))
        }
        _ => None,
    }
}

/// The row at the top after a movement over `rows` rows of which `height` are seen.
fn scrolled(top: usize, rows: usize, height: usize, by: Move) -> usize {
    let most = rows.saturating_sub(height);
    let step = height.saturating_sub(2).max(1);
    let shifted = |rows: i64| usize::try_from(top.min(most) as i64 + rows).unwrap_or(0).min(most);
    match by {
        Move::Rows(rows) => shifted(rows.into()),
        Move::Pages(pages) => shifted(i64::from(pages) * step as i64),
        Move::Top | Move::To(_) => 0,
        Move::Bottom => most,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_selected_row_is_always_in_the_window() {
        for len in 0..20 {
            for height in 1..8 {
                for selected in 0..len {
                    let first = window(selected, len, height);
                    assert!(first <= selected && selected < first + height, "{selected} of {len} in {height}");
                }
            }
        }
    }
}
