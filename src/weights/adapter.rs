//! LoRA adapters as GGUF files: whether one is made for a model.
//!
//! llama.cpp ends the process where a key of an adapter has another type than it expects, where a storage type cannot be
//! multiplied, and where shapes only meet in the evaluation; so its header is held against the model's before. What it
//! refuses to do: read weights, or guess what an adapter of another form was meant for.

use super::gguf::{GgmlType, GgufError, Header, TensorInfo};
use super::safetensors::printable;

/// Why an adapter cannot be laid over a model.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs, reason = "the words say it")]
pub enum AdapterError {
    #[error("it is no adapter: `{key}` is {found} where `{wanted}` belongs")]
    Kind { key: &'static str, found: String, wanted: &'static str },
    #[error("it was made for a model of the architecture `{found}`, and this one is `{wanted}`")]
    Architecture { found: String, wanted: String },
    #[error("its `adapter.lora.alpha` is no usable number")]
    Alpha,
    #[error("it changes nothing: there is no tensor in it")]
    Empty,
    #[error("its tensor `{tensor}` is neither half of a pair")]
    Name { tensor: String },
    #[error("its tensor `{tensor}` has no second half")]
    Alone { tensor: String },
    #[error("the model has no tensor `{tensor}`")]
    Unknown { tensor: String },
    #[error("its tensor `{tensor}` is stored as `{kind}`, which adapters cannot be")]
    Storage { tensor: String, kind: GgmlType },
    #[error("its tensors for `{tensor}` have the shapes {a:?} and {b:?}, which do not fit {model:?}")]
    Shape { tensor: String, a: Vec<u64>, b: Vec<u64>, model: Vec<u64> },
    #[error("it changes the embeddings, which this model shares with its output")]
    Tied,
}

/// The ends of the names of a pair.
const HALVES: [&str; 2] = [".lora_a", ".lora_b"];
/// What llama.cpp's `convert_lora_to_gguf.py` writes.
const STORAGE: [GgmlType; 4] = [GgmlType::F32, GgmlType::F16, GgmlType::BF16, GgmlType::Q8_0];
const EMBEDDINGS: &str = "token_embd.weight";

/// Whether an adapter's header is one for this model: `llama_adapter_lora_init_impl` in llama.cpp's
/// `src/llama-adapter.cpp`, and what it leaves to luck.
///
/// # Errors
/// The first thing that does not fit.
pub fn check(adapter: &Header, model: &Header) -> Result<(), AdapterError> {
    says(adapter, "general.type", "adapter")?;
    says(adapter, "adapter.type", "lora")?;
    let architecture = |header: &Header| header.str("general.architecture").unwrap_or_default().to_owned();
    let (found, wanted) = (architecture(adapter), architecture(model));
    if found != wanted {
        return Err(AdapterError::Architecture { found: printable(&found), wanted });
    }
    match adapter.get("adapter.lora.alpha") {
        None => {}
        Some(super::gguf::Value::F32(alpha)) if alpha.is_finite() => {}
        Some(_) => return Err(AdapterError::Alpha),
    }
    let mut pairs = 0;
    for tensor in adapter.tensors.iter().filter(|tensor| !tensor.name.ends_with("_norm.weight")) {
        if !STORAGE.contains(&tensor.kind) {
            return Err(AdapterError::Storage { tensor: printable(&tensor.name), kind: tensor.kind });
        }
        let halves = HALVES.map(|half| tensor.name.strip_suffix(half));
        let Some(base) = halves.into_iter().flatten().next().filter(|base| !base.contains(".lora_")) else {
            return Err(AdapterError::Name { tensor: printable(&tensor.name) });
        };
        let [Some(a), Some(b)] = HALVES.map(|half| named(adapter, &format!("{base}{half}"))) else {
            return Err(AdapterError::Alone { tensor: printable(&tensor.name) });
        };
        fits(model, base, a, b)?;
        pairs += 1;
    }
    if pairs == 0 { Err(AdapterError::Empty) } else { Ok(()) }
}

fn says(adapter: &Header, key: &'static str, wanted: &'static str) -> Result<(), AdapterError> {
    let found = match adapter.str(key) {
        Some(word) if word == wanted => return Ok(()),
        Some(word) => format!("`{}`", printable(word)),
        None => "missing".to_owned(),
    };
    Err(AdapterError::Kind { key, found, wanted })
}

/// The product of a pair must have the shape of what it is added to; the embeddings' is the other way round.
fn fits(model: &Header, base: &str, a: &TensorInfo, b: &TensorInfo) -> Result<(), AdapterError> {
    let tensor = named(model, base).ok_or_else(|| AdapterError::Unknown { tensor: printable(base) })?;
    if base == EMBEDDINGS && named(model, "output.weight").is_none() {
        return Err(AdapterError::Tied);
    }
    let [model, ours, theirs] = [&tensor.dims, &a.dims, &b.dims].map(|dims| padded(dims));
    let (inner, outer) = if base == EMBEDDINGS {
        (ours[0] == theirs[0], ours[1] == model[1] && theirs[1] == model[0])
    } else {
        (ours[1] == theirs[0], ours[0] == model[0] && theirs[1] == model[1])
    };
    let rest = ours[2..] == model[2..] && theirs[2..] == model[2..];
    if inner && outer && rest && a.elements() > 0 && b.elements() > 0 {
        return Ok(());
    }
    let (a, b, model) = (a.dims.clone(), b.dims.clone(), tensor.dims.clone());
    Err(AdapterError::Shape { tensor: printable(base), a, b, model })
}

