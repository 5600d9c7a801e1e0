//! What a model's header says about its size: layers, heads, vocabulary, and where the bytes are.
//!
//! What it refuses to do: decide whether a model can be loaded. It refuses only headers from which no plan can be made;
//! an architecture that llama.cpp does not know is an error, one we have not measured is a note.

use std::path::PathBuf;

use crate::arch;
use crate::error::Advise;
use crate::weights::gguf::{GgmlType, GgufError, Header, Value};

/// `LLAMA_MAX_LAYERS` (`src/llama-hparams.h`).
const MOST_LAYERS: u32 = 512;
/// Far above any model; these keep products of sizes inside 64 bits.
const MOST_WIDTH: u32 = 1 << 20;
const MOST_HEADS: u32 = 1 << 12;
const MOST_HEAD_WIDTH: u32 = 1 << 16;
const MOST_TOKENS: u64 = 1 << 24;

/// Architectures that are not converted here, whose attention is an ordinary KV cache and whose peak memory was held against
/// a measurement, or that share the graph of one that was.
const MEASURED: [&str; 3] = ["gemma2", "gemma", "starcoder2"];

/// What llama.cpp knows besides (`src/llama-arch.cpp`); the estimate may be rough.
const KNOWN: &str = " afmoe apertus arcee arctic arwkv7 baichuan bailingmoe bailingmoe2 bailingmoe3 bitnet bloom chameleon clef \
    codeshell cogvlm cohere2 cohere2moe command-r dbrx deci deepseek deepseek2 deepseek2-ocr deepseek32 deepseek4 dflash \
    dots1 dots3note dream eagle3 ernie4_5 ernie4_5-moe exaone exaone-moe exaone4 falcon falcon-h1 gemma3n gemma4 \
    gemma4-assistant glm-dsa glm4moe glm5-next gpt-oss gpt2 gptj gptneox granite_swa granitehybrid granitemoe graniteswitch \
    grok grovemoe hrm_text hunyuan-dense hunyuan-moe hunyuan_vl hy_v3 hy_v4 internlm2 jais jais2 jamba kimi-k3 kimi-linear \
    laguna lfm2 lfm2moe llada llada-moe llama-embed llama4 maincoder mamba mamba2 maple mellum mimo2 minicpm minicpm3 \
    minimax-01 minimax-m2 minimax-m3 mistral3 mistral4 mpt muse-glimmer nanbeige nemotron nemotron_h nemotron_h_moe olmo \
    olmo2 olmoe openelm orion paddleocr pangu-embedded phimoe plamo plamo2 plamo3 plm qwen qwen2moe qwen2vl qwen35 \
    qwen35moe qwen3moe qwen3next qwen3vl qwen3vlmoe qwen4exp refact rnd1 rwkv6 rwkv6qwen2 rwkv7 seed_oss smallthinker \
    smollm3 spark2_5 stablelm starcoder step35 talkie xverse ";

/// Files of these hold no model that continues text.
const OTHER: &str = " bert clip eurobert gemma-embedding jina-bert-v2 jina-bert-v3 modern-bert neo-bert nomic-bert \
    nomic-bert-moe pockettts qwen3tts t5 t5encoder wavtokenizer-dec ";

/// Whether the graph of an architecture is one of those that were held against measurements.
pub fn is_measured(architecture: &str) -> bool {
    arch::named(architecture).is_some_and(|family| family.measured) || MEASURED.contains(&architecture)
}

