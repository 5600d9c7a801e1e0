//! Where no processor has products in bf16 that this program knows.

use super::{Old, Target, View};

pub(crate) fn is_there() -> bool {
    false
}

pub(super) fn product(target: Target<'_>, old: Old, scale: f32, a: View<'_>, b: View<'_>) {
    super::product(target, old, scale, a, b, super::Threads::All);
}
