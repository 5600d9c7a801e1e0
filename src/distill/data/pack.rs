//! Windows in the making: documents side by side, as full as a look at a few windows makes them.

use std::path::Path;

use super::corpus::{Head, Writer};
use crate::atomic::WriteError;

/// One file's windows: a document goes to the first of a few open ones that has room for it.
pub(super) struct Part {
    pub(super) writer: Writer,
    open: Vec<Open>,
}

#[derive(Default)]
struct Open {
    documents: Vec<Vec<(u32, bool)>>,
    len: usize,
}

/// Windows that are filled at once.
const OPEN: usize = 8;

impl Part {
    pub(super) fn new(path: &Path) -> Result<Self, WriteError> {
        Ok(Self { writer: Writer::create(path)?, open: Vec::new() })
    }

    pub(super) fn add(&mut self, tokens: &[(u32, bool)], context: usize) -> Result<(), WriteError> {
        if tokens.len() < 2 {
            return Ok(());
        }
        if !self.open.iter().any(|open| open.len + tokens.len() <= context) {
            if self.open.len() == OPEN {
                let fullest = self.open.iter().enumerate().max_by_key(|(_, open)| open.len).map_or(0, |(at, _)| at);
                let open = self.open.remove(fullest);
                self.write(&open)?;
            }
            self.open.push(Open::default());
        }
        if let Some(open) = self.open.iter_mut().find(|open| open.len + tokens.len() <= context) {
            open.len += tokens.len();
            open.documents.push(tokens.to_vec());
        }
        Ok(())
    }

    fn write(&mut self, open: &Open) -> Result<(), WriteError> {
        self.writer.window();
        open.documents.iter().try_for_each(|tokens| self.writer.document(tokens))
    }

    pub(super) fn finish(mut self, settings: &str) -> Result<Head, WriteError> {
        for open in std::mem::take(&mut self.open) {
            self.write(&open)?;
        }
        self.writer.finish(settings)
    }
}
