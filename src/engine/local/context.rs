//! What calls llama.cpp through raw pointers: loading a model, a context, its memory.
//!
//! The safe bindings cover neither the abort callback, nor the output limit, nor the choice against rearranged weights,
//! nor a thread pool; everything else (vocabulary, samplers) goes through them. Nothing here decides anything.
#![allow(unsafe_code)]

use std::ffi::{CString, c_void};
use std::path::Path;
use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use llama_cpp_2::model::LlamaModel;
use llama_cpp_sys_2 as sys;

use super::log::{backend, last_words};
use super::pool::Pool;
use crate::budget::{KvType, Plan};
use crate::engine::Cancel;
use crate::engine::start::Threads;

/// Rows of logits a batch may ask for: the widest step of speculation.
pub(super) const MAX_OUTPUTS: usize = 16;

/// The sequence of the chat; the ones from 1 up are completions.
pub(super) const CHAT: i32 = 0;

/// A loaded model. Dropping it frees the weights and its adapters.
pub(super) struct Model {
    inner: LlamaModel,
}

/// Told how far loading is; `false` gives it up.
pub(super) type Progress<'a> = &'a mut dyn FnMut(f32) -> bool;

impl Model {
    /// Loads by mmap. `repack` lets llama.cpp keep a rearranged copy of the weights.
    ///
    /// # Errors
    /// llama.cpp's own last words.
    pub(super) fn load(path: &Path, repack: bool, mut progress: Progress<'_>) -> Result<Self, String> {
        backend()?;
        let name =
            CString::new(path.as_os_str().as_encoded_bytes()).map_err(|_| "the path has a NUL in it".to_owned())?;
        let _ = last_words();
        // SAFETY: the defaults are plain data.
        let mut params = unsafe { sys::llama_model_default_params() };
        params.load_mode = sys::LLAMA_LOAD_MODE_MMAP;
        params.use_extra_bufts = repack;
        params.n_gpu_layers = 0;
        params.progress_callback = Some(tell_progress);
        params.progress_callback_user_data = (&raw mut progress).cast();
        // SAFETY: the callback's data is `progress`, which outlives the call; the name is NUL-terminated.
        let model = unsafe { sys::llama_model_load_from_file(name.as_ptr(), params) };
        let model =
            NonNull::new(model).ok_or_else(|| last_words().unwrap_or_else(|| "llama.cpp gave no reason".into()))?;
        // SAFETY: `LlamaModel` is `repr(transparent)` over a non-null `llama_model` that it frees when dropped; the
        // pointer is fresh and owned by nobody else.
        let inner = unsafe { std::mem::transmute::<NonNull<sys::llama_model>, LlamaModel>(model) };
        Ok(Self { inner })
    }

    /// The safe view: vocabulary and metadata.
    pub(super) fn view(&self) -> &LlamaModel {
        &self.inner
    }

    fn ptr(&self) -> *mut sys::llama_model {
        // SAFETY: the layout of `LlamaModel` is that of the pointer it is transparent over.
        unsafe { *(&raw const self.inner).cast::<*mut sys::llama_model>() }
    }
}

unsafe extern "C" fn tell_progress(done: f32, data: *mut c_void) -> bool {
    // SAFETY: `Model::load` passes a pointer to its `Progress`, alive for the call and used by no one else meanwhile.
    let progress = unsafe { &mut *data.cast::<Progress<'_>>() };
    progress(done)
}

/// One token to evaluate.
#[derive(Clone, Copy, Debug)]
pub(super) struct Row {
    pub(super) token: i32,
    /// Its place in its sequence.
    pub(super) pos: usize,
    pub(super) seq: i32,
    /// Whether the logits after it are wanted.
    pub(super) output: bool,
}

/// Why an evaluation did not end well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum DecodeError {
    /// The flag was raised.
    Cancelled,
    /// No free cells for the batch.
    Full,
    /// llama.cpp's code.
    Broken(i32),
}

/// A context with its KV cache and threads.
pub(super) struct Context {
    ptr: NonNull<sys::llama_context>,
    pool: Pool,
    batch: sys::llama_batch,
    n_batch: usize,
    n_ctx: usize,
    n_cells: usize,
    n_vocab: usize,
    // The context points into the model.
    model: Arc<Model>,
}