/// A header from which no plan can be made.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)]
pub enum ShapeError {
    #[error(transparent)]
    Header(#[from] GgufError),
    #[error("`{}` has the architecture `{architecture}`, which llama.cpp does not know", path.display())]
    Architecture { path: PathBuf, architecture: String },
    #[error("`{}` has the architecture `{architecture}`, which does not continue text", path.display())]
    NotText { path: PathBuf, architecture: String },
    #[error("`{}` holds `{kind}`, not a model", path.display())]
    NotAModel { path: PathBuf, kind: String },
    #[error("`{}` is one of {parts} parts of a model", path.display())]
    Split { path: PathBuf, parts: u64 },
    #[error("`{}` states `{value}` under `{key}`, which cannot be", path.display())]
    Absurd { path: PathBuf, key: String, value: u64 },
}

impl Advise for ShapeError {
    fn hint(&self) -> Option<String> {
        let text = match self {
            Self::Header(error) => return error.hint(),
            Self::Architecture { .. } => "a newer zord may know it; `zord models list` shows models that work",
            Self::NotText { .. } => "use a model for chat or code; `zord models list` shows some",
            Self::NotAModel { kind, .. } if kind == "adapter" => {
                "name the model it was made for, and this file as adapter"
            }
            Self::NotAModel { .. } => "name the model's own `.gguf` file",
            Self::Split { .. } => "join the parts with `llama-gguf-split --merge`, or get the model in one file",
            Self::Absurd { .. } => "the file is damaged; compare its SHA-256 with the publisher's and fetch it again",
        };
        Some(text.to_owned())
    }
}

/// One tensor, without its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Matrix {
    /// How elements are stored.
    pub kind: GgmlType,
    /// Elements in a row, at most 2³².
    pub columns: u64,
    /// Rows (of one expert).
    pub rows: u64,
    /// Size.
    pub bytes: u64,
    /// Multiplied with activations, rather than looked up (embeddings) or added (norms, biases).
    pub multiplied: bool,
}

/// What a plan needs to know of a model. Sizes in bytes.
#[derive(Clone, Debug, PartialEq)]
pub struct Shape {
    /// `general.name`, or the file's stem.
    pub name: String,
    /// `llama`, `qwen2`, …
    pub architecture: String,
    /// The estimate was held against measurements of this architecture's graph.
    pub measured: bool,
    /// Transformer blocks.
    pub layers: u32,
    /// Width of the residual stream.
    pub embedding: u32,
    /// Width inside the feed-forward block, the widest layer's.
    pub feed_forward: u32,
    /// Query heads, the widest layer's.
    pub heads: u32,
    /// KV heads, one entry a layer; 0 where a layer keeps no KV.
    pub kv_heads: Vec<u32>,
    /// Width of a key.
    pub key_width: u32,
    /// Width of a value.
    pub value_width: u32,
    /// Tokens in the vocabulary.
    pub vocabulary: u64,
    /// Bytes of the vocabulary's texts in the file.
    pub vocabulary_bytes: u64,
    /// Merge rules (byte-pair vocabularies).
    pub merges: u64,
    /// Bytes of their texts in the file.
    pub merge_bytes: u64,
    /// Tokens of context it was trained for.
    pub context: u32,
    /// Window of the sliding layers, in tokens; `None` when every layer sees everything.
    pub window: Option<u32>,
    /// Whether the output projection is the embedding table.
    pub tied: bool,
    /// All tensors.
    pub matrices: Vec<Matrix>,
    /// Bytes of tensor data, padding included.
    pub data: u64,
    /// The whole file.
    pub file: u64,
}

impl Shape {
    /// Reads a shape from a header.
    ///
    /// # Errors
    /// Not a language model llama.cpp knows, a part of one, or keys missing or absurd.
    pub fn from_header(header: &Header) -> Result<Self, ShapeError> {
        let path = || header.path().to_owned();
        if let Some(kind) = header.str("general.type").filter(|&kind| kind != "model") {
            return Err(ShapeError::NotAModel { path: path(), kind: printable(kind) });
        }
        if let Some(parts) = header.u64("split.count").filter(|&parts| parts > 1) {
            return Err(ShapeError::Split { path: path(), parts });
        }
        let architecture = printable(header.need_str("general.architecture")?);
        let listed = |list: &str| list.split_whitespace().any(|known| known == architecture);
        let measured = is_measured(&architecture);
        if listed(OTHER) {
            return Err(ShapeError::NotText { path: path(), architecture });
        }
        if !measured && !listed(KNOWN) && arch::named(&architecture).is_none() {
            return Err(ShapeError::Architecture { path: path(), architecture });
        }
        Reader { header, prefix: &architecture }.shape(measured)
    }

