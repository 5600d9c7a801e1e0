//! Commands about the model, the screen and the program.

use std::path::PathBuf;

use super::msg::{Effect, Level, Preference};
use super::overlay::{Choose, Overlay, Page, Pick, Row};
use super::{App, Out, guides};
use crate::budget::Plan;
use crate::config::{ThemeChoice, Thinking};
use crate::engine::Overflow;
use crate::error::UserError;
use crate::sampling::Preset;
use crate::size::bytes;

pub(crate) fn help(app: &mut App, args: &str, _out: &mut Out) {
    if args.is_empty() {
        let all = guides::all();
        let rows = all.iter().map(|guide| Row::new(guide.title, guide.about)).collect();
        let picks = all.iter().map(|guide| Pick::Guide(guide.name)).collect();
        app.overlay = Some(Overlay::Choose(Choose::new("help", rows, picks)));
    } else {
        app.open_guide(args, false);
    }
}

impl App {
    /// Opens a guide; closing it leads back to the list if that is where it was chosen.
    pub(crate) fn open_guide(&mut self, name: &str, listed: bool) {
        match guides::find(name) {
            Some(guide) => {
                let page = Page { title: guide.title.to_owned(), markdown: guide.text(), top: 0, back: listed };
                self.overlay = Some(Overlay::Page(page));
            }
            None => self.tell(Level::Warning, format!("there is no guide `{name}`; `/help` lists all")),
        }
    }
}

pub(crate) fn model(app: &mut App, args: &str, out: &mut Out) {
    if args.is_empty() {
        app.open_models(false, out);
    } else {
        app.choose_model(args.to_owned(), out);
    }
}

pub(crate) fn preset(app: &mut App, args: &str, out: &mut Out) {
    if args.is_empty() {
        let here = |preset: Preset| if preset == app.settings.chat.preset { " · now" } else { "" };
        let row = |preset: Preset| Row::new(preset.name(), format!("{}{}", preset.about(), here(preset)));
        let (rows, picks) = (Preset::ALL.map(row).into(), Preset::ALL.map(Pick::Preset).into());
        app.overlay = Some(Overlay::Choose(Choose::new("preset", rows, picks)));
    } else {
        match args.parse() {
            Ok(preset) => app.take_preset(preset, out),
            Err(unknown) => app.show_error(&UserError::from(unknown)),
        }
    }
}

/// `FILE`, `FILE SCALE`, `off`; without an argument what is loaded.
pub(crate) fn lora(app: &mut App, args: &str, out: &mut Out) {
    if args.is_empty() {
        let loaded: Vec<_> =
            app.model.lora.iter().map(|(file, scale)| format!("`{}` × {scale}", file.display())).collect();
        let text = if loaded.is_empty() {
            "no adapter is loaded; `/lora FILE` loads one, `/lora FILE 0.5` at half its strength".into()
        } else {
            format!("{} · `/lora off` unloads", loaded.join(", "))
        };
        app.tell(Level::Info, text);
        return;
    }
    if !app.is_free() {
        return;
    }
    let mut lora = app.model.lora.clone();
    if args == "off" || args == "none" {
        lora.clear();
    } else {
        let (file, scale) =
            match args.rsplit_once(char::is_whitespace).map(|(file, scale)| (file, scale.parse::<f32>())) {
                Some((file, Ok(scale))) if scale.is_finite() => (file, scale),
                _ => (args, 1.0),
            };
        let file = PathBuf::from(file.trim().trim_matches('"'));
        lora.retain(|(known, _)| *known != file);
        lora.push((file, scale));
    }
    app.switch_model(None, lora, out);
}

/// Without an argument what is in the context, and what happens when it is full.
pub(crate) fn context(app: &mut App, args: &str, out: &mut Out) {
    app.settings.context.overflow = match args {
        "" => {
            app.tell(Level::Info, context_now(app));
            return;
        }
        "drop" => Overflow::Drop,
        "summarise" | "summarize" => Overflow::Summarise,
        other => {
            app.tell(Level::Warning, format!("`/context {other}`: expected `drop` or `summarise`"));
            return;
        }
    };
    out.push(Effect::KeepPreference(Preference::Overflow(app.settings.context.overflow)));
    app.tell(Level::Info, when_full(app.settings.context.overflow));
}

fn when_full(overflow: Overflow) -> &'static str {
    match overflow {
        Overflow::Drop => "when the context is full, the oldest messages are left out",
        Overflow::Summarise => "when the context is full, the model sums up the oldest messages",
    }
}

fn context_now(app: &App) -> String {
    let (used, all) = (app.cache.tokens(), app.model.n_ctx());
    let other = match app.settings.context.overflow {
        Overflow::Drop => "summarise",
        Overflow::Summarise => "drop",
    };
    let notes = app.conversation.notes().map(|notes| format!(", about {} by `{}`", app.notes_tokens(), notes.name));
    let notes = notes.unwrap_or_default();
    format!(
        "{used} of {all} tokens used{notes}; {} · `/context {other}` changes that",
        when_full(app.settings.context.overflow)
    )
}