impl Context {
    /// Reserves the KV cache and the compute buffers of the plan and starts the threads.
    ///
    /// # Errors
    /// llama.cpp's own last words.
    pub(super) fn new(
        model: &Arc<Model>,
        plan: &Plan,
        cpus: &[usize],
        limit: &Threads,
        lora: &mut [Adapter],
    ) -> Result<Self, String> {
        let _ = last_words();
        // SAFETY: the defaults are plain data.
        let mut params = unsafe { sys::llama_context_default_params() };
        params.n_ctx = plan.n_ctx + plan.n_infill;
        params.n_batch = plan.n_ubatch;
        params.n_ubatch = plan.n_ubatch;
        params.n_seq_max = plan.n_seq.max(1);
        params.n_outputs_max = MAX_OUTPUTS.min(plan.n_ubatch as usize) as u32;
        params.n_outputs_max_per_seq = 0;
        params.n_threads = plan.threads.cast_signed();
        params.n_threads_batch = plan.threads.cast_signed();
        params.flash_attn_type =
            if plan.flash { sys::LLAMA_FLASH_ATTN_TYPE_ENABLED } else { sys::LLAMA_FLASH_ATTN_TYPE_DISABLED };
        params.type_k = ggml_type(plan.kv_type);
        params.type_v = ggml_type(plan.kv_type);
        params.swa_full = true;
        params.kv_unified = true;
        params.no_perf = true;
        // SAFETY: the model outlives the context (`model` below), the parameters are complete.
        let ptr = unsafe { sys::llama_init_from_model(model.ptr(), params) };
        let ptr = NonNull::new(ptr).ok_or_else(|| last_words().unwrap_or_else(|| "llama.cpp gave no reason".into()))?;
        // SAFETY: freed with the context.
        let batch = unsafe { sys::llama_batch_init(plan.n_ubatch.cast_signed(), 0, 1) };
        let context = Self {
            ptr,
            // SAFETY: the context is fresh, and freed before its fields are dropped.
            pool: unsafe { Pool::attach(ptr, plan.threads, cpus, limit.clone()) },
            batch,
            n_batch: plan.n_ubatch as usize,
            n_ctx: plan.n_ctx as usize,
            // SAFETY: as above.
            n_cells: unsafe { sys::llama_n_ctx(ptr.as_ptr()) } as usize,
            n_vocab: usize::try_from(model.inner.n_vocab()).unwrap_or(0),
            model: Arc::clone(model),
        };
        context.adapt(lora)?;
        Ok(context)
    }

    fn adapt(&self, lora: &mut [Adapter]) -> Result<(), String> {
        let mut pointers: Vec<_> = lora.iter().map(|adapter| adapter.ptr.as_ptr()).collect();
        let mut scales: Vec<f32> = lora.iter().map(|adapter| adapter.scale).collect();
        // SAFETY: both arrays have the length given; the adapters belong to the model.
        let code = unsafe {
            sys::llama_set_adapters_lora(self.ptr.as_ptr(), pointers.as_mut_ptr(), pointers.len(), scales.as_mut_ptr())
        };
        if code == 0 {
            Ok(())
        } else {
            Err(last_words().unwrap_or_else(|| format!("the adapters were refused ({code})")))
        }
    }

    /// Threads that llama.cpp works with.
    #[cfg(test)]
    pub(super) fn n_threads(&self) -> u32 {
        // SAFETY: the context is alive.
        unsafe { sys::llama_n_threads(self.ptr.as_ptr()) }.cast_unsigned()
    }

    /// Cells that a chat may take.
    pub(super) fn n_ctx(&self) -> usize {
        self.n_ctx.min(self.n_cells)
    }

    /// All cells.
    pub(super) fn n_cells(&self) -> usize {
        self.n_cells
    }

    /// The most tokens one evaluation takes.
    pub(super) fn n_batch(&self) -> usize {
        self.n_batch
    }

