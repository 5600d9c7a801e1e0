//! Calls into libraries that panic over damaged files: what they say is an error here, and nothing is printed.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind, set_hook, take_hook};
use std::sync::Once;

thread_local! {
    /// Whether this thread's panic is expected.
    static EXPECTED: Cell<bool> = const { Cell::new(false) };
}

/// Calls a library; `None` where it panicked. What it was called with must not be used again then.
pub(super) fn guarded<T>(call: impl FnOnce() -> T) -> Option<T> {
    static QUIET: Once = Once::new();
    QUIET.call_once(|| {
        let before = take_hook();
        set_hook(Box::new(move |panic| {
            if !EXPECTED.get() {
                before(panic);
            }
        }));
    });
    let outer = EXPECTED.replace(true);
    let result = catch_unwind(AssertUnwindSafe(call)).ok();
    EXPECTED.set(outer);
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_no_result() {
        assert_eq!(guarded(|| 3), Some(3));
        let nothing: Vec<u8> = Vec::new();
        assert_eq!(guarded(|| nothing[std::hint::black_box(7)]), None);
        assert_eq!(guarded(|| guarded(|| 1)), Some(Some(1)));
    }
}
