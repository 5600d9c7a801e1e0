//! Commands about the conversation.

use super::msg::{Effect, Level};
use super::overlay::{Choose, Overlay, Pick, Row};
use super::{App, Out, blocks};
use crate::chat::Role;
use crate::chat::journal::Entry;
use crate::chat::thinking;
use crate::chat::tree::NodeId;
use crate::text::clean;

pub(crate) fn new(app: &mut App, _args: &str, out: &mut Out) {
    if !app.is_free() {
        return;
    }
    if app.conversation.is_empty() {
        app.tell(Level::Info, "this conversation is empty already");
        return;
    }
    app.save_cache(out);
    app.expect_session();
    out.push(Effect::NewSession);
}

pub(crate) fn stop(app: &mut App, _args: &str, out: &mut Out) {
    if app.take_back() || app.turn.is_answering() {
        app.stop_answer(out);
    } else {
        app.tell(Level::Info, "nothing runs");
    }
}

pub(crate) fn regenerate(app: &mut App, _args: &str, out: &mut Out) {
    app.regenerate(out);
}

pub(crate) fn finish(app: &mut App, _args: &str, out: &mut Out) {
    app.finish(out);
}

/// Without a number a list; with one the Nth message of the person's, from 1.
pub(crate) fn rewrite(app: &mut App, args: &str, out: &mut Out) {
    if args.is_empty() {
        app.choose_edit();
        return;
    }
    let user = |id: &NodeId| app.conversation.node(*id).is_some_and(|node| node.role == Role::User);
    let asked: Vec<NodeId> = app.path.iter().copied().filter(user).collect();
    match args.parse::<usize>().ok().and_then(|n| asked.get(n.checked_sub(1)?).copied()) {
        Some(id) => app.edit_message(id, out),
        None => app.tell(Level::Warning, format!("you sent {} messages; `/rewrite` lists them", asked.len())),
    }
}

pub(crate) fn branch(app: &mut App, args: &str, out: &mut Out) {
    match args {
        "" => app.choose_branch(),
        "next" => app.walk_branches(1, out),
        "prev" | "previous" => app.walk_branches(-1, out),
        other => app.tell(Level::Warning, format!("`/branch {other}`: expected `next` or `prev`")),
    }
}

/// Without an argument the last answer; `all`: choose among all blocks; a number: that block.
pub(crate) fn copy(app: &mut App, args: &str, out: &mut Out) {
    let answers: Vec<_> = app.path.iter().filter_map(|id| app.conversation.node(*id)).collect();
    let mut answers = answers.into_iter().filter(|node| node.role == Role::Assistant && !node.text.is_empty());
    if args.is_empty() || args == "answer" {
        match answers.next_back() {
            Some(node) => out.push(Effect::Copy {
                text: clean::pasted(thinking::strip(&node.text).trim()),
                what: "the last answer".into(),
            }),
            None => app.tell(Level::Info, "there is no answer yet"),
        }
        return;
    }
    let all: Vec<_> = answers
        .flat_map(|node| {
            blocks::of(&node.text).into_iter().enumerate().map(|(n, b)| (app.blocks.first(node.id) + n, b))
        })
        .collect();
    if let Ok(number) = args.parse::<usize>() {
        match all.into_iter().find(|(n, _)| *n == number) {
            Some((_, block)) => out.push(Effect::Copy { text: block.text, what: format!("code block {number}") }),
            None => app.tell(Level::Warning, format!("there is no code block {number}")),
        }
    } else if args == "all" || args == "list" {
        let (rows, picks): (Vec<_>, Vec<_>) = all
            .into_iter()
            .rev()
            .map(|(number, block)| {
                let first =
                    clean::one_line(block.text.lines().find(|line| !line.trim().is_empty()).unwrap_or("").trim());
                let row = Row::new(format!("{number} {} {first}", block.lang), clean::lines(&block.text));
                (row, Pick::Copy { text: block.text, what: format!("code block {number}") })
            })
            .unzip();
        if rows.is_empty() {
            app.tell(Level::Info, "there is no code yet");
        } else {
            app.overlay = Some(Overlay::Choose(Choose::new("copy a code block", rows, picks)));
        }
    } else {
        app.tell(Level::Warning, format!("`/copy {args}`: expected a number or `all`"));
    }
}

/// Puts a mention into the input: the file is read when the message is sent.
pub(crate) fn attach(app: &mut App, args: &str, out: &mut Out) {
    if args.is_empty() {
        app.composer.field.insert("@");
        app.composer.dismissed = false;
        app.follow_input(out);
    } else {
        app.composer.field.insert(&super::mentions::written(args.trim_matches('"')));
    }
}

pub(crate) fn sessions(app: &mut App, args: &str, out: &mut Out) {
    if app.is_free() {
        app.open_sessions(args, out);
    }
}

pub(crate) fn export(app: &mut App, args: &str, out: &mut Out) {
    if app.conversation.is_empty() {
        app.tell(Level::Info, "there is nothing to export yet");
        return;
    }
    out.push(Effect::Export {
        markdown: crate::chat::store::Store::export_markdown(&app.conversation),
        title: app.conversation.title(),
        file: (!args.is_empty()).then(|| args.trim_matches('"').into()),
    });
}

/// Without an argument the present one goes into the input, to be changed.
pub(crate) fn system(app: &mut App, args: &str, out: &mut Out) {
    match args {
        "" => {
            let now = app.conversation.system().unwrap_or("").to_owned();
            if now.is_empty() {
                app.tell(Level::Info, "no system prompt; type one after `/system`");
            }
            app.composer.set(&format!("/system {now}"));
        }
        "off" | "none" => {
            app.settings.chat.system = None;
            if app.record(Entry::System { text: None }, out) {
                app.tell(Level::Info, "system prompt removed");
            }
        }
        text => {
            app.settings.chat.system = Some(text.to_owned());
            if app.record(Entry::System { text: Some(text.to_owned()) }, out) {
                app.tell(Level::Info, "system prompt set, from the next message on");
            }
        }
    }
}

pub(crate) fn title(app: &mut App, args: &str, out: &mut Out) {
    if args.is_empty() {
        let title = app.conversation.title();
        app.tell(Level::Info, format!("this conversation is called `{title}`; `/title TEXT` renames it"));
    } else {
        app.record(Entry::Title { text: args.to_owned() }, out);
    }
}
