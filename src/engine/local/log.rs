//! llama.cpp's start and its words: it is begun once a process, its log goes to tracing, and the first complaint is kept
//! for whoever must say why something failed.
#![allow(unsafe_code)]

use std::ffi::{CStr, c_char, c_void};
use std::sync::{Mutex, OnceLock, PoisonError};

use llama_cpp_2::llama_backend::LlamaBackend;
use llama_cpp_sys_2 as sys;

/// Starts llama.cpp once a process and sends its log to tracing.
pub(super) fn backend() -> Result<&'static LlamaBackend, String> {
    static BACKEND: OnceLock<Result<LlamaBackend, String>> = OnceLock::new();
    let backend = BACKEND.get_or_init(|| {
        // SAFETY: the callbacks are plain functions without data.
        unsafe {
            sys::llama_log_set(Some(listen), std::ptr::null_mut());
            sys::ggml_set_abort_callback(Some(die));
        }
        LlamaBackend::init().map_err(|error| error.to_string())
    });
    backend.as_ref().map_err(Clone::clone)
}

/// What llama.cpp says before it ends the process: kept for the handler of that end, instead of shredding the screen.
unsafe extern "C" fn die(words: *const c_char) {
    if !words.is_null() {
        // SAFETY: llama.cpp passes a NUL-terminated text.
        crate::crash::last_words(unsafe { CStr::from_ptr(words) }.to_bytes());
    }
}

/// The last error line llama.cpp logged.
static WORDS: Mutex<Option<String>> = Mutex::new(None);

unsafe extern "C" fn listen(level: sys::ggml_log_level, text: *const c_char, _: *mut c_void) {
    if text.is_null() {
        return;
    }
    // SAFETY: llama.cpp passes a NUL-terminated line.
    let line = unsafe { CStr::from_ptr(text) }.to_string_lossy();
    let line = line.trim();
    match level {
        sys::GGML_LOG_LEVEL_ERROR => {
            tracing::warn!(target: "llama.cpp", "{line}");
            // The first complaint of a load names the cause; what follows only passes it on.
            WORDS.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert_with(|| line.to_owned());
        }
        sys::GGML_LOG_LEVEL_WARN => tracing::info!(target: "llama.cpp", "{line}"),
        _ => tracing::debug!(target: "llama.cpp", "{line}"),
    }
}

/// Takes the first error since the last call, without llama.cpp's own function name before it.
pub(super) fn last_words() -> Option<String> {
    let words = WORDS.lock().unwrap_or_else(PoisonError::into_inner).take()?;
    let said = words.split_once(": ").filter(|(from, _)| !from.contains(' ')).map_or(&*words, |(_, said)| said);
    Some(said.to_owned())
}

/// What llama.cpp was built for, as it prints it: `CPU : AVX2 = 1 | …`.
pub fn system_info() -> String {
    let _ = backend();
    // SAFETY: llama.cpp gives a pointer into a static string.
    let text = unsafe { CStr::from_ptr(sys::llama_print_system_info()) };
    text.to_string_lossy().trim().to_owned()
}