    /// Numbers in all tensors.
    pub fn parameters(&self) -> u64 {
        let count = |m: &Matrix| (m.bytes as f64 * 8.0 / m.kind.bits()) as u64;
        self.matrices.iter().map(count).sum()
    }

    /// Bits a parameter takes on average.
    pub fn bits(&self) -> f64 {
        let bytes: u64 = self.matrices.iter().map(|matrix| matrix.bytes).sum();
        bytes as f64 * 8.0 / self.parameters().max(1) as f64
    }

    /// Tensor bytes by type, the largest first.
    pub fn by_kind(&self) -> Vec<(GgmlType, u64)> {
        let mut sums = std::collections::BTreeMap::new();
        for matrix in &self.matrices {
            *sums.entry(matrix.kind).or_insert(0) += matrix.bytes;
        }
        let mut sums: Vec<_> = sums.into_iter().collect();
        sums.sort_by_key(|&(_, bytes)| std::cmp::Reverse(bytes));
        sums
    }
}

struct Reader<'a> {
    header: &'a Header,
    prefix: &'a str,
}

impl Reader<'_> {
    fn key(&self, name: &str) -> String {
        format!("{}.{name}", self.prefix)
    }

    fn bounded(&self, name: &str, most: u32) -> Result<u32, ShapeError> {
        let key = self.key(name);
        let value = self.header.need_u32(&key)?;
        self.check(key, value, most)
    }

    fn check(&self, key: String, value: u32, most: u32) -> Result<u32, ShapeError> {
        if value == 0 || value > most {
            return Err(ShapeError::Absurd { path: self.header.path().to_owned(), key, value: value.into() });
        }
        Ok(value)
    }

    fn optional(&self, name: &str, most: u32) -> Result<Option<u32>, ShapeError> {
        let key = self.key(name);
        self.header.u32(&key).map(|value| self.check(key, value, most)).transpose()
    }

    /// A number for every layer: one for all, or an array. Missing is `absent`.
    fn per_layer(&self, name: &str, layers: u32, absent: Option<u32>, most: u32) -> Result<Vec<u32>, ShapeError> {
        let key = self.key(name);
        let values = match (self.header.get(&key), absent) {
            (Some(Value::Array(array)), _) => {
                let items = array.items.iter().flatten().filter_map(Value::as_u64);
                let values: Vec<u32> = items.filter_map(|value| value.try_into().ok()).take(layers as usize).collect();
                if values.len() < layers as usize {
                    return Err(ShapeError::Absurd { path: self.header.path().to_owned(), key, value: array.len });
                }
                values
            }
            (None, Some(value)) => vec![value; layers as usize],
            _ => vec![self.header.need_u32(&key)?; layers as usize],
        };
        match values.iter().find(|&&value| value > most) {
            Some(&value) => Err(ShapeError::Absurd { path: self.header.path().to_owned(), key, value: value.into() }),
            None => Ok(values),
        }
    }

    fn shape(&self, measured: bool) -> Result<Shape, ShapeError> {
        let header = self.header;
        let layers = self.bounded("block_count", MOST_LAYERS)?;
        let embedding = self.bounded("embedding_length", MOST_WIDTH)?;
        let widest = |values: &[u32]| values.iter().copied().max().unwrap_or_default();
        let heads = widest(&self.per_layer("attention.head_count", layers, Some(0), MOST_HEADS)?);
        let mut kv_heads = self.per_layer("attention.head_count_kv", layers, Some(heads), MOST_HEADS)?;
        // Gemma-3n's last layers read the cache of earlier ones (`n_layer_kv_from_start`).
        let shared = header.u32(&self.key("attention.shared_kv_layers")).unwrap_or_default().min(layers);
        kv_heads.iter_mut().rev().take(shared as usize).for_each(|heads| *heads = 0);
        // `llama_model_base::load_hparams`: the embedding split over the heads, unless said otherwise.
        let width = embedding / heads.max(1);
        let key_width = self.optional("attention.key_length", MOST_HEAD_WIDTH)?.unwrap_or(width.min(MOST_HEAD_WIDTH));
        let value_width =
            self.optional("attention.value_length", MOST_HEAD_WIDTH)?.unwrap_or(width.min(MOST_HEAD_WIDTH));
        let feed_forward =
            widest(&self.per_layer("feed_forward_length", layers, Some(embedding * 4), MOST_WIDTH * 4)?);

        let table = header.tensors.iter().find(|tensor| tensor.name == "token_embd.weight");
        let rows = table.and_then(|tensor| tensor.dims.get(1).copied());
        let tokens = header.array("tokenizer.ggml.tokens");
        let vocabulary = rows.or(tokens.map(|tokens| tokens.len)).unwrap_or_default();
        if vocabulary > MOST_TOKENS {
            let key = "tokenizer.ggml.tokens".to_owned();
            return Err(ShapeError::Absurd { path: header.path().to_owned(), key, value: vocabulary });
        }
        let texts = |key: &str| header.array(key).map_or((0, 0), |array| (array.len, array.bytes));
        let (merges, merge_bytes) = texts("tokenizer.ggml.merges");
        let stem = header.path().file_stem().map(|stem| stem.to_string_lossy().into_owned());
        Ok(Shape {
            name: printable(header.str("general.name").unwrap_or(&stem.unwrap_or_default())),
            architecture: self.prefix.to_owned(),
            measured,
            layers,
            embedding,
            feed_forward,
            heads,
            kv_heads,
            key_width,
            value_width,
            vocabulary,
            vocabulary_bytes: texts("tokenizer.ggml.tokens").1,
            merges,
            merge_bytes,
            context: self.bounded("context_length", u32::MAX)?,
            window: header.u32(&self.key("attention.sliding_window")).filter(|&window| window > 0),
            tied: !header.tensors.iter().any(|tensor| tensor.name == "output.weight"),
            matrices: header.tensors.iter().map(matrix).collect(),
            data: header.file_len - header.data_offset.min(header.file_len),
            file: header.file_len,
        })
    }
}

