//! Lists: commands, files, choices, conversations.

use ratatui::layout::{Position, Rect};
use ratatui::style::Style;
use ratatui::text::{Line, Span};

use super::{Canvas, keys, window};
use crate::app::App;
use crate::app::field::Field;
use crate::app::keymap::Hints;
use crate::app::overlay::{Choose, Files, Found, Match, NewFile, Overlay, Palette, Picker, Resume, Sessions};
use crate::ui::input::{cut, field};
use crate::ui::sanitise;

/// Cells of a command's name in the palette.
const NAME: usize = 10;

/// Cells from which on the list of conversations names all of its keys.
const WIDE: u16 = 60;

/// Rows that a popup wants.
pub(super) fn popup_rows(overlay: &Overlay) -> usize {
    match overlay {
        Overlay::Palette(palette) => palette.commands.len(),
        Overlay::Files(files) => files.matches.len().max(1),
        _ => 0,
    }
}

/// Draws the rows of a list that are seen; `draw` gets the row of the area and the index.
pub(super) fn rows(
    len: usize,
    selected: usize,
    area: Rect,
    canvas: &mut Canvas<'_>,
    draw: impl Fn(&mut Canvas<'_>, u16, usize, bool),
) {
    let height = usize::from(area.height);
    let selected = selected.min(len.saturating_sub(1));
    let first = window(selected, len, height);
    for (n, at) in (first..len.min(first + height)).enumerate() {
        let n = u16::try_from(n).unwrap_or(u16::MAX);
        draw(canvas, n, at, at == selected);
        if at == selected {
            canvas.select(area, n);
        }
    }
}

fn sign(selected: bool) -> &'static str {
    if selected { "› " } else { "  " }
}

pub(super) fn palette(palette: &Palette, area: Rect, canvas: &mut Canvas<'_>) {
    let body = canvas.title(area, "commands", &Hints::PALETTE.line());
    rows(palette.commands.len(), palette.list.selected, body, canvas, |canvas, n, at, selected| {
        let command = palette.commands[at];
        let name = format!("{}/{:<NAME$} ", sign(selected), command.name);
        let room = usize::from(body.width).saturating_sub(name.len());
        let wide = room > 60 && !command.args.is_empty();
        let about = if wide { format!("{}  {}", command.about, command.args) } else { command.about.to_owned() };
        let spans = vec![Span::styled(name, canvas.theme.accent), Span::styled(cut(&about, room), canvas.theme.text)];
        canvas.line(body, n, Line::from(spans));
    });
}

pub(super) fn files(files: &Files, area: Rect, canvas: &mut Canvas<'_>) {
    let title = if files.more { "files · too many to list all" } else { "files" };
    let body = canvas.title(area, title, &Hints::LIST.line());
    if files.matches.is_empty() {
        let words = if files.listed { "  no file matches" } else { "  looking…" };
        canvas.line(body, 0, Line::styled(words, canvas.theme.dim));
        return;
    }
    rows(files.matches.len(), files.list.selected, body, canvas, |canvas, n, at, selected| {
        let room = usize::from(body.width).saturating_sub(2);
        let mut spans = vec![Span::raw(sign(selected))];
        spans.extend(name_spans(&files.matches[at], room, canvas));
        canvas.line(body, n, Line::from(spans));
    });
}

/// The files to open in the editor; the last row is what was typed, as it stands.
pub(super) fn picker(picker: &Picker, area: Rect, canvas: &mut Canvas<'_>) -> Option<Position> {
    let title = if picker.more { "open · too many to list all" } else { "open" };
    let body = canvas.title(area, title, &Hints::LIST.line());
    let cursor = field("file ", &picker.query, body, canvas.theme, canvas.screen);
    let list = Rect { y: body.y + u16::from(body.height > 0), height: body.height.saturating_sub(1), ..body };
    if picker.is_empty() {
        let words = if picker.listed { "  no files here; type a name for a new one" } else { "  looking…" };
        canvas.line(list, 0, Line::styled(words, canvas.theme.dim));
        return cursor;
    }
    rows(picker.len(), picker.list.selected, list, canvas, |canvas, n, at, selected| {
        let room = usize::from(list.width).saturating_sub(2);
        let mut spans = vec![Span::raw(sign(selected))];
        match picker.matches.get(at) {
            Some(found) => spans.extend(name_spans(found, room, canvas)),
            None => {
                let typed = sanitise::line(picker.query.text()).into_owned();
                spans.push(Span::styled(cut(&format!("`{typed}` as typed"), room), canvas.theme.dim));
            }
        }
        canvas.line(list, n, Line::from(spans));
    });
    cursor
}

