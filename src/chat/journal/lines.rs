//! Lines of bounded length from any reader, whatever bytes they hold.

use std::io::{self, BufRead};

use super::MAX_LINE;

/// One line, without its break.
pub(crate) struct Line<'a> {
    pub(crate) bytes: &'a [u8],
    /// A line break follows.
    pub(crate) ended: bool,
    /// It is longer than [`MAX_LINE`]; `bytes` is empty.
    pub(crate) long: bool,
}

/// Lines of bounded length.
pub(crate) struct Lines<R> {
    input: R,
    line: Vec<u8>,
}

impl<R: BufRead> Lines<R> {
    pub(crate) fn new(input: R) -> Self {
        Self { input, line: Vec::new() }
    }

    pub(crate) fn next_line(&mut self) -> io::Result<Option<Line<'_>>> {
        self.line.clear();
        let (mut long, mut ended, mut any) = (false, false, false);
        while !ended {
            let chunk = match self.input.fill_buf() {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                other => other?,
            };
            if chunk.is_empty() {
                break;
            }
            any = true;
            let (part, used) = match chunk.split(|byte| *byte == b'\n').next() {
                Some(part) if part.len() < chunk.len() => (part, part.len() + 1),
                _ => (chunk, chunk.len()),
            };
            ended = used > part.len();
            long |= self.line.len() + part.len() > MAX_LINE;
            if long {
                // Frees what was gathered: a hostile line must not keep its memory.
                self.line = Vec::new();
            } else {
                self.line.extend_from_slice(part);
            }
            self.input.consume(used);
        }
        Ok(any.then_some(Line { bytes: &self.line, ended, long }))
    }
}
