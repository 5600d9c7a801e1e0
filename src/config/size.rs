//! Sizes as people write them.

use crate::error::Advise;
use crate::models::names::printable;

/// A text that is no size.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a size")]
pub struct SizeError(String);

impl Advise for SizeError {
    fn hint(&self) -> Option<String> {
        Some("write a number of bytes or one with a unit, such as `900MB`, `512M` or `1.5GiB`".into())
    }
}

/// Bytes from `900MB` (decimal), `1.2GiB` and `512M` (binary, as `K`, `M`, `G`, `T` alone are), or a plain number.
///
/// # Errors
/// Anything else, negative or absurd numbers included.
pub fn parse_size(text: &str) -> Result<u64, SizeError> {
    let wrong = || SizeError(printable(text));
    let trimmed = text.trim();
    let at = trimmed.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(trimmed.len());
    let (number, unit) = trimmed.split_at(at);
    let scale: u64 = match unit.trim_start().to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "kb" => 1000,
        "mb" => 1_000_000,
        "gb" => 1_000_000_000,
        "tb" => 1_000_000_000_000,
        "k" | "kib" => 1 << 10,
        "m" | "mib" => 1 << 20,
        "g" | "gib" => 1 << 30,
        "t" | "tib" => 1 << 40,
        _ => return Err(wrong()),
    };
    if let Ok(whole) = number.parse::<u64>() {
        return whole.checked_mul(scale).ok_or_else(wrong);
    }
    let value: f64 = number.parse().map_err(|_| wrong())?;
    let bytes = value * scale as f64;
    // Above 2^53 a fraction of a byte is already lost; nothing here is that large.
    if scale == 1 || !bytes.is_finite() || !(0.0..9.0e15).contains(&bytes) {
        return Err(wrong());
    }
    Ok(bytes.round() as u64)
}
