//! Answers that become changes of files: asking for them, having them worked out, writing what the person took.
//!
//! Nothing is written but through [`Effect::Write`], which only a review gives out, for hunks that were taken one by one
//! or all at once.

mod fix;
mod run;

pub use fix::Fix;
pub(crate) use fix::fix;
pub(crate) use run::run;

use super::compose::{Draft, Outgoing};
use super::msg::{EditsMsg, Effect, Level};
use super::overlay::{Choose, Overlay, Page, Pick, Review, Row};
use super::{App, Out, Pane, blocks, mentions};
use crate::chat::tree::{Attachment, NodeId};
use crate::chat::{Role, fence, thinking};
use crate::edits::diff::{self, Diff};
use crate::edits::propose::{Proposed, Wanted};
use crate::edits::{blocks as forms, prompt};
use crate::engine::Stop;
use crate::text::clean;

/// Files of earlier messages that a change may concern, at most.
const REMEMBERED: usize = 12;
/// Lines of a diff that cannot be taken back, shown at most.
const SHOWN: usize = 400;

/// Changes and commands under way.
#[derive(Clone, Debug, Default)]
pub struct Edits {
    /// What a failed command wrote: goes with the next message.
    pub failure: Option<Attachment>,
    /// A command that is run until it passes.
    pub fix: Option<Fix>,
    /// Counts commands.
    runs: u64,
    /// A proposal is being worked out: whether the person asked for it by a key just now.
    asked: bool,
}

impl Edits {
    pub(crate) fn take_failure(&mut self) -> Option<Attachment> {
        self.failure.take()
    }
}

/// `/edit TEXT`: asks for search/replace blocks against the files named in it, or those that were shown before.
pub(crate) fn edit(app: &mut App, args: &str, out: &mut Out) {
    if args.trim().is_empty() {
        app.tell(Level::Info, "write what shall be changed behind `/edit`, with the file: `/edit @src/main.rs …`");
        return;
    }
    if !app.can_send(out) {
        app.composer.buffer = crate::text::buffer::Buffer::new(&prompt::request(args));
        app.composer.dismissed = true;
        return;
    }
    let mut patterns = mentions::all(args);
    if patterns.is_empty() {
        patterns = app.shown_files();
    }
    let failure = app.edits.take_failure().into_iter().collect();
    app.submit(prompt::request(args), failure, patterns, Vec::new(), out);
}

/// `/apply [N|all] [FILE]`: the blocks of the last answer, or block N of any.
pub(crate) fn apply(app: &mut App, args: &str, out: &mut Out) {
    let (first, rest) = args.split_once(char::is_whitespace).unwrap_or((args, ""));
    let number = first.parse::<usize>().ok();
    let all = first == "all";
    let name = if number.is_some() || all { rest } else { args };
    let name = name.trim().trim_matches('"').trim_start_matches('@').to_owned();
    let name = (!name.is_empty()).then_some(name);
    match number {
        Some(number) => app.apply_block(number, name, out),
        None => app.apply_last(all, name, out),
    }
}

/// `/undo`: the last change in this folder, also one of an earlier run of the program.
pub(crate) fn undo(_app: &mut App, _args: &str, out: &mut Out) {
    out.push(Effect::Undo);
}

impl App {
    /// Names of the files that were shown on this branch, the newest first.
    pub(crate) fn shown_files(&self) -> Vec<String> {
        let mut names: Vec<String> = Vec::new();
        for node in self.path.iter().rev().filter_map(|id| self.conversation.node(*id)) {
            for attachment in node.attachments.iter().filter(|attachment| prompt::is_file(&attachment.name)) {
                if !names.contains(&attachment.name) && names.len() < REMEMBERED {
                    names.push(attachment.name.clone());
                }
            }
        }
        names
    }

    /// The files that the answer to a message shall change; none if it asks for no change.
    pub(crate) fn files_to_change(&self, message: NodeId) -> Vec<Attachment> {
        let Some(node) = self.conversation.node(message).filter(|node| prompt::wish(&node.text).is_some()) else {
            return Vec::new();
        };
        node.attachments.iter().filter(|attachment| prompt::is_file(&attachment.name)).cloned().collect()
    }

    /// Whether a message asks for a change and no file goes with it yet.
    pub(crate) fn needs_files(&self, draft: &Draft) -> bool {
        prompt::wish(&draft.text).is_some() && !draft.attachments.iter().any(|file| prompt::is_file(&file.name))
    }

    /// There is nothing to change: the message goes back into the input.
    pub(crate) fn refuse_without_files(&mut self) {
        if self.edits.fix.take().is_some() {
            if let Some(Outgoing::Reading(draft)) = self.outgoing.take() {
                self.edits.failure = draft.attachments.into_iter().next();
            }
            self.tell(Level::Warning, "no file to change is known: show it one with `@`, then `/fix` again");
            return;
        }
        self.take_back();
        self.tell(Level::Warning, "there is no file to change: name one, `/edit @src/main.rs …`");
    }

    fn apply_last(&mut self, all: bool, name: Option<String>, out: &mut Out) {
        let mut answers = self.path.iter().rev().filter_map(|id| self.conversation.node(*id));
        let last = answers.find(|node| node.role == Role::Assistant && !node.text.is_empty());
        let Some(last) = last else {
            self.tell(Level::Info, "there is no answer yet");
            return;
        };
        let answer = thinking::strip(&last.text).to_string();
        let found = blocks::of(&last.text);
        if forms::has_blocks(&answer) || found.len() == 1 || (all && !found.is_empty()) {
            self.propose(answer, found, name, out);
        } else if found.is_empty() {
            self.tell(Level::Info, "the last answer has no code");
        } else {
            let first = self.blocks.first(last.id);
            let file = name.map(|name| format!(" {name}")).unwrap_or_default();
            let mut rows = vec![Row::new(format!("all {}", found.len()), "")];
            let mut picks = vec![Pick::Apply(format!("all{file}"))];
            for (n, block) in found.iter().enumerate() {
                let line = block.text.lines().find(|line| !line.trim().is_empty()).unwrap_or("").trim();
                let label = format!("{} {} {}", first + n, block.lang, clean::one_line(line));
                rows.push(Row::new(label, format!("{} lines", block.text.lines().count())));
                picks.push(Pick::Apply(format!("{}{file}", first + n)));
            }
            self.overlay = Some(Overlay::Choose(Choose::new("put code into files", rows, picks)));
        }
    }

