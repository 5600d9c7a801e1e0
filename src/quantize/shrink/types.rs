//! What can be asked for: llama.cpp's file types (`enum llama_ftype`), each a mixture of tensor types.

use crate::weights::gguf::GgmlType;

/// A file type: most tensors in one type, some in a better one.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Mixture {
    /// As people write it.
    pub name: &'static str,
    /// llama.cpp's number.
    pub(super) number: u32,
    /// Bits a weight, about, for a model of several billion.
    pub about: f64,
    /// Useless without an importance matrix.
    pub wants_imatrix: bool,
}

const fn mixture(name: &'static str, number: u32, about: f64) -> Mixture {
    Mixture { name, number, about, wants_imatrix: false }
}

const fn with_imatrix(name: &'static str, number: u32, about: f64) -> Mixture {
    Mixture { name, number, about, wants_imatrix: true }
}

/// All of them, the best first.
const ALL: [Mixture; 36] = [
    mixture("F32", 0, 32.0),
    mixture("BF16", 32, 16.0),
    mixture("F16", 1, 16.0),
    mixture("Q8_0", 7, 8.5),
    mixture("Q6_K", 18, 6.56),
    mixture("Q5_1", 9, 5.65),
    mixture("Q5_K_M", 17, 5.69),
    mixture("Q5_K_S", 16, 5.54),
    mixture("Q5_0", 8, 5.21),
    mixture("Q4_K_M", 15, 4.85),
    mixture("Q4_1", 3, 4.78),
    mixture("Q4_K_S", 14, 4.58),
    mixture("IQ4_NL", 25, 4.5),
    mixture("Q4_0", 2, 4.34),
    mixture("IQ4_XS", 30, 4.25),
    mixture("MXFP4_MOE", 38, 4.25),
    mixture("NVFP4", 39, 4.5),
    mixture("Q3_K_L", 13, 4.03),
    mixture("Q3_K_M", 12, 3.74),
    mixture("IQ3_M", 27, 3.66),
    mixture("IQ3_S", 26, 3.44),
    mixture("Q3_K_S", 11, 3.41),
    mixture("IQ3_XS", 22, 3.3),
    mixture("IQ3_XXS", 23, 3.06),
    mixture("Q2_K", 10, 2.96),
    with_imatrix("Q2_K_S", 21, 2.96),
    with_imatrix("IQ2_M", 29, 2.7),
    with_imatrix("IQ2_S", 28, 2.5),
    with_imatrix("IQ2_XS", 20, 2.31),
    mixture("Q2_0", 41, 2.25),
    with_imatrix("IQ2_XXS", 19, 2.06),
    mixture("TQ2_0", 37, 2.06),
    with_imatrix("IQ1_M", 31, 1.75),
    mixture("TQ1_0", 36, 1.69),
    with_imatrix("IQ1_S", 24, 1.56),
    mixture("Q1_0", 40, 1.125),
];

impl Mixture {
    /// Copies tensors as they are.
    pub const COPY: Self = mixture("COPY", u32::MAX, 0.0);

    /// By name, in any case; `Q4_K` and the like mean the middle one.
    ///
    /// # Errors
    /// In words: there is none of this name.
    pub fn named(name: &str) -> Result<Self, String> {
        let name = name.to_uppercase();
        let name = match name.as_str() {
            "Q3_K" => "Q3_K_M",
            "Q4_K" => "Q4_K_M",
            "Q5_K" => "Q5_K_M",
            "COPY" => return Ok(Self::COPY),
            other => other,
        };
        let names = || ALL.map(|mixture| mixture.name).join(", ");
        ALL.into_iter().find(|mixture| mixture.name == name).ok_or_else(|| format!("the types are {}, COPY", names()))
    }

    /// Whether it has no single tensors in other types.
    pub(super) fn is_plain(self) -> bool {
        self == Self::COPY || ["F32", "BF16", "F16"].contains(&self.name)
    }

    /// Those that are worth trying when a size is given, the best first, by bits for a weight: what the model has
    /// (`stored`), then less. `guided` tells that there is an importance matrix.
    pub(super) fn ladder(stored: GgmlType, guided: bool) -> impl Iterator<Item = Self> {
        const STEPS: [&str; 26] = [
            "Q8_0", "Q6_K", "Q5_K_M", "Q5_1", "Q5_K_S", "Q5_0", "Q4_K_M", "Q4_1", "Q4_K_S", "IQ4_NL", "Q4_0", "IQ4_XS",
            "Q3_K_L", "Q3_K_M", "IQ3_M", "IQ3_S", "Q3_K_S", "IQ3_XS", "IQ3_XXS", "Q2_K", "IQ2_M", "IQ2_S", "IQ2_XS",
            "IQ2_XXS", "IQ1_M", "IQ1_S",
        ];
        let whole: &[&str] = match stored {
            GgmlType::F32 => &["F32", "F16"],
            GgmlType::BF16 => &["BF16"],
            _ => &["F16"],
        };
        let known = whole.iter().copied().chain(STEPS).filter_map(|name| Self::named(name).ok());
        known.filter(move |mixture| guided || !mixture.wants_imatrix)
    }
}

/// Types that weights can be quantized to (`ggml_quantize_chunk` in llama.cpp's `ggml.c` ends the process with others).
const NOT_FOR_WEIGHTS: [GgmlType; 7] =
    [GgmlType::Q8_1, GgmlType::Q8_K, GgmlType::I8, GgmlType::I16, GgmlType::I32, GgmlType::I64, GgmlType::F64];

/// A type that weights can have, by llama.cpp's name, in any case.
///
/// # Errors
/// In words: there is none of this name, or it is for other things.
pub fn weight_type(name: &str) -> Result<GgmlType, String> {
    let kind = tensor_type(name)?;
    if NOT_FOR_WEIGHTS.contains(&kind) { Err(format!("weights cannot be stored as `{name}`")) } else { Ok(kind) }
}

/// A tensor's type by llama.cpp's name, in any case.
///
/// # Errors
/// In words: there is none of this name.
pub fn tensor_type(name: &str) -> Result<GgmlType, String> {
    let found = GgmlType::ALL.iter().copied().find(|kind| kind.name().eq_ignore_ascii_case(name));
    found.ok_or_else(|| format!("there is no tensor type `{name}`; `q4_K`, `q6_K`, `q8_0` and `f16` are some"))
}
