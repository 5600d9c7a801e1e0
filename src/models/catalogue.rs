//! The models known by name: `assets/models.toml`, built into the program and checked key by key. It knows nothing of
//! what is on this disk.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde::{Deserialize, Deserializer};

use super::names::{Source, nearest};
use super::store::MARGIN;
use crate::sampling::{Preset, Sampling};

/// All entries.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Catalogue {
    /// In the order of the file.
    pub models: Vec<Entry>,
}

/// One model. What is not known is `None`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// What a person types.
    pub name: String,
    /// What a person reads.
    pub title: String,
    /// Shorter names.
    #[serde(default)]
    pub aliases: Vec<String>,
    /// Used when nothing else is said.
    #[serde(default)]
    pub default: bool,
    /// Place in the recommendation, higher is better; `None`: never recommended.
    pub rank: Option<u32>,
    /// The repository of the checkpoint, `owner/name`.
    pub repo: String,
    /// The file that runs here, when one is known.
    pub gguf: Option<Gguf>,
    /// As GGUF names it.
    pub architecture: String,
    /// Weights.
    pub params: u64,
    /// Layers.
    pub layers: Option<u32>,
    /// Width of the residual stream.
    pub hidden: Option<u32>,
    /// Width inside the feed-forward layers.
    pub ffn: Option<u32>,
    /// Attention heads.
    pub heads: Option<u32>,
    /// Key and value heads.
    pub kv_heads: Option<u32>,
    /// Width of a head.
    pub head_dim: Option<u32>,
    /// Tokens in the vocabulary.
    pub vocab: Option<u32>,
    /// Whether input and output embeddings are the same.
    pub tied: Option<bool>,
    /// Base of the rotary positions.
    pub rope_theta: Option<f64>,
    /// Tokens of context it was trained for.
    pub context: Option<u32>,
    /// The licence's name.
    pub licence: String,
    /// Its limits, in short.
    pub licence_note: Option<String>,
    /// Approximate bytes of a Q4_K_M file.
    #[serde(default, deserialize_with = "optional_size")]
    pub q4_k_m: Option<u64>,
    /// How it fills in the middle; `None`: it does not.
    pub fim: Option<Fim>,
    /// Whether it thinks before it answers.
    #[serde(default)]
    pub thinks: bool,
    /// What to know before choosing it.
    pub note: Option<String>,
    /// What it is told first where nobody says otherwise, when that was measured to answer better than the template's own.
    pub system: Option<String>,
    /// Free memory (MemAvailable, bytes) from which it is comfortable.
    #[serde(deserialize_with = "size")]
    pub min_free: u64,
    /// Sampling by preset name, where the model's card says.
    #[serde(default)]
    pub presets: BTreeMap<Preset, Sampling>,
}

/// A file on a hub.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Gguf {
    /// `owner/name`.
    pub repo: String,
    /// The file in it.
    pub file: String,
    /// `Q4_K_M`, …
    pub quant: String,
    /// Bytes; exact only where there is a checksum.
    #[serde(deserialize_with = "size")]
    pub size: u64,
    /// SHA-256 in lower-case hex, only if the file was seen.
    pub sha256: Option<String>,
}

/// Families of fill-in-the-middle prompts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Fim {
    /// `<|fim_prefix|>`, Qwen2.5-Coder.
    Qwen,
    /// `<｜fim▁begin｜>`, DeepSeek-Coder.
    DeepSeek,
}

impl Entry {
    /// Where its GGUF comes from, when one is known.
    pub fn source(&self) -> Option<Source> {
        self.gguf.as_ref().map(|gguf| Source::file(&gguf.repo, &gguf.file))
    }

    /// Whether a person means this one.
    pub fn is_called(&self, name: &str) -> bool {
        std::iter::once(&self.name).chain(&self.aliases).any(|known| known.eq_ignore_ascii_case(name))
    }
}

impl Catalogue {
    /// The one built into the program.
    pub fn builtin() -> &'static Self {
        // A broken file is found by the tests of this module; a program without a catalogue still runs.
        static BUILTIN: LazyLock<Catalogue> =
            LazyLock::new(|| Catalogue::parse(include_str!("../../assets/models.toml")).unwrap_or_default());
        &BUILTIN
    }

    /// Reads a catalogue.
    ///
    /// # Errors
    /// An unknown key, a wrong type, or broken TOML, with its line.
    pub fn parse(text: &str) -> Result<Self, toml::de::Error> {
        toml::from_str(text)
    }

    /// By name or alias; case does not count.
    pub fn find(&self, name: &str) -> Option<&Entry> {
        self.models.iter().find(|entry| entry.is_called(name))
    }

    /// The entry whose file has this name.
    pub fn by_file(&self, file: &str) -> Option<&Entry> {
        self.models.iter().find(|entry| {
            entry
                .gguf
                .as_ref()
                .is_some_and(|gguf| gguf.file.rsplit('/').next().is_some_and(|own| own.eq_ignore_ascii_case(file)))
        })
    }

    /// Names near a misspelt one.
    pub fn nearest(&self, name: &str) -> Vec<&str> {
        nearest(
            name,
            self.models.iter().flat_map(|entry| std::iter::once(&entry.name).chain(&entry.aliases)).map(String::as_str),
        )
    }

    /// The model used when nothing is said.
    pub fn default_entry(&self) -> Option<&Entry> {
        self.models.iter().find(|entry| entry.default)
    }

    /// The best model for this much free memory (MemAvailable) and free disk, in bytes: freely licensed, with a known
    /// file. A disk of which nothing is known is taken for large enough.
    pub fn recommend(&self, free_memory: u64, free_disk: Option<u64>) -> Option<&Entry> {
        let download = |entry: &Entry| entry.gguf.as_ref().map_or(u64::MAX, |gguf| gguf.size.saturating_add(MARGIN));
        self.models
            .iter()
            .filter(|entry| entry.min_free <= free_memory)
            .filter(|entry| free_disk.is_none_or(|free| download(entry) <= free))
            .filter(|entry| entry.rank.is_some())
            .max_by_key(|entry| entry.rank)
    }
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Size {
    Bytes(u64),
    Text(String),
}

