//! One message as lines.

use ratatui::style::Style;
use ratatui::text::{Line, Span};

use super::highlight::Highlighter;
use super::markdown::{self, Growing, Options};
use super::sanitise;
use super::theme::Theme;
use crate::app::App;
use crate::app::answer::Phase;
use crate::app::compose::estimate;
use crate::app::keymap::Hints;
use crate::chat::Role;
use crate::chat::thinking::{Part, parts};
use crate::chat::tree::Node;
use crate::config::Thinking;
use crate::engine::Stop;
use crate::text::wrap;

/// Rows of a person's message, beyond which the middle is folded: a pasted log must not bury the answer.
const FOLD: usize = 24;

/// Everything that a message's lines depend on. Equal stamps mean equal lines.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Stamp {
    len: usize,
    width: u16,
    unfolded: bool,
    first_block: usize,
    place: (usize, usize),
    mark: Option<bool>,
    phase: Option<(Phase, u64)>,
    ended: bool,
    notes: Option<(String, u32)>,
    colours: u64,
    theme: Theme,
}

impl Stamp {
    pub(crate) fn of(app: &App, node: &Node, width: u16, theme: &Theme, highlighter: &Highlighter) -> Self {
        let (siblings, at) = app.conversation.siblings(node.id);
        let answer = app.turn.answer().filter(|answer| answer.node == node.id);
        let waited = |asked_at: u64| app.clock.saturating_sub(asked_at) / 1000;
        Self {
            len: node.text.len(),
            width,
            unfolded: app.settings.ui.thinking == Thinking::Show,
            first_block: app.blocks.first(node.id),
            place: (at, siblings.len()),
            mark: app.conversation.cut().filter(|cut| cut.first_kept == node.id).map(|cut| cut.summary.is_some()),
            phase: answer.map(|answer| {
                let seconds = if answer.phase == Phase::Writing { 0 } else { waited(answer.asked_at) };
                (answer.phase, seconds)
            }),
            ended: !node.is_open(),
            notes: notes_before(app, node),
            colours: if node.role == Role::Assistant { highlighter.generation() } else { 0 },
            theme: theme.clone(),
        }
    }
}

/// The folder's notes, which the first message shows: their name, and tokens.
fn notes_before(app: &App, node: &Node) -> Option<(String, u32)> {
    let notes = app.conversation.notes().filter(|_| app.path.first() == Some(&node.id))?;
    Some((notes.name.clone(), estimate(&notes.text)))
}

/// The lines of a message, a blank one at the end.
pub(crate) fn lines(
    node: &Node,
    stamp: &Stamp,
    theme: &Theme,
    highlighter: &Highlighter,
    growing: &mut Growing,
) -> Vec<Line<'static>> {
    let mut lines = Vec::new();
    if let Some(summed) = stamp.mark {
        lines.push(cut_mark(summed, stamp.width, theme));
    }
    if stamp.place.1 > 1 {
        let (at, of) = (stamp.place.0 + 1, stamp.place.1);
        lines.push(Line::styled(format!("‹{at}/{of}›"), theme.accent));
    }
    match node.role {
        Role::Assistant => answer(node, stamp, theme, highlighter, growing, &mut lines),
        Role::User | Role::System => asked(node, stamp, theme, &mut lines),
    }
    lines.push(Line::default());
    lines
}

fn cut_mark(summed: bool, width: u16, theme: &Theme) -> Line<'static> {
    let words = if summed { " older messages are summarised " } else { " older messages are left out " };
    let room = usize::from(width).saturating_sub(sanitise::width(words));
    let left = "╌".repeat(room / 2);
    let right = "╌".repeat(room - room / 2);
    Line::styled(format!("{left}{words}{right}"), theme.warning)
}

/// As it was typed: people paste code without fences, and Markdown would mangle it.
fn asked(node: &Node, stamp: &Stamp, theme: &Theme, lines: &mut Vec<Line<'static>>) {
    let text = sanitise::text(&node.text);
    let rows = wrap::rows(&text, usize::from(stamp.width.saturating_sub(2)).max(1));
    let folded = if stamp.unfolded { 0 } else { rows.len().saturating_sub(FOLD) };
    for (n, row) in rows.iter().enumerate() {
        if folded > 2 && (FOLD / 2..FOLD / 2 + folded).contains(&n) {
            if n == FOLD / 2 {
                lines.push(Line::styled(format!("  ⋮ {folded} more rows · {}", Hints::FOLDED.line()), theme.dim));
            }
            continue;
        }
        let sign = if n == 0 { "❯ " } else { "  " };
        let said = text[row.start..row.end].trim_end_matches(' ').to_owned();
        lines.push(Line::from(vec![Span::styled(sign, theme.user), Span::styled(said, theme.strong)]));
    }
    let attached = node.attachments.iter().map(|attachment| (&attachment.name, estimate(&attachment.text)));
    for (name, tokens) in stamp.notes.iter().map(|(name, tokens)| (name, *tokens)).chain(attached) {
        let name = sanitise::line(name).into_owned();
        let size = format!(" · about {tokens} tokens");
        lines.push(Line::from(vec![
            Span::styled("  + ", theme.dim),
            Span::styled(name, theme.link),
            Span::styled(size, theme.dim),
        ]));
    }
}

