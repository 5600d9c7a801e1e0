//! A window that moves over a file: small reads without a system call each, and a position that never passes the end.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use super::GgufError;

const WINDOW: usize = 64 << 10;

/// Something that can be read at any place.
pub trait ReadAt {
    /// Reads some bytes at `offset`; 0 at or past the end.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize>;
}

impl ReadAt for File {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        FileExt::read_at(self, buffer, offset)
    }
}

impl ReadAt for &[u8] {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let rest = usize::try_from(offset).ok().and_then(|offset| self.get(offset..)).unwrap_or_default();
        let n = rest.len().min(buffer.len());
        buffer[..n].copy_from_slice(&rest[..n]);
        Ok(n)
    }
}

/// Reads forward through a [`ReadAt`].
pub(super) struct Cursor<'a> {
    pub(super) path: &'a Path,
    source: &'a dyn ReadAt,
    /// The next byte's place in the file.
    pub(super) position: u64,
    /// The file's size, or an earlier place that must not be passed.
    pub(super) end: u64,
    window: Vec<u8>,
    window_start: u64,
}

impl<'a> Cursor<'a> {
    pub(super) fn new(path: &'a Path, source: &'a dyn ReadAt, position: u64, end: u64) -> Self {
        Self { path, source, position, end, window: Vec::new(), window_start: 0 }
    }

    /// Bytes between here and the end.
    pub(super) fn rest(&self) -> u64 {
        self.end.saturating_sub(self.position)
    }

    fn ask(&self, n: u64) -> Result<(), GgufError> {
        if n > self.rest() {
            let expected = self.position.saturating_add(n);
            return Err(GgufError::Truncated { path: self.path.to_owned(), expected, found: self.end });
        }
        Ok(())
    }

    /// Moves on without reading.
    pub(super) fn skip(&mut self, n: u64) -> Result<(), GgufError> {
        self.ask(n)?;
        self.position += n;
        Ok(())
    }

    /// Fills `out`.
    pub(super) fn fill(&mut self, out: &mut [u8]) -> Result<(), GgufError> {
        self.ask(out.len() as u64)?;
        let mut done = 0;
        while done < out.len() {
            let inside = self.position.checked_sub(self.window_start).and_then(|at| usize::try_from(at).ok());
            let ready = inside.and_then(|at| self.window.get(at..)).unwrap_or_default();
            if ready.is_empty() {
                self.refill()?;
                continue;
            }
            let n = ready.len().min(out.len() - done);
            out[done..done + n].copy_from_slice(&ready[..n]);
            done += n;
            self.position += n as u64;
        }
        Ok(())
    }

    fn refill(&mut self) -> Result<(), GgufError> {
        let want = WINDOW.min(usize::try_from(self.rest()).unwrap_or(WINDOW));
        self.window.resize(want, 0);
        self.window_start = self.position;
        let got = loop {
            match self.source.read_at(&mut self.window, self.position) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(source) => return Err(GgufError::Io { path: self.path.to_owned(), source }),
                Ok(got) => break got,
            }
        };
        self.window.truncate(got);
        if got == 0 {
            // The file shrank since its size was asked for.
            return Err(GgufError::Truncated { path: self.path.to_owned(), expected: self.end, found: self.position });
        }
        Ok(())
    }

    pub(super) fn u32(&mut self) -> Result<u32, GgufError> {
        let mut raw = [0; 4];
        self.fill(&mut raw)?;
        Ok(u32::from_le_bytes(raw))
    }

    pub(super) fn u64(&mut self) -> Result<u64, GgufError> {
        let mut raw = [0; 8];
        self.fill(&mut raw)?;
        Ok(u64::from_le_bytes(raw))
    }

    /// A text of at most `most` bytes; what is not UTF-8 is replaced.
    pub(super) fn text(&mut self, what: &str, most: u64) -> Result<String, GgufError> {
        let len = self.u64()?;
        self.ask(len)?;
        if len > most {
            return Err(GgufError::TooMany { path: self.path.to_owned(), what: what.to_owned(), count: len, most });
        }
        let mut raw = vec![0; usize::try_from(len).unwrap_or_default()];
        self.fill(&mut raw)?;
        Ok(String::from_utf8(raw).unwrap_or_else(|bad| String::from_utf8_lossy(bad.as_bytes()).into_owned()))
    }

    /// Moves over a text.
    pub(super) fn skip_text(&mut self) -> Result<(), GgufError> {
        let len = self.u64()?;
        self.skip(len)
    }
}
