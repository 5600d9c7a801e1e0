//! Chat templates that recipes call by name, as a tokenizer's configuration holds them.

const CHATML: &str = "{%- for message in messages -%}\
{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>\\n' }}\
{%- endfor -%}\
{%- if add_generation_prompt -%}{{ '<|im_start|>assistant\\n' }}{%- endif -%}";

const LLAMA3: &str = "{{- bos_token -}}\
{%- for message in messages -%}\
{{ '<|start_header_id|>' + message['role'] + '<|end_header_id|>\\n\\n' + message['content'] | trim + '<|eot_id|>' }}\
{%- endfor -%}\
{%- if add_generation_prompt -%}{{ '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}{%- endif -%}";

const ALPACA: &str = "{%- for message in messages -%}\
{%- if message['role'] == 'system' -%}{{ message['content'] | trim + '\\n\\n' }}\
{%- elif message['role'] == 'user' -%}{{ '### Instruction:\\n' + message['content'] | trim + '\\n\\n' }}\
{%- elif message['role'] == 'assistant' -%}{{ '### Response:\\n' + message['content'] | trim + '\\n\\n' }}\
{%- endif -%}\
{%- endfor -%}\
{%- if add_generation_prompt -%}{{ '### Response:\\n' }}{%- endif -%}";

const MISTRAL: &str = "{{- bos_token -}}\
{%- set before = namespace(text='') -%}\
{%- for message in messages -%}\
{%- if message['role'] == 'system' -%}{%- set before.text = message['content'] + '\\n\\n' -%}\
{%- elif message['role'] == 'user' -%}\
{{ '[INST] ' + before.text + message['content'] + ' [/INST]' }}{%- set before.text = '' -%}\
{%- else -%}{{ ' ' + message['content'] + eos_token }}\
{%- endif -%}\
{%- endfor -%}";

const EXAONE: &str = "{%- for message in messages -%}\
{%- if loop.first and message['role'] != 'system' -%}{{ '[|system|][|endofturn|]\\n' }}{%- endif -%}\
{{ '[|' + message['role'] + '|]' + message['content'] }}\
{%- if message['role'] == 'user' -%}{{ '\\n' }}{%- else -%}{{ '[|endofturn|]\\n' }}{%- endif -%}\
{%- endfor -%}\
{%- if add_generation_prompt -%}{{ '[|assistant|]' }}{%- endif -%}";

/// A template by the name that mergekit has for it.
pub(super) fn named(name: &str) -> Option<&'static str> {
    Some(match name {
        "chatml" => CHATML,
        "llama3" => LLAMA3,
        "alpaca" => ALPACA,
        "mistral" => MISTRAL,
        "exaone" => EXAONE,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_template_renders_a_conversation() {
        for (name, want) in [
            ("chatml", "<|im_start|>system\nS<|im_end|>\n<|im_start|>user\nQ<|im_end|>\n<|im_start|>assistant\n"),
            (
                "llama3",
                "<s><|start_header_id|>system<|end_header_id|>\n\nS<|eot_id|><|start_header_id|>user<|end_header_id|>\n\nQ\
                 <|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n",
            ),
            ("alpaca", "S\n\n### Instruction:\nQ\n\n### Response:\n"),
            ("mistral", "<s>[INST] S\n\nQ [/INST]"),
            ("exaone", "[|system|]S[|endofturn|]\n[|user|]Q\n[|assistant|]"),
        ] {
            let mut environment = minijinja::Environment::new();
            environment.add_template("t", named(name).unwrap()).unwrap();
            let messages = [("system", "S"), ("user", "Q")];
            let messages = messages.map(|(role, content)| minijinja::context! {role, content});
            let frame =
                minijinja::context! {messages, add_generation_prompt => true, bos_token => "<s>", eos_token => "</s>"};
            assert_eq!(environment.get_template("t").unwrap().render(frame).unwrap(), want, "{name}");
        }
        assert_eq!(named("other"), None);
    }
}
