//! Which of the three ARM builds a processor can run.
//!
//! The kernel's word counts, never a trial: a program with 8-bit matrix products runs on a processor without them until
//! a batch is wide enough, and then dies.

use std::fmt;

/// Bits of `AT_HWCAP` and, for the last, of `AT_HWCAP2`, as `arch/arm64/include/uapi/asm/hwcap.h` numbers them.
const FPHP: u64 = 1 << 9;
const ASIMDHP: u64 = 1 << 10;
const ASIMDDP: u64 = 1 << 20;
const I8MM: u64 = 1 << 13;

/// A build, the one for the oldest processors first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// ARMv8.0: every 64-bit phone.
    V80,
    /// Dot products and half-precision arithmetic: most phones since 2018.
    V82,
    /// 8-bit matrix products too: most phones since 2022.
    V86,
}

impl Level {
    /// All of them, the fastest first.
    pub const ALL: [Self; 3] = [Self::V86, Self::V82, Self::V80];

    /// The fastest that a processor with these capabilities runs.
    pub fn of(hwcap: u64, hwcap2: u64) -> Self {
        let half = FPHP | ASIMDHP;
        match (hwcap & half == half && hwcap & ASIMDDP != 0, hwcap2 & I8MM != 0) {
            (true, true) => Self::V86,
            (true, false) => Self::V82,
            (false, _) => Self::V80,
        }
    }

    /// By its name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|level| level.name() == name)
    }

    /// `v80`, `v82` or `v86`.
    pub fn name(self) -> &'static str {
        match self {
            Self::V80 => "v80",
            Self::V82 => "v82",
            Self::V86 => "v86",
        }
    }
}

impl fmt::Display for Level {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The words of `/proc/cpuinfo` and the bits they stand for.
    const WORDS: [(&str, u64, u64); 20] = [
        ("fp", 1 << 0, 0),
        ("asimd", 1 << 1, 0),
        ("evtstrm", 1 << 2, 0),
        ("aes", 1 << 3, 0),
        ("pmull", 1 << 4, 0),
        ("sha1", 1 << 5, 0),
        ("sha2", 1 << 6, 0),
        ("crc32", 1 << 7, 0),
        ("atomics", 1 << 8, 0),
        ("fphp", 1 << 9, 0),
        ("asimdhp", 1 << 10, 0),
        ("cpuid", 1 << 11, 0),
        ("asimdrdm", 1 << 12, 0),
        ("lrcpc", 1 << 15, 0),
        ("dcpop", 1 << 16, 0),
        ("asimddp", 1 << 20, 0),
        ("sve", 1 << 22, 0),
        ("svei8mm", 0, 1 << 9),
        ("i8mm", 0, 1 << 13),
        ("bf16", 0, 1 << 14),
    ];

    fn level(words: &str) -> Level {
        let bits = words.split_whitespace().map(|word| {
            let found = WORDS.iter().find(|known| known.0 == word);
            found.map(|known| (known.1, known.2)).unwrap()
        });
        let (hwcap, hwcap2) = bits.fold((0, 0), |all, one| (all.0 | one.0, all.1 | one.1));
        Level::of(hwcap, hwcap2)
    }

    #[test]
    fn five_processors_get_what_they_can_run() {
        let old = "fp asimd evtstrm aes pmull sha1 sha2 crc32";
        let cases = [
            ("Cortex-A53", old.to_owned(), Level::V80),
            // Its kernel announces half precision and atomics, which only the small cores have; no dot products.
            ("Exynos 9810", format!("{old} atomics fphp asimdhp cpuid asimdrdm"), Level::V80),
            ("Cortex-A76", format!("{old} atomics fphp asimdhp cpuid asimdrdm lrcpc dcpop asimddp"), Level::V82),
            ("Cortex-X1", format!("{old} atomics fphp asimdhp cpuid asimdrdm lrcpc dcpop asimddp"), Level::V82),
            (
                "Cortex-X3",
                format!("{old} atomics fphp asimdhp cpuid asimdrdm lrcpc dcpop asimddp sve svei8mm i8mm bf16"),
                Level::V86,
            ),
        ];
        for (name, words, expected) in cases {
            assert_eq!(level(&words), expected, "{name}");
        }
    }

    #[test]
    fn nothing_is_taken_for_granted() {
        assert_eq!(level(""), Level::V80);
        assert_eq!(level("asimddp"), Level::V80, "dot products without half precision");
        assert_eq!(level("fphp asimdhp i8mm"), Level::V80, "matrix products without dot products");
        assert_eq!(level("fphp asimdhp asimddp svei8mm"), Level::V82, "matrix products of SVE only");
    }

    #[test]
    fn names_lead_back() {
        for level in Level::ALL {
            assert_eq!(Level::named(level.name()), Some(level));
        }
        assert_eq!(Level::named("v9"), None);
        assert!(Level::ALL.is_sorted_by(|a, b| a > b));
    }
}