/// The name of a file that there shall be.
pub(super) fn new_file(file: &NewFile, area: Rect, canvas: &mut Canvas<'_>) -> Option<Position> {
    let body = canvas.title(area, &format!("block {} as a new file", file.block), &Hints::LIST.line());
    field("name ", &file.name, body, canvas.theme, canvas.screen)
}

/// A file's name with the matched letters marked. Its end tells more than its beginning: that is what is kept.
fn name_spans(found: &Match, room: usize, canvas: &Canvas<'_>) -> Vec<Span<'static>> {
    let letters: Vec<(String, bool)> = found
        .name
        .chars()
        .enumerate()
        .map(|(n, c)| (sanitise::line(c.encode_utf8(&mut [0; 4])).into_owned(), hit(&found.letters, n)))
        .collect();
    let mut used = 0;
    let mut first = letters.len();
    for (n, (text, _)) in letters.iter().enumerate().rev() {
        used += sanitise::width(text);
        if used + usize::from(n > 0) > room {
            break;
        }
        first = n;
    }
    let mut spans = Vec::new();
    if first > 0 {
        spans.push(Span::styled("…", canvas.theme.dim));
    }
    for (text, matched) in letters.into_iter().skip(first) {
        spans.push(Span::styled(text, if matched { canvas.theme.matched } else { canvas.theme.text }));
    }
    spans
}

fn hit(letters: &[u32], n: usize) -> bool {
    u32::try_from(n).is_ok_and(|n| letters.binary_search(&n).is_ok())
}

/// A row for what is typed to narrow a list, as soon as something is; gives what is left below it, and the cursor.
pub(super) fn typed(query: &Field, area: Rect, canvas: &mut Canvas<'_>) -> (Rect, Option<Position>) {
    if query.is_empty() || area.is_empty() {
        return (area, None);
    }
    let cursor = field("find ", query, area, canvas.theme, canvas.screen);
    (Rect { y: area.y + 1, height: area.height - 1, ..area }, cursor)
}

pub(super) fn choose(choose: &Choose, area: Rect, canvas: &mut Canvas<'_>) -> Option<Position> {
    let body = canvas.title(area, &choose.title, &format!("arrows · {}", Hints::LIST.line()));
    let (body, cursor) = typed(&choose.query, body, canvas);
    let shown = choose.shown();
    if shown.is_empty() {
        canvas.line(body, 0, Line::styled("  nothing found", canvas.theme.dim));
    }
    rows(shown.len(), choose.list.selected, body, canvas, |canvas, n, at, selected| {
        let row = &choose.rows[shown[at]];
        let label = format!("{}{}", sign(selected), sanitise::line(&row.label));
        let detail = sanitise::line(&row.detail).into_owned();
        canvas.pair(body, n, (&label, canvas.theme.text), (&detail, canvas.theme.dim));
    });
    cursor
}

/// How long ago, in one word.
fn ago(now_ms: u64, then_s: u64) -> String {
    let seconds = (now_ms / 1000).saturating_sub(then_s);
    match seconds {
        0..60 => "now".into(),
        60..3600 => format!("{} min", seconds / 60),
        3600..86_400 => format!("{} h", seconds / 3600),
        86_400..5_184_000 => format!("{} d", seconds / 86_400),
        _ => format!("{} mon", seconds / 2_592_000),
    }
}

pub(super) fn sessions(app: &App, sessions: &Sessions, area: Rect, canvas: &mut Canvas<'_>) -> Option<Position> {
    let keys = match area.width {
        _ if sessions.removing.is_some() => Hints::REMOVING,
        WIDE.. => Hints::SESSIONS,
        _ => Hints::SESSIONS_NARROW,
    };
    let body = canvas.title(area, "conversations", &keys.line());
    let cursor = field("find ", &sessions.query, body, canvas.theme, canvas.screen);
    let list = Rect { y: body.y + u16::from(body.height > 0), height: body.height.saturating_sub(1), ..body };
    let found = sessions.rows();
    if found.is_empty() {
        let words = match &sessions.all {
            None => "  looking…",
            Some(all) if all.is_empty() => "  no earlier conversations",
            Some(_) => "  nothing found",
        };
        canvas.line(list, 0, Line::styled(words, canvas.theme.dim));
        return cursor;
    }
    rows(found.len(), sessions.list.selected, list, canvas, |canvas, n, at, selected| match found[at] {
        Found::Session(summary) => {
            let cut_off = if summary.interrupted { " · cut off" } else { "" };
            let here = if summary.id == *app.conversation.id() { " · here" } else { "" };
            let label = format!("{}{}", sign(selected), sanitise::line(&summary.title));
            let detail = format!("{} msg · {}{cut_off}{here}", summary.messages, ago(app.clock, summary.updated));
            canvas.pair(list, n, (&label, canvas.theme.text), (&detail, canvas.theme.dim));
        }
        Found::Hit(hit) => {
            let room = usize::from(list.width).saturating_sub(4);
            let mut spans = vec![Span::styled(format!("{}↳ ", sign(selected)), canvas.theme.dim)];
            spans.extend(snippet(&hit.snippet, hit.matched.clone(), room, canvas.theme.dim, canvas.theme.matched));
            canvas.line(list, n, Line::from(spans));
        }
    });
    cursor
}

/// A snippet with its match marked; on a narrow screen what stands before the match is cut first.
pub(super) fn snippet(
    text: &str,
    matched: std::ops::Range<usize>,
    room: usize,
    plain: Style,
    mark: Style,
) -> Vec<Span<'static>> {
    let (Some(before), Some(hit), Some(after)) =
        (text.get(..matched.start), text.get(matched.clone()), text.get(matched.end..))
    else {
        return vec![Span::styled(cut(&sanitise::line(text), room), plain)];
    };
    let (before, hit, after) = (sanitise::line(before), sanitise::line(hit), sanitise::line(after));
    let lead = room.saturating_sub(sanitise::width(&hit)) / 2;
    let mut from = 0;
    for (at, _) in before.char_indices() {
        from = at;
        if sanitise::width(&before[at..]) <= lead {
            break;
        }
    }
    let before = if sanitise::width(&before) <= lead { &before[..] } else { &before[from..] };
    let rest = room.saturating_sub(sanitise::width(before) + sanitise::width(&hit));
    vec![
        Span::styled(before.to_owned(), plain),
        Span::styled(cut(&hit, room), mark),
        Span::styled(cut(&after, rest), plain),
    ]
}

