//! Model families: what this program knows of an architecture, one file a family.
//!
//! A family is one constant, an [`Architecture`]: what checkpoints and llama.cpp call it and its tensors, what happens to
//! their values on the way, how positions are rotated, what a configuration may say, and where its tokenizer is unusual.
//! Converting, exporting, merging, planning and training read it, and none of them knows a family by name. A new family is
//! one file here and one line in [`ALL`]. What this room refuses to do: read files, and compute with weights.

use std::collections::HashSet;

mod chatglm;
pub mod frequencies;
mod gemma3;
mod glm4;
mod granite;
pub mod keys;
mod llama;
mod phi2;
mod phi3;
mod qwen2;
mod qwen3;
pub mod rotation;
mod smollm3;
mod spec;
mod tensor;
#[cfg(test)]
mod tests;

pub use spec::{
    Activation, AttentionBias, BosToken, Class, HeadDefault, HeadInFile, HeadSpec, Limit, NormSpec, PrefixSpace,
    RopeSpec, RotaryScaling, RotatedInFile, Scalar, SizeSpec, SlidingWindow, TokenizerSpec,
};
pub use tensor::{Dim, Dimensions, JoinedSpec, Presence, Rewrite, Rewritten, TensorSpec};

/// Every family, in the order in which messages list them.
pub static ALL: [&Architecture; 10] = [
    &llama::LLAMA,
    &qwen2::QWEN2,
    &qwen3::QWEN3,
    &chatglm::CHATGLM,
    &glm4::GLM4,
    &phi2::PHI2,
    &phi3::PHI3,
    &gemma3::GEMMA3,
    &granite::GRANITE,
    &smollm3::SMOLLM3,
];

/// A family of models that are computed by the same graph.
#[derive(Debug, PartialEq)]
pub struct Architecture {
    /// llama.cpp's name, which a file has under `general.architecture` and before its own keys.
    pub gguf: &'static str,
    /// The classes of checkpoints that hold such a model.
    pub classes: &'static [Class],
    /// The class that an export is written as.
    pub exported: &'static str,
    /// Matrices of other classes that hold several of the tensors.
    pub joined: &'static [JoinedSpec],
    /// Tensors outside layers, in the order in which they are computed with.
    pub outer: &'static [TensorSpec],
    /// Tensors of a layer, in the order in which they are computed with.
    pub layer: &'static [TensorSpec],
    /// How the configuration says the sizes.
    pub sizes: SizeSpec,
    /// How it says what is added to a variance.
    pub norm: NormSpec,
    /// How positions are encoded.
    pub rope: RopeSpec,
    /// Whether the embedding is the output's matrix too where nothing is said.
    pub tied: bool,
    /// The function between the feed-forward matrices.
    pub activation: Activation,
    /// Whether queries, keys and values have biases.
    pub attention_bias: AttentionBias,
    /// Attention that looks back only so far.
    pub window: SlidingWindow,
    /// Numbers of the configuration that the graph computes with.
    pub scalars: &'static [Scalar],
    /// What else a configuration may ask for, and llama.cpp's graph does not compute.
    pub limits: &'static [Limit],
    /// Keys of its configurations that change nothing of what is computed, beside those of all families; what hangs on
    /// tensors alone is there or not among them.
    pub inert: &'static [&'static str],
    /// Where the tokenizer is unusual.
    pub tokenizer: TokenizerSpec,
    /// Whether `zord-distill` trains it.
    pub trained: bool,
    /// Whether the plan of memory was held against measurements of this graph, or of one that it shares.
    pub measured: bool,
}

/// How checkpoints number their layers; the first is what an export is written with.
const LAYERS: [&str; 3] = ["model.layers.", "encoder.layers.", "layers."];

/// The family that llama.cpp calls by this name.
pub fn named(gguf: &str) -> Option<&'static Architecture> {
    ALL.iter().copied().find(|family| family.gguf == gguf)
}

