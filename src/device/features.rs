//! Instruction sets that llama.cpp has kernels for.

/// The ones this processor has, by the names Rust gives them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Features(Vec<&'static str>);

#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
macro_rules! detected {
    ($macro:ident: $($name:tt)*) => { [$(($name, std::arch::$macro!($name))),*] };
}

#[cfg(target_arch = "x86_64")]
macro_rules! compiled {
    ($($name:tt)*) => { [$(($name, cfg!(target_feature = $name))),*] };
}

impl Features {
    /// Asks the processor.
    pub fn detect() -> Self {
        #[cfg(target_arch = "x86_64")]
        let all = detected!(is_x86_feature_detected: "sse4.2" "avx" "f16c" "fma" "bmi2" "avx2" "avxvnni" "avx512f"
            "avx512bw" "avx512vl" "avx512vbmi" "avx512vnni" "avx512bf16");
        #[cfg(target_arch = "aarch64")]
        let all = detected!(is_aarch64_feature_detected: "neon" "fp16" "dotprod" "i8mm" "bf16" "sve" "sve2");
        #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
        let all: [(&'static str, bool); 0] = [];
        Self::of(all)
    }

    /// These names.
    pub fn of(all: impl IntoIterator<Item = (&'static str, bool)>) -> Self {
        Self(all.into_iter().filter(|&(_, there)| there).map(|(name, _)| name).collect())
    }

    /// Whether it has this one.
    pub fn has(&self, name: &str) -> bool {
        self.0.contains(&name)
    }

    /// All of them.
    pub fn names(&self) -> &[&'static str] {
        &self.0
    }

    /// Those that the engine inside was compiled for. On x86 llama.cpp is built for what rustc is told; on ARM the
    /// build's level is stated in `ZORD_ARM_LEVEL` (`v80`, `v82`, `v86`), without which all are assumed.
    pub fn usable(&self) -> Self {
        #[cfg(target_arch = "x86_64")]
        {
            let built = compiled!("sse4.2" "avx" "f16c" "fma" "bmi2" "avx2" "avxvnni" "avx512f" "avx512bw" "avx512vl"
                "avx512vbmi" "avx512vnni" "avx512bf16");
            Self::of(built.into_iter().map(|(name, there)| (name, there && self.has(name))))
        }
        #[cfg(not(target_arch = "x86_64"))]
        {
            self.at_level(option_env!("ZORD_ARM_LEVEL"))
        }
    }

    /// Those of an ARM level.
    #[cfg(any(test, not(target_arch = "x86_64")))]
    fn at_level(&self, level: Option<&str>) -> Self {
        let left_out: &[&str] = match level {
            Some("v80") => &["fp16", "dotprod", "i8mm", "bf16", "sve", "sve2"],
            Some("v82") => &["i8mm", "bf16", "sve", "sve2"],
            Some("v86") => &["bf16", "sve", "sve2"],
            _ => &[],
        };
        Self(self.0.iter().copied().filter(|name| !left_out.contains(name)).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_level_leaves_out_what_it_was_not_built_for() {
        let all = Features::of(["neon", "fp16", "dotprod", "i8mm"].map(|name| (name, true)));
        assert_eq!(all.at_level(Some("v80")).names(), ["neon"]);
        assert_eq!(all.at_level(Some("v82")).names(), ["neon", "fp16", "dotprod"]);
        assert_eq!(all.at_level(None), all);
    }

    #[test]
    fn what_is_usable_is_there() {
        let all = Features::detect();
        assert!(all.usable().names().iter().all(|name| all.has(name)));
    }
}
