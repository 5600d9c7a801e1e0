//! A file as memory: read without being copied, and given back page by page.
//!
//! What it refuses to do: write, or map a file that is not as long as it was said to be. A file that somebody cuts while it
//! is mapped ends the process (the kernel's rule); what is mapped here are checkpoints, which nobody edits.
#![allow(unsafe_code, reason = "the memory map")]

use std::fs::File;
use std::io;
use std::ops::Range;
use std::path::Path;

use rustix::mm;

/// A mapped file.
#[derive(Debug)]
pub struct Map {
    start: *mut std::ffi::c_void,
    length: usize,
}

// SAFETY: the memory is mapped readable only, so any thread may read it at any time.
unsafe impl Send for Map {}
// SAFETY: as above.
unsafe impl Sync for Map {}

impl Map {
    /// Maps a whole file.
    ///
    /// # Errors
    /// It cannot be opened or mapped.
    pub fn open(path: &Path) -> io::Result<Self> {
        let file = File::open(path)?;
        let length = usize::try_from(file.metadata()?.len()).map_err(io::Error::other)?;
        if length == 0 {
            return Ok(Self { start: std::ptr::null_mut(), length });
        }
        // SAFETY: a new mapping at an address of the kernel's choice touches no memory of ours.
        let start =
            unsafe { mm::mmap(std::ptr::null_mut(), length, mm::ProtFlags::READ, mm::MapFlags::SHARED, &file, 0) }?;
        Ok(Self { start, length })
    }

    /// Its bytes.
    pub fn bytes(&self) -> &[u8] {
        if self.length == 0 {
            return &[];
        }
        // SAFETY: the mapping is this long, readable, and lives as long as `self`.
        unsafe { std::slice::from_raw_parts(self.start.cast(), self.length) }
    }

    /// Says that these bytes are not needed soon: their pages may go, and come back from the file.
    pub fn forget(&self, bytes: Range<u64>) {
        let page = rustix::param::page_size() as u64;
        let (from, to) = (bytes.start.next_multiple_of(page), bytes.end.min(self.length as u64) / page * page);
        if from < to {
            // SAFETY: the pages are inside the mapping, which is shared and read-only: nothing is lost with them.
            let _ = unsafe {
                mm::madvise(
                    self.start.cast::<u8>().add(from as usize).cast(),
                    (to - from) as usize,
                    mm::Advice::LinuxDontNeed,
                )
            };
        }
    }
}

impl Drop for Map {
    fn drop(&mut self) {
        if self.length > 0 {
            // SAFETY: this is the mapping that `open` made, and nothing can borrow from it any more.
            let _ = unsafe { mm::munmap(self.start, self.length) };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_those_of_the_file_also_after_they_were_forgotten() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("f");
        let bytes: Vec<u8> = (0..100_000u32).map(|n| (n % 251) as u8).collect();
        std::fs::write(&path, &bytes).unwrap();
        let map = Map::open(&path).unwrap();
        assert_eq!(map.bytes(), bytes);
        map.forget(1..99_999);
        assert_eq!(map.bytes(), bytes);
        std::fs::write(&path, "").unwrap();
        assert!(Map::open(&path).unwrap().bytes().is_empty());
    }
}
