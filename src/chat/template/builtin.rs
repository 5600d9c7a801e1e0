//! The built-in templates: for files that bring none, or a broken one. None writes the BOS token: whether there is one
//! is the vocabulary's business.

use super::{Hints, Manners};

/// A form of talking that several models share.
pub(super) struct Builtin {
    pub(super) name: &'static str,
    pub(super) source: &'static str,
    pub(super) stops: &'static [&'static str],
    /// Whether there is a place for a system message.
    system: bool,
}

impl Builtin {
    pub(super) fn manners(&self) -> Manners {
        Manners { typed: false, no_system: !self.system }
    }
}

static CHATML: Builtin = Builtin {
    name: "chatml",
    source: "\
{% for turn in messages %}
{{ '<|im_start|>' + turn.role + '\\n' + turn.content + '<|im_end|>\\n' }}
{%- endfor %}
{% if add_generation_prompt %}
{{- '<|im_start|>assistant\\n' }}
{%- endif %}",
    stops: &["<|im_end|>"],
    system: true,
};

static DEEPSEEK_CODER: Builtin = Builtin {
    name: "deepseek-coder",
    source: "\
{% for turn in messages %}
{%- if turn.role == 'system' %}{{ turn.content }}
{%- elif turn.role == 'user' %}{{ '### Instruction:\\n' + turn.content + '\\n' }}
{%- else %}{{ '### Response:\\n' + turn.content + '\\n<|EOT|>\\n' }}
{%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}{{ '### Response:\\n' }}{% endif %}",
    stops: &["<|EOT|>", "\n### Instruction:"],
    system: true,
};

static GLM_4: Builtin = Builtin {
    name: "glm-4",
    source: "\
[gMASK]<sop>
{%- for turn in messages %}{{ '<|' + turn.role + '|>\\n' + turn.content }}{% endfor %}
{%- if add_generation_prompt %}{{ '<|assistant|>\\n' }}{% endif %}",
    stops: &["<|user|>", "<|observation|>", "<|endoftext|>"],
    system: true,
};

static LLAMA_3: Builtin = Builtin {
    name: "llama-3",
    source: "\
{% for turn in messages %}
{{- '<|start_header_id|>' + turn.role + '<|end_header_id|>\\n\\n' + turn.content | trim + '<|eot_id|>' }}
{%- endfor %}
{%- if add_generation_prompt %}{{ '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}{% endif %}",
    stops: &["<|eot_id|>", "<|eom_id|>"],
    system: true,
};

static GEMMA: Builtin = Builtin {
    name: "gemma",
    source: "\
{% for turn in messages %}
{%- set role = 'model' if turn.role == 'assistant' else turn.role %}
{{- '<start_of_turn>' + role + '\\n' + turn.content | trim + '<end_of_turn>\\n' }}
{%- endfor %}
{%- if add_generation_prompt %}{{ '<start_of_turn>model\\n' }}{% endif %}",
    stops: &["<end_of_turn>"],
    system: false,
};

static ALPACA: Builtin = Builtin {
    name: "alpaca",
    source: "\
{% for turn in messages %}
{%- if turn.role == 'system' %}{{ turn.content + '\\n\\n' }}
{%- elif turn.role == 'user' %}{{ '### Instruction:\\n' + turn.content + '\\n\\n' }}
{%- else %}{{ '### Response:\\n' + turn.content + '\\n\\n' }}
{%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}{{ '### Response:\\n' }}{% endif %}",
    stops: &["\n### Instruction:", "\n### Response:"],
    system: true,
};

/// The built-in that suits a model best. Its name comes first (DeepSeek-Coder's tokens tell little), then the tokens
/// that only one form uses, then the architecture; a model that fits nowhere gets plain headings.
pub(super) fn choose(hints: &Hints<'_>) -> &'static Builtin {
    let has = hints.has_token;
    let name = hints.name.to_lowercase();
    let architecture = hints.architecture.to_lowercase();
    if name.contains("deepseek") && name.contains("coder") && !has("<|im_start|>") {
        &DEEPSEEK_CODER
    } else if has("<|start_header_id|>") && has("<|eot_id|>") {
        &LLAMA_3
    } else if has("<start_of_turn>") {
        &GEMMA
    } else if has("[gMASK]") && has("<|user|>") {
        &GLM_4
    } else if has("<|im_start|>") {
        &CHATML
    } else if has("<|EOT|>") {
        &DEEPSEEK_CODER
    } else if architecture.starts_with("gemma") {
        &GEMMA
    } else if architecture.contains("glm") {
        &GLM_4
    } else {
        &ALPACA
    }
}

/// The texts that end a turn in a model's own template, as far as they are known.
pub(super) fn stops_in(source: &str) -> Vec<&'static str> {
    let known = [
        "<|im_end|>",
        "<|EOT|>",
        "<|eot_id|>",
        "<end_of_turn>",
        "<|end|>",
        "<|user|>",
        "<|observation|>",
        "<｜User｜>",
    ];
    let mut stops: Vec<&str> = known.into_iter().filter(|text| source.contains(text)).collect();
    if source.contains("### Instruction:") {
        stops.push("\n### Instruction:");
    }
    stops
}
