use super::*;

fn sizes() -> Dimensions {
    Dimensions { vocabulary: 100, embedding: 64, feed_forward: 96, heads: 4, kv_heads: 2, head: 16 }
}

#[test]
fn every_family_is_found_by_its_names() {
    for family in ALL {
        assert_eq!(named(family.gguf), Some(family));
        assert!(family.classes.iter().any(|class| class.name == family.exported), "{}", family.gguf);
        for class in family.classes {
            assert_eq!(of_checkpoint(Some(class.name), None), Some(family), "{}", class.name);
            assert_eq!(of_checkpoint(None, Some(class.model_type)), Some(family), "{}", class.model_type);
        }
    }
    // The class counts where there is one.
    assert_eq!(of_checkpoint(Some("BloomForCausalLM"), Some("llama")), None);
    assert_eq!(of_checkpoint(None, None), None);
}

#[test]
fn every_tensor_goes_to_gguf_and_comes_back() {
    for family in ALL {
        let specs = family.outer.iter().map(|spec| (spec, String::new(), String::new()));
        let inner = family.layer.iter().map(|spec| (spec, "blk.7.".to_owned(), "model.layers.7.".to_owned()));
        let mut seen = HashSet::new();
        for (spec, block, layer) in specs.chain(inner) {
            let gguf = format!("{block}{}.weight", spec.gguf);
            assert!(seen.insert(gguf.clone()), "{}: two of `{gguf}`", family.gguf);
            assert_eq!(family.tensor(&gguf), Some((spec, false)), "{}", family.gguf);
            let names = spec.name.iter().chain(spec.also);
            for name in names {
                let name = format!("{layer}{name}.weight");
                assert_eq!(family.gguf_name(&name).as_deref(), Some(gguf.as_str()), "{}: {name}", family.gguf);
            }
            let back = spec.name.map(|name| format!("{layer}{name}.weight"));
            assert_eq!(family.checkpoint_name(&gguf), back, "{}", family.gguf);
            let whole = family.shape(&gguf, &sizes()).unwrap();
            let bias = family.shape(&gguf.replace(".weight", ".bias"), &sizes()).unwrap();
            assert_eq!((bias.len(), whole.first()), (1, bias.first()), "{gguf}");
        }
    }
}

#[test]
fn names_are_found_under_what_other_files_put_before_them() {
    let gemma = named("gemma3").unwrap();
    let names =
        ["language_model.model.layers.3.mlp.up_proj.weight", "model.language_model.layers.3.mlp.up_proj.weight"];
    for name in names {
        assert_eq!(gemma.gguf_name(name).as_deref(), Some("blk.3.ffn_up.weight"), "{name}");
    }
    let glm = named("chatglm").unwrap();
    let fused = "transformer.encoder.layers.0.self_attention.query_key_value.bias";
    assert_eq!(glm.gguf_name(fused).as_deref(), Some("blk.0.attn_qkv.bias"));
    assert_eq!(glm.checkpoint_name("blk.0.attn_qkv.weight"), None);
    let llama = named("llama").unwrap();
    for name in ["model.layers.x.mlp.up_proj.weight", "model.layers.0.mlp.up_proj", "model.layers.0.other.weight", ""] {
        assert_eq!(llama.gguf_name(name), None, "{name}");
    }
    // Fused rows would have to be rotated in part.
    assert_eq!(llama.gguf_name("model.layers.0.self_attn.qkv_proj.weight"), None);
}

#[test]
fn joined_matrices_are_taken_apart() {
    let granite = named("granite").unwrap();
    let parts = granite.gguf_names("model.layers.2.shared_mlp.input_linear.weight");
    assert_eq!(parts, ["blk.2.ffn_gate.weight", "blk.2.ffn_up.weight"]);
    assert_eq!(granite.gguf_name("model.layers.2.shared_mlp.input_linear.weight"), None);
    for family in ALL {
        let known = |gguf: &&str| family.layer.iter().any(|spec| spec.gguf == *gguf);
        assert!(
            family.joined.iter().all(|joined| joined.parts.len() > 1 && joined.parts.iter().all(known)),
            "{}",
            family.gguf
        );
    }
}