fn matrix(tensor: &crate::weights::gguf::TensorInfo) -> Matrix {
    let multiplied = tensor.dims.len() >= 2 && tensor.name.ends_with(".weight") && !tensor.name.contains("_embd");
    Matrix {
        kind: tensor.kind,
        columns: tensor.dims.first().map_or(0, |&columns| columns.min(1 << 32)),
        rows: tensor.dims.get(1).copied().unwrap_or(1),
        bytes: tensor.bytes,
        multiplied,
    }
}

/// Text from a file as it may be shown.
fn printable(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(80).collect()
}

#[cfg(test)]
mod tests {
    use super::super::mission::{QWEN_CODER_1_5B, SMOLLM2_135M};
    use super::*;
    use crate::weights::gguf::write::HeaderWriter;

    fn of(writer: &HeaderWriter) -> Result<Shape, ShapeError> {
        let (head, data) = writer.bytes().unwrap();
        let len = head.len() as u64 + data;
        Shape::from_header(&Header::parse(std::path::Path::new("m.gguf"), &head.as_slice(), len).unwrap())
    }

    fn small(architecture: &str) -> HeaderWriter {
        let key = |name: &str| format!("{architecture}.{name}");
        HeaderWriter::new()
            .str("general.architecture", architecture)
            .u32(&key("block_count"), 3)
            .u32(&key("context_length"), 1000)
            .u32(&key("embedding_length"), 64)
            .u32(&key("feed_forward_length"), 128)
            .u32(&key("attention.head_count"), 4)
    }