pub(super) fn resume(app: &App, resume: &Resume, area: Rect, canvas: &mut Canvas<'_>) {
    let summary = &resume.summary;
    let body = canvas.title(area, "Resume?", "");
    let title = cut(&sanitise::line(&summary.title), usize::from(body.width).saturating_sub(4));
    let when = match ago(app.clock, summary.updated) {
        now if now == "now" => "just now".to_owned(),
        past => format!("{past} ago"),
    };
    let count = if summary.messages == 1 { "1 message".to_owned() } else { format!("{} messages", summary.messages) };
    let facts = format!("  {count} · {when}");
    let why = if summary.interrupted { "  The last answer was cut off." } else { "  Zord was killed last time." };
    canvas.line(body, 0, Line::styled(format!("  “{title}”"), canvas.theme.strong));
    canvas.line(body, 1, Line::styled(facts, canvas.theme.dim));
    canvas.line(body, 2, Line::styled(why, canvas.theme.text));
    let mut spans = vec![Span::raw("  ")];
    spans.extend(keys(Hints::RESUME, canvas.theme.accent, Style::new()));
    canvas.line(body, 4, Line::from(spans));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_are_one_word() {
        let day = 86_400;
        let at = |seconds: u64| ago(1_000_000_000_000, 1_000_000_000 - seconds);
        assert_eq!([at(5), at(120), at(7200), at(3 * day), at(90 * day)], ["now", "2 min", "2 h", "3 d", "3 mon"]);
        assert_eq!(ago(0, 5), "now");
    }

    #[test]
    fn a_snippet_keeps_its_match_on_a_narrow_screen() {
        let text = "a long way to go before the word comes and then some more";
        let at = text.find("word").unwrap();
        let spans = snippet(text, at..at + 4, 20, Style::new(), Style::new().bold());
        let shown: String = spans.iter().map(|span| span.content.as_ref()).collect();
        assert!(shown.contains("word") && sanitise::width(&shown) <= 20, "{shown}");
    }
}
