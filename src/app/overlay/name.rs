//! The name of a file that a block of code shall become. The usual ending stands there already, with the cursor before it.

use super::Overlay;
use crate::app::input;
use crate::app::keys::Action;
use crate::app::{App, Out};
use crate::text::buffer::Buffer;

/// A file that there shall be.
#[derive(Clone, Debug)]
pub struct NewFile {
    /// The number of the block.
    pub block: usize,
    /// What is typed.
    pub name: Buffer,
    /// What stands there from the beginning.
    ending: String,
}

impl NewFile {
    pub(crate) fn new(block: usize, extension: &str) -> Self {
        let ending = format!(".{extension}");
        let mut name = Buffer::new(&ending);
        ending.chars().for_each(|_| name.left());
        Self { block, name, ending }
    }

    /// The name, as soon as something was typed before its ending.
    fn typed(&self) -> Option<&str> {
        Some(self.name.text().trim()).filter(|name| !name.is_empty() && *name != self.ending)
    }
}

impl App {
    pub(super) fn new_file_key(
        &mut self,
        mut file: NewFile,
        action: Option<Action>,
        typed: Option<char>,
        out: &mut Out,
    ) -> bool {
        match (action, typed) {
            (Some(Action::Back), _) => return true,
            (Some(Action::Send), _) => {
                if let Some(name) = file.typed() {
                    self.command("apply", &format!("{} \"{name}\"", file.block), out);
                    return true;
                }
            }
            (Some(action), _) => {
                input::edit(&mut file.name, action);
            }
            (None, Some(c)) => {
                file.name.insert(&c.to_string());
            }
            (None, None) => {}
        }
        self.overlay = Some(Overlay::NewFile(file));
        true
    }
}
