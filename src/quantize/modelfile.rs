//! Ollama's Modelfile for a GGUF file: where the weights are, how a conversation is written, when it ends.
//!
//! Ollama's templates are Go's, so a Jinja template is not translated: its family is recognised by the marks in it, and
//! the family's own form written. One that is not known is left to Ollama, which knows some itself.

use std::fmt::Write as _;

use crate::chat::template::{Hints, Template};
use crate::chat::{Message, Role};
use crate::error::Advise;
use crate::text::clean::{hides, turns};
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

/// A Modelfile, and what the person should know of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Modelfile {
    /// Its text.
    pub text: String,
    /// What it leaves out.
    pub notices: Vec<String>,
}

/// Why there is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ModelfileError {
    /// A line of a Modelfile ends where the line ends.
    #[error("the name `{}` has characters that a Modelfile cannot hold", crate::text::clean::visible(.0))]
    Name(String),
    /// Nothing says what an adapter belongs to.
    #[error("the adapter does not say which model it was trained on")]
    Base,
}

impl Advise for ModelfileError {
    fn hint(&self) -> Option<String> {
        let text = match self {
            Self::Name(_) => "rename the file",
            Self::Base => "`--base NAME` names the model's GGUF file, or what Ollama calls it",
        };
        Some(text.to_owned())
    }
}

/// A name that stands at the end of a line.
fn plain(name: &str) -> Result<&str, ModelfileError> {
    let wrong = name.is_empty() || name.trim() != name || name.starts_with('"');
    if wrong || name.chars().any(|c| c.is_control() || turns(c) || hides(c) || matches!(c, '\u{2028}' | '\u{2029}')) {
        return Err(ModelfileError::Name(name.to_owned()));
    }
    Ok(name)
}

/// Whether a text can stand between three quotes as it is.
fn is_quotable(text: &str) -> bool {
    let bad = |c: char| c.is_control() && !matches!(c, '\n' | '\t' | '\r');
    !text.contains("\"\"\"") && !text.ends_with('"') && !text.chars().any(|c| bad(c) || turns(c))
}

/// What an adapter was trained on: as the person says, else the repository that it names itself.
fn base_of(header: &Header, said: Option<&str>) -> Result<(String, Option<String>), ModelfileError> {
    if let Some(said) = said {
        return Ok((plain(said)?.to_owned(), None));
    }
    let url = header.str("general.base_model.0.repo_url").and_then(|url| url.strip_prefix("https://huggingface.co/"));
    let name = url.map(|repository| format!("hf.co/{repository}")).ok_or(ModelfileError::Base)?;
    let notice =
        format!("`FROM {name}` is what the adapter names; `--base FILE` puts the GGUF file there that you run");
    plain(&name)?;
    Ok((name, Some(notice)))
}

