//! Products of numbers rounded to bf16, summed in single precision, on processors that have an instruction for it
//! (AVX-512 BF16). It multiplies twice as many numbers at a time as the one for single precision.
//!
//! Both matrices are cut into blocks that stay in a cache, and packed as they are rounded: panels of a few rows or
//! columns, each with two neighbours along the sum side by side, as the instruction wants them. The blocks and the order
//! of their sums depend on the shapes alone.

use std::arch::x86_64::*;
use std::cell::Cell;

use rayon::prelude::*;

use super::{Numbers, Old, Target, View};

/// Rows and columns of the target in registers.
const ROWS: usize = 12;
const COLUMNS: usize = 32;
/// Along the sum: a panel of columns and one of rows lie in the first cache.
const DEPTH: usize = 384;
/// Rows and columns of blocks that lie in the second.
const BLOCK_ROWS: usize = 64 * ROWS;
const BLOCK_COLUMNS: usize = 32 * COLUMNS;
/// Panels of rows that a thread takes at a time.
const GROUP: usize = 16;
/// 32-bit numbers in a register.
const WIDE: usize = 16;

pub(crate) fn is_there() -> bool {
    is_x86_feature_detected!("avx512f")
        && is_x86_feature_detected!("avx512bw")
        && is_x86_feature_detected!("avx512bf16")
}

thread_local! {
    /// Room for packed blocks, kept from one product to the next.
    static ROOM: Cell<[Vec<u32>; 2]> = const { Cell::new([Vec::new(), Vec::new()]) };
}

/// The product, of matrices whose shapes meet.
///
/// # Panics
/// This processor does not have the instruction.
pub(super) fn product(target: Target<'_>, old: Old, scale: f32, a: View<'_>, b: View<'_>) {
    assert!(is_there(), "the instruction is missing");
    let (m, n, k) = (target.rows, target.columns, a.columns);
    if k == 0 {
        return super::product(target, old, scale, a, b, super::Threads::One);
    }
    let (lines, columns) = (Lines::of_rows(a), Lines::of_columns(b));
    let [mut left, mut right] = ROOM.take();
    let c = Place { at: target.data.as_mut_ptr(), stride: target.stride };
    // Blocks of about the same depth.
    let each = k.div_ceil(k.div_ceil(DEPTH)).next_multiple_of(2 * WIDE);
    for from_k in (0..k).step_by(each) {
        let depth = each.min(k - from_k);
        let add = old == Old::Add || from_k > 0;
        for from_n in (0..n).step_by(BLOCK_COLUMNS) {
            let wide = BLOCK_COLUMNS.min(n - from_n);
            columns.pack::<COLUMNS>(from_n, wide, from_k, depth, &mut right);
            for from_m in (0..m).step_by(BLOCK_ROWS) {
                let tall = BLOCK_ROWS.min(m - from_m);
                lines.pack::<ROWS>(from_m, tall, from_k, depth, &mut left);
                let block = Block { tall, wide, pairs: depth.div_ceil(2), add, scale };
                // SAFETY: the block lies within the target, which is borrowed alone, and the panels were packed for it.
                unsafe {
                    let corner = Place { at: c.at.add(from_m * c.stride + from_n), ..c };
                    block.compute(&left, &right, corner);
                }
            }
        }
    }
    ROOM.set([left, right]);
}

/// A matrix as lines that are packed side by side: rows of the left one, columns of the right one.
#[derive(Clone, Copy)]
struct Lines<'a> {
    data: Numbers<'a>,
    /// From a line to the next, and from a number of a line to the next. One of them is 1.
    line: usize,
    step: usize,
}

impl<'a> Lines<'a> {
    fn of_rows(view: View<'a>) -> Self {
        Self { data: view.data, line: view.row_stride, step: view.column_stride }
    }

    fn of_columns(view: View<'a>) -> Self {
        Self { data: view.data, line: view.column_stride, step: view.row_stride }
    }

    /// Packs `count` lines from `first`, of each `depth` numbers from `from`, into panels of `WIDTH` lines. A panel
    /// holds for each pair of numbers the pairs of its lines; what is not there is zero.
    fn pack<const WIDTH: usize>(self, first: usize, count: usize, from: usize, depth: usize, to: &mut Vec<u32>) {
        let size = depth.div_ceil(2) * WIDTH;
        to.resize(count.div_ceil(WIDTH) * size, 0);
        to.par_chunks_exact_mut(size).enumerate().for_each(|(panel, to)| {
            let lines = (count - panel * WIDTH).min(WIDTH);
            let at = (first + panel * WIDTH) * self.line + from * self.step;
            match self.data {
                Numbers::Single(data) => self.panel::<f32, WIDTH>(&data[at..], lines, depth, to),
                Numbers::Half(data) => self.panel::<u16, WIDTH>(&data[at..], lines, depth, to),
            }
        });
    }

