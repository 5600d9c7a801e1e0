//! Answers that become changes of files: asking for them, having them worked out, writing what the person took.
//!
//! Nothing is written but through [`Effect::Write`] and [`Effect::TakeBack`], which only a review gives out, for hunks that
//! were taken one by one or all at once.

mod apply;
mod commit;
mod fix;
mod run;

pub(crate) use apply::apply;
pub(crate) use commit::{commit, diff};
pub(crate) use fix::fix;
pub use fix::{Fix, Phase};
pub(crate) use run::run;

use super::compose::{Draft, Outgoing};
use super::msg::{EditsMsg, Effect, Level};
use super::overlay::{Overlay, Review, Running, Then};
use super::{App, Out, Pane, blocks, mentions};
use crate::chat::thinking;
use crate::chat::tree::{Attachment, NodeId};
use crate::edits::guard::Guard;
use crate::edits::propose::{Proposed, Wanted};
use crate::edits::{Change, prompt};
use crate::engine::Stop;
use crate::text::clean;

/// Files of earlier messages that a change may concern, at most.
const REMEMBERED: usize = 12;

/// Changes and commands under way.
#[derive(Clone, Debug, Default)]
pub struct Edits {
    /// What a failed command wrote: goes with the next message.
    pub failure: Option<Attachment>,
    /// A command that is run until it passes.
    pub fix: Option<Fix>,
    /// Its last run.
    ran: Option<Box<Running>>,
    /// The answer that will be a commit's message, and whether all that changed goes into it.
    commit: Option<(NodeId, bool)>,
    /// Counts commands.
    runs: u64,
    /// Counts proposals: only the last one is waited for.
    proposals: u64,
    /// Whether the person asked for it by a key just now.
    asked: bool,
}

impl Edits {
    pub(crate) fn take_failure(&mut self) -> Option<Attachment> {
        self.failure.take()
    }

    /// Whether a proposal of `/fix` waits for the person.
    pub(crate) fn is_holding(&self) -> bool {
        self.fix.as_ref().is_some_and(|fix| matches!(fix.phase, Phase::Holding(_)))
    }

    /// The number of the proposal that is waited for.
    #[cfg(test)]
    pub(crate) fn awaited(&self) -> u64 {
        self.proposals
    }
}

/// `/edit TEXT`: asks for search/replace blocks against the files named in it, or those that were shown before.
pub(crate) fn edit(app: &mut App, args: &str, out: &mut Out) {
    if args.trim().is_empty() {
        app.tell(Level::Info, "write what shall be changed behind `/edit`, with the file: `/edit @src/main.rs …`");
        return;
    }
    if !app.can_send(out) {
        app.composer.set(&prompt::request(args));
        return;
    }
    let mut patterns = mentions::all(args);
    if patterns.is_empty() {
        patterns = app.shown_names();
    }
    let failure = app.edits.take_failure().into_iter().collect();
    app.submit(prompt::request(args), failure, patterns, Vec::new(), out);
}

/// `/undo`: the last change in this folder, also one of an earlier run of the program. `/undo drop` forgets it.
pub(crate) fn undo(app: &mut App, args: &str, out: &mut Out) {
    match args.trim() {
        "" => out.push(Effect::Undo),
        "drop" => out.push(Effect::DropUndo),
        _ => app.tell(Level::Info, "`/undo` reverts the last change, `/undo drop` forgets it"),
    }
}

impl App {
    /// The files that were shown on this branch, the newest first: as they are shown, and what they are called where
    /// that is something else.
    fn shown_files(&self) -> Vec<(String, Option<String>)> {
        let mut files: Vec<(String, Option<String>)> = Vec::new();
        for node in self.path.iter().rev().filter_map(|id| self.conversation.node(*id)) {
            for file in node.attachments.iter().filter(|attachment| prompt::is_file(&attachment.name)) {
                if !files.iter().any(|(name, _)| *name == file.name) && files.len() < REMEMBERED {
                    files.push((file.name.clone(), file.real.clone()));
                }
            }
        }
        files
    }

