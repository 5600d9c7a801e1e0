//! The threads of a context: pinned where that is possible, and fewer of them at work when the device asks for it.
#![allow(unsafe_code)]

use std::ptr::NonNull;

use llama_cpp_sys_2 as sys;

use crate::engine::start::Threads;

/// A pool of threads, used by one context.
pub(super) struct Pool {
    /// Null where there is none; llama.cpp then starts threads of its own for every evaluation.
    pool: *mut sys::ggml_threadpool,
    planned: u32,
    working: u32,
    limit: Threads,
}

impl Pool {
    /// Starts `planned` threads, each on one of `cpus` where there are enough of them, and gives them to a context.
    ///
    /// # Safety
    /// The context must be alive, and be freed before the pool is dropped.
    pub(super) unsafe fn attach(
        context: NonNull<sys::llama_context>,
        planned: u32,
        cpus: &[usize],
        limit: Threads,
    ) -> Self {
        // SAFETY: plain data in, a fresh pool (or null) out, which outlives the context.
        let pool = unsafe {
            let mut params = sys::ggml_threadpool_params_default(planned.cast_signed());
            if cpus.len() >= planned as usize {
                for &cpu in cpus {
                    if let Some(bit) = params.cpumask.get_mut(cpu) {
                        *bit = true;
                    }
                }
            }
            let pool = sys::ggml_threadpool_new(&raw mut params);
            if !pool.is_null() {
                sys::llama_attach_threadpool(context.as_ptr(), pool, pool);
            }
            pool
        };
        Self { pool, planned, working: planned, limit }
    }

    /// Works with as many threads as are allowed by now; the others sleep.
    ///
    /// # Safety
    /// The context must be the pool's own.
    pub(super) unsafe fn follow_limit(&mut self, context: NonNull<sys::llama_context>) {
        let wanted = self.limit.of(self.planned);
        if wanted != self.working {
            self.working = wanted;
            // SAFETY: the pool has at least as many threads.
            unsafe { sys::llama_set_n_threads(context.as_ptr(), wanted.cast_signed(), wanted.cast_signed()) };
        }
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        if !self.pool.is_null() {
            // SAFETY: the context is gone, and nobody else had the pool.
            unsafe { sys::ggml_threadpool_free(self.pool) };
        }
    }
}