    fn apply_block(&mut self, number: usize, name: Option<String>, out: &mut Out) {
        let answers = self.path.iter().filter_map(|id| self.conversation.node(*id));
        let block = answers.filter(|node| node.role == Role::Assistant).find_map(|node| {
            let at = number.checked_sub(self.blocks.first(node.id))?;
            blocks::of(&node.text).into_iter().nth(at)
        });
        match block {
            Some(block) => {
                let answer = if forms::has_blocks(&block.text) { block.text.clone() } else { String::new() };
                self.propose(answer, vec![block], name, out);
            }
            None => self.tell(Level::Warning, format!("there is no code block {number}")),
        }
    }

    fn propose(&mut self, answer: String, found: Vec<blocks::Block>, name: Option<String>, out: &mut Out) {
        self.edits.asked = true;
        self.work_out(answer, found, name, out);
    }

    fn work_out(&mut self, answer: String, found: Vec<blocks::Block>, name: Option<String>, out: &mut Out) {
        let pieces = found.into_iter().map(Into::into).collect();
        out.push(Effect::Propose(Box::new(Wanted { answer, pieces, name, attached: self.shown_files() })));
    }

    /// An answer has ended: if it was to change files, what it would change is worked out.
    pub(crate) fn edit_answered(&mut self, node: Option<NodeId>, stop: Stop, out: &mut Out) {
        let Some(node) = node.and_then(|id| self.conversation.node(id)) else { return };
        let asked = node.parent.and_then(|id| self.conversation.node(id));
        if self.leaving || asked.is_none_or(|asked| prompt::wish(&asked.text).is_none()) {
            return;
        }
        if stop == Stop::Cancelled {
            self.edits.fix = None;
            return;
        }
        let (answer, found) = (thinking::strip(&node.text).to_string(), blocks::of(&node.text));
        self.edits.asked = false;
        self.work_out(answer, found, None, out);
    }

    pub(crate) fn on_edits(&mut self, told: EditsMsg, out: &mut Out) {
        match told {
            EditsMsg::Proposed(proposed) => self.on_proposed(*proposed),
            EditsMsg::Written(names) => {
                self.tell(Level::Info, format!("wrote {}; `/undo` takes it back", listed(&names)));
                self.check_files(out);
                self.fix_written(out);
            }
            EditsMsg::Undone(names) => {
                self.tell(Level::Info, format!("{} as before", listed(&names)));
                self.check_files(out);
            }
            EditsMsg::Edited { name, diff } => self.on_edited(&name, &diff),
            EditsMsg::Failed(trouble) => {
                self.edits.fix = None;
                self.tell_trouble(&trouble);
            }
        }
    }

    fn on_proposed(&mut self, proposed: Proposed) {
        let asked = std::mem::take(&mut self.edits.asked) || self.edits.fix.is_some();
        if proposed.changes.is_empty() {
            self.edits.fix = None;
            for problem in &proposed.problems {
                self.tell(Level::Warning, format!("{}: {}", clean::one_line(&problem.what), problem.reason));
            }
            if proposed.problems.is_empty() {
                self.tell(Level::Info, "nothing would change");
            }
            return;
        }
        // who writes something else must not find the letters taken as decisions
        let writing = !self.composer.buffer.is_empty() || self.pane == Pane::Editor;
        let busy = writing || self.overlay.as_ref().is_some_and(|open| !open.is_popup());
        if busy && !asked {
            self.tell(Level::Info, "the changes are worked out: `/apply` shows them");
            return;
        }
        let fix = self.edits.fix.is_some();
        self.overlay = Some(Overlay::Review(Box::new(Review::new(proposed, fix))));
    }

    /// A file that was edited since keeps what was written there; the difference is shown.
    fn on_edited(&mut self, name: &str, diff: &Diff) {
        let mut text = String::new();
        let mut left = SHOWN;
        for hunk in 0..diff.hunks().len() {
            for row in diff.rows(hunk, 2).into_iter().take(left) {
                let (sign, line) = match row {
                    diff::Row::Same(_, _, line) => (' ', line),
                    diff::Row::Gone(_, line) => ('-', line),
                    diff::Row::Come(_, line) => ('+', line),
                };
                text.push(sign);
                text.push_str(&line.chars().take(400).collect::<String>());
                text.push('\n');
                left -= 1;
            }
        }
        let shown = fence::inline(&clean::one_line(name));
        let markdown = format!(
            "# Not taken back\n\n{shown} was edited since the change was written. Taking it back would lose that, so \
             nothing was touched. From what was written to what stands there now:\n\n{}\nBring the file into the state \
             that was written, or edit it by hand; the original is kept.\n",
            fence::fenced(&text, "diff")
        );
        self.overlay = Some(Overlay::Page(Page { title: "undo".into(), markdown, top: 0, back: false }));
    }
}

/// Names in a sentence.
fn listed(names: &[String]) -> String {
    match names {
        [only] => format!("`{}`", clean::one_line(only)),
        [first, rest @ ..] => format!("`{}` and {} more", clean::one_line(first), rest.len()),
        [] => "nothing".into(),
    }
}