    /// Their names as the disk has them.
    pub(crate) fn shown_names(&self) -> Vec<String> {
        self.shown_files().into_iter().map(|(name, real)| real.unwrap_or(name)).collect()
    }

    /// The files that the answer to a message shall change; none if it asks for no change.
    pub(crate) fn files_to_change(&self, message: NodeId) -> Vec<Attachment> {
        let Some(node) = self.conversation.node(message).filter(|node| prompt::wish(&node.text).is_some()) else {
            return Vec::new();
        };
        let files = node.attachments.iter().filter(|file| may_change(&node.text, file));
        files.cloned().collect()
    }

    /// The tests that the answer to a message must leave alone.
    pub(crate) fn guard_of(&self, message: NodeId) -> Option<Guard> {
        self.conversation.node(message).and_then(|node| prompt::guard(&node.text))
    }

    /// Whether a message asks for a change and no file goes with it yet that may be changed.
    pub(crate) fn needs_files(&self, draft: &Draft) -> bool {
        prompt::wish(&draft.text).is_some() && !draft.attachments.iter().any(|file| may_change(&draft.text, file))
    }

    /// There is nothing to change: the message goes back into the input.
    pub(crate) fn refuse_without_files(&mut self, out: &mut Out) {
        if let Some(Outgoing::Reading(draft)) = self.outgoing.take_if(|outgoing| outgoing.draft().fix) {
            let failure = draft.attachments.into_iter().find(|attachment| !prompt::is_file(&attachment.name));
            self.fix_knows_no_file(failure, out);
            return;
        }
        self.take_back();
        self.tell(Level::Warning, "there is no file to change: name one, `/edit @src/main.rs …`");
    }

    /// Has worked out what an answer with these blocks, and the number of the first of them, would change.
    fn work_out(
        &mut self,
        answer: String,
        found: (usize, Vec<blocks::Block>),
        name: Option<String>,
        guard: Option<Guard>,
        out: &mut Out,
    ) {
        if self.fix_waits_for(&Phase::Proposing(self.edits.proposals)) {
            // its own will be dropped
            self.end_fix();
        }
        self.edits.proposals += 1;
        self.edits.asked = false;
        let (number, first) = (self.edits.proposals, found.0);
        let pieces = found.1.into_iter().map(Into::into).collect();
        let (mut attached, mut real) = (Vec::new(), Vec::new());
        for (shown, name) in self.shown_files() {
            real.extend(name.map(|name| (shown.clone(), name)));
            attached.push(shown);
        }
        out.push(Effect::Propose(Box::new(Wanted { number, answer, pieces, first, name, attached, real, guard })));
    }

    /// An answer has ended: if it was to change files, what it would change is worked out.
    pub(crate) fn edit_answered(&mut self, node: NodeId, stop: Stop, out: &mut Out) {
        if stop != Stop::Cancelled {
            self.commit_answered(node);
        }
        let Some(node) = self.conversation.node(node) else { return };
        let fixing = self.fix_waits_for(&Phase::Answering(node.id));
        let asked = node.parent.and_then(|id| self.conversation.node(id));
        if self.leaving || asked.is_none_or(|asked| prompt::wish(&asked.text).is_none()) {
            return;
        }
        let (answer, found) = (thinking::strip(&node.text).to_string(), blocks::of(&node.text));
        let first = self.blocks.first(node.id);
        let guard = asked.and_then(|asked| prompt::guard(&asked.text));
        if stop == Stop::Cancelled {
            if fixing {
                self.end_fix();
            }
            return;
        }
        self.work_out(answer, (first, found), None, guard, out);
        if fixing {
            self.fix_goes_on(Phase::Proposing(self.edits.proposals));
        }
    }

