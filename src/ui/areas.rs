//! Which rows belong to what. On a small screen things go in this order: notices, the rule over the input, the status
//! line; the input stays to the last.

use ratatui::layout::Rect;

use crate::app::App;
use crate::app::overlay::Overlay;
use crate::text::wrap;

/// Most rows of notices.
const NOTICES: u16 = 4;
/// Rows up to which a screen is short, as a phone's with the keyboard open: a review has it to itself.
pub(crate) const SHORT: u16 = 17;

/// Where things are drawn. Any of them may be empty.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Areas {
    pub(crate) chat: Rect,
    pub(crate) notices: Rect,
    pub(crate) waiting: Rect,
    pub(crate) rule: Rect,
    pub(crate) input: Rect,
    pub(crate) status: Rect,
}

impl Areas {
    /// For a screen of this size.
    pub(crate) fn new(app: &App, area: Rect) -> Self {
        let height = area.height;
        if height <= SHORT && matches!(app.overlay, Some(Overlay::Review(_))) {
            let notices = notice_height(app, area.width).min(1).min(height.saturating_sub(3));
            let chat = Rect { height: height - notices, ..area };
            return Self { chat, notices: Rect { y: chat.bottom(), height: notices, ..area }, ..Self::default() };
        }
        let input_rows = wrap::rows(app.composer.field.text(), app.input_width()).len();
        let most = (height / 3).max(1);
        let input = u16::try_from(input_rows).unwrap_or(most).clamp(1, most).min(height);
        let status = u16::from(height >= 3);
        let rule = u16::from(height >= 6);
        let waiting = u16::from(app.outgoing.is_some() && height >= 8);
        let chrome = input + status + rule + waiting;
        let notices = notice_height(app, area.width).min(NOTICES).min(height.saturating_sub(chrome + 3));
        let chat = height.saturating_sub(chrome + notices);
        let mut y = area.y;
        let mut next = |rows: u16| {
            let found = Rect { x: area.x, y, width: area.width, height: rows };
            y += rows;
            found
        };
        Self {
            chat: next(chat),
            notices: next(notices),
            waiting: next(waiting),
            rule: next(rule),
            input: next(input),
            status: next(status),
        }
    }
}

/// Rows that all notices would take.
fn notice_height(app: &App, width: u16) -> u16 {
    app.notices.iter().map(|notice| notice_rows(&notice.text, width)).sum()
}

fn notice_rows(text: &str, width: u16) -> u16 {
    let text = super::sanitise::line(text);
    u16::try_from(wrap::rows(&text, usize::from(width.saturating_sub(2))).len()).unwrap_or(NOTICES)
}

/// One row of an area; nothing if it has fewer.
pub(crate) fn row(area: Rect, n: u16) -> Rect {
    if n < area.height { Rect { y: area.y + n, height: 1, ..area } } else { Rect { height: 0, ..area } }
}