fn size<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    match Size::deserialize(deserializer)? {
        Size::Bytes(bytes) => Ok(bytes),
        Size::Text(text) => crate::size::parse_size(&text).map_err(serde::de::Error::custom),
    }
}

fn optional_size<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    size(deserializer).map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shipped() -> Catalogue {
        Catalogue::parse(include_str!("../../assets/models.toml")).unwrap()
    }

    #[test]
    fn the_shipped_catalogue_is_whole() {
        let catalogue = shipped();
        assert_eq!(catalogue.models.iter().filter(|entry| entry.default).count(), 1);
        let mut seen = std::collections::HashSet::new();
        for entry in &catalogue.models {
            for name in std::iter::once(&entry.name).chain(&entry.aliases) {
                assert!(seen.insert(name.to_lowercase()), "`{name}` stands twice");
            }
            Source::parse(&format!("hf:{}", entry.repo)).unwrap();
            if let Some(source) = entry.source() {
                assert_eq!(Source::parse(&source.to_string()).unwrap(), source);
                source.stored_name().unwrap();
            }
            assert!(
                entry.rank.is_none() || entry.gguf.is_some(),
                "`{}` is recommended and cannot be pulled",
                entry.name
            );
            if let Some(sha) = entry.gguf.as_ref().and_then(|gguf| gguf.sha256.as_ref()) {
                assert!(sha.len() == 64 && sha.bytes().all(|b| b.is_ascii_hexdigit() && !b.is_ascii_uppercase()));
            }
        }
        assert_eq!(catalogue.default_entry().unwrap().name, "qwen2.5-coder-0.5b-instruct");
    }

    #[test]
    fn an_unknown_key_is_an_error_that_names_it() {
        let text = "[[models]]\nname='a'\ntitle='A'\nrepo='o/a'\narchitecture='llama'\nparams=1\nlicence='MIT'\nmin_free='1MiB'\n";
        assert_eq!(Catalogue::parse(text).unwrap().models[0].min_free, 1 << 20);
        assert!(Catalogue::parse(&format!("{text}lisence='MIT'\n")).unwrap_err().to_string().contains("lisence"));
        assert!(Catalogue::parse(&format!("{text}[models.presets.wild]\n")).is_err());
        assert!(Catalogue::parse(&format!("{text}[models.presets.auto]\ntemprature=1.0\n")).is_err());
    }

    #[test]
    fn the_kv_cache_of_the_mission_s_models_is_what_was_measured() {
        let catalogue = shipped();
        let at_4096 = |name: &str| {
            let entry = catalogue.find(name).unwrap();
            let numbers = [entry.layers, entry.kv_heads, entry.head_dim].map(|number| u64::from(number.unwrap()));
            (numbers.iter().product::<u64>() * 2 * 2 * 4096) >> 20
        };
        assert_eq!(at_4096("deepseek-coder-1.3b-instruct"), 768);
        assert_eq!(at_4096("qwen2.5-coder-1.5b-instruct"), 112);
    }

    #[test]
    fn the_recommended_model_follows_the_free_memory_and_the_free_disk() {
        let catalogue = shipped();
        let (small, middle, large) =
            ("smollm2-135m-instruct", "qwen2.5-coder-0.5b-instruct", "qwen2.5-coder-1.5b-instruct");
        for (memory, disk, want) in [
            (100_000_000, None, None),
            (500_000_000, None, Some(small)),
            (1_199_999_999, None, Some(small)),
            (1_200_000_000, None, Some(middle)),
            (2_999_999_999, None, Some(middle)),
            (3_000_000_000, None, Some(large)),
            (64_000_000_000, Some(2_000_000_000), Some(large)),
            (64_000_000_000, Some(1_117_320_768), Some(middle)),
            (64_000_000_000, Some(491_400_064), Some(small)),
            (64_000_000_000, Some(98_362_432), None),
        ] {
            let got = catalogue.recommend(memory, disk).map(|entry| entry.name.as_str());
            assert_eq!(got, want, "{memory} bytes of memory, {disk:?} of disk");
        }
    }

    #[test]
    fn more_room_never_recommends_a_smaller_model() {
        let catalogue = shipped();
        for grows in [|mib: u64| (mib << 20, None), |mib: u64| (u64::MAX, Some(mib << 20))] {
            let mut last = 0;
            for mib in (0..20_000).step_by(50) {
                let (memory, disk) = grows(mib);
                let rank = catalogue.recommend(memory, disk).and_then(|entry| entry.rank).unwrap_or(0);
                assert!(rank >= last);
                last = rank;
            }
            assert_eq!(last, 3);
        }
    }

    #[test]
    fn presets_follow_the_model_s_card() {
        let catalogue = shipped();
        let qwen = catalogue.find("QWEN2.5-Coder").unwrap().presets[&Preset::Auto].clone();
        assert_eq!((qwen.temperature, qwen.top_p, qwen.top_k, qwen.repeat_penalty), (0.7, 0.8, 20, 1.05));
        assert_eq!(catalogue.find("deepseek-coder").unwrap().presets[&Preset::Auto].temperature, 0.0);
        assert!(catalogue.find("phi-2").unwrap().presets.is_empty());
    }
}
