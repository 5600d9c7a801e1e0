//! The name of a file that a block of code shall become. The usual ending stands there already, with the cursor before it.

use super::Overlay;
use crate::app::field::Field;
use crate::app::keymap::{Command, Pressed};
use crate::app::{App, Out};

/// A file that there shall be.
#[derive(Clone, Debug)]
pub struct NewFile {
    /// The number of the block.
    pub block: usize,
    /// What is typed.
    pub name: Field,
    /// What stands there from the beginning.
    ending: String,
}

impl NewFile {
    pub(crate) fn new(block: usize, extension: &str) -> Self {
        let ending = format!(".{extension}");
        let mut name = Field::new(&ending);
        name.replace(0..0, "");
        Self { block, name, ending }
    }

    /// The name, as soon as something was typed before its ending.
    fn typed(&self) -> Option<&str> {
        Some(self.name.text().trim()).filter(|name| !name.is_empty() && *name != self.ending)
    }
}

impl App {
    pub(super) fn new_file_key(&mut self, mut file: NewFile, key: Pressed, out: &mut Out) -> bool {
        match (key, file.typed()) {
            (Pressed::Command(Command::Back), _) => return true,
            (Pressed::Command(Command::Accept), Some(name)) => {
                self.command("apply", &format!("{} \"{name}\"", file.block), out);
                return true;
            }
            (key, _) => {
                file.name.key(key);
            }
        }
        self.overlay = Some(Overlay::NewFile(file));
        true
    }
}