    /// Evaluates tokens of one sequence from position `from` on; logits are kept for the last `outputs` of them.
    /// On an error the cells of these tokens are taken out again.
    pub(super) fn decode(
        &mut self,
        tokens: &[i32],
        from: usize,
        seq: i32,
        outputs: usize,
        cancel: &Cancel,
    ) -> Result<(), DecodeError> {
        let rows = tokens.iter().enumerate().map(|(i, &token)| Row {
            token,
            pos: from + i,
            seq,
            output: i + outputs >= tokens.len(),
        });
        let done = self.evaluate(rows, cancel);
        if done.is_err() {
            self.remove(seq, from, None);
        }
        done
    }

    /// Evaluates tokens of several sequences at once, at most [`Self::n_batch`] with at most [`MAX_OUTPUTS`] outputs.
    /// On an error their cells are left as they are: in part written.
    pub(super) fn evaluate(
        &mut self,
        rows: impl ExactSizeIterator<Item = Row>,
        cancel: &Cancel,
    ) -> Result<(), DecodeError> {
        debug_assert!(rows.len() > 0);
        if cancel.is_cancelled() {
            return Err(DecodeError::Cancelled);
        }
        self.batch.n_tokens = rows.len().min(self.n_batch) as i32;
        for (i, row) in rows.take(self.n_batch).enumerate() {
            // SAFETY: the batch was made for `n_batch` tokens of one sequence each, and `i` is below it.
            unsafe {
                *self.batch.token.add(i) = row.token;
                *self.batch.pos.add(i) = row.pos as i32;
                *self.batch.n_seq_id.add(i) = 1;
                **self.batch.seq_id.add(i) = row.seq;
                *self.batch.logits.add(i) = i8::from(row.output);
            }
        }
        // SAFETY: the context is alive.
        unsafe { self.pool.follow_limit(self.ptr) };
        let flag = Arc::as_ptr(&cancel.0);
        // SAFETY: the flag outlives the call; the callback is taken away again before it can die.
        let code = unsafe {
            sys::llama_set_abort_callback(self.ptr.as_ptr(), Some(raised), flag.cast_mut().cast());
            let code = sys::llama_decode(self.ptr.as_ptr(), self.batch);
            sys::llama_set_abort_callback(self.ptr.as_ptr(), None, std::ptr::null_mut());
            code
        };
        match code {
            0 => Ok(()),
            1 => Err(DecodeError::Full),
            2 => Err(DecodeError::Cancelled),
            code => Err(DecodeError::Broken(code)),
        }
    }

    /// The logits of the `i`-th token of the last batch, one for each token of the vocabulary.
    pub(super) fn logits(&self, i: usize) -> Option<&[f32]> {
        // SAFETY: llama.cpp answers null for a row that it does not have; a row has `n_vocab` numbers and stays until
        // the next evaluation, which needs `&mut self`.
        unsafe {
            let row = sys::llama_get_logits_ith(self.ptr.as_ptr(), i as i32);
            (!row.is_null()).then(|| std::slice::from_raw_parts(row, self.n_vocab))
        }
    }

    fn memory(&self) -> sys::llama_memory_t {
        // SAFETY: the context is alive.
        unsafe { sys::llama_get_memory(self.ptr.as_ptr()) }
    }

    /// Takes the positions from `from` to before `to` out of a sequence; `false`: refused, nothing changed.
    pub(super) fn remove(&mut self, seq: i32, from: usize, to: Option<usize>) -> bool {
        // SAFETY: the memory belongs to the context.
        unsafe { sys::llama_memory_seq_rm(self.memory(), seq, from as i32, to.map_or(-1, |to| to as i32)) }
    }

    /// Lets the sequence `to` share the cells of `from` before position `before`; what it had is let go first.
    pub(super) fn share(&mut self, from: i32, to: i32, before: usize) {
        self.remove(to, 0, None);
        // SAFETY: as above; sharing is always possible in a unified cache.
        unsafe { sys::llama_memory_seq_cp(self.memory(), from, to, 0, before as i32) }
    }

    /// Lets the sequence `to` share the cells of `from` in these positions; what it had elsewhere stays.
    pub(super) fn share_part(&mut self, from: i32, to: i32, part: std::ops::Range<usize>) {
        // SAFETY: as above.
        unsafe { sys::llama_memory_seq_cp(self.memory(), from, to, part.start as i32, part.end as i32) }
    }

