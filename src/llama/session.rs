//! A model and a context of its own for work that the chat never needs: logits at many positions, and a look at every
//! operation while it runs. In a child process only.

use std::ffi::{CStr, CString, c_char, c_void};
use std::io::Write;
use std::path::Path;
use std::ptr::NonNull;
use std::sync::Arc;

use llama_cpp_sys_2 as sys;

use crate::engine::admission;
use crate::weights::gguf::Header;

/// Called before and after operations; see [`Session::open`].
pub(crate) type Watch = unsafe extern "C" fn(*mut sys::ggml_tensor, bool, *mut c_void) -> bool;

/// A loaded model, freed with its last session.
struct Model(NonNull<sys::llama_model>);

// SAFETY: a loaded model is only read, by as many contexts as there are.
unsafe impl Send for Model {}
// SAFETY: as above.
unsafe impl Sync for Model {}

impl Drop for Model {
    fn drop(&mut self) {
        // SAFETY: nobody has a context of it any more: each session holds its model.
        unsafe { sys::llama_model_free(self.0.as_ptr()) };
    }
}

/// A model with one context of `window` tokens.
pub(crate) struct Session {
    model: Arc<Model>,
    context: NonNull<sys::llama_context>,
    vocab: *const sys::llama_vocab,
    batch: sys::llama_batch,
    pub(crate) window: usize,
    pub(crate) vocabulary: usize,
}

// SAFETY: context and batch belong to the session alone, and llama.cpp ties them to no thread. (Not `Sync`: asking for
// logits may put them in order first.)
unsafe impl Send for Session {}

/// What the logits of all windows that are evaluated at a time may take, in bytes.
const ROOM: usize = 1 << 30;

/// How many windows to evaluate side by side, each with its share of the threads: threads that share one window wait for
/// each other at every operation. `logits` is what a window's logits take, in bytes.
pub(crate) fn side_by_side(threads: i32, windows: usize, logits: usize) -> usize {
    (threads.max(1) as usize).min(windows).min((ROOM / logits.max(1)).max(1))
}

/// How a session is set up.
#[derive(Clone, Copy)]
pub(crate) struct Setup {
    /// Tokens of context, all of which may be evaluated at once.
    pub(crate) window: u32,
    /// Tokens computed at once: more take memory, fewer more operations.
    pub(crate) step: u32,
    pub(crate) threads: i32,
    /// Called around operations, with what it is given.
    pub(crate) watch: Option<(Watch, *mut c_void)>,
    /// Keep keys and values in single precision, where what is computed is compared or learnt from.
    pub(crate) exact: bool,
    /// Let llama.cpp rearrange weights where that is faster.
    pub(crate) repack: bool,
}

/// Must be called once before anything else here.
pub(crate) fn begin() {
    // SAFETY: a plain function without data, and an initialisation that may be called at any time.
    unsafe {
        sys::llama_log_set(Some(log), std::ptr::null_mut());
        sys::llama_backend_init();
    }
}

/// llama.cpp's log as it comes, to stderr.
unsafe extern "C" fn log(_level: sys::ggml_log_level, text: *const c_char, _data: *mut c_void) {
    if text.is_null() {
        return;
    }
    // SAFETY: llama.cpp hands over a NUL-terminated text that lives for the call.
    let text = unsafe { CStr::from_ptr(text) };
    let _ = std::io::stderr().write_all(text.to_bytes());
}

pub(crate) fn c_path(path: &Path) -> Result<CString, String> {
    CString::new(path.as_os_str().as_encoded_bytes()).map_err(|_| "the path has a NUL in it".to_owned())
}

impl Session {
    /// Loads a model by mmap. What `watch` points to must live as long as the session.
    pub(crate) fn open(path: &Path, setup: &Setup) -> Result<Self, String> {
        let name = c_path(path)?;
        let header = Header::read(path).map_err(|error| crate::error::chain(&error))?;
        admission::check(&header).map_err(|error| error.to_string())?;
        // SAFETY: the defaults are plain data.
        let mut params = unsafe { sys::llama_model_default_params() };
        params.n_gpu_layers = 0;
        params.use_extra_bufts = setup.repack;
        // SAFETY: the name is NUL-terminated, the parameters are complete.
        let model = unsafe { sys::llama_model_load_from_file(name.as_ptr(), params) };
        let model = NonNull::new(model).ok_or_else(|| format!("llama.cpp cannot load `{}`", path.display()))?;
        Self::of(Arc::new(Model(model)), setup).map_err(|()| format!("llama.cpp has no room for `{}`", path.display()))
    }

    /// Another session of the same model, which takes no more memory than its context.
    pub(crate) fn another(&self, setup: &Setup) -> Result<Self, String> {
        Self::of(Arc::clone(&self.model), setup).map_err(|()| "llama.cpp has no room for another context".to_owned())
    }

