//! The list of models, and the first-start screen.

use ratatui::layout::{Position, Rect};
use ratatui::style::Style;
use ratatui::text::{Line, Span};

use super::lists::typed;
use super::{Canvas, window};
use crate::app::keymap::Hints;
use crate::app::overlay::{Models, Progress};
use crate::size::bytes;
use crate::text::wrap;
use crate::ui::input::{cut, field};
use crate::ui::sanitise;

const WELCOME: &str = "Zord Coder talks about code with a model on this device. Choose a model. It is downloaded once; after \
                       that no network is used.";

pub(super) fn models(models: &Models, area: Rect, canvas: &mut Canvas<'_>) -> Option<Position> {
    let title = if models.first { "welcome" } else { "models" };
    let mut body = canvas.title(area, title, &format!("arrows · {}", Hints::LIST.line()));
    if models.first {
        body = welcome(body, canvas);
    }
    let footer = Rect { y: body.bottom().saturating_sub(1), height: body.height.min(1), ..body };
    let list = Rect { height: body.height.saturating_sub(1), ..body };
    let (list, cursor) = typed(&models.query, list, canvas);
    entries(models, list, canvas);
    if let Some(progress) = &models.progress {
        download(progress, footer, canvas);
        return None;
    }
    if let Some(offer) = &models.asked {
        let question = format!("Download {} ({})?", bytes(offer.bytes), sanitise::line(&offer.name));
        canvas.pair(footer, 0, (&question, canvas.theme.warning), (&Hints::DOWNLOAD.line(), canvas.theme.strong));
        return None;
    }
    match &models.path {
        Some(path) => field("path ", path, footer, canvas.theme, canvas.screen),
        None => {
            if models.offers.is_none() {
                canvas.line(footer, 0, Line::styled("  looking at this device and the store…", canvas.theme.dim));
            }
            cursor
        }
    }
}

fn welcome(body: Rect, canvas: &mut Canvas<'_>) -> Rect {
    if body.height < 12 {
        return body;
    }
    let rows = wrap::rows(WELCOME, usize::from(body.width.saturating_sub(2)).clamp(1, 76));
    for (n, row) in rows.iter().enumerate() {
        let text = WELCOME[row.start..row.end].trim_end().to_owned();
        canvas.line(body, u16::try_from(n).unwrap_or(u16::MAX), Line::styled(text, canvas.theme.text));
    }
    let taken = u16::try_from(rows.len() + 1).unwrap_or(body.height).min(body.height);
    Rect { y: body.y + taken, height: body.height - taken, ..body }
}

/// A few rows for each model, and one for a file.
fn entries(models: &Models, area: Rect, canvas: &mut Canvas<'_>) {
    let (offers, len) = (models.shown(), models.len());
    let selected = models.list.selected.min(len - 1);
    // on a phone what is said of a model takes two rows
    let per: u16 = if area.width < 60 { 3 } else { 2 };
    let shown = usize::from(area.height / per).max(1);
    let first = window(selected, len, shown);
    for (n, at) in (first..len.min(first + shown)).enumerate() {
        let y = u16::try_from(n).unwrap_or(u16::MAX).saturating_mul(per);
        let sign = if at == selected { "› " } else { "  " };
        match offers.get(at) {
            Some(offer) => {
                let (state, style): (&str, Style) = match (&offer.fits, offer.installed) {
                    (Err(_), _) => ("too large", canvas.theme.error),
                    (Ok(()), true) => ("installed", canvas.theme.ok),
                    (Ok(()), false) if offer.recommended => ("recommended", canvas.theme.warning),
                    (Ok(()), false) => ("download", canvas.theme.dim),
                };
                let name = format!("{sign}{}", sanitise::line(&offer.name));
                canvas.pair(
                    area,
                    y,
                    (&name, canvas.theme.strong),
                    (&format!("{} · {state}", bytes(offer.bytes)), style),
                );
                let about = match &offer.fits {
                    Ok(()) => &offer.about,
                    Err(why) => why,
                };
                let about = sanitise::line(about);
                let rows = wrap::rows(&about, usize::from(area.width).saturating_sub(4));
                for (n, row) in (1..per).zip(rows) {
                    let last = n + 1 == per;
                    let text = if last { &about[row.start..] } else { &about[row.start..row.end] };
                    let text = cut(text.trim_end(), usize::from(area.width).saturating_sub(4));
                    canvas.line(area, y.saturating_add(n), Line::styled(format!("    {text}"), canvas.theme.dim));
                }
            }
            None => {
                canvas.line(area, y, Line::styled(format!("{sign}a GGUF file on this device…"), canvas.theme.strong))
            }
        }
        if at == selected {
            canvas.select(area, y);
        }
    }
}

fn download(progress: &Progress, area: Rect, canvas: &mut Canvas<'_>) {
    let part = progress.total.filter(|total| *total > 0).map(|total| progress.done as f64 / total as f64);
    let numbers = match (progress.total, part) {
        (Some(total), Some(part)) => {
            format!(" {:.0}% {}/{}", part.min(1.0) * 100.0, bytes(progress.done), bytes(total))
        }
        _ => format!(" {}", bytes(progress.done)),
    };
    let keys = format!(" · {}", Hints::DOWNLOADING.line());
    let room = usize::from(area.width).saturating_sub(numbers.len() + sanitise::width(&keys) + 1).min(30);
    let filled = part.map_or(0, |part| (part.clamp(0.0, 1.0) * room as f64) as usize);
    canvas.line(
        area,
        0,
        Line::from(vec![
            Span::styled("█".repeat(filled), canvas.theme.accent),
            Span::styled("░".repeat(room - filled), canvas.theme.dim),
            Span::styled(numbers, canvas.theme.text),
            Span::styled(keys, canvas.theme.dim),
        ]),
    );
}