    #[test]
    fn a_real_shape_is_read() {
        let shape = SMOLLM2_135M.shape();
        assert_eq!((shape.layers, shape.embedding, shape.vocabulary, shape.context), (30, 576, 49_152, 8192));
        assert_eq!((shape.key_width, &shape.kv_heads[..2]), (64, &[3, 3][..]));
        assert!(shape.tied && shape.measured && shape.window.is_none());
        assert_eq!(shape.by_kind()[0].0, GgmlType::Q4_1);
        assert!((shape.parameters() as f64 / 134.5e6 - 1.0).abs() < 0.01);
        assert_eq!(QWEN_CODER_1_5B.shape().merges, 151_387);
    }

    #[test]
    fn what_is_missing_has_llama_cpps_defaults() {
        let shape = of(&small("llama")).unwrap();
        assert_eq!((shape.kv_heads, shape.key_width, shape.value_width), (vec![4, 4, 4], 16, 16));
        assert_eq!((shape.name.as_str(), shape.vocabulary), ("m", 0));
    }

    /// Every place of a header, overwritten by numbers at the edges: read or refused, and never a panic.
    #[test]
    fn damaged_headers_are_read_or_refused() {
        let (head, data) = small("llama").tensor("blk.0.attn_q.weight", &[64, 64], GgmlType::F32).bytes().unwrap();
        let (mut read, mut refused) = (0, 0);
        for at in 0..head.len() - 8 {
            for edge in [0, 1, 0x7fff_ffff, 0xffff_ffff, 1 << 40, u64::MAX] {
                let mut damaged = head.clone();
                damaged[at..at + 8].copy_from_slice(&u64::to_le_bytes(edge));
                let len = head.len() as u64 + data;
                let parsed = Header::parse(std::path::Path::new("m.gguf"), &damaged.as_slice(), len);
                match parsed.map(|header| Shape::from_header(&header)) {
                    Ok(Ok(_)) => read += 1,
                    Ok(Err(_)) => refused += 1,
                    Err(_) => {}
                }
            }
        }
        assert!(read > 0 && refused > 0, "{read} read, {refused} refused");
    }

    #[test]
    fn heads_may_differ_by_layer() {
        let shape = of(&small("lfm2").u32s("lfm2.attention.head_count_kv", &[0, 2, 0])).unwrap();
        assert_eq!((shape.kv_heads, shape.measured), (vec![0, 2, 0], false));
        let short = small("lfm2").u32s("lfm2.attention.head_count_kv", &[2]);
        assert!(matches!(of(&short), Err(ShapeError::Absurd { .. })));
    }

    #[test]
    fn sliding_windows_are_seen() {
        assert_eq!(of(&small("gemma3").u32("gemma3.attention.sliding_window", 512)).unwrap().window, Some(512));
    }

    #[test]
    fn what_is_no_model_is_refused_by_name() {
        let message = |writer: &HeaderWriter| of(writer).unwrap_err().to_string();
        assert_eq!(message(&small("llamb")), "`m.gguf` has the architecture `llamb`, which llama.cpp does not know");
        assert!(message(&small("bert")).contains("does not continue text"));
        assert!(message(&small("llama").str("general.type", "adapter")).contains("holds `adapter`"));
        assert!(message(&small("llama").u32("split.count", 4)).contains("one of 4 parts"));
        assert!(message(&HeaderWriter::new()).contains("general.architecture"));
        assert!(message(&HeaderWriter::new().str("general.architecture", "llama")).contains("llama.block_count"));
        assert!(!message(&small("\x1b[2J")).contains('\x1b'));
    }

    #[test]
    fn absurd_numbers_are_refused() {
        for key in ["llama.block_count", "llama.embedding_length", "llama.attention.key_length"] {
            for value in [0, u32::MAX] {
                let writer = HeaderWriter::new().str("general.architecture", "llama");
                let keys = ["block_count", "context_length", "embedding_length", "attention.key_length"];
                let writer = keys.iter().fold(writer, |writer, name| {
                    let name = format!("llama.{name}");
                    let number = if name == key { value } else { 8 };
                    writer.u32(&name, number)
                });
                assert!(matches!(of(&writer), Err(ShapeError::Absurd { .. })), "{key} {value}");
            }
        }
    }
}