fn answer(
    node: &Node,
    stamp: &Stamp,
    theme: &Theme,
    highlighter: &Highlighter,
    growing: &mut Growing,
    lines: &mut Vec<Line<'static>>,
) {
    let parts = parts(&node.text, false);
    let last = parts.len().saturating_sub(1);
    let streams = stamp.phase.is_some();
    let mut number = stamp.first_block;
    for (n, part) in parts.iter().enumerate() {
        let grows = streams && n == last;
        let options = Options { highlighter: Some(highlighter), first_number: number, growing: grows, breaks: false };
        match *part {
            Part::Text(text) if grows => {
                lines.extend(growing.layout(text, stamp.width, theme, options).lines.iter().cloned());
            }
            Part::Text(text) => {
                let rendered = markdown::layout(text, stamp.width, theme, options);
                number += rendered.blocks.len();
                lines.extend(rendered.lines);
            }
            Part::Thinking { text, closed } => {
                thought(text, closed || !streams, stamp, theme, lines);
                if n != last {
                    lines.push(Line::default());
                }
            }
        }
    }
    if let Some((phase, seconds)) = stamp.phase {
        lines.extend(waiting(phase, seconds, theme));
    }
    let ending = match node.stop {
        Some(Stop::Cancelled) => Some(("stopped", theme.dim)),
        Some(Stop::Length) => Some(("cut off at its length limit · /finish continues it", theme.warning)),
        Some(Stop::Context) => Some(("cut off: the context is full", theme.warning)),
        Some(Stop::End | Stop::Text) => None,
        None if streams => None,
        None => Some(("cut off · /finish continues it", theme.warning)),
    };
    if let Some((words, style)) = ending {
        lines.push(Line::styled(format!("· {words}"), style));
    }
}

fn thought(text: &str, closed: bool, stamp: &Stamp, theme: &Theme, lines: &mut Vec<Line<'static>>) {
    let words = text.split_whitespace().count();
    let sign = if stamp.unfolded { "▾" } else { "▸" };
    let what = if closed { "thought" } else { "thinking…" };
    let count = if words == 1 { "1 word".into() } else { format!("{words} words") };
    lines.push(Line::styled(format!("{sign} {what} · {count}"), theme.thinking));
    if stamp.unfolded {
        let text = sanitise::text(text.trim());
        for row in wrap::rows(&text, usize::from(stamp.width.saturating_sub(2)).max(1)) {
            let said = text[row.start..row.end].trim_end_matches(' ').to_owned();
            lines.push(Line::from(vec![Span::styled("│ ", theme.border), Span::styled(said, theme.thinking)]));
        }
    }
}

fn waiting(phase: Phase, seconds: u64, theme: &Theme) -> Option<Line<'static>> {
    let clock = if seconds > 0 { format!(" · {seconds} s") } else { String::new() };
    let style: Style = theme.dim;
    match phase {
        Phase::Waiting => Some(Line::styled(format!("… waiting{clock}"), style)),
        Phase::Reading(done, total) => {
            let left = left(done, total, seconds).map(|left| format!(" · {left} left")).unwrap_or_default();
            Some(Line::styled(format!("… reading {done}/{total} tokens{clock}{left}"), style))
        }
        Phase::Writing => None,
    }
}

/// How long reading will still take, about, from how long it took so far; nothing before that can be told, and nothing for
/// what is over in a moment.
fn left(done: u32, total: u32, seconds: u64) -> Option<String> {
    if done == 0 || seconds < 2 {
        return None;
    }
    let rest = u64::from(total.saturating_sub(done)) * seconds / u64::from(done);
    match rest {
        0..2 => None,
        2..100 => Some(format!("about {rest} s")),
        _ => Some(format!("about {} min", rest.div_ceil(60))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_left_follows_from_the_time_it_took() {
        assert_eq!(left(0, 4000, 30), None);
        assert_eq!(left(500, 4000, 1), None, "too early to tell");
        assert_eq!(left(1000, 4000, 10).as_deref(), Some("about 30 s"));
        assert_eq!(left(100, 4000, 10).as_deref(), Some("about 7 min"));
        assert_eq!(left(3990, 4000, 10), None);
        assert_eq!(left(4000, 4000, 10), None);
    }
}
