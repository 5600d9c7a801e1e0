//! What llama.cpp's layers hand on, collected while a session runs.
#![allow(unsafe_code, reason = "llama.cpp shows its layers by a callback")]

use std::collections::BTreeMap;
use std::ffi::{CStr, c_void};

use llama_cpp_sys_2 as sys;

use crate::llama::session::Watch;

/// States behind layers, by the layers' numbers. It must outlive the session that fills it.
pub(crate) struct Layers(*mut Seen);

struct Seen {
    /// Only these; all where there are none.
    wanted: Vec<usize>,
    states: BTreeMap<usize, Vec<f32>>,
}

// SAFETY: the box is this value's own, and used by the one session that it was given to.
unsafe impl Send for Layers {}

impl Layers {
    pub(crate) fn new(wanted: Vec<usize>) -> Self {
        Self(Box::into_raw(Box::new(Seen { wanted, states: BTreeMap::new() })))
    }

    /// What a session is to be set up with.
    pub(crate) fn watch(&self) -> (Watch, *mut c_void) {
        (watch, self.0.cast())
    }

    /// What has been collected, between evaluations; the next one begins anew.
    pub(crate) fn take(&mut self) -> BTreeMap<usize, Vec<f32>> {
        // SAFETY: the pointer is this value's own; no evaluation runs, as the session is used by this thread alone.
        unsafe { std::mem::take(&mut (*self.0).states) }
    }
}

impl Drop for Layers {
    fn drop(&mut self) {
        // SAFETY: it came from a box, and nobody else frees it.
        drop(unsafe { Box::from_raw(self.0) });
    }
}

unsafe extern "C" fn watch(tensor: *mut sys::ggml_tensor, asks: bool, data: *mut c_void) -> bool {
    // SAFETY: `Layers` passes its own box, alive as long as the session and used by no one else during an evaluation; the
    // tensor is llama.cpp's, with a NUL-terminated name.
    let (seen, name) =
        unsafe { (&mut *data.cast::<Seen>(), CStr::from_ptr(sys::ggml_get_name(tensor)).to_str().unwrap_or_default()) };
    let layer = name.strip_prefix("l_out-").and_then(|number| number.parse().ok());
    let Some(layer) = layer.filter(|layer| seen.wanted.is_empty() || seen.wanted.contains(layer)) else { return !asks };
    if asks {
        return true;
    }
    // SAFETY: the operation has run; its result is in host memory, as no other backend is built.
    let states = unsafe {
        let node = &*tensor;
        let count = (node.ne[0] * node.ne[1]) as usize;
        let whole = node.type_ == sys::GGML_TYPE_F32 && !node.data.is_null() && node.ne[2] * node.ne[3] == 1;
        if whole { std::slice::from_raw_parts(node.data.cast::<f32>(), count).to_vec() } else { Vec::new() }
    };
    seen.states.entry(layer).or_default().extend(states);
    true
}
