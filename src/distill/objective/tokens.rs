//! Cross-entropy: the data's own next token.

use crate::distill::kernel::math::softmax;

/// `−ln p(token)`. With a weight, the loss's gradient times it is left in the logits' place.
pub(super) fn judge(logits: &mut [f32], token: u32, weight: Option<f32>) -> f64 {
    let at = token as usize;
    let goal = logits[at];
    let whole = softmax(logits);
    if let Some(weight) = weight {
        logits[at] -= 1.0;
        logits.iter_mut().for_each(|x| *x *= weight);
    }
    f64::from(whole - goal)
}
