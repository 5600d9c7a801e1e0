//! Sizes in bytes as people write and read them.

use serde::{Deserialize, Serialize};

use crate::error::Advise;
use crate::text::clean::printable;

/// Bytes that stand in files as people write them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ByteSize(pub u64);

impl TryFrom<String> for ByteSize {
    type Error = SizeError;

    fn try_from(text: String) -> Result<Self, SizeError> {
        parse_size(&text).map(Self)
    }
}

impl From<ByteSize> for String {
    fn from(size: ByteSize) -> Self {
        size.0.to_string()
    }
}

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

/// A size as people read it: `98.4 MB`-style decimal for files is what shops use; memory here is in binary units.
pub fn bytes(n: u64) -> String {
    const UNITS: [&str; 4] = ["B", "KiB", "MiB", "GiB"];
    let mut value = n as f64;
    let mut unit = 0;
    while value >= 1024.0 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    if unit == 0 { format!("{n} B") } else { format!("{value:.1} {}", UNITS[unit]) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn sizes_are_read_with_their_units() {
        for (text, bytes) in [
            ("900MB", 900_000_000),
            ("1.2GiB", 1_288_490_189),
            ("512M", 512 << 20),
            ("512 mib", 512 << 20),
            ("17", 17),
            ("0", 0),
            ("1k", 1024),
            ("2.5 GB", 2_500_000_000),
        ] {
            assert_eq!(parse_size(text), Ok(bytes), "{text}");
        }
        for text in
            ["", "MB", "-1", "1.5", "1e9", "1.2.3G", "1XB", "NaN", "inf", "99999999999T", "18446744073709551616"]
        {
            assert!(parse_size(text).is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_the_parser_fall_over(text in "[a-zA-Z0-9. +-]{0,30}") {
            let _ = parse_size(&text);
        }
    }
}
