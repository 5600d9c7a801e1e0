//! Chance that can be repeated: whether a number falls depends on the seed and its place alone, so any thread may ask for
//! any place.

/// Places that share a key.
const STRETCH: u64 = 1 << 16;

/// A key for one model's part of a tensor.
pub(super) fn key(seed: u64, model: usize) -> u64 {
    mix(seed ^ mix(model as u64 + 1))
}

/// A seed for one tensor.
pub fn seed(seed: u64, tensor: &str) -> u64 {
    tensor.bytes().fold(mix(seed), |state, byte| mix(state ^ u64::from(byte)))
}

/// `murmur3`'s 64-bit finalizer.
fn mix(state: u64) -> u64 {
    let mut state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    state = (state ^ (state >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    state = (state ^ (state >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    state ^ (state >> 33)
}

/// 32 even bits for a place in a stretch: two rounds of a 32-bit mixer, in instructions that every vector unit has.
#[inline]
fn bits(place: u32, key: (u32, u32)) -> u32 {
    let round = |mut x: u32| {
        x = (x ^ (x >> 16)).wrapping_mul(0x7feb_352d);
        x = (x ^ (x >> 15)).wrapping_mul(0x846c_a68b);
        x ^ (x >> 16)
    };
    round(round(place ^ key.0).wrapping_add(key.1))
}

/// Calls `each` for every number from the place `start` on, with its 32 bits.
#[inline]
pub(super) fn draw(key: u64, start: u64, numbers: &mut [f32], mut each: impl FnMut(usize, &mut f32, u32)) {
    let mut done = 0;
    while done < numbers.len() {
        let place = start + done as u64;
        let (stretch, within) = (place / STRETCH, place % STRETCH);
        let length = ((STRETCH - within) as usize).min(numbers.len() - done);
        let state = mix(key ^ mix(stretch));
        let key = (state as u32, (state >> 32) as u32);
        for (at, number) in numbers[done..done + length].iter_mut().enumerate() {
            each(done + at, number, bits(within as u32 + at as u32, key));
        }
        done += length;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_cut_gives_the_same_and_shares_come_out_right() {
        let all = |cut: usize| {
            let mut numbers = vec![1f32; 200_000];
            let mut start = 0;
            for part in numbers.chunks_mut(cut) {
                let length = part.len() as u64;
                draw(7, start, part, |_, number, bits| *number = if bits < 0x4000_0000 { 1.0 } else { 0.0 });
                start += length;
            }
            numbers
        };
        let whole = all(200_000);
        assert_eq!(whole, all(777));
        let kept: f32 = whole.iter().sum();
        // a quarter, within five standard deviations
        assert!((kept - 50_000.0).abs() < 5.0 * (200_000f32 * 0.25 * 0.75).sqrt(), "{kept}");
        // neighbours know nothing of each other
        let both = whole.windows(2).filter(|pair| pair[0] * pair[1] > 0.0).count() as f32;
        assert!((both - 12_500.0).abs() < 5.0 * (200_000f32 / 16.0 * 15.0 / 16.0).sqrt() * 1.3, "{both}");
        assert_ne!(seed(1, "a.b"), seed(1, "a.c"));
        assert_ne!(seed(1, "a.b"), seed(2, "a.b"));
    }
}