    fn of(model: Arc<Model>, setup: &Setup) -> Result<Self, ()> {
        // SAFETY: the defaults are plain data.
        let mut params = unsafe { sys::llama_context_default_params() };
        params.n_ctx = setup.window;
        params.n_batch = setup.window;
        params.n_ubatch = setup.window.min(setup.step);
        params.n_seq_max = 1;
        params.n_threads = setup.threads;
        params.n_threads_batch = setup.threads;
        params.no_perf = true;
        if setup.exact {
            params.type_k = sys::GGML_TYPE_F32;
            params.type_v = sys::GGML_TYPE_F32;
            params.flash_attn_type = sys::LLAMA_FLASH_ATTN_TYPE_DISABLED;
        }
        if let Some((watch, data)) = setup.watch {
            params.cb_eval = Some(watch);
            params.cb_eval_user_data = data;
        }
        // SAFETY: the model outlives the context, see `drop`.
        let context = unsafe { sys::llama_init_from_model(model.0.as_ptr(), params) };
        let context = NonNull::new(context).ok_or(())?;
        // SAFETY: the model is alive; the batch is freed with the session.
        let (vocab, batch) = unsafe {
            (sys::llama_model_get_vocab(model.0.as_ptr()), sys::llama_batch_init(setup.window.cast_signed(), 0, 1))
        };
        // SAFETY: the vocabulary belongs to the model.
        let vocabulary = unsafe { sys::llama_vocab_n_tokens(vocab) };
        let vocabulary = usize::try_from(vocabulary).unwrap_or(0);
        Ok(Self { model, context, vocab, batch, window: setup.window as usize, vocabulary })
    }

    /// Works with so many threads from now on.
    pub(crate) fn use_threads(&mut self, threads: i32) {
        // SAFETY: the context is alive, and no evaluation runs.
        unsafe { sys::llama_set_n_threads(self.context.as_ptr(), threads, threads) };
    }

    /// Tokens of a text; `special` lets control tokens in the text count as such, `bos` begins as the model wants it.
    pub(crate) fn tokens(&self, text: &str, bos: bool, special: bool) -> Result<Vec<i32>, String> {
        let len = i32::try_from(text.len()).map_err(|_| "the text is longer than 2 GiB".to_owned())?;
        // A token takes a byte at least, but for what is put before and behind.
        let mut tokens = vec![0; text.len() + 8];
        // SAFETY: text and room have the lengths given.
        let count = unsafe {
            sys::llama_tokenize(
                self.vocab,
                text.as_ptr().cast(),
                len,
                tokens.as_mut_ptr(),
                tokens.len() as i32,
                bos,
                special,
            )
        };
        let count = usize::try_from(count).map_err(|_| "the text cannot be split into tokens".to_owned())?;
        tokens.truncate(count);
        Ok(tokens)
    }

    /// The bytes a token stands for; none of control tokens.
    pub(crate) fn piece(&self, token: i32) -> Vec<u8> {
        let mut bytes = vec![0_u8; 256];
        let room = bytes.len() as i32;
        // SAFETY: the room has the length given; a token that is none of the vocabulary is refused there.
        let count = unsafe { sys::llama_token_to_piece(self.vocab, token, bytes.as_mut_ptr().cast(), room, 0, false) };
        bytes.truncate(usize::try_from(count).unwrap_or(0));
        bytes
    }

    /// The token that begins every window, where the model wants one.
    pub(crate) fn bos(&self) -> Option<i32> {
        // SAFETY: the vocabulary belongs to the model.
        unsafe { sys::llama_vocab_get_add_bos(self.vocab).then(|| sys::llama_vocab_bos(self.vocab)) }
    }

    /// Prefix, suffix and middle of the vocabulary, where it can fill in.
    pub(crate) fn fim(&self) -> Option<[i32; 3]> {
        // SAFETY: as above.
        let ids = unsafe {
            [
                sys::llama_vocab_fim_pre(self.vocab),
                sys::llama_vocab_fim_suf(self.vocab),
                sys::llama_vocab_fim_mid(self.vocab),
            ]
        };
        ids.iter().all(|&id| id >= 0).then_some(ids)
    }

    /// Evaluates tokens from position `from` on; logits are kept for those from index `first` on. What was evaluated
    /// before stays when `from` is not zero.
    pub(crate) fn evaluate(&mut self, tokens: &[i32], from: usize, first: usize) -> Result<(), String> {
        if tokens.is_empty() || from + tokens.len() > self.window {
            return Err(format!("{} tokens do not fit a window of {}", from + tokens.len(), self.window));
        }
        self.batch.n_tokens = tokens.len() as i32;
        for (i, &token) in tokens.iter().enumerate() {
            // SAFETY: the batch was made for `window` tokens of one sequence each.
            unsafe {
                *self.batch.token.add(i) = token;
                *self.batch.pos.add(i) = (from + i) as i32;
                *self.batch.n_seq_id.add(i) = 1;
                **self.batch.seq_id.add(i) = 0;
                *self.batch.logits.add(i) = i8::from(i >= first);
            }
        }
        // SAFETY: context and batch are alive.
        let code = unsafe {
            if from == 0 {
                sys::llama_memory_clear(sys::llama_get_memory(self.context.as_ptr()), true);
            }
            sys::llama_decode(self.context.as_ptr(), self.batch)
        };
        if code == 0 { Ok(()) } else { Err(format!("llama.cpp could not evaluate the text ({code})")) }
    }

