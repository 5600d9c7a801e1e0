//! Whether the kernels that were built compute what they should: each set of them multiplies the same small matrices,
//! and the product is held against plain arithmetic.
//!
//! A set that is wrong gives nonsense, and one that was compiled wrongly may end the process: [`check`] belongs into a
//! process of its own. What it refuses to do: measure speed, or judge operations other than products of matrices.
#![allow(unsafe_code)]

use std::ffi::CStr;
use std::ptr::NonNull;

use llama_cpp_sys_2 as sys;

use super::log::backend;

/// The kernels that every build has.
pub const PLAIN: &str = "plain";

/// The types that models of the mission's size are stored in.
pub const TYPES: [(sys::ggml_type, &str); 7] = [
    (sys::GGML_TYPE_F16, "f16"),
    (sys::GGML_TYPE_Q4_0, "q4_0"),
    (sys::GGML_TYPE_Q4_1, "q4_1"),
    (sys::GGML_TYPE_Q8_0, "q8_0"),
    (sys::GGML_TYPE_Q4_K, "q4_K"),
    (sys::GGML_TYPE_Q5_K, "q5_K"),
    (sys::GGML_TYPE_Q6_K, "q6_K"),
];

/// Columns and rows of the weights: two blocks of 256, and enough rows for the widest tile twice.
const COLUMNS: usize = 512;
const ROWS: usize = 64;
/// Activations multiplied at once: one, as in decoding; some; and more than a tile, as in reading a prompt.
const WIDTHS: [usize; 3] = [1, 5, 48];
/// How far a product may be off, of its own length: activations are rounded to eight bits, which costs under 1 %. One
/// that mixes up its blocks is off by about all of it.
const TOLERANCE: f64 = 0.03;

/// The names of the sets that llama.cpp would use here, the plain one first.
pub fn sets() -> Vec<String> {
    let mut all = vec![PLAIN.to_owned()];
    if backend().is_ok() {
        // SAFETY: the names are static texts of llama.cpp's.
        all.extend(extras().into_iter().map(|buft| unsafe { name(buft) }));
    }
    all
}

/// Multiplies with a set; `tell` is given the type and width before each product, and how far it was off after it, so
/// that whoever listens knows where it died.
///
/// # Errors
/// There is no such set, or llama.cpp has no room.
pub fn check(set: &str, tell: &mut dyn FnMut(&str, usize, Option<f64>)) -> Result<(), String> {
    backend()?;
    // SAFETY: the plain type of buffers is always there; names are static texts.
    let buft = unsafe {
        match set {
            PLAIN => Some(sys::ggml_backend_cpu_buffer_type()),
            _ => extras().into_iter().find(|&buft| name(buft) == set),
        }
    };
    let buft = buft.ok_or_else(|| format!("there are no kernels `{set}`"))?;
    for (kind, name) in TYPES {
        for width in WIDTHS {
            let product = Product::new(kind, width)?;
            // SAFETY: the type of buffers is one of llama.cpp's own.
            if unsafe { !product.is_supported(buft) } {
                continue;
            }
            tell(name, width, None);
            // SAFETY: as above.
            let off = unsafe { product.off(buft)? };
            tell(name, width, Some(off));
        }
    }
    Ok(())
}

/// Whether a product that is so far off is right.
pub fn is_right(off: f64) -> bool {
    off < TOLERANCE
}

type Buft = sys::ggml_backend_buffer_type_t;
type ExtraBufts = unsafe extern "C" fn(sys::ggml_backend_dev_t) -> *mut Buft;

/// Types of buffers with kernels of their own, in the order in which llama.cpp tries them (`make_cpu_buft_list`).
fn extras() -> Vec<Buft> {
    // SAFETY: the processor's backend is registered; the function has the type that `ggml-backend.h` states, and gives a
    // list that ends with null.
    unsafe {
        let device = sys::ggml_backend_dev_by_type(sys::GGML_BACKEND_DEVICE_TYPE_CPU);
        if device.is_null() {
            return Vec::new();
        }
        let register = sys::ggml_backend_dev_backend_reg(device);
        let found = sys::ggml_backend_reg_get_proc_address(register, c"ggml_backend_dev_get_extra_bufts".as_ptr());
        if found.is_null() {
            return Vec::new();
        }
        let list = std::mem::transmute::<*mut std::ffi::c_void, ExtraBufts>(found)(device);
        let mut all = Vec::new();
        while !list.is_null() && !(*list.add(all.len())).is_null() {
            all.push(*list.add(all.len()));
        }
        all
    }
}

