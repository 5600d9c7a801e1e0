//! The exponential function in a form that compilers turn into vector instructions, and what is made of it.

/// `e^x` to within 2 units in the last place, zero below −87 and 2^127 above 88 (Cody and Waite's reduction, a polynomial
/// of degree 6).
#[inline(always)]
pub(crate) fn exp(x: f32) -> f32 {
    let x = x.clamp(-87.336_54, 88.0);
    let n = (x * std::f32::consts::LOG2_E).round_ties_even();
    let r = n.mul_add(-0.693_359_4, x);
    let r = n.mul_add(0.000_212_194_44, r);
    let mut p = 0.000_198_756_91_f32;
    for c in [0.001_398_199_9_f32, 0.008_333_452, 0.041_665_796, 0.166_666_66, 0.5] {
        p = p.mul_add(r, c);
    }
    let y = (r * r).mul_add(p, r + 1.0);
    f32::from_bits(((n as i32 + 127) << 23).cast_unsigned()) * y
}

/// The largest of some numbers; −∞ of none.
pub(crate) fn max(numbers: &[f32]) -> f32 {
    let mut lanes = [f32::NEG_INFINITY; 16];
    let chunks = numbers.chunks_exact(16);
    let rest = chunks.remainder();
    for chunk in chunks {
        for (lane, &x) in lanes.iter_mut().zip(chunk) {
            *lane = if x > *lane { x } else { *lane };
        }
    }
    lanes.iter().chain(rest).fold(f32::NEG_INFINITY, |a, &b| if b > a { b } else { a })
}

/// The sum of some numbers, in sixteen lanes.
pub(crate) fn sum(numbers: &[f32]) -> f32 {
    let mut lanes = [0.0_f32; 16];
    let chunks = numbers.chunks_exact(16);
    let rest: f32 = chunks.remainder().iter().sum();
    for chunk in chunks {
        for (lane, x) in lanes.iter_mut().zip(chunk) {
            *lane += x;
        }
    }
    lanes.iter().sum::<f32>() + rest
}

/// The sum of products.
pub(crate) fn dot(a: &[f32], b: &[f32]) -> f32 {
    let mut lanes = [0.0_f32; 16];
    let (left, right) = (a.chunks_exact(16), b.chunks_exact(16));
    let rest: f32 = left.remainder().iter().zip(right.remainder()).map(|(a, b)| a * b).sum();
    for (left, right) in left.zip(right) {
        for ((lane, a), b) in lanes.iter_mut().zip(left).zip(right) {
            *lane = a.mul_add(*b, *lane);
        }
    }
    lanes.iter().sum::<f32>() + rest
}

/// Turns logits into probabilities and gives the logarithm of what they were divided by: `ln Σ e^x`.
pub(crate) fn softmax(logits: &mut [f32]) -> f32 {
    let top = max(logits);
    for x in logits.iter_mut() {
        *x = exp(*x - top);
    }
    let total = sum(logits);
    let share = 1.0 / total;
    for x in logits.iter_mut() {
        *x *= share;
    }
    top + total.ln()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exp_is_within_two_units_in_the_last_place() {
        for i in -86_000..87_000 {
            let x = i as f32 / 1000.0;
            let (ours, right) = (f64::from(exp(x)), f64::from(x).exp());
            assert!((ours - right).abs() <= right * 2.4e-7, "{x}: {ours} {right}");
        }
        assert!(exp(-1e9) < 1e-37 && exp(f32::NEG_INFINITY) < 1e-37);
        assert!(exp(f32::NAN).is_nan());
    }

    #[test]
    fn sums_take_all_numbers() {
        let numbers: Vec<f32> = (1..=100).map(|i| i as f32).collect();
        assert_eq!(sum(&numbers), 5050.0);
        assert_eq!(dot(&numbers, &numbers), 338_350.0);
        assert_eq!(max(&numbers), 100.0);
        let mut odds = vec![0.0, 1000.0, 1000.0];
        assert!((softmax(&mut odds) - 1_000.693_1).abs() < 1e-3);
        assert!(odds[0] < 1e-30 && (odds[1] - 0.5).abs() < 1e-6);
    }
}
