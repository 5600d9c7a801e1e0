//! Ollama's Modelfile for a GGUF file: where the weights are, how a conversation is written, when it ends.
//!
//! Ollama's templates are Go's, so a Jinja template is not translated: its family is recognised by the marks in it, and
//! the family's own form written. One that is not known is left to Ollama, which knows some itself.

use std::fmt::Write as _;

use crate::weights::gguf::Header;

/// How a family writes turns, and what ends an answer.
struct Family {
    /// What its templates have, all of them.
    marks: &'static [&'static str],
    template: &'static str,
    stops: &'static [&'static str],
}

/// What is more particular comes first.
const FAMILIES: [Family; 8] = [
    Family {
        marks: &["<|im_start|>", "<|im_sep|>"],
        template: "{{ if .System }}<|im_start|>system<|im_sep|>{{ .System }}<|im_end|>{{ end }}<|im_start|>user<|im_sep|>{{ .Prompt }}<|im_end|><|im_start|>assistant<|im_sep|>{{ .Response }}<|im_end|>",
        stops: &["<|im_start|>", "<|im_end|>"],
    },
    Family {
        marks: &["<|im_start|>", "<|im_end|>"],
        template: "{{ if .System }}<|im_start|>system\n{{ .System }}<|im_end|>\n{{ end }}<|im_start|>user\n{{ .Prompt }}<|im_end|>\n<|im_start|>assistant\n{{ .Response }}<|im_end|>\n",
        stops: &["<|im_start|>", "<|im_end|>"],
    },
    Family {
        marks: &["<start_of_turn>"],
        template: "<start_of_turn>user\n{{ if .System }}{{ .System }}\n\n{{ end }}{{ .Prompt }}<end_of_turn>\n<start_of_turn>model\n{{ .Response }}<end_of_turn>\n",
        stops: &["<start_of_turn>", "<end_of_turn>"],
    },
    Family {
        marks: &["<|start_header_id|>"],
        template: "{{ if .System }}<|start_header_id|>system<|end_header_id|>\n\n{{ .System }}<|eot_id|>{{ end }}<|start_header_id|>user<|end_header_id|>\n\n{{ .Prompt }}<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n{{ .Response }}<|eot_id|>",
        stops: &["<|start_header_id|>", "<|eot_id|>"],
    },
    Family {
        marks: &["[gMASK]"],
        template: "[gMASK]<sop>{{ if .System }}<|system|>\n{{ .System }}{{ end }}<|user|>\n{{ .Prompt }}<|assistant|>\n{{ .Response }}",
        stops: &["<|user|>", "<|observation|>", "<|endoftext|>"],
    },
    Family {
        marks: &["### Instruction", "<|EOT|>"],
        template: "{{ if .System }}{{ .System }}\n{{ end }}### Instruction:\n{{ .Prompt }}\n### Response:\n{{ .Response }}\n<|EOT|>\n",
        stops: &["<|EOT|>", "### Instruction:"],
    },
    Family {
        marks: &["### Instruction"],
        template: "{{ if .System }}{{ .System }}\n\n{{ end }}### Instruction:\n{{ .Prompt }}\n\n### Response:\n{{ .Response }}\n\n",
        stops: &["### Instruction:"],
    },
    Family {
        marks: &["<|end|>"],
        template: "{{ if .System }}<|system|>\n{{ .System }}<|end|>\n{{ end }}<|user|>\n{{ .Prompt }}<|end|>\n<|assistant|>\n{{ .Response }}<|end|>\n",
        stops: &["<|end|>", "<|user|>"],
    },
];

