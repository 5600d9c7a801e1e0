//! Code of an answer put into files: which block is meant, and where it goes if nothing says so.

use crate::app::msg::Level;
use crate::app::overlay::{Choose, Overlay, Pick, Row, Then};
use crate::app::{App, Out, blocks};
use crate::chat::{Role, thinking};
use crate::edits::propose::Homeless;
use crate::edits::{blocks as forms, place};
use crate::text::clean;

/// `/apply [N|all] [FILE]`: the blocks of the last answer, or block N of any.
pub(crate) fn apply(app: &mut App, args: &str, out: &mut Out) {
    let (first, rest) = args.split_once(char::is_whitespace).unwrap_or((args, ""));
    let number = first.parse::<usize>().ok();
    let all = first == "all";
    let name = if number.is_some() || all { rest } else { args };
    let name = name.trim().trim_matches('"').trim_start_matches('@').to_owned();
    let name = (!name.is_empty()).then_some(name);
    if args.trim().is_empty()
        && let Some(held) = app.held_by_fix()
    {
        app.review(held, Then::Fix);
        return;
    }
    match number {
        Some(number) => app.apply_block(number, name, out),
        None => app.apply_last(all, name, out),
    }
}

impl App {
    fn apply_last(&mut self, all: bool, name: Option<String>, out: &mut Out) {
        let mut answers = self.path.iter().rev().filter_map(|id| self.conversation.node(*id));
        let last = answers.find(|node| node.role == Role::Assistant && !node.text.is_empty());
        let Some(last) = last else {
            self.tell(Level::Info, "there is no answer yet");
            return;
        };
        let answer = thinking::strip(&last.text).to_string();
        let found = blocks::of(&last.text);
        let first = self.blocks.first(last.id);
        let usable: Vec<(usize, &blocks::Block)> =
            found.iter().enumerate().filter(|(_, block)| name.is_some() || can_be_file(block)).collect();
        if forms::has_blocks(&answer) || found.len() == 1 {
            self.propose(answer, (first, found), name, out);
        } else if let [(at, only)] = usable[..] {
            self.propose(String::new(), (first + at, vec![only.clone()]), name, out);
        } else if all && !usable.is_empty() {
            self.propose(String::new(), (first, found), name, out);
        } else if found.is_empty() {
            self.tell(Level::Info, "the last answer has no code");
        } else if usable.is_empty() {
            self.tell(
                Level::Info,
                "no block of the last answer looks like a file; `/apply N FILE` puts one into a file",
            );
        } else {
            let file = name.map(|name| format!(" {name}")).unwrap_or_default();
            let mut rows = vec![Row::new(format!("all {}", usable.len()), "")];
            let mut picks = vec![Pick::Apply(format!("all{file}"))];
            for (n, block) in usable {
                let line = block.text.lines().find(|line| !line.trim().is_empty()).unwrap_or("").trim();
                let label = format!("{} {} {}", first + n, block.lang, clean::one_line(line));
                rows.push(Row::new(label, clean::lines(&block.text)));
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
                // what stands above the fence and behind it may be the file's name
                let answer = match forms::has_blocks(&block.text) {
                    true => format!("{}\n```{}\n{}\n```\n", block.before, block.info, block.text),
                    false => String::new(),
                };
                self.propose(answer, (number, vec![block]), name, out);
            }
            None => self.tell(Level::Warning, format!("there is no code block {number}")),
        }
    }

    fn propose(&mut self, answer: String, found: (usize, Vec<blocks::Block>), name: Option<String>, out: &mut Out) {
        self.work_out(answer, found, name, None, out);
        self.edits.asked = true;
    }

    /// A block that names no file and resembles none: one of those that were shown, or a new one.
    pub(super) fn ask_for_place(&mut self, block: &Homeless) {
        let extension = place::extension_of(&block.lang);
        let mut rows = vec![Row::new("a new file", format!(".{extension}"))];
        let mut picks = vec![Pick::NewFile(block.number, extension)];
        for name in self.shown_names() {
            rows.push(Row::new(clean::one_line(&name), "shown before"));
            picks.push(Pick::Apply(format!("{} \"{name}\"", block.number)));
        }
        let title = format!("where does block {} go?", block.number);
        self.overlay = Some(Overlay::Choose(Choose::new(&title, rows, picks)));
    }
}

/// Whether a block of code can be a file's, or a change of one: what is typed into a shell and what programs write is
/// not, unless it is named.
fn can_be_file(block: &blocks::Block) -> bool {
    place::can_be_file(&block.clone().into())
}
