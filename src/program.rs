//! The file that this process runs.
//!
//! The launcher takes this file without the library.

// SAFETY of the block: the declaration is that of `getauxval(3)`.
#![allow(unsafe_code, reason = "the C library is the only one to know what the kernel said of the process")]

use std::ffi::{CStr, OsStr, c_char, c_ulong};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

const AT_EXECFN: c_ulong = 31;

unsafe extern "C" {
    /// What the kernel handed the process, by its number in `<linux/auxvec.h>`; 0 if nothing.
    pub safe fn getauxval(kind: c_ulong) -> c_ulong;
}

/// The path as it was started, from the root on; empty if the kernel did not say.
/// [`std::env::current_exe`] asks `/proc`, of which Android shows apps a part.
#[must_use]
pub fn path() -> PathBuf {
    let name = getauxval(AT_EXECFN) as *const c_char;
    if name.is_null() {
        return PathBuf::new();
    }
    // SAFETY: the kernel puts the path there, ended by a zero, for as long as the process lives.
    let name = unsafe { CStr::from_ptr(name) };
    // a bare name would be looked for in `PATH` by whoever starts it again
    std::path::absolute(OsStr::from_bytes(name.to_bytes())).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_kernel_says_what_was_started() {
        let path = super::path();
        assert!(path.is_absolute());
        assert_eq!(path.canonicalize().unwrap(), std::env::current_exe().unwrap().canonicalize().unwrap());
    }
}
