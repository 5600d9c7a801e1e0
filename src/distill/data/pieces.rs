//! The values of a JSON list, or one behind the other over several lines, cut apart without reading them all.
//!
//! Only brackets and strings are looked at. What it refuses to do: hold more than one value, or one that is too long.

use std::io::{self, BufRead};

use super::source::{LONGEST, MARK, text, too_long};

/// Cuts a stream of JSON into values.
struct Cutter {
    /// Brackets that are open where values stand: 1 in a list, 0 without one.
    base: usize,
    depth: usize,
    in_string: bool,
    escaped: bool,
    /// Whether a value has begun.
    begun: bool,
    /// Whether the list is over.
    over: bool,
    value: Vec<u8>,
    /// Bytes of the value, of which too many are not kept.
    size: usize,
}

/// What a byte brings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Nothing,
    /// A value is whole.
    Value,
    /// Something stands behind the list.
    Behind,
}

impl Cutter {
    fn new(base: usize) -> Self {
        Self { base, depth: 0, in_string: false, escaped: false, begun: false, over: false, value: Vec::new(), size: 0 }
    }

    fn take(&mut self, byte: u8) -> Step {
        if self.in_string {
            self.keep(byte);
            self.in_string = self.escaped || byte != b'"';
            self.escaped = byte == b'\\' && !self.escaped;
            return Step::Nothing;
        }
        if self.over {
            let blank = byte.is_ascii_whitespace() || MARK.contains(&byte);
            return if blank { Step::Nothing } else { Step::Behind };
        }
        match byte {
            b'"' => {
                self.in_string = true;
                self.keep(byte);
            }
            b'{' | b'[' => {
                self.depth += 1;
                if self.depth > self.base {
                    self.keep(byte);
                }
            }
            b']' if self.depth == 1 && self.base == 1 => {
                self.over = true;
                return self.end();
            }
            b'}' | b']' => {
                self.keep(byte);
                // One that closes nothing is part of what is wrong there.
                if self.depth > self.base {
                    self.depth -= 1;
                    if self.depth == self.base {
                        return self.end();
                    }
                }
            }
            b',' if self.depth == self.base => return self.end(),
            _ if byte.is_ascii_whitespace() && !self.begun => {}
            _ => self.keep(byte),
        }
        Step::Nothing
    }

    fn keep(&mut self, byte: u8) {
        self.begun = true;
        self.size += 1;
        if self.size <= LONGEST {
            self.value.push(byte);
        }
    }

    fn end(&mut self) -> Step {
        if self.begun { Step::Value } else { Step::Nothing }
    }

    fn value(&self) -> Result<&str, String> {
        if self.size > LONGEST { Err(too_long()) } else { text(&self.value) }
    }

    fn next(&mut self) {
        self.value.clear();
        (self.size, self.begun) = (0, false);
    }
}

/// Hands every value to `each`, with its number from 1 and the bytes read with it, or what is wrong with it; `base` as in
/// [`Cutter`].
///
/// # Errors
/// The file cannot be read, or whatever `each` says.
pub(super) fn each<E: From<io::Error>>(
    reader: &mut impl BufRead,
    base: usize,
    mut each: impl FnMut(usize, usize, Result<&str, String>) -> Result<(), E>,
) -> Result<(), E> {
    let (mut cutter, mut number, mut done) = (Cutter::new(base), 0, 0);
    loop {
        let buffer = reader.fill_buf()?;
        let size = buffer.len();
        for (at, &byte) in buffer.iter().enumerate() {
            match cutter.take(byte) {
                Step::Nothing => {}
                Step::Value => {
                    number += 1;
                    each(number, done + at + 1, cutter.value())?;
                    cutter.next();
                }
                Step::Behind => {
                    let what = "something stands behind the end of the list".to_owned();
                    return each(number + 1, done + at + 1, Err(what));
                }
            }
        }
        if size == 0 {
            break;
        }
        reader.consume(size);
        done += size;
    }
    let open =
        if base > 0 { !cutter.over } else { cutter.begun && text(&cutter.value).is_ok_and(|rest| !rest.is_empty()) };
    if open { each(number + 1, done, Err("it does not end".to_owned())) } else { Ok(()) }
}
