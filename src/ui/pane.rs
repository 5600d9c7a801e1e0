//! The chat pane: which rows of which messages are seen. Messages are laid out when they come into sight and kept; a
//! conversation of thousands costs what its visible part costs.

use std::cell::RefCell;
use std::collections::HashMap;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::Line;
use ratatui::widgets::Widget;

use super::View;
use super::areas::row;
use super::markdown::Growing;
use super::message::{self, Stamp};
use super::theme::Theme;
use crate::app::App;
use crate::app::msg::{Move, Scroll};
use crate::chat::tree::{Node, NodeId};

/// Laid out messages kept; the cache is emptied when it is full.
const MOST: usize = 256;

/// Layouts of messages.
#[derive(Default)]
pub(crate) struct Cache {
    epoch: u32,
    kept: HashMap<NodeId, (Stamp, Vec<Line<'static>>)>,
    growing: Growing,
}

/// A row of the conversation: the message's place on the branch, and the row in it.
type Place = (usize, usize);

/// The conversation at a width.
pub(crate) struct Rows<'a> {
    app: &'a App,
    view: &'a View,
    theme: &'a Theme,
    width: u16,
}

impl<'a> Rows<'a> {
    pub(crate) fn new(app: &'a App, view: &'a View, theme: &'a Theme, width: u16) -> Self {
        let mut cache = view.cache.borrow_mut();
        if cache.epoch != app.epoch || cache.kept.len() > MOST {
            *cache = Cache { epoch: app.epoch, ..Cache::default() };
        }
        drop(cache);
        Self { app, view, theme, width }
    }

    fn with<R>(&self, at: usize, use_lines: impl FnOnce(&[Line<'static>]) -> R) -> Option<R> {
        let node: &Node = self.app.path.get(at).and_then(|id| self.app.conversation.node(*id))?;
        let highlighter = &self.view.highlighter;
        let stamp = Stamp::of(self.app, node, self.width, self.theme, highlighter);
        let cache = &mut *self.view.cache.borrow_mut();
        if cache.kept.get(&node.id).is_none_or(|(known, _)| *known != stamp) {
            let lines = message::lines(node, &stamp, self.theme, highlighter, &mut cache.growing);
            cache.kept.insert(node.id, (stamp, lines));
        }
        cache.kept.get(&node.id).map(|(_, lines)| use_lines(lines))
    }

    fn height(&self, at: usize) -> usize {
        self.with(at, <[_]>::len).unwrap_or(0)
    }

    /// The first row that is seen when the last one stands at the bottom. The blank row after the last message may hang
    /// below.
    fn last_screen(&self, height: usize) -> Place {
        let mut room = height + 1;
        for at in (0..self.app.path.len()).rev() {
            let rows = self.height(at);
            if rows >= room {
                return (at, rows - room);
            }
            room -= rows;
        }
        (0, 0)
    }

    /// The row at the top of the pane.
    pub(crate) fn top(&self, height: usize) -> Place {
        let last = self.last_screen(height);
        match self.app.scroll {
            Scroll::Follow => last,
            Scroll::At(id, row) => match self.app.path.binary_search(&id) {
                Ok(at) => (at, row.min(self.height(at).saturating_sub(1))).min(last),
                Err(at) => (at, 0).min(last),
            },
        }
    }

    /// Where a movement leads.
    pub(crate) fn moved(&self, by: Move, height: usize) -> Scroll {
        let page = i32::try_from(height.saturating_sub(2).max(1)).unwrap_or(i32::MAX);
        let to = match by {
            Move::Bottom => return Scroll::Follow,
            Move::Top => (0, 0),
            Move::To(id) => (self.app.path.binary_search(&id).unwrap_or_else(|at| at), 0),
            Move::Rows(rows) => self.shifted(self.top(height), rows),
            Move::Pages(pages) => self.shifted(self.top(height), pages.saturating_mul(page)),
        };
        match self.app.path.get(to.0) {
            Some(id) if to < self.last_screen(height) => Scroll::At(*id, to.1),
            _ => Scroll::Follow,
        }
    }

    fn shifted(&self, (mut at, row): Place, by: i32) -> Place {
        let mut row = row as i64 + i64::from(by);
        while row < 0 && at > 0 {
            at -= 1;
            row += self.height(at) as i64;
        }
        while at + 1 < self.app.path.len() && row >= self.height(at) as i64 {
            row -= self.height(at) as i64;
            at += 1;
        }
        (at, usize::try_from(row).unwrap_or(0))
    }

    /// Draws the rows that are seen; tells whether there is more below.
    pub(crate) fn draw(&self, area: Rect, buf: &mut Buffer) -> bool {
        let height = usize::from(area.height);
        let (mut at, mut skip) = self.top(height);
        let mut y = 0;
        while y < height && at < self.app.path.len() {
            let drawn = self.with(at, |lines| {
                for line in lines.iter().skip(skip).take(height - y) {
                    line.render(row(area, u16::try_from(y).unwrap_or(u16::MAX)), buf);
                    y += 1;
                }
            });
            if drawn.is_none() {
                break;
            }
            skip = 0;
            at += 1;
        }
        self.app.scroll != Scroll::Follow && self.top(height) < self.last_screen(height)
    }
}

/// An empty cache.
pub(crate) fn cache() -> RefCell<Cache> {
    RefCell::new(Cache::default())
}
