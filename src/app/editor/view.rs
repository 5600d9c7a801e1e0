//! Which rows of the screen belong to what in the editor's pane, and which row of the file is at the top. The drawing side
//! and the moving side both ask here, so that they cannot disagree.

use unicode_segmentation::UnicodeSegmentation;

use super::OpenFile;
use crate::app::{App, Out, Pane};
use crate::text::graphemes::{cells, text};
use crate::text::rows::Walk;
use crate::text::{clean, wrap};

/// From so many columns on, chat and editor stand side by side.
pub const WIDE: u16 = 120;
/// Rows kept above and below the cursor.
const MARGIN: usize = 2;
/// Most rows of notices.
const NOTICES: u16 = 4;

/// How many rows each part of the pane has, from the top down. Any of them may be none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Heights {
    /// The open files.
    pub tabs: u16,
    /// The text.
    pub text: u16,
    /// What the person is told.
    pub notices: u16,
    /// Find, replace, questions.
    pub bar: u16,
    /// The status line.
    pub status: u16,
    /// The keys.
    pub help: u16,
}

/// The rows of a notice at a width.
pub fn notice_rows(text: &str, width: u16) -> (String, Vec<wrap::Row>) {
    let text = clean::one_line(text);
    let rows = wrap::rows(&text, usize::from(width.saturating_sub(2)));
    (text, rows)
}

/// Columns of the line numbers, the blank behind them included; none on a very narrow screen.
pub fn gutter(lines: usize, width: u16) -> u16 {
    if width < 24 {
        return 0;
    }
    u16::try_from(lines.max(100).ilog10() + 2).unwrap_or(4)
}

impl App {
    /// Whether both panes are seen.
    pub fn is_split(&self) -> bool {
        self.size.0 >= WIDE && !self.editor.files.is_empty()
    }

    /// Columns of the chat, from the left, and of the editor, up to the right; one column lies between them.
    pub fn columns(&self) -> (u16, u16) {
        match (self.is_split(), self.pane) {
            (true, _) => {
                let chat = (self.size.0 - 1) * 2 / 5;
                (chat, self.size.0 - 1 - chat)
            }
            (false, Pane::Chat) => (self.size.0, 0),
            (false, Pane::Editor) => (0, self.size.0),
        }
    }

    /// The rows of the editor's pane.
    pub fn editor_heights(&self) -> Heights {
        let (_, width) = self.columns();
        let height = self.size.1;
        let bar = self.editor.bar.as_ref().map_or(0, |bar| bar.rows(width));
        let bar = bar.min(height.saturating_sub(1));
        let mut left = height - bar;
        let mut take = |wanted: u16, spare: u16| {
            let taken = if left >= wanted + spare { wanted } else { 0 };
            left -= taken;
            taken
        };
        let status = take(1, 2);
        let tabs = take(1, 4);
        let help = take(1, 8);
        let told = if self.is_split() { 0 } else { self.notice_rows(width) };
        let notices = told.min(NOTICES).min(left.saturating_sub(3));
        Heights { tabs, text: left - notices, notices, bar, status, help }
    }

    fn notice_rows(&self, width: u16) -> u16 {
        let rows = self.notices.iter().map(|notice| notice_rows(&notice.text, width).1.len()).sum::<usize>();
        u16::try_from(rows).unwrap_or(NOTICES)
    }

    /// Cells that the text of a file wraps at, and rows of it. One column more is kept for the cursor.
    pub fn text_size(&self, file: &OpenFile) -> (usize, usize) {
        let (_, width) = self.columns();
        let text = width.saturating_sub(gutter(file.document.rope().len_lines(), width) + 1);
        (usize::from(text).max(1), usize::from(self.editor_heights().text).max(1))
    }

    /// Brings the cursor of the file that is shown into sight.
    pub(crate) fn follow_cursor(&mut self) {
        let Some(file) = self.editor.file() else { return };
        let (width, height) = self.text_size(file);
        let ghost = self.editor.ghost.as_ref().and_then(|ghost| ghost_rows(file, width, ghost.text()).pop());
        let top = followed(file, width, height, ghost.unwrap_or(0));
        if let Some(file) = self.editor.file_mut() {
            file.top = top;
        }
    }