/// The family of a checkpoint: by its class, or by its `model_type` where it names no class.
pub fn of_checkpoint(class: Option<&str>, model_type: Option<&str>) -> Option<&'static Architecture> {
    ALL.iter().copied().find(|family| family.class(class, model_type).is_some())
}

/// All classes that are known, for a message.
pub fn class_names() -> String {
    let names: Vec<&str> = ALL.iter().flat_map(|family| family.classes).map(|class| class.name).collect();
    names.join(", ")
}

/// The family of a checkpoint of this `model_type`, where it can be trained.
pub fn trained(model_type: &str) -> Option<&'static Architecture> {
    ALL.iter().copied().find(|family| family.trained && family.export_class().model_type == model_type)
}

/// Every `model_type` that can be trained, for a message.
pub fn trained_names() -> String {
    let all = ALL.iter().filter(|family| family.trained);
    let names: Vec<String> = all.map(|family| format!("`{}`", family.export_class().model_type)).collect();
    match names.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} or {last}", rest.join(", ")),
        _ => names.concat(),
    }
}

/// The name in GGUF, without layer and ending, of a checkpoint's tensor, whatever family it is of.
pub fn gguf_stem(name: &str) -> Option<&'static str> {
    ALL.iter().find_map(|family| Some(family.tensor(&family.gguf_name(name)?)?.0.gguf))
}

/// Whether `stem`, a name in a checkpoint without `.weight`, is or ends like the name that a family has for the tensor
/// outside layers that GGUF calls `gguf`.
pub fn is_outer(stem: &str, gguf: &str) -> bool {
    let ends =
        |known: &&str| stem.strip_suffix(*known).is_some_and(|before| before.is_empty() || before.ends_with('.'));
    let specs = ALL.iter().flat_map(|family| family.outer).filter(|spec| spec.gguf == gguf);
    specs.flat_map(|spec| spec.name.iter().chain(spec.also)).any(ends)
}

/// Whether a checkpoint's tensor is a buffer that is computed from the configuration: old files hold some.
pub fn is_buffer(name: &str) -> bool {
    [
        ".rotary_emb.inv_freq",
        ".rotary_pos_emb.inv_freq",
        ".attention.masked_bias",
        ".attn.masked_bias",
        ".attention.bias",
    ]
    .iter()
    .any(|end| name.ends_with(end))
}

/// Whether a checkpoint's tensor is no part of its language model.
pub fn is_vision(name: &str) -> bool {
    let name = name.strip_prefix("model.").unwrap_or(name);
    ["vision_tower.", "multi_modal_projector."].iter().any(|start| name.starts_with(start))
}

impl Architecture {
    /// The class that an export is written as.
    pub fn export_class(&self) -> Class {
        let class = self.classes.iter().find(|class| class.name == self.exported);
        class.copied().unwrap_or(Class::new(self.exported, self.gguf))
    }