    /// The logits after the `i`-th token of the last evaluation.
    pub(crate) fn logits(&self, i: usize) -> Option<&[f32]> {
        // SAFETY: llama.cpp answers null for a row it does not have; a row stays until the next evaluation, which needs
        // `&mut self`.
        unsafe {
            let row = sys::llama_get_logits_ith(self.context.as_ptr(), i as i32);
            (!row.is_null()).then(|| std::slice::from_raw_parts(row, self.vocabulary))
        }
    }

    /// Number of weights.
    pub(crate) fn parameters(&self) -> u64 {
        // SAFETY: the model is alive.
        unsafe { sys::llama_model_n_params(self.model.0.as_ptr()) }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        // SAFETY: each exactly once; the model goes after its last context, as a field is dropped after this.
        unsafe {
            sys::llama_free(self.context.as_ptr());
            sys::llama_batch_free(self.batch);
        }
    }
}

/// The inputs of a matrix product.
pub(crate) struct Product<'a> {
    /// The matrix's name in the file.
    pub(crate) name: &'a str,
    /// Numbers in a row of inputs.
    pub(crate) columns: usize,
    /// Matrices in the stack.
    pub(crate) stack: usize,
    /// All rows, with the matrix of the stack that each goes to.
    pub(crate) rows: Vec<(usize, &'a [f32])>,
}

/// The rows of the least batch that says something about a text (a single token being decoded does not).
const LEAST_ROWS: i64 = 16;

/// Whether an operation is a product whose inputs are wanted.
///
/// # Safety
/// `tensor` is what llama.cpp hands to its callback.
pub(crate) unsafe fn is_wanted(tensor: *const sys::ggml_tensor, output: bool) -> bool {
    // SAFETY: the callback's tensor and its sources are alive.
    unsafe {
        let node = &*tensor;
        let [matrix, inputs, ..] = node.src;
        if matrix.is_null() || inputs.is_null() || (*inputs).type_ != sys::GGML_TYPE_F32 {
            return false;
        }
        if node.op == sys::GGML_OP_MUL_MAT_ID {
            return true;
        }
        let name = name(&*matrix);
        node.op == sys::GGML_OP_MUL_MAT
            && (*inputs).ne[1] >= LEAST_ROWS
            && (name.starts_with("blk.") || (output && ["output.weight", "token_embd.weight"].contains(&name)))
    }
}

/// The product with its inputs.
///
/// # Safety
/// As [`is_wanted`], which said yes; the operation has run.
pub(crate) unsafe fn product<'a>(tensor: *const sys::ggml_tensor) -> Option<Product<'a>> {
    // SAFETY: sources are alive while the callback runs; everything is in host memory, as no other backend is built.
    unsafe {
        let node = &*tensor;
        let (matrix, inputs) = (&*node.src[0], &*node.src[1]);
        let columns = usize::try_from(inputs.ne[0]).ok()?;
        let row = |i: i64, j: i64, k: i64| {
            let at = i as usize * inputs.nb[1] + j as usize * inputs.nb[2] + k as usize * inputs.nb[3];
            std::slice::from_raw_parts(inputs.data.cast::<u8>().add(at).cast::<f32>(), columns)
        };
        if inputs.data.is_null() || inputs.nb[0] != size_of::<f32>() {
            return None;
        }
        let mut rows = Vec::new();
        if node.op == sys::GGML_OP_MUL_MAT_ID {
            let ids = &*node.src[2];
            for token in 0..ids.ne[1] {
                for slot in 0..ids.ne[0] {
                    let at = slot as usize * ids.nb[0] + token as usize * ids.nb[1];
                    let id = *ids.data.cast::<u8>().add(at).cast::<i32>();
                    rows.push((usize::try_from(id).ok()?, row(slot % inputs.ne[1], token, 0)));
                }
            }
        } else {
            for k in 0..inputs.ne[3] {
                for j in 0..inputs.ne[2] {
                    rows.extend((0..inputs.ne[1]).map(|i| (0, row(i, j, k))));
                }
            }
        }
        let stack = if node.op == sys::GGML_OP_MUL_MAT_ID { usize::try_from(matrix.ne[2]).ok()? } else { 1 };
        Some(Product { name: name(matrix), columns, stack, rows })
    }
}

/// A tensor's name in the file: without the backend's mark around it.
///
/// # Safety
/// The tensor is alive.
unsafe fn name<'a>(tensor: &sys::ggml_tensor) -> &'a str {
    // SAFETY: names are NUL-terminated within their 64 bytes.
    let text = unsafe { CStr::from_ptr(sys::ggml_get_name(tensor)) }.to_str().unwrap_or_default();
    match text.split_once('#') {
        Some((_, rest)) => rest.split_once('#').map_or(rest, |(inner, _)| inner),
        None => text,
    }
}