/// The text, for a file called `name`; `context` is how many tokens to run it with. `false` beside it when the template
/// was not recognised.
pub fn text(header: &Header, name: &str, context: Option<u32>) -> (String, bool) {
    let mut out = format!("FROM {name}\n");
    let source = header.str("tokenizer.chat_template").unwrap_or_default();
    let family = FAMILIES.iter().find(|family| family.marks.iter().all(|mark| source.contains(mark)));
    // Completing in the middle of code is asked for with a suffix.
    let tokens = header.strings("tokenizer.ggml.tokens").unwrap_or_default();
    let token = |key: &str| {
        let id = header.u32(&format!("tokenizer.ggml.fim_{key}_token_id"))?;
        tokens.get(id as usize).filter(|text| !text.contains("\"\"\""))
    };
    let fim = token("pre").zip(token("suf")).zip(token("mid"));
    if let Some(family) = family {
        let body = match fim {
            Some(((pre, suf), mid)) => {
                let hole = format!("{pre}{{{{ .Prompt }}}}{suf}{{{{ .Suffix }}}}{mid}");
                format!("{{{{- if .Suffix }}}}{hole}{{{{ else }}}}{}{{{{- end }}}}", family.template)
            }
            None => family.template.to_owned(),
        };
        // Writing into a text cannot fail.
        let _ = writeln!(out, "TEMPLATE \"\"\"{body}\"\"\"");
        for stop in family.stops {
            let _ = writeln!(out, "PARAMETER stop \"{stop}\"");
        }
    }
    let numbers = [("temperature", "temp"), ("top_p", "top_p"), ("min_p", "min_p")];
    for (to, from) in numbers {
        if let Some(value) = header.f32(&format!("general.sampling.{from}")) {
            let _ = writeln!(out, "PARAMETER {to} {value}");
        }
    }
    if let Some(k) = header.u64("general.sampling.top_k") {
        let _ = writeln!(out, "PARAMETER top_k {k}");
    }
    if let Some(context) = context {
        let _ = writeln!(out, "PARAMETER num_ctx {context}");
    }
    if let Some(licence) = header.str("general.license").filter(|licence| !licence.contains("\"\"\"")) {
        let _ = writeln!(out, "LICENSE \"\"\"{licence}\"\"\"");
    }
    (out, family.is_some() || source.is_empty())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::weights::gguf::write::HeaderWriter;

    fn header(writer: &HeaderWriter, folder: &Path) -> Header {
        let path = folder.join("m.gguf");
        writer.write_sparse(&path).unwrap();
        Header::read(&path).unwrap()
    }

    #[test]
    fn families_are_told_by_their_marks() {
        let folder = tempfile::tempdir().unwrap();
        let chatml = "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>{% endfor %}";
        let writer = HeaderWriter::new()
            .str("tokenizer.chat_template", chatml)
            .strs("tokenizer.ggml.tokens", &["a", "<P>", "<S>", "<M>"])
            .f32("general.sampling.temp", 0.7)
            .str("general.license", "apache-2.0");
        let (plain, known) = text(&header(&writer, folder.path()), "./m.gguf", Some(4096));
        assert!(
            known && plain.starts_with("FROM ./m.gguf\nTEMPLATE \"\"\"{{ if .System }}<|im_start|>system"),
            "{plain}"
        );
        for line in
            ["PARAMETER stop \"<|im_end|>\"", "PARAMETER temperature 0.7", "PARAMETER num_ctx 4096", "apache-2.0"]
        {
            assert!(plain.contains(line), "{plain}");
        }
        assert!(!plain.contains(".Suffix"));
        let fim = ["pre", "suf", "mid"]
            .into_iter()
            .zip(1..)
            .fold(writer, |writer, (key, id)| writer.u32(&format!("tokenizer.ggml.fim_{key}_token_id"), id));
        let (holes, _) = text(&header(&fim, folder.path()), "./m.gguf", None);
        assert!(holes.contains("{{- if .Suffix }}<P>{{ .Prompt }}<S>{{ .Suffix }}<M>{{ else }}"), "{holes}");
        let odd = HeaderWriter::new().str("tokenizer.chat_template", "{{ messages }}");
        let (bare, known) = text(&header(&odd, folder.path()), "x", None);
        assert_eq!((bare.as_str(), known), ("FROM x\n", false));
    }
}