/// The text, for a file called `name`; `context` is how many tokens to run it with, `base` what an adapter belongs to.
///
/// # Errors
/// A name cannot stand there, or an adapter's model is not known.
pub fn text(
    header: &Header,
    name: &str,
    base: Option<&str>,
    context: Option<u32>,
) -> Result<Modelfile, ModelfileError> {
    let mut notices = Vec::new();
    let is_adapter = header.str("general.type") == Some("adapter");
    let mut out = if is_adapter {
        let (base, notice) = base_of(header, base)?;
        notices.extend(notice);
        format!("FROM {base}\nADAPTER {}\n", plain(name)?)
    } else {
        format!("FROM {}\n", plain(name)?)
    };
    let source = header.str("tokenizer.chat_template").unwrap_or_default();
    let family = FAMILIES.iter().find(|family| family.marks.iter().all(|mark| source.contains(mark)));
    // Completing in the middle of code is asked for with a suffix.
    let tokens = header.strings("tokenizer.ggml.tokens").unwrap_or_default();
    let token = |key: &str| {
        let id = header.u32(&format!("tokenizer.ggml.fim_{key}_token_id"))?;
        tokens.get(id as usize).filter(|text| is_quotable(text) && !text.contains("{{"))
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
        match default_system(header, source, &tokens) {
            Some(system) if is_quotable(&system) => _ = writeln!(out, "SYSTEM \"\"\"{system}\"\"\""),
            Some(_) => {
                notices.push("the template's own system prompt cannot stand in a Modelfile, and is left out".to_owned())
            }
            None => {}
        }
    } else if !source.is_empty() {
        notices.push("the chat template is of no family that is known here; Ollama may recognise it".to_owned());
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
    if let Some(licence) = header.str("general.license").filter(|licence| is_quotable(licence)) {
        let _ = writeln!(out, "LICENSE \"\"\"{licence}\"\"\"");
    }
    Ok(Modelfile { text: out, notices })
}

/// The system prompt that a template writes where nobody gives one: what stands without one in the place where a given one
/// stands.
fn default_system(header: &Header, source: &str, tokens: &[String]) -> Option<String> {
    const SYSTEM: &str = "zord-system";
    const QUESTION: &str = "zord-question";
    let hints = Hints {
        architecture: header.str("general.architecture").unwrap_or_default(),
        name: header.str("general.name").unwrap_or_default(),
        has_token: &|text| tokens.iter().any(|token| token == text),
        now: 0,
    };
    let (template, _) = Template::new(Some(source), &hints);
    if template.origin() != "model" {
        return None;
    }
    let question = Message::new(Role::User, QUESTION);
    let with = template.render(&[Message::new(Role::System, SYSTEM), question.clone()], "", "", false).ok()?;
    let without = template.render(&[question], "", "", false).ok()?;
    let (before, rest) = with.split_once(SYSTEM)?;
    let (between, _) = rest.split_once(QUESTION)?;
    let said = without.strip_prefix(before)?;
    let (said, _) = said.split_once(QUESTION)?;
    let said = said.strip_suffix(between)?.trim();
    (!said.is_empty()).then(|| said.to_owned())
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
        let made =
            |writer: &HeaderWriter, context| text(&header(writer, folder.path()), "./m.gguf", None, context).unwrap();
        let Modelfile { text: plain, notices } = made(&writer, Some(4096));
        assert!(
            notices.is_empty() && plain.starts_with("FROM ./m.gguf\nTEMPLATE \"\"\"{{ if .System }}<|im_start|>system"),
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
        let holes = made(&fim, None).text;
        assert!(holes.contains("{{- if .Suffix }}<P>{{ .Prompt }}<S>{{ .Suffix }}<M>{{ else }}"), "{holes}");
        let odd = HeaderWriter::new().str("tokenizer.chat_template", "{{ messages }}");
        let bare = made(&odd, None);
        assert_eq!((bare.text.as_str(), bare.notices.len()), ("FROM ./m.gguf\n", 1));
    }

    #[test]
    fn a_system_prompt_of_the_template_is_kept() {
        let folder = tempfile::tempdir().unwrap();
        let of = |template: &str| {
            let writer = HeaderWriter::new().str("tokenizer.chat_template", template);
            text(&header(&writer, folder.path()), "x", None, None).unwrap()
        };
        let qwen = "{% if messages[0].role != 'system' %}<|im_start|>system\nYou are Q. You help.<|im_end|>\n{% endif %}\
                    {% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}";
        assert!(of(qwen).text.contains("SYSTEM \"\"\"You are Q. You help.\"\"\"\n"), "{}", of(qwen).text);
        let none = "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}";
        assert!(!of(none).text.contains("SYSTEM"));
        let quoted = qwen.replace("You are Q.", "\"\"\"\nPARAMETER num_ctx 1");
        let made = of(&quoted);
        assert!(!made.text.contains("SYSTEM") && made.notices[0].contains("system prompt"), "{made:?}");
    }

    #[test]
    fn an_adapter_stands_on_its_model() {
        let folder = tempfile::tempdir().unwrap();
        let writer = HeaderWriter::new().str("general.type", "adapter");
        let bare = header(&writer, folder.path());
        assert_eq!(text(&bare, "./a.gguf", None, None), Err(ModelfileError::Base));
        let made = text(&bare, "./a.gguf", Some("./m.gguf"), None).unwrap();
        assert_eq!(made.text, "FROM ./m.gguf\nADAPTER ./a.gguf\n");
        let writer = writer.str("general.base_model.0.repo_url", "https://huggingface.co/owner/model");
        let made = text(&header(&writer, folder.path()), "./a.gguf", None, None).unwrap();
        assert!(
            made.text.starts_with("FROM hf.co/owner/model\nADAPTER ./a.gguf\n") && made.notices.len() == 1,
            "{made:?}"
        );
    }

    #[test]
    fn no_name_and_no_value_can_add_a_line() {
        let folder = tempfile::tempdir().unwrap();
        let writer = HeaderWriter::new()
            .str("general.license", "x\u{1b}]52;c;aGk=\u{7}")
            .str("tokenizer.chat_template", "<|im_start|><|im_end|>{{ messages[0].content }}")
            .strs("tokenizer.ggml.tokens", &["\u{1b}[2J", "b", "c"])
            .u32("tokenizer.ggml.fim_pre_token_id", 0)
            .u32("tokenizer.ggml.fim_suf_token_id", 1)
            .u32("tokenizer.ggml.fim_mid_token_id", 2);
        let header = header(&writer, folder.path());
        for name in ["a\nPARAMETER stop x", "a\rb", "a\u{1b}[2J", "", " a", "a\u{202e}b", "\"a"] {
            assert!(matches!(text(&header, name, None, None), Err(ModelfileError::Name(_))), "{name:?}");
        }
        let made = text(&header, "./a b.gguf", None, None).unwrap();
        assert!(!made.text.contains('\u{1b}'), "{made:?}");
    }
}