    pub(crate) fn on_edits(&mut self, told: EditsMsg, out: &mut Out) {
        match told {
            EditsMsg::Proposed(proposed) => self.on_proposed(*proposed, out),
            EditsMsg::Written(names) => {
                self.tell(Level::Info, format!("wrote {}; `/undo` reverts it", listed(&names)));
                self.check_files(out);
                self.fix_written(out);
            }
            EditsMsg::Undone { names, notices } => {
                notices.into_iter().for_each(|notice| self.tell(Level::Warning, notice));
                self.tell(Level::Info, format!("Restored {}", listed(&names)));
                self.check_files(out);
            }
            EditsMsg::Edited { record, changes } => self.on_edited(record, changes),
            EditsMsg::Changed(changed) => self.on_changed(&changed),
            EditsMsg::ToCommit { text, all } => self.on_to_commit(&text, all, out),
            EditsMsg::Dropped(names) => {
                self.tell(Level::Info, format!("the change of {} is forgotten; its files stay", listed(&names)));
            }
            EditsMsg::Failed(error) => {
                self.show_error(&error);
                if self.fix_waits_for(&Phase::Writing) {
                    self.end_fix();
                }
            }
        }
    }

    fn on_proposed(&mut self, proposed: Proposed, out: &mut Out) {
        if proposed.number != self.edits.proposals {
            return;
        }
        let asked = std::mem::take(&mut self.edits.asked);
        let fixing = self.fix_waits_for(&Phase::Proposing(proposed.number));
        if proposed.changes.is_empty() {
            if fixing {
                self.fix_got_nothing(&proposed, out);
            } else {
                self.nothing_to_show(&proposed, asked);
            }
            return;
        }
        if self.is_busy(asked) {
            self.tell(Level::Info, "the changes are worked out: `/apply` shows them");
            if fixing {
                self.fix_goes_on(Phase::Holding(Box::new(proposed)));
            }
            return;
        }
        if fixing {
            self.fix_goes_on(Phase::Reviewing);
        }
        self.review(proposed, if fixing { Then::Fix } else { Then::Nothing });
    }

    /// Who does something else must not find letters taken as decisions; and what stands over a command that runs would
    /// hide the way to end it.
    fn is_busy(&self, asked: bool) -> bool {
        let open = self.overlay.as_ref();
        let writing = !self.composer.field.is_empty() || self.pane == Pane::Editor;
        open.is_some_and(Overlay::is_running) || (!asked && (writing || open.is_some_and(|open| !open.is_popup())))
    }

    fn review(&mut self, proposed: Proposed, then: Then) {
        self.overlay = Some(Overlay::Review(Box::new(Review::new(proposed, then))));
    }

    /// Nothing would change: what does not apply is told, and for a block without a place the person is asked.
    fn nothing_to_show(&mut self, proposed: &Proposed, asked: bool) {
        match &proposed.homeless[..] {
            [block] if proposed.problems.is_empty() && !self.is_busy(asked) => return self.ask_for_place(block),
            blocks => {
                for block in blocks {
                    let text = format!(
                        "block {}: it names no file and resembles none; `/apply {0} FILE` says where",
                        block.number
                    );
                    self.tell(Level::Warning, text);
                }
            }
        }
        for problem in &proposed.problems {
            self.tell(Level::Warning, clean::one_line(&problem.told()));
        }
        if proposed.problems.is_empty() && proposed.homeless.is_empty() {
            self.tell(Level::Info, "nothing would change");
        }
    }

    /// Files were edited since: the way back is shown, and the person says which parts of it to take.
    fn on_edited(&mut self, record: String, changes: Vec<Change>) {
        if self.is_busy(true) {
            self.tell(Level::Info, "files were edited since; `/undo` shows how, when the command is at its end");
            return;
        }
        let names: Vec<String> = changes.iter().map(|change| change.name.clone()).collect();
        self.tell(Level::Warning, format!("{} changed since: accept what shall be undone", listed(&names)));
        self.review(Proposed { changes, ..Proposed::default() }, Then::Undo(record));
    }
}

/// Whether the answer to a message may change what goes with it.
fn may_change(message: &str, attachment: &Attachment) -> bool {
    let name = attachment.real.as_ref().unwrap_or(&attachment.name);
    prompt::is_file(&attachment.name) && prompt::guard(message).is_none_or(|guard| !guard.bars(name))
}

/// Names in a sentence.
fn listed(names: &[String]) -> String {
    match names {
        [only] => format!("`{}`", clean::one_line(only)),
        [first, rest @ ..] => format!("`{}` and {} more", clean::one_line(first), rest.len()),
        [] => "nothing".into(),
    }
}
