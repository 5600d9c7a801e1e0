//! The sizes that a configuration says, with its library's defaults where it does not.

use serde_json::Value;

use super::config::Config;
use super::error::ConvertError;
use crate::arch::{Architecture, Dimensions, HeadDefault, HeadInFile, Rewritten, keys};

/// The most layers that are believed.
const MOST_LAYERS: u32 = 1 << 16;

/// The sizes that shapes follow from.
#[derive(Clone, Debug)]
pub(super) struct ModelSizes {
    pub(super) layers: u32,
    pub(super) embedding: u32,
    pub(super) feed_forward: u32,
    pub(super) heads: u32,
    pub(super) kv_heads: u32,
    /// Numbers in a head.
    pub(super) head: u32,
    /// Whether the file says the same.
    pub(super) head_in_file: bool,
    pub(super) vocabulary: u32,
    pub(super) context: u32,
}

/// A checkpoint's class and `model_type`.
pub(super) fn class(config: &Config) -> (Option<&str>, Option<&str>) {
    let class = config.map.get("architectures").and_then(|list| list.get(0)).and_then(Value::as_str);
    (class, config.str("model_type"))
}

/// The family of a checkpoint.
///
/// # Errors
/// It is none that is known.
pub(super) fn family(config: &Config) -> Result<&'static Architecture, ConvertError> {
    let (class, kind) = class(config);
    crate::arch::of_checkpoint(class, kind).ok_or_else(|| {
        let found = class.or(kind).unwrap_or("none named").chars().take(60).collect();
        ConvertError::Architecture { found }
    })
}

/// Layers, of which a hostile configuration may say more than there is memory to list.
fn layers(config: &Config) -> Result<u32, ConvertError> {
    match config.need(&keys::LAYERS)? {
        layers @ ..=MOST_LAYERS => Ok(layers),
        layers => Err(config.wrong(keys::LAYERS[0].to_owned(), "at most 65536 layers", &layers.into())),
    }
}

impl ModelSizes {
    /// What happens to the values of the tensor `name` of GGUF.
    pub(super) fn rewritten(&self, family: &Architecture, name: &str) -> Rewritten {
        family.rewrite(name).with_heads(self.heads.into(), self.kv_heads.into())
    }

    pub(super) fn of(family: &Architecture, config: &Config) -> Result<Self, ConvertError> {
        let spec = &family.sizes;
        let embedding = config.need(&keys::EMBEDDING)?;
        let heads = config.need(&keys::HEADS)?;
        let own = spec.multi_query.is_some_and(|key| config.map.get(key).and_then(Value::as_bool) == Some(false));
        let kv_heads = if own { Some(heads) } else { config.u32(spec.kv_heads)? };
        let said = config.u32(spec.head.keys)?;
        let default = match spec.head.default {
            HeadDefault::Divided => embedding / heads,
            HeadDefault::Width(width) => width,
        };
        let feed_forward = match (config.u32(spec.feed_forward)?, spec.default_feed_forward) {
            (Some(number), _) => number,
            (None, Some(times)) => embedding.saturating_mul(times),
            (None, None) => config.need(&keys::FEED_FORWARD[..1])?,
        };
        Ok(Self {
            layers: layers(config)?,
            embedding,
            feed_forward,
            heads,
            kv_heads: kv_heads.or(spec.default_kv_heads).unwrap_or(heads),
            head: said.unwrap_or(default),
            head_in_file: match spec.head.in_file {
                HeadInFile::Always => true,
                HeadInFile::WhereSaid => said.is_some(),
                HeadInFile::WhereUnusual => said.is_some_and(|width| width != embedding / heads),
                HeadInFile::Never => false,
            },
            vocabulary: config.need(&keys::VOCABULARY)?,
            context: config.u32(&keys::CONTEXT)?.unwrap_or(spec.default_context),
        })
    }

    /// What shapes are computed from.
    pub(super) fn dimensions(&self) -> Dimensions {
        Dimensions {
            vocabulary: self.vocabulary.into(),
            embedding: self.embedding.into(),
            feed_forward: self.feed_forward.into(),
            heads: self.heads.into(),
            kv_heads: self.kv_heads.into(),
            head: self.head.into(),
        }
    }
}
