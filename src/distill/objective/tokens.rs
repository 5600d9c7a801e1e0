//! Cross-entropy: the data's own next token.

use crate::distill::kernel::math::{softmax, sum};

/// `−ln p(token)`. With a weight, the loss's gradient times it is left in the logits' place.
pub(super) fn judge(logits: &mut [f32], token: u32, weight: Option<f32>) -> f64 {
    let at = token as usize;
    let goal = logits[at];
    let whole = softmax(logits);
    let p = logits[at];
    let (mut loss, mut slope) = (f64::from(whole - goal), p - 1.0);
    if p > 0.5 {
        // Where the token is nearly certain, differences are lost to rounding; what the others have is not.
        logits[at] = 0.0;
        let others = sum(logits);
        (loss, slope) = (-f64::from(-others).ln_1p(), -others);
    }
    if let Some(weight) = weight {
        logits[at] = slope;
        logits.iter_mut().for_each(|x| *x *= weight);
    }
    loss
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn certain_tokens_have_a_loss_and_a_slope_too() {
        // others have 7 · e^−25 together, far below what 1 − p can tell in single precision
        let mut logits = vec![0.0_f32; 8];
        logits[3] = 25.0;
        let right = 7.0 * (-25.0_f64).exp();
        assert!((judge(&mut logits.clone(), 3, None) / right - 1.0).abs() < 1e-4);
        judge(&mut logits, 3, Some(2.0));
        assert!((f64::from(logits[3]) / (-2.0 * right) - 1.0).abs() < 1e-4);
        assert!((f64::from(logits[0]) / (2.0 * right / 7.0) - 1.0).abs() < 1e-4);
        assert!((judge(&mut [0.0, 0.0], 1, None) - 2.0_f64.ln()).abs() < 1e-6);
    }
}