impl App {
    /// Takes a preset, now and at later starts.
    pub(crate) fn take_preset(&mut self, preset: Preset, out: &mut Out) {
        self.settings.chat.preset = preset;
        out.push(Effect::KeepPreference(Preference::Preset(preset)));
        self.tell(Level::Info, format!("{preset}: {}", preset.about()));
    }

    /// Takes a look, now and at later starts.
    pub(crate) fn take_theme(&mut self, theme: ThemeChoice, out: &mut Out) {
        self.settings.ui.theme = theme;
        out.push(Effect::KeepPreference(Preference::Theme(theme)));
    }
}

pub(crate) fn plan(app: &mut App, _args: &str, _out: &mut Out) {
    let planned = app.model.facts().and_then(|facts| facts.plan.as_ref()).or(app.model.plan.as_deref());
    let markdown = match planned {
        Some(plan) => plan_page(app, plan),
        None => format!("**{}** is not planned here: it runs on a server, or it is not loaded yet.\n", app.model.name),
    };
    app.overlay = Some(Overlay::Page(Page { title: "plan".into(), markdown, top: 0, back: false }));
}

fn plan_page(app: &App, plan: &Plan) -> String {
    let mut page = format!("# {}\n\n{}\n\n| what | how much |\n|---|--:|\n", app.model.name, plan.reason);
    let kv = format!("{:?}", plan.kv_type).to_lowercase();
    let rows = [
        ("weights (mapped)", bytes(plan.weights)),
        ("weights (copied)", bytes(plan.weights_copied)),
        ("KV cache", bytes(plan.kv)),
        ("compute", bytes(plan.compute)),
        ("program", bytes(plan.program)),
        ("**total**", format!("**{}**", bytes(plan.total))),
        ("budget", bytes(plan.budget)),
        ("context", format!("{} tokens", plan.n_ctx)),
        ("KV type", kv),
        ("batch", plan.n_ubatch.to_string()),
        ("threads", plan.threads.to_string()),
        ("flash attention", if plan.flash { "on" } else { "off" }.into()),
    ];
    for (what, value) in rows {
        page += &format!("| {what} | {value} |\n");
    }
    if let Some(gauge) = app.gauge {
        page += &format!("\nIn use now: **{}** of {}.\n", bytes(gauge.used), bytes(gauge.budget));
    }
    if let Some((working, planned)) = app.ease.threads(plan.threads) {
        page += &format!("\n{working} of {planned} threads work now: {}.\n", app.ease.reason());
    }
    let rates = &app.ease.rates;
    if let (Some(first), Some(last)) = (rates.first_minute(), rates.last_minute()) {
        let minutes = rates.minutes();
        page += &format!(
            "\nWrote {first:.1} tokens/s in the first minute and {last:.1} in the last, of {minutes:.0} minutes of writing.\n"
        );
    }
    if let Some(facts) = app.model.facts() {
        page += &format!("\nLoaded in {:.0} ms; chat template: {}.\n", facts.load_ms, facts.template);
    }
    page
}

pub(crate) fn thinking(app: &mut App, _args: &str, _out: &mut Out) {
    let (now, told) = match app.settings.ui.thinking {
        Thinking::Fold => (Thinking::Show, "thinking and long messages are unfolded"),
        Thinking::Show => (Thinking::Fold, "thinking and long messages are folded"),
    };
    app.settings.ui.thinking = now;
    app.tell(Level::Info, told);
}

pub(crate) fn theme(app: &mut App, args: &str, out: &mut Out) {
    if args.is_empty() {
        let rows = ThemeChoice::ALL.map(|choice| Row::new(choice.name(), "")).into();
        let picks = ThemeChoice::ALL.map(Pick::Theme).into();
        app.overlay = Some(Overlay::Choose(Choose::new("theme", rows, picks)));
    } else {
        match args.parse() {
            Ok(choice) => app.take_theme(choice, out),
            Err(unknown) => app.show_error(&UserError::from(unknown)),
        }
    }
}

pub(crate) fn mouse(app: &mut App, _args: &str, out: &mut Out) {
    app.settings.ui.mouse = !app.settings.ui.mouse;
    out.push(Effect::Mouse(app.settings.ui.mouse));
    out.push(Effect::KeepPreference(Preference::Mouse(app.settings.ui.mouse)));
    app.tell(
        Level::Info,
        match app.settings.ui.mouse {
            true => "the wheel scrolls; a tap no longer opens the keyboard (`/mouse` again)",
            false => "the terminal has the mouse",
        },
    );
}

pub(crate) fn quit(app: &mut App, _args: &str, out: &mut Out) {
    app.leave(out);
}