/// # Safety
/// It must be a type of buffers of llama.cpp's.
unsafe fn name(buft: Buft) -> String {
    // SAFETY: a static text.
    unsafe { CStr::from_ptr(sys::ggml_backend_buft_name(buft)) }.to_string_lossy().into_owned()
}

/// Weights, activations and their product, without memory of their own yet.
struct Product {
    kind: sys::ggml_type,
    width: usize,
    weights: Memory,
    rest: Memory,
    left: *mut sys::ggml_tensor,
    right: *mut sys::ggml_tensor,
    out: *mut sys::ggml_tensor,
}

/// A context of tensors, freed with its buffer.
struct Memory(NonNull<sys::ggml_context>, Option<NonNull<sys::ggml_backend_buffer>>);

impl Memory {
    fn new() -> Result<Self, String> {
        // SAFETY: the sizes are llama.cpp's own; nothing is allocated for data.
        let context = unsafe {
            let mem_size = sys::ggml_tensor_overhead() * 8 + sys::ggml_graph_overhead();
            sys::ggml_init(sys::ggml_init_params { mem_size, mem_buffer: std::ptr::null_mut(), no_alloc: true })
        };
        Ok(Self(NonNull::new(context).ok_or("no memory for a small matrix")?, None))
    }

    /// # Safety
    /// It must be a type of buffers of llama.cpp's.
    unsafe fn place(&mut self, buft: Buft) -> Result<(), String> {
        // SAFETY: the context is alive, and has no buffer yet.
        let buffer = unsafe { sys::ggml_backend_alloc_ctx_tensors_from_buft(self.0.as_ptr(), buft) };
        self.1 = NonNull::new(buffer);
        if self.1.is_some() { Ok(()) } else { Err("no memory for a small matrix".to_owned()) }
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        // SAFETY: each exactly once, the buffer first.
        unsafe {
            if let Some(buffer) = self.1 {
                sys::ggml_backend_buffer_free(buffer.as_ptr());
            }
            sys::ggml_free(self.0.as_ptr());
        }
    }
}

impl Product {
    fn new(kind: sys::ggml_type, width: usize) -> Result<Self, String> {
        let (weights, rest) = (Memory::new()?, Memory::new()?);
        // SAFETY: both contexts have room for these tensors.
        unsafe {
            let left = sys::ggml_new_tensor_2d(weights.0.as_ptr(), kind, COLUMNS as i64, ROWS as i64);
            let right = sys::ggml_new_tensor_2d(rest.0.as_ptr(), sys::GGML_TYPE_F32, COLUMNS as i64, width as i64);
            let out = sys::ggml_mul_mat(rest.0.as_ptr(), left, right);
            Ok(Self { kind, width, weights, rest, left, right, out })
        }
    }

    /// Whether llama.cpp would put such weights there (`weight_buft_supported` in `llama-model-loader.cpp`).
    ///
    /// # Safety
    /// It must be a type of buffers of llama.cpp's.
    unsafe fn is_supported(&self, buft: Buft) -> bool {
        // SAFETY: an empty buffer stands in for the real one while the question is asked.
        unsafe {
            let device = sys::ggml_backend_dev_by_type(sys::GGML_BACKEND_DEVICE_TYPE_CPU);
            let buffer = sys::ggml_backend_buft_alloc_buffer(buft, 0);
            (*self.left).buffer = buffer;
            let supported = sys::ggml_backend_dev_supports_op(device, self.out);
            (*self.left).buffer = std::ptr::null_mut();
            sys::ggml_backend_buffer_free(buffer);
            supported
        }
    }

    /// Computes, and says how far the product is off, of the right one's length.
    ///
    /// # Safety
    /// As above.
    unsafe fn off(mut self, buft: Buft) -> Result<f64, String> {
        let stored = Stored::new(self.kind);
        let activations = numbers(COLUMNS * self.width, 7);
        let mut found = vec![0f32; ROWS * self.width];
        // SAFETY: every copy has the length of its tensor; the graph and its tensors live in `rest`.
        unsafe {
            self.weights.place(buft)?;
            self.rest.place(sys::ggml_backend_cpu_buffer_type())?;
            sys::ggml_backend_tensor_set(self.left, stored.bytes.as_ptr().cast(), 0, stored.bytes.len());
            sys::ggml_backend_tensor_set(self.right, activations.as_ptr().cast(), 0, activations.len() * 4);
            let graph = sys::ggml_new_graph(self.rest.0.as_ptr());
            sys::ggml_build_forward_expand(graph, self.out);
            let backend = sys::ggml_backend_cpu_init();
            if backend.is_null() {
                return Err("no memory for a small graph".to_owned());
            }
            sys::ggml_backend_cpu_set_n_threads(backend, 2);
            let status = sys::ggml_backend_graph_compute(backend, graph);
            sys::ggml_backend_free(backend);
            if status != sys::GGML_STATUS_SUCCESS {
                return Err(format!("the computation failed with code {status}"));
            }
            sys::ggml_backend_tensor_get(self.out, found.as_mut_ptr().cast(), 0, found.len() * 4);
        }
        Ok(distance(&found, &stored.values, &activations))
    }
}