    fn panel<N: Number, const WIDTH: usize>(self, data: &[N], lines: usize, depth: usize, to: &mut [u32]) {
        let last = (lines - 1) * self.line + (depth - 1) * self.step;
        assert!(self.step == 1 || self.line == 1, "neither lines nor their numbers lie side by side");
        assert!(last < data.len() && to.len() == depth.div_ceil(2) * WIDTH, "a panel lies outside of its matrix");
        // SAFETY: the processor has the instructions, and the last number of the last line is within the slice.
        unsafe {
            if self.step == 1 {
                along::<N, WIDTH>(data.as_ptr(), self.line, lines, depth, to.as_mut_ptr());
            } else {
                across::<N, WIDTH>(data.as_ptr(), self.step, lines, depth, to.as_mut_ptr());
            }
        }
    }
}

fn first_of(count: usize) -> u16 {
    if count >= WIDE { u16::MAX } else { (1 << count) - 1 }
}

/// A number that is packed. At most as many are read as are said to be there; the others are zero.
trait Number: Copy + Sync {
    /// Sixteen, each in the lower half of 32 bits.
    unsafe fn singles(at: *const Self, count: usize) -> __m512i;

    /// Thirty-two, two by two.
    unsafe fn pairs(at: *const Self, count: usize) -> __m512i;
}

impl Number for f32 {
    #[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
    unsafe fn singles(at: *const Self, count: usize) -> __m512i {
        // SAFETY: masked numbers are not read; both types have 256 bits.
        unsafe {
            let numbers = _mm512_maskz_loadu_ps(first_of(count), at);
            _mm512_cvtepu16_epi32(std::mem::transmute::<__m256bh, __m256i>(_mm512_cvtneps_pbh(numbers)))
        }
    }

    #[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
    unsafe fn pairs(at: *const Self, count: usize) -> __m512i {
        // SAFETY: masked numbers are not read; both types have 512 bits.
        unsafe {
            let low = _mm512_maskz_loadu_ps(first_of(count), at);
            let high = _mm512_maskz_loadu_ps(first_of(count.saturating_sub(WIDE)), at.wrapping_add(WIDE));
            std::mem::transmute::<__m512bh, __m512i>(_mm512_cvtne2ps_pbh(high, low))
        }
    }
}

impl Number for u16 {
    #[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
    unsafe fn singles(at: *const Self, count: usize) -> __m512i {
        // SAFETY: masked numbers are not read.
        let both = unsafe { _mm512_maskz_loadu_epi16(u32::from(first_of(count)), at.cast()) };
        _mm512_cvtepu16_epi32(_mm512_castsi512_si256(both))
    }

    #[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
    unsafe fn pairs(at: *const Self, count: usize) -> __m512i {
        let own = if count >= 2 * WIDE { u32::MAX } else { (1 << count) - 1 };
        // SAFETY: masked numbers are not read.
        unsafe { _mm512_maskz_loadu_epi16(own, at.cast()) }
    }
}

/// Packs lines whose numbers lie one behind the other: sixteen lines are turned at a time.
#[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
unsafe fn along<N: Number, const WIDTH: usize>(from: *const N, line: usize, lines: usize, depth: usize, to: *mut u32) {
    let pairs = depth.div_ceil(2);
    for group in (0..WIDTH).step_by(WIDE) {
        let own = first_of(WIDTH - group);
        for pair in (0..pairs).step_by(WIDE) {
            let mut rows = [_mm512_setzero_si512(); WIDE];
            for (i, row) in rows.iter_mut().enumerate().take(lines.saturating_sub(group)) {
                // SAFETY: the line is one of the matrix, and only what is left of it is read.
                *row = unsafe { N::pairs(from.add((group + i) * line + 2 * pair), depth - 2 * pair) };
            }
            turn(&mut rows);
            for (i, row) in rows.iter().enumerate().take(pairs - pair) {
                // SAFETY: the panel has `WIDTH` numbers for each pair.
                unsafe { _mm512_mask_storeu_epi32(to.add((pair + i) * WIDTH + group).cast(), own, *row) };
            }
        }
    }
}

/// Packs lines that lie side by side.
#[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
unsafe fn across<N: Number, const WIDTH: usize>(from: *const N, step: usize, lines: usize, depth: usize, to: *mut u32) {
    for pair in 0..depth.div_ceil(2) {
        for group in (0..WIDTH).step_by(WIDE) {
            let here = lines.saturating_sub(group);
            let mut both = _mm512_setzero_si512();
            // SAFETY: only lines that are there are read, and the panel has `WIDTH` numbers for each pair.
            unsafe {
                if here > 0 {
                    let at = from.add(2 * pair * step + group);
                    both = N::singles(at, here);
                    if 2 * pair + 1 < depth {
                        both = _mm512_or_si512(both, _mm512_slli_epi32::<16>(N::singles(at.add(step), here)));
                    }
                }
                let own = first_of(WIDTH - group);
                _mm512_mask_storeu_epi32(to.add(pair * WIDTH + group).cast(), own, both);
            }
        }
    }
}