/// As ggml counts: dimensions that are not written are one.
fn padded(dims: &[u64]) -> [u64; 4] {
    std::array::from_fn(|at| dims.get(at).copied().unwrap_or(1))
}

fn named<'a>(header: &'a Header, name: &str) -> Option<&'a TensorInfo> {
    header.tensors.iter().find(|tensor| tensor.name == name)
}

/// Reads an adapter's header and holds it against the model's.
///
/// # Errors
/// In words: the file cannot be read, is damaged, or is not for this model.
pub fn check_file(file: &std::path::Path, model: &Header) -> Result<(), String> {
    let header = Header::read(file).map_err(|error: GgufError| crate::error::chain(&error))?;
    check(&header, model).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::gguf::write::HeaderWriter;
    use super::*;

    const QUERY: &str = "blk.0.attn_q.weight";

    fn header(writer: &HeaderWriter) -> Header {
        let (mut bytes, data) = writer.bytes().unwrap();
        bytes.resize(bytes.len() + data as usize, 0);
        Header::parse(Path::new("a.gguf"), &bytes.as_slice(), bytes.len() as u64).unwrap()
    }

    fn model() -> Header {
        let model = HeaderWriter::new().str("general.architecture", "llama");
        header(
            &model
                .tensor(QUERY, &[64, 96], GgmlType::F16)
                .tensor("blk.0.ffn_up_exps.weight", &[64, 32, 4], GgmlType::F16)
                .tensor(EMBEDDINGS, &[64, 128], GgmlType::F16),
        )
    }

    fn adapter() -> HeaderWriter {
        HeaderWriter::new()
            .str("general.type", "adapter")
            .str("general.architecture", "llama")
            .str("adapter.type", "lora")
            .f32("adapter.lora.alpha", 16.0)
    }

    fn pair(adapter: HeaderWriter, base: &str, a: &[u64], b: &[u64]) -> HeaderWriter {
        adapter.tensor(&format!("{base}.lora_a"), a, GgmlType::F32).tensor(&format!("{base}.lora_b"), b, GgmlType::F32)
    }

    fn refusal(adapter: &HeaderWriter) -> String {
        check(&header(adapter), &model()).unwrap_err().to_string()
    }

    #[test]
    fn an_adapter_for_the_model_fits() {
        let whole = pair(adapter(), QUERY, &[64, 8], &[8, 96]);
        let whole = pair(whole, "blk.0.ffn_up_exps.weight", &[64, 8, 4], &[8, 32, 4]);
        assert_eq!(check(&header(&whole), &model()), Ok(()));
    }

    #[test]
    fn shapes_that_do_not_meet_are_refused() {
        for (a, b) in
            [([32, 8], [8, 96]), ([64, 8], [8, 64]), ([64, 8], [4, 96]), ([96, 8], [8, 64]), ([64, 0], [0, 96])]
        {
            assert!(refusal(&pair(adapter(), QUERY, &a, &b)).contains("do not fit [64, 96]"), "{a:?} {b:?}");
        }
        let flat = pair(adapter(), "blk.0.ffn_up_exps.weight", &[64, 8], &[8, 32]);
        assert!(refusal(&flat).contains("do not fit [64, 32, 4]"));
    }

    #[test]
    fn what_llama_cpp_would_die_of_is_refused() {
        let typed = HeaderWriter::new().u32("general.type", 1).str("adapter.type", "lora");
        assert!(refusal(&typed).contains("`general.type` is missing"));
        let model_file = HeaderWriter::new().str("general.type", "model").str("general.architecture", "llama");
        assert!(refusal(&model_file).contains("`model` where `adapter` belongs"));
        let alpha = adapter_with(|writer| writer.u32("adapter.lora.alpha", 16));
        assert_eq!(refusal(&pair(alpha, QUERY, &[64, 8], &[8, 96])), AdapterError::Alpha.to_string());
        let alpha = adapter_with(|writer| writer.f32("adapter.lora.alpha", f32::NAN));
        assert_eq!(refusal(&pair(alpha, QUERY, &[64, 8], &[8, 96])), AdapterError::Alpha.to_string());
        let whole_numbers = adapter().tensor(&format!("{QUERY}.lora_a"), &[64, 8], GgmlType::I32);
        assert!(refusal(&whole_numbers).contains("stored as `i32`"));
        let embeddings = pair(adapter(), EMBEDDINGS, &[8, 128], &[8, 64]);
        assert_eq!(refusal(&embeddings), AdapterError::Tied.to_string());
    }

    fn adapter_with(key: impl FnOnce(HeaderWriter) -> HeaderWriter) -> HeaderWriter {
        key(HeaderWriter::new()
            .str("general.type", "adapter")
            .str("general.architecture", "llama")
            .str("adapter.type", "lora"))
    }

    #[test]
    fn names_must_be_the_models_and_come_in_pairs() {
        assert!(refusal(&pair(adapter(), "blk.9.attn_q.weight", &[64, 8], &[8, 96])).contains("has no tensor"));
        let half = adapter().tensor(&format!("{QUERY}.lora_a"), &[64, 8], GgmlType::F32);
        assert!(refusal(&half).contains("no second half"));
        let other = adapter().tensor(QUERY, &[64, 96], GgmlType::F32);
        assert!(refusal(&other).contains("neither half"));
        assert_eq!(refusal(&adapter()), AdapterError::Empty.to_string());
        let foreign = HeaderWriter::new()
            .str("general.type", "adapter")
            .str("general.architecture", "qwen2\u{1b}[31m")
            .str("adapter.type", "lora");
        assert!(refusal(&foreign).contains("`qwen2\u{fffd}[31m`, and this one is `llama`"));
    }
}
