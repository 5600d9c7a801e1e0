//! What a tensor's name says: its layer, whether it stands before or after the layers, whether it has a row for each token.

use std::collections::BTreeMap;

use crate::arch;

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

/// Ends of embeddings' names in architectures that are merged and not converted.
const OTHER_EMBEDDINGS: [&str; 4] = ["word_embeddings", "wte", "embed_in", "tok_embeddings"];
/// The same of what gives every token its score.
const OTHER_HEADS: [&str; 1] = ["embed_out"];

/// Whether a tensor has a row for each token.
pub fn is_vocabulary(name: &str) -> bool {
    is_embedding(name) || is_head(name) || name.ends_with("lm_head.bias")
}

/// Whether a tensor gives every token its score.
pub fn is_head(name: &str) -> bool {
    is_outer(name, "output", &OTHER_HEADS)
}

/// Whether a tensor is read before the first layer; the others outside layers are read after the last.
pub fn is_before(name: &str) -> bool {
    is_embedding(name) || name.ends_with("wpe.weight")
}

fn is_embedding(name: &str) -> bool {
    is_outer(name, "token_embd", &OTHER_EMBEDDINGS)
}

/// Whether a tensor outside layers is what families have under this name in GGUF, or ends like one of `others`.
fn is_outer(name: &str, gguf: &str, others: &[&str]) -> bool {
    let Some(stem) = name.strip_suffix(".weight") else { return false };
    others.iter().any(|end| stem.ends_with(end)) || (split(name).is_none() && arch::is_outer(stem, gguf))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_of_tokens_are_told_by_their_names() {
        let embeddings = [
            "model.embed_tokens.weight",
            "language_model.model.embed_tokens.weight",
            "transformer.embedding.word_embeddings.weight",
            "transformer.wte.weight",
            "gpt_neox.embed_in.weight",
            "tok_embeddings.weight",
        ];
        let heads = ["lm_head.weight", "transformer.output_layer.weight", "embed_out.weight"];
        for name in embeddings {
            assert!(is_vocabulary(name) && is_before(name) && !is_head(name), "{name}");
        }
        for name in heads {
            assert!(is_vocabulary(name) && !is_before(name) && is_head(name), "{name}");
        }
        assert!(is_vocabulary("lm_head.bias") && !is_head("lm_head.bias") && !is_before("lm_head.bias"));
        assert!(is_before("transformer.wpe.weight") && !is_vocabulary("transformer.wpe.weight"));
        for name in
            ["model.norm.weight", "model.layers.3.attention.output.weight", "model.embed_tokens_per_layer.weight"]
        {
            assert!(!is_vocabulary(name) && !is_before(name), "{name}");
        }
    }

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