/// Makes rows of sixteen numbers columns.
#[target_feature(enable = "avx512f")]
fn turn(rows: &mut [__m512i; WIDE]) {
    let mut t = *rows;
    for i in 0..8 {
        t[2 * i] = _mm512_unpacklo_epi32(rows[2 * i], rows[2 * i + 1]);
        t[2 * i + 1] = _mm512_unpackhi_epi32(rows[2 * i], rows[2 * i + 1]);
    }
    // Four neighbours of four rows are now in each quarter of a register.
    for i in (0..WIDE).step_by(4) {
        rows[i] = _mm512_unpacklo_epi64(t[i], t[i + 2]);
        rows[i + 1] = _mm512_unpackhi_epi64(t[i], t[i + 2]);
        rows[i + 2] = _mm512_unpacklo_epi64(t[i + 1], t[i + 3]);
        rows[i + 3] = _mm512_unpackhi_epi64(t[i + 1], t[i + 3]);
    }
    for i in 0..4 {
        let [a, b, c, d] = [rows[i], rows[4 + i], rows[8 + i], rows[12 + i]];
        let (even, odd) = (_mm512_shuffle_i32x4::<0x88>(a, b), _mm512_shuffle_i32x4::<0xdd>(a, b));
        let (even_too, odd_too) = (_mm512_shuffle_i32x4::<0x88>(c, d), _mm512_shuffle_i32x4::<0xdd>(c, d));
        t[i] = _mm512_shuffle_i32x4::<0x88>(even, even_too);
        t[8 + i] = _mm512_shuffle_i32x4::<0xdd>(even, even_too);
        t[4 + i] = _mm512_shuffle_i32x4::<0x88>(odd, odd_too);
        t[12 + i] = _mm512_shuffle_i32x4::<0xdd>(odd, odd_too);
    }
    *rows = t;
}

/// Where numbers of the target begin.
#[derive(Clone, Copy)]
struct Place {
    at: *mut f32,
    stride: usize,
}

// SAFETY: threads write tiles that do not overlap.
unsafe impl Sync for Place {}

/// Packed blocks to multiply.
#[derive(Clone, Copy)]
struct Block {
    tall: usize,
    wide: usize,
    pairs: usize,
    /// Whether the target's numbers stay.
    add: bool,
    scale: f32,
}

impl Block {
    /// All tiles of a block of the target that begins at `to`.
    ///
    /// # Safety
    /// The processor has the instruction, and the block is the caller's alone.
    unsafe fn compute(self, left: &[u32], right: &[u32], to: Place) {
        let (row_panels, column_panels) = (self.tall.div_ceil(ROWS), self.wide.div_ceil(COLUMNS));
        let groups = row_panels.div_ceil(GROUP);
        let to = &to;
        (0..column_panels * groups).into_par_iter().for_each(|task| {
            let (column, group) = (task / groups, task % groups);
            let b = &right[column * self.pairs * COLUMNS..][..self.pairs * COLUMNS];
            for row in group * GROUP..((group + 1) * GROUP).min(row_panels) {
                let a = &left[row * self.pairs * ROWS..][..self.pairs * ROWS];
                let rows = (self.tall - row * ROWS).min(ROWS);
                let columns = (self.wide - column * COLUMNS).min(COLUMNS);
                // SAFETY: the panels have `pairs` entries, and the tile lies in the target, where nobody else writes.
                unsafe {
                    let at = to.at.add(row * ROWS * to.stride + column * COLUMNS);
                    self.tile(a.as_ptr(), b.as_ptr(), Place { at, stride: to.stride }, rows, columns);
                }
            }
        });
    }

    /// One tile of the target, of the first `rows` and `columns` of two panels.
    #[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
    unsafe fn tile(self, a: *const u32, b: *const u32, to: Place, rows: usize, columns: usize) {
        let mut sums = [[_mm512_setzero_ps(); 2]; ROWS];
        for pair in 0..self.pairs {
            // SAFETY: each panel has so many numbers for each pair.
            unsafe {
                let two = b.add(pair * COLUMNS).cast::<__m512bh>();
                let (first, second) = (two.read_unaligned(), two.add(1).read_unaligned());
                for (i, sums) in sums.iter_mut().enumerate() {
                    let one = _mm512_set1_epi32((*a.add(pair * ROWS + i)).cast_signed());
                    let one = std::mem::transmute::<__m512i, __m512bh>(one);
                    sums[0] = _mm512_dpbf16_ps(sums[0], one, first);
                    sums[1] = _mm512_dpbf16_ps(sums[1], one, second);
                }
            }
        }
        let scale = _mm512_set1_ps(self.scale);
        let own = [first_of(columns), first_of(columns.saturating_sub(WIDE))];
        for (i, sums) in sums.iter().enumerate().take(rows) {
            for (half, (&sum, own)) in sums.iter().zip(own).enumerate().take(columns.div_ceil(WIDE)) {
                // SAFETY: masked numbers are neither read nor written; the others are the tile's.
                unsafe {
                    let at = to.at.add(i * to.stride + half * WIDE);
                    let old = if self.add { _mm512_maskz_loadu_ps(own, at) } else { _mm512_setzero_ps() };
                    _mm512_mask_storeu_ps(at, own, _mm512_fmadd_ps(sum, scale, old));
                }
            }
        }
    }
}