    /// The class of a checkpoint: by its name, or by its `model_type` where it names no class.
    pub fn class(&self, name: Option<&str>, model_type: Option<&str>) -> Option<&'static Class> {
        self.classes.iter().find(|known| match name {
            Some(name) => known.name == name,
            None => model_type == Some(known.model_type),
        })
    }

    /// The name in GGUF of a checkpoint's tensor; `None` where there is no place for it, or more than one.
    pub fn gguf_name(&self, name: &str) -> Option<String> {
        match self.gguf_names(name).as_mut_slice() {
            [one] => Some(std::mem::take(one)),
            _ => None,
        }
    }

    /// The names in GGUF of what a checkpoint's tensor holds, one behind the other; none where there is no place for it.
    pub fn gguf_names(&self, name: &str) -> Vec<String> {
        let name = name.strip_prefix("transformer.").unwrap_or(name).replace("language_model.", "");
        let name = name.strip_prefix("model.model.").map_or(name.clone(), |rest| format!("model.{rest}"));
        let Some((stem, end)) = name.rsplit_once('.').filter(|(_, end)| matches!(*end, "weight" | "bias")) else {
            return Vec::new();
        };
        if let Some(spec) = self.outer.iter().find(|spec| spec.is_called(stem)) {
            return vec![format!("{}.{end}", spec.gguf)];
        }
        let layer = LAYERS.iter().find_map(|start| stem.strip_prefix(start)).and_then(|rest| rest.split_once('.'));
        let Some((number, part)) = layer.and_then(|(number, part)| Some((number.parse::<u32>().ok()?, part))) else {
            return Vec::new();
        };
        let block = |gguf: &str| format!("blk.{number}.{gguf}.{end}");
        match self.layer.iter().find(|spec| spec.is_called(part)) {
            Some(spec) => vec![block(spec.gguf)],
            None => {
                let joined = self.joined.iter().find(|joined| joined.name == part);
                joined.into_iter().flat_map(|joined| joined.parts).map(|gguf| block(gguf)).collect()
            }
        }
    }

    /// The name in a checkpoint of a tensor of GGUF; `None` where no class has one.
    pub fn checkpoint_name(&self, name: &str) -> Option<String> {
        let (stem, end) = name.rsplit_once('.')?;
        let named = self.tensor(name)?.0.name?;
        let number = stem.strip_prefix("blk.").and_then(|rest| rest.split_once('.')).map(|(number, _)| number);
        Some(number.map_or_else(|| format!("{named}.{end}"), |number| format!("{}{number}.{named}.{end}", LAYERS[0])))
    }

    /// What is known of a tensor of GGUF, and whether the name is that of its bias.
    pub fn tensor(&self, name: &str) -> Option<(&'static TensorSpec, bool)> {
        let (stem, end) = name.rsplit_once('.')?;
        let (table, part) = match stem.strip_prefix("blk.").and_then(|rest| rest.split_once('.')) {
            Some((_, part)) => (self.layer, part),
            None => (self.outer, stem),
        };
        Some((table.iter().find(|spec| spec.gguf == part)?, end == "bias"))
    }

    /// Whether llama.cpp reads the tensor `name` of GGUF: a file with one more is refused there.
    pub fn reads(&self, name: &str) -> bool {
        self.tensor(name).is_some_and(|(spec, bias)| !bias || spec.bias)
    }

    /// What happens to the values of the tensor `name` of GGUF.
    pub fn rewrite(&self, name: &str) -> Rewrite {
        self.tensor(name).map_or(Rewrite::Kept, |(spec, _)| spec.rewrite)
    }

    /// The shape that the tensor `name` of GGUF must have, the slowest dimension first; `None` when nothing is known of it.
    pub fn shape(&self, name: &str, sizes: &Dimensions) -> Option<Vec<u64>> {
        let (spec, bias) = self.tensor(name)?;
        let mut shape = spec.shape(sizes);
        shape.truncate(if bias { 1 } else { shape.len() });
        Some(shape)
    }

    /// The first tensor that is not among `seen` and without which llama.cpp refuses a file of so many layers.
    pub fn lacking(&self, layers: u32, seen: &HashSet<String>) -> Option<String> {
        let needed = |specs: &'static [TensorSpec], fused: bool| {
            specs.iter().filter(move |spec| match spec.presence {
                Presence::Needed => true,
                Presence::UnlessFused => !fused,
                Presence::Optional => false,
            })
        };
        let outer = needed(self.outer, false).map(|spec| format!("{}.weight", spec.gguf));
        let inner = (0..layers).flat_map(|number| {
            let fused = seen.contains(&format!("blk.{number}.attn_qkv.weight"));
            needed(self.layer, fused).map(move |spec| format!("blk.{number}.{}.weight", spec.gguf))
        });
        outer.chain(inner).find(|name| !seen.contains(name))
    }

    /// Whether queries and keys are normalised head by head.
    pub fn has_head_norms(&self) -> bool {
        self.layer.iter().any(|spec| spec.gguf == "attn_q_norm")
    }
}