    /// Moves all positions of a sequence up or down; no other sequence may share its cells.
    pub(super) fn shift_all(&mut self, seq: i32, by: isize) {
        // SAFETY: as above.
        unsafe { sys::llama_memory_seq_add(self.memory(), seq, 0, -1, by as i32) }
    }

    /// Moves the positions from `from` on down by `by`.
    pub(super) fn shift(&mut self, seq: i32, from: usize, to: usize, by: usize) {
        // SAFETY: as above.
        unsafe { sys::llama_memory_seq_add(self.memory(), seq, from as i32, to as i32, -(by as i32)) }
    }

    /// Whether `shift` is possible for this model's memory.
    pub(super) fn can_shift(&self) -> bool {
        // SAFETY: as above.
        unsafe { sys::llama_memory_can_shift(self.memory()) }
    }

    /// Writes the cells of a sequence with its tokens; gives the bytes written, zero when it failed.
    pub(super) fn save(&mut self, file: &Path, seq: i32, tokens: &[i32]) -> usize {
        let Ok(name) = CString::new(file.as_os_str().as_encoded_bytes()) else { return 0 };
        // SAFETY: the tokens have the length given.
        unsafe { sys::llama_state_seq_save_file(self.ptr.as_ptr(), name.as_ptr(), seq, tokens.as_ptr(), tokens.len()) }
    }

    /// Reads what `save` wrote; `None` when it does not fit. The caller has checked that the file is whole.
    pub(super) fn restore(&mut self, file: &Path, seq: i32) -> Option<Vec<i32>> {
        let name = CString::new(file.as_os_str().as_encoded_bytes()).ok()?;
        let mut tokens = vec![0; self.n_ctx()];
        let mut count = 0;
        // SAFETY: llama.cpp writes at most the capacity given.
        let read = unsafe {
            sys::llama_state_seq_load_file(
                self.ptr.as_ptr(),
                name.as_ptr(),
                seq,
                tokens.as_mut_ptr(),
                tokens.len(),
                &raw mut count,
            )
        };
        tokens.truncate(count);
        (read > 0 && count > 0).then_some(tokens)
    }
}

impl Drop for Context {
    fn drop(&mut self) {
        // SAFETY: context first, then what it used (the pool is a field and follows); each exactly once. The model is
        // freed after its last context.
        unsafe {
            sys::llama_detach_threadpool(self.ptr.as_ptr());
            sys::llama_free(self.ptr.as_ptr());
            sys::llama_batch_free(self.batch);
        }
        debug_assert!(Arc::strong_count(&self.model) > 0);
    }
}

unsafe extern "C" fn raised(flag: *mut c_void) -> bool {
    // SAFETY: `decode` passes the flag of a `Cancel` that it holds.
    unsafe { &*flag.cast::<AtomicBool>() }.load(Ordering::Relaxed)
}

/// A LoRA adapter, owned by the model.
pub(super) struct Adapter {
    ptr: NonNull<sys::llama_adapter_lora>,
    scale: f32,
}

impl Adapter {
    /// Reads a GGUF adapter made for this model.
    ///
    /// # Errors
    /// llama.cpp's own last words.
    pub(super) fn load(model: &Model, path: &Path, scale: f32) -> Result<Self, String> {
        let _ = last_words();
        let name =
            CString::new(path.as_os_str().as_encoded_bytes()).map_err(|_| "the path has a NUL in it".to_owned())?;
        // SAFETY: the model is alive and frees the adapter with itself.
        let ptr = unsafe { sys::llama_adapter_lora_init(model.ptr(), name.as_ptr()) };
        let ptr = NonNull::new(ptr).ok_or_else(|| last_words().unwrap_or_else(|| "llama.cpp gave no reason".into()))?;
        Ok(Self { ptr, scale })
    }
}

fn ggml_type(kv: KvType) -> sys::ggml_type {
    match kv {
        KvType::F16 => sys::GGML_TYPE_F16,
        KvType::Q8_0 => sys::GGML_TYPE_Q8_0,
        KvType::Q4_0 => sys::GGML_TYPE_Q4_0,
    }
}
