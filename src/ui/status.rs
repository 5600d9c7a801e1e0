//! The status line: model, context, memory, rate, preset. Each has a long and a short form; the longest set that fits is
//! drawn, and the model's name takes what is left.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::{Line, Span};
use ratatui::widgets::Widget;

use super::input::cut;
use super::sanitise;
use super::theme::Theme;
use crate::app::App;
use crate::app::model::State;
use crate::app::msg::Gauge;
use crate::size::bytes;

/// Cells of the model's name that are worth more than long forms of the rest.
const NAME: usize = 8;

/// Draws it.
pub(crate) fn status(app: &App, area: Rect, theme: &Theme, screen: &mut Buffer) {
    screen.set_style(area, theme.status);
    let room = usize::from(area.width);
    let name = name(app);
    let wanted = sanitise::width(&name);
    let mut chosen = parts(app, theme, FORMS[FORMS.len() - 1]);
    for form in FORMS {
        let parts = parts(app, theme, form);
        let taken: usize = parts.iter().map(|(text, _)| sanitise::width(text)).sum();
        if taken + wanted.min(NAME.max(wanted * 2 / 3)) + 2 <= room {
            chosen = parts;
            break;
        }
    }
    let taken: usize = chosen.iter().map(|(text, _)| sanitise::width(text)).sum();
    let name = cut(&name, room.saturating_sub(taken + 2).max(3));
    let gap = room.saturating_sub(taken + sanitise::width(&name) + 2);
    let mut spans = vec![Span::raw(" "), Span::styled(name, state_style(app, theme)), Span::raw(" ".repeat(gap + 1))];
    spans.extend(chosen.into_iter().map(|(text, style)| Span::styled(text, style)));
    Line::from(spans).style(theme.status).render(area, screen);
}

fn state_style(app: &App, theme: &Theme) -> Style {
    match app.model.state {
        State::Absent | State::Loading(_) => theme.warning,
        State::Ready(_) => theme.strong,
        State::Failed(_) => theme.error,
    }
}

fn name(app: &App) -> String {
    let name = sanitise::line(&app.model.name).into_owned();
    match app.model.state {
        State::Absent => "no model".into(),
        State::Loading(part) if part > 0.0 => format!("{name} {:.0}%", part * 100.0),
        State::Loading(_) => format!("{name} loading"),
        State::Ready(_) => name,
        State::Failed(_) => format!("{name} failed"),
    }
}

/// How long the parts are written.
#[derive(Clone, Copy)]
struct Form {
    labels: bool,
    bar: usize,
    budget: bool,
    preset: usize,
}

const FORMS: [Form; 5] = [
    Form { labels: true, bar: 6, budget: true, preset: 8 },
    Form { labels: true, bar: 4, budget: true, preset: 8 },
    Form { labels: false, bar: 4, budget: false, preset: 8 },
    Form { labels: false, bar: 3, budget: false, preset: 8 },
    Form { labels: false, bar: 2, budget: false, preset: 4 },
];

fn parts(app: &App, theme: &Theme, form: Form) -> Vec<(String, Style)> {
    let mut parts = Vec::new();
    let label = |text: &str| if form.labels { format!("{text} ") } else { String::new() };
    let used = context_used(app);
    let full = app.model.known_n_ctx().is_some_and(|all| u64::from(used) * 10 >= u64::from(all) * 9);
    let all = app.model.known_n_ctx().or_else(|| app.model.server().is_none().then(|| app.model.n_ctx()));
    let all = all.map(|all| format!("/{}", short(all))).unwrap_or_default();
    let style = if full { theme.warning } else { theme.text };
    parts.push((format!("{}{}{all}", label("ctx"), short(used)), style));
    if let Some(gauge) = app.gauge {
        let style = if gauge.used > gauge.budget && gauge.budget > 0 { theme.error } else { theme.text };
        parts.push((format!(" {}{}", label(" mem"), memory(gauge, form)), style));
    }
    if let Some(rate) = rate(app) {
        let unit = if form.labels { " tok/s" } else { "t/s" };
        parts.push((format!(" {}{rate:.1}{unit}", if form.labels { " " } else { "" }), theme.text));
    }
    if let Some((working, planned)) = app.model.threads().and_then(|planned| app.ease.threads(planned)) {
        let reason = app.ease.reason();
        let text = match form.labels {
            true => format!("  {reason}: {working}/{planned} threads"),
            false => format!(" {} {working}/{planned}", reason.split(' ').next().unwrap_or_default()),
        };
        parts.push((text, theme.warning));
    }
    let preset: String = app.settings.chat.preset.name().chars().take(form.preset).collect();
    parts.push((format!(" {}{preset} ", if form.labels { " " } else { "" }), theme.accent));
    parts
}

fn memory(gauge: Gauge, form: Form) -> String {
    let part = if gauge.budget == 0 { 0.0 } else { gauge.used as f64 / gauge.budget as f64 };
    let filled = ((part * form.bar as f64).round() as usize).min(form.bar);
    let bar = "▮".repeat(filled) + &"▯".repeat(form.bar - filled);
    if form.budget {
        format!("{bar} {}/{}", size(gauge.used), size(gauge.budget))
    } else {
        format!("{bar}{}", size(gauge.used))
    }
}

/// `212M`, `3.5G`: [`bytes`] without what a status line has no room for.
fn size(n: u64) -> String {
    let text = bytes(n);
    let (number, unit) = text.split_once(' ').unwrap_or((&text, ""));
    let number = if number.len() > 4 { number.split('.').next().unwrap_or(number) } else { number };
    format!("{}{}", number.trim_end_matches(".0"), unit.chars().next().unwrap_or('B'))
}

/// Tokens in the context, those of the running answer included.
fn context_used(app: &App) -> u32 {
    let answer = app.turn.answer().map_or(0, |answer| answer.tokens());
    app.cache.tokens().saturating_add(answer).min(app.model.n_ctx())
}

fn rate(app: &App) -> Option<f64> {
    match app.turn.answer() {
        Some(answer) => answer.rate(app.clock),
        None => {
            let last = app.path.last().and_then(|id| app.conversation.node(*id));
            last.and_then(|node| node.stats.as_ref()).map(|stats| stats.decode_tps).filter(|rate| *rate > 0.0)
        }
    }
}

/// `950`, `1.2k`, `32k`.
pub(crate) fn short(n: u32) -> String {
    match n {
        0..1000 => n.to_string(),
        1000..10_000 => format!("{:.1}k", f64::from(n / 100) / 10.0),
        _ => format!("{}k", n / 1000),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short_and_never_round_up_past_the_truth() {
        assert_eq!([0, 999, 1000, 4096, 9999, 32768].map(short), ["0", "999", "1.0k", "4.0k", "9.9k", "32k"]);
        assert_eq!([0, 222_298_112, 3_758_096_384].map(size), ["0B", "212M", "3.5G"]);
    }
}
