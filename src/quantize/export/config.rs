//! `config.json` out of metadata.

use serde_json::{Map, Value, json};

use super::{ExportError, Type};
use crate::quantize::convert::arch::Arch;
use crate::weights::gguf::Header;

pub(crate) fn config(arch: Arch, header: &Header, kind: Type) -> Result<Value, ExportError> {
    let key = |name: &str| format!("{}.{name}", arch.name());
    let need = |name: &str| header.need_u32(&key(name));
    let (class, model_type) = arch.class();
    let mut all = Map::new();
    let mut put = |name: &str, value: Value| {
        if !value.is_null() {
            all.insert(name.to_owned(), value);
        }
    };
    let heads = need("attention.head_count")?;
    let embedding = need("embedding_length")?;
    let table = header.tensors.iter().find(|tensor| tensor.name == "token_embd.weight");
    let rows = table.and_then(|tensor| tensor.dims.get(1).copied());
    let dtype = match kind {
        Type::F32 => "float32",
        Type::F16 => "float16",
        Type::Bf16 => "bfloat16",
    };
    put("architectures", json!([class]));
    put("model_type", json!(model_type));
    put("hidden_size", json!(embedding));
    put("intermediate_size", json!(need("feed_forward_length")?));
    put("num_hidden_layers", json!(need("block_count")?));
    put("num_attention_heads", json!(heads));
    put("num_key_value_heads", json!(header.u32(&key("attention.head_count_kv")).unwrap_or(heads)));
    put("vocab_size", json!(rows));
    put("max_position_embeddings", json!(need("context_length")?));
    put("tie_word_embeddings", json!(!header.tensors.iter().any(|tensor| tensor.name == "output.weight")));
    let bias = |part: &str| header.tensors.iter().any(|tensor| tensor.name == format!("blk.0.{part}.bias"));
    if !matches!(arch, Arch::Qwen2 | Arch::Phi2) {
        put("attention_bias", json!(bias("attn_q")));
    }
    put("torch_dtype", json!(dtype));
    let head = header.u32(&key("attention.key_length")).or_else(|| arch.has_head().then(|| embedding / heads.max(1)));
    put("head_dim", json!(head));
    put("rms_norm_eps", number(header.f32(&key("attention.layer_norm_rms_epsilon"))));
    put("layer_norm_eps", number(header.f32(&key("attention.layer_norm_epsilon"))));
    put("rope_theta", number(header.f32(&key("rope.freq_base"))));
    put("rope_local_base_freq", number(header.f32(&key("rope.freq_base_swa"))));
    put("sliding_window", json!(header.u32(&key("attention.sliding_window")).filter(|&window| window > 0)));
    put("final_logit_softcapping", number(header.f32(&key("final_logit_softcapping"))));
    if let Some(dims) = header.u32(&key("rope.dimension_count")).filter(|_| arch.is_partial()) {
        put("partial_rotary_factor", json!(f64::from(dims) / f64::from(head.unwrap_or(embedding / heads.max(1)))));
    }
    if let (Some(kind), Some(factor)) = (header.str(&key("rope.scaling.type")), header.f32(&key("rope.scaling.factor")))
    {
        let original = header.u32(&key("rope.scaling.original_context_length"));
        let mut scaling = json!({"rope_type": kind, "type": kind, "factor": factor});
        if let Some(original) = original {
            scaling["original_max_position_embeddings"] = json!(original);
        }
        put("rope_scaling", scaling);
    }
    for (to, from) in [("bos_token_id", "bos"), ("eos_token_id", "eos"), ("pad_token_id", "padding")] {
        put(to, json!(header.u32(&format!("tokenizer.ggml.{from}_token_id"))));
    }
    Ok(Value::Object(all))
}

/// The shortest decimal that reads back as the same number.
fn number(value: Option<f32>) -> Value {
    value.map_or(Value::Null, |value| json!(value.to_string().parse::<f64>().unwrap_or(value.into())))
}