/// Weights as they are stored, and what they stand for.
struct Stored {
    bytes: Vec<u8>,
    values: Vec<f32>,
}

impl Stored {
    fn new(kind: sys::ggml_type) -> Self {
        let plain = numbers(COLUMNS * ROWS, 3);
        let mut values = vec![0f32; COLUMNS * ROWS];
        // SAFETY: the bytes have the length of the rows; every type asked for is one that can be turned back, by code
        // without vector instructions of its own.
        let bytes = unsafe {
            let mut bytes = vec![0u8; sys::ggml_row_size(kind, COLUMNS as i64) * ROWS];
            sys::ggml_quantize_chunk(
                kind,
                plain.as_ptr(),
                bytes.as_mut_ptr().cast(),
                0,
                ROWS as i64,
                COLUMNS as i64,
                std::ptr::null(),
            );
            if let Some(traits) = sys::ggml_get_type_traits(kind).as_ref()
                && let Some(to_float) = traits.to_float
            {
                to_float(bytes.as_ptr().cast(), values.as_mut_ptr(), (COLUMNS * ROWS) as i64);
            }
            bytes
        };
        Self { bytes, values }
    }
}

/// Numbers that look like weights and are the same everywhere: sums of uniform ones, between -2 and 2.
fn numbers(count: usize, seed: u32) -> Vec<f32> {
    let mut state = seed;
    let mut uniform = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as f32 / (1 << 24) as f32 - 0.5
    };
    (0..count).map(|_| (0..4).map(|_| uniform()).sum()).collect()
}

/// |found - right| / |right|, with the right product worked out in double precision; infinite where it is no number.
fn distance(found: &[f32], weights: &[f32], activations: &[f32]) -> f64 {
    let (mut error, mut length) = (0f64, 0f64);
    for (row, activations) in found.chunks(ROWS).zip(activations.chunks(COLUMNS)) {
        for (&found, weights) in row.iter().zip(weights.chunks(COLUMNS)) {
            let right: f64 = weights.iter().zip(activations).map(|(&w, &a)| f64::from(w) * f64::from(a)).sum();
            error += (f64::from(found) - right).powi(2);
            length += right * right;
        }
    }
    let off = (error / length).sqrt();
    if off.is_finite() { off } else { f64::INFINITY }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sets_of_this_build_are_right() {
        let all = sets();
        assert_eq!(all[0], PLAIN);
        for set in &all {
            let mut seen = Vec::new();
            check(set, &mut |kind, width, off| {
                if let Some(off) = off {
                    eprintln!("{set} {kind} {width}: {off:.4}");
                    assert!(is_right(off), "{set} {kind} {width}: {off}");
                    seen.push(kind.to_owned());
                }
            })
            .unwrap();
            assert!(!seen.is_empty() || set != PLAIN);
            if set == PLAIN {
                assert_eq!(seen.len(), TYPES.len() * WIDTHS.len());
            }
        }
        assert!(check("none of them", &mut |_, _, _| ()).unwrap_err().contains("none of them"));
    }

    #[test]
    fn a_product_of_another_matrix_is_wrong() {
        let (weights, activations) = (numbers(COLUMNS * ROWS, 3), numbers(COLUMNS, 7));
        let other = numbers(COLUMNS * ROWS, 4);
        let product = |weights: &[f32]| -> Vec<f32> {
            weights.chunks(COLUMNS).map(|row| row.iter().zip(&activations).map(|(w, a)| w * a).sum()).collect()
        };
        assert!(is_right(distance(&product(&weights), &weights, &activations)));
        assert!(!is_right(distance(&product(&other), &weights, &activations)));
        let mut swapped = product(&weights);
        swapped.swap(0, 8);
        assert!(!is_right(distance(&swapped, &weights, &activations)), "two rows changed places");
        assert!(!is_right(distance(&[f32::NAN; ROWS], &weights, &activations)));
    }
}
