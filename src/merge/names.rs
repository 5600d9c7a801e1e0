//! What a tensor's name says: its layer, whether it stands before or after the layers, whether it has a row for each token.

use std::collections::BTreeMap;

/// How a checkpoint names its layers: `PREFIX` number `.rest`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Layers {
    /// What stands before the number, the dot included; empty where there are no layers.
    pub prefix: String,
    /// Layers there are.
    pub count: u32,
}

/// The part of names that counts layers: the one that most tensors have.
pub fn layers<'a>(names: impl Iterator<Item = &'a str>) -> Layers {
    let mut found: BTreeMap<&str, (usize, u32)> = BTreeMap::new();
    for name in names {
        if let Some((prefix, number, _)) = split(name) {
            let entry = found.entry(prefix).or_default();
            *entry = (entry.0 + 1, entry.1.max(number + 1));
        }
    }
    let most = found.into_iter().max_by_key(|(_, (tensors, _))| *tensors);
    most.map_or_else(Layers::default, |(prefix, (_, count))| Layers { prefix: prefix.to_owned(), count })
}

/// `model.layers.3.mlp.up_proj.weight` into `model.layers.`, 3 and `mlp.up_proj.weight`.
pub fn split(name: &str) -> Option<(&str, u32, &str)> {
    let mut at = 0;
    for part in name.split('.') {
        if at > 0 && part.bytes().all(|byte| byte.is_ascii_digit()) {
            let number = part.parse().ok().filter(|&number: &u32| number < 100_000)?;
            return Some((&name[..at], number, name.get(at + part.len() + 1..)?));
        }
        at += part.len() + 1;
    }
    None
}

impl Layers {
    /// A tensor's layer and the rest of its name.
    pub fn of<'a>(&self, name: &'a str) -> Option<(u32, &'a str)> {
        split(name).filter(|(prefix, ..)| *prefix == self.prefix).map(|(_, number, rest)| (number, rest))
    }

    /// A tensor's name in a layer.
    pub fn name(&self, layer: u32, rest: &str) -> String {
        format!("{}{layer}.{rest}", self.prefix)
    }
}

/// Whether a tensor has a row for each token.
pub fn is_vocabulary(name: &str) -> bool {
    const ENDS: [&str; 9] = [
        "embed_tokens.weight",
        "word_embeddings.weight",
        "wte.weight",
        "embed_in.weight",
        "tok_embeddings.weight",
        "lm_head.weight",
        "lm_head.bias",
        "output_layer.weight",
        "embed_out.weight",
    ];
    ENDS.iter().any(|end| name.ends_with(end))
}

/// Whether a tensor gives every token its score.
pub fn is_head(name: &str) -> bool {
    ["lm_head.weight", "output_layer.weight", "embed_out.weight"].iter().any(|end| name.ends_with(end))
}

/// Whether a tensor is read before the first layer; the others outside layers are read after the last.
pub fn is_before(name: &str) -> bool {
    is_vocabulary(name) && !is_head(name) && !name.ends_with("lm_head.bias") || name.ends_with("wpe.weight")
}

/// Buffers that old files hold and that are computed from the configuration.
pub fn is_buffer(name: &str) -> bool {
    ["rotary_emb.inv_freq", "attn.masked_bias", "rotary_pos_emb.inv_freq"].iter().any(|end| name.ends_with(end))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layers_are_found_under_any_prefix() {
        let glm = ["transformer.embedding.word_embeddings.weight", "transformer.encoder.layers.27.mlp.x.weight"];
        assert_eq!(layers(glm.into_iter()), Layers { prefix: "transformer.encoder.layers.".into(), count: 28 });
        let llama = layers(["model.layers.0.a.weight", "model.layers.1.experts.3.b.weight"].into_iter());
        assert_eq!(llama.of("model.layers.1.experts.3.b.weight"), Some((1, "experts.3.b.weight")));
        assert_eq!(llama.name(7, "a.weight"), "model.layers.7.a.weight");
        assert_eq!(llama.of("model.norm.weight"), None);
        assert_eq!(layers(["a.weight"].into_iter()).count, 0);
        assert_eq!(split("model.layers.99999999999.x"), None);
    }
}