#[test]
fn shapes_and_biases_are_those_of_the_graph() {
    let [llama, phi3, qwen3] = ["llama", "phi3", "qwen3"].map(|name| named(name).unwrap());
    assert_eq!(llama.shape("blk.0.attn_k.weight", &sizes()), Some(vec![32, 64]));
    assert_eq!(phi3.shape("blk.0.ffn_up.weight", &sizes()), Some(vec![192, 64]));
    assert_eq!(phi3.shape("blk.0.attn_qkv.weight", &sizes()), Some(vec![128, 64]));
    assert_eq!(qwen3.shape("blk.0.attn_q_norm.weight", &sizes()), Some(vec![16]));
    assert_eq!(llama.shape("blk.0.attn_q_norm.weight", &sizes()), None);
    assert!(llama.reads("blk.0.ffn_up.bias") && !qwen3.reads("blk.0.ffn_up.bias"));
    assert!(!llama.reads("token_embd.bias") && named("phi2").unwrap().reads("output.bias"));
    assert_eq!(llama.rewrite("blk.0.attn_q.bias"), Rewrite::PairedQueries);
    assert_eq!(qwen3.rewrite("blk.0.attn_q.weight"), Rewrite::Kept);
    assert_eq!(named("gemma3").unwrap().rewrite("output_norm.weight"), Rewrite::PlusOne);
}

#[test]
fn what_a_file_lacks_is_named() {
    let phi3 = named("phi3").unwrap();
    let mut seen: HashSet<String> = ["token_embd", "output_norm"].map(|name| format!("{name}.weight")).into();
    assert_eq!(phi3.lacking(0, &seen), None);
    assert_eq!(phi3.lacking(u32::MAX, &seen).as_deref(), Some("blk.0.attn_norm.weight"));
    for part in ["attn_norm", "attn_output", "ffn_norm", "ffn_up", "ffn_down"] {
        seen.insert(format!("blk.0.{part}.weight"));
    }
    assert_eq!(phi3.lacking(1, &seen).as_deref(), Some("blk.0.attn_q.weight"));
    seen.insert("blk.0.attn_qkv.weight".to_owned());
    assert_eq!(phi3.lacking(1, &seen), None);
}

#[test]
fn names_are_known_whatever_the_family() {
    let stems = [
        ("model.layers.4.self_attn.q_proj.weight", Some("attn_q")),
        ("transformer.encoder.layers.4.mlp.dense_h_to_4h.weight", Some("ffn_up")),
        ("lm_head.weight", Some("output")),
        ("model.layers.4.self_attn.rotary_emb.inv_freq", None),
    ];
    for (name, stem) in stems {
        assert_eq!(gguf_stem(name), stem, "{name}");
    }
    assert!(is_outer("language_model.model.embed_tokens", "token_embd") && is_outer("lm_head", "output"));
    assert!(!is_outer("model.own_embed_tokens", "token_embd") && !is_outer("model.embed_tokens", "output"));
    assert!(is_buffer("model.layers.0.self_attn.rotary_emb.inv_freq") && !is_buffer("model.norm.weight"));
    assert!(is_vision("model.vision_tower.x.weight") && !is_vision("model.embed_tokens.weight"));
}

#[test]
fn keys_that_nobody_reads_are_told() {
    let unknown =
        |family: &str, config: serde_json::Value| keys::unknown(named(family).unwrap(), config.as_object().unwrap());
    let usual = serde_json::json!({
        "architectures": ["X"], "hidden_size": 1, "num_key_value_heads": 2, "rms_norm_eps": 1e-6, "hidden_act": "silu",
        "rope_scaling": {"rope_type": "yarn", "factor": 2.0}, "use_cache": true, "_name_or_path": "x", "some": null,
        "attention_bias": false, "torch_dtype": "bfloat16", "layer_types": [],
    });
    for family in ["llama", "qwen2", "qwen3", "granite", "smollm3", "glm4", "phi3"] {
        assert!(unknown(family, usual.clone()).is_empty(), "{family}: {:?}", unknown(family, usual.clone()));
    }
    let granites = serde_json::json!({"residual_multiplier": 0.2, "no_rope_layers": [1], "rope_scaling": {"wave": 1}});
    assert_eq!(unknown("granite", granites.clone()), ["no_rope_layers", "rope_scaling.wave"]);
    assert_eq!(unknown("smollm3", granites.clone()), ["residual_multiplier", "rope_scaling.wave"]);
    assert_eq!(unknown("llama", granites), ["residual_multiplier", "no_rope_layers", "rope_scaling.wave"]);
}

#[test]
fn students_are_named() {
    assert_eq!(trained_names(), "`llama`, `qwen2`, `qwen3`, `granite` or `smollm3`");
    assert_eq!(trained("qwen3").map(|family| family.gguf), Some("qwen3"));
    // Of one graph with Llama, but for its window.
    assert_eq!(trained("mistral"), None);
    for kind in ["gemma3_text", "glm4", "granitemoehybrid"] {
        assert_eq!(trained(kind), None, "{kind}");
    }
}