    /// How many lines of the suggestion are seen whole; at least one.
    pub(super) fn ghost_lines_seen(&self) -> usize {
        let (Some(file), Some(ghost)) = (self.editor.file(), &self.editor.ghost) else { return 0 };
        let (width, height) = self.text_size(file);
        let rope = file.document.rope();
        let cursor = Walk::new(rope, width, file.document.cursor()).row().start;
        let mut walk = Walk::new(rope, width, file.top);
        let above = (0..height).take_while(|_| walk.row().start != cursor && walk.down()).count();
        ghost_rows(file, width, ghost.text()).into_iter().take_while(|row| above + row < height).count().max(1)
    }

    /// Moves what is seen by rows, and the cursor with it where it would be lost.
    pub(crate) fn scroll_text(&mut self, by: i32, out: &mut Out) {
        let Some(file) = self.editor.file() else { return };
        let (width, height) = self.text_size(file);
        let mut walk = Walk::new(file.document.rope(), width, file.top);
        for _ in 0..by.unsigned_abs() {
            if !(if by < 0 { walk.up() } else { walk.down() }) {
                break;
            }
        }
        let top = walk.row().start;
        let margin = MARGIN.min(height.saturating_sub(1) / 2);
        let cursor = Walk::new(file.document.rope(), width, file.document.cursor()).row().start;
        let (mut first, mut last) = (top, top);
        for n in 0..height.saturating_sub(margin + 1) {
            if n == margin {
                first = walk.row().start;
            }
            if !walk.down() {
                break;
            }
            last = walk.row().start;
        }
        let to = if cursor < first && top > 0 { Some(first) } else { (cursor > last).then_some(last) };
        let marking = file.marking;
        if let Some(file) = self.editor.file_mut() {
            file.top = top;
            if let Some(to) = to {
                let anchor = if marking { file.document.selection().anchor } else { to };
                file.document.select(crate::text::document::Selection { anchor, head: to });
                self.editor.dismiss(out);
            }
        }
    }
}

/// In which row each line of a suggestion ends, counted from the cursor's row.
fn ghost_rows(file: &OpenFile, width: usize, ghost: &str) -> Vec<usize> {
    let rope = file.document.rope();
    let head = file.document.cursor();
    let start = Walk::new(rope, width, head).row().start;
    let columns = |text: &str| text.graphemes(true).map(cells).sum::<usize>();
    let mut x = columns(&text(rope, start, head));
    let mut row = 0;
    ghost
        .split('\n')
        .enumerate()
        .map(|(n, line)| {
            if n > 0 {
                (x, row) = (0, row + 1);
            }
            for grapheme in line.graphemes(true) {
                let wide = cells(grapheme);
                // the column that is kept for the cursor is drawn in
                if x + wide > width + 1 {
                    (x, row) = (0, row + 1);
                }
                x += wide;
            }
            row
        })
        .collect()
}

/// The row at the top with which the cursor and `ghost` rows of a suggestion after it are in sight, as far as they fit.
fn followed(file: &OpenFile, width: usize, height: usize, ghost: usize) -> usize {
    let rope = file.document.rope();
    let up_from = |position: usize, rows: usize| {
        let mut walk = Walk::new(rope, width, position);
        for _ in 0..rows {
            if !walk.up() {
                break;
            }
        }
        walk.row().start
    };
    let mut after = Walk::new(rope, width, file.document.cursor());
    let cursor = after.row().start;
    let margin = MARGIN.min(height.saturating_sub(1) / 2);
    // at the end of the file there is nothing below to keep in sight
    let margin_below = (0..margin).take_while(|_| after.down()).count();
    let below = ghost.max(margin_below).min(height - 1);
    let above = margin.min(height - 1 - below);
    let mut walk = Walk::new(rope, width, file.top);
    let top = walk.row().start;
    for n in 0..height - below {
        if walk.row().start == cursor {
            return if n < above { up_from(cursor, above) } else { top };
        }
        if !walk.down() {
            break;
        }
    }
    if cursor < top { up_from(cursor, above) } else { up_from(cursor, height - 1 - below) }
}
