use super::*;
use crate::fim::Site;
use crate::fim::prompt::{Budget, Part, Prompt, build};
use crate::fim::ring::Chunk;

/// A vocabulary that has just these control tokens; ids count from 100.
fn vocabulary<'a>(tokens: &'a [&'a str]) -> impl Fn(&str) -> Option<i32> + 'a {
    move |text| tokens.iter().position(|token| *token == text).map(|at| at as i32 + 100)
}

/// The prompt as one text, control tokens spelt out, SentencePiece's bar as the space it stands for.
fn spelt(prompt: &Prompt, tokens: &[&str]) -> String {
    let spell = |part: &Part| match part {
        Part::Text(text) => text.clone(),
        Part::Control(id) => {
            tokens[(*id - 100) as usize].replacen('▁', if tokens[0].starts_with('▁') { " " } else { "▁" }, 1)
        }
    };
    prompt.parts.iter().map(spell).collect()
}

fn site(repo: Option<&str>, path: Option<&str>) -> Site {
    Site {
        path: path.map(str::to_owned),
        repo: repo.map(str::to_owned),
        language: Some(Syntax::Python),
        prefix: "P".into(),
        suffix: "S".into(),
    }
}

fn ask(tokens: &[&str], site: &Site, chunks: &[Chunk]) -> String {
    let form = Form::choose(&FimIds::default(), &vocabulary(tokens), Known::Nothing);
    spelt(&build(&form, site, chunks, Budget::new(1000), &mut |text| text.len()), tokens)
}

const QWEN: [&str; 5] = ["<|fim_prefix|>", "<|fim_suffix|>", "<|fim_middle|>", "<|repo_name|>", "<|file_sep|>"];
const DEEPSEEK: [&str; 3] = ["<｜fim▁begin｜>", "<｜fim▁hole｜>", "<｜fim▁end｜>"];
const STAR: [&str; 5] = ["<fim_prefix>", "<fim_suffix>", "<fim_middle>", "<repo_name>", "<file_sep>"];
const LLAMA: [&str; 4] = ["▁<PRE>", "▁<SUF>", "▁<MID>", "▁<EOT>"];
const CODESTRAL: [&str; 2] = ["[PREFIX]", "[SUFFIX]"];
const GLM: [&str; 5] = ["<|code_prefix|>", "<|code_suffix|>", "<|code_middle|>", "<|user|>", "<|assistant|>"];
const GRANITE: [&str; 5] = ["<|fim_prefix|>", "<|fim_suffix|>", "<|fim_middle|>", "<|reponame|>", "<|filename|>"];

#[test]
fn every_family_is_asked_in_its_own_words() {
    let bare = site(None, None);
    for (tokens, want) in [
        (&QWEN[..], "<|fim_prefix|>P<|fim_suffix|>S<|fim_middle|>"),
        (&DEEPSEEK, "<｜fim▁begin｜>P<｜fim▁hole｜>S<｜fim▁end｜>"),
        (&["<|fim▁begin|>", "<|fim▁hole|>", "<|fim▁end|>"], "<|fim▁begin|>P<|fim▁hole|>S<|fim▁end|>"),
        (&STAR, "<fim_prefix>P<fim_suffix>S<fim_middle>"),
        (&LLAMA, " <PRE> P <SUF>S <MID>"),
        (&CODESTRAL, "[SUFFIX]S[PREFIX]P"),
        (&STAR[..3], "<fim_prefix>P<fim_suffix>S<fim_middle>"),
        (&GRANITE, "<|fim_prefix|>P<|fim_suffix|>S<|fim_middle|>"),
        (&["<|endoftext|>"], "# How it ends:\nS\n\n# All of it:\nP"),
    ] {
        assert_eq!(ask(tokens, &bare, &[]), want);
    }
    let glm = ask(&GLM, &site(None, Some("p")), &[]);
    let want = "<|user|>\n###PATH:p\n###LANGUAGE:Python\n###MODE:BLOCK\n<|code_suffix|>S<|code_prefix|>P<|code_middle|><|assistant|>\n";
    assert_eq!(glm, want);
}

#[test]
fn other_files_stand_where_the_family_learnt_to_see_them() {
    let here = site(Some("R"), Some("p1"));
    let chunks = [Chunk { path: "p0".into(), text: "c0\n".into() }];
    for (tokens, want) in [
        (&QWEN[..], "<|repo_name|>R\n<|file_sep|>p0\nc0\n<|file_sep|>p1\n<|fim_prefix|>P<|fim_suffix|>S<|fim_middle|>"),
        (&DEEPSEEK, "<｜fim▁begin｜>#p0\nc0\n\n#p1\nP<｜fim▁hole｜>S<｜fim▁end｜>"),
        (&STAR, "<repo_name>R<file_sep>p0\nc0\n<file_sep><fim_prefix>p1\nP<fim_suffix>S<fim_middle>"),
        (&LLAMA, " <PRE> # p0\nc0\n\n# p1\nP <SUF>S <MID>"),
        (&CODESTRAL, "[SUFFIX]S[PREFIX]# p0\nc0\n\n# p1\nP"),
        (&GRANITE, "<|fim_prefix|># p0\nc0\n\n# p1\nP<|fim_suffix|>S<|fim_middle|>"),
        (&STAR[3..], "<repo_name>R<file_sep>p0\nc0\n<file_sep>p1\n# How it ends:\nS\n\n# All of it:\nP"),
        (&["<|endoftext|>"], "# p0\nc0\n\n# p1\n# How it ends:\nS\n\n# All of it:\nP"),
    ] {
        assert_eq!(ask(tokens, &here, &chunks), want);
    }
}

#[test]
fn a_name_cannot_break_out_of_its_line() {
    let here = site(Some("R\nx"), Some("p\n1"));
    let want = "<|repo_name|>Rx\n<|file_sep|>p1\n<|fim_prefix|>P<|fim_suffix|>S<|fim_middle|>";
    assert_eq!(ask(&QWEN, &here, &[]), want);
}

#[test]
fn metadata_goes_before_the_vocabulary_and_both_before_the_catalogue() {
    let none = FimIds::default();
    let three = FimIds { pre: Some(10), suf: Some(11), mid: Some(12), ..none };
    let qwen = vocabulary(&QWEN);
    // The catalogue says it never learnt to fill; the vocabulary comes from its sister.
    assert!(!Form::choose(&none, &qwen, Known::NoFim).fills());
    assert!(Form::choose(&none, &qwen, Known::Nothing).fills());
    // What the file itself says holds.
    let patched = Form::choose(&three, &qwen, Known::NoFim);
    assert_eq!(patched.layout, Layout::Psm { pre: 10, suf: 11, mid: 12, files: None, mark: None });
    assert!([10, 11, 12, 103, 104].iter().all(|id| patched.ends().contains(id)));
    // Ids that are a family's own get that family's layout.
    let own = FimIds { pre: Some(100), suf: Some(101), mid: Some(102), ..none };
    let deepseek = Form::choose(&own, &vocabulary(&DEEPSEEK), Known::Nothing);
    assert!(matches!(deepseek.layout, Layout::Psm { mark: Some("#"), .. }));
    // A vocabulary of two families is settled by the catalogue.
    let both: Vec<&str> = QWEN.iter().chain(&DEEPSEEK).copied().collect();
    let settled = Form::choose(&none, &vocabulary(&both), Known::Family(Family::DeepSeek));
    assert!(matches!(settled.layout, Layout::Psm { pre: 105, .. }));
    assert!(!Form::plain(&qwen).fills());
    assert_eq!(Form::plain(&qwen).ends(), [100, 101, 102, 103, 104]);
}

#[test]
fn ids_are_read_from_new_and_old_keys() {
    let new = |key: &str| (key == "tokenizer.ggml.fim_pre_token_id").then_some(7);
    let old = |key: &str| (key == "tokenizer.ggml.prefix_token_id").then_some(8);
    let absurd = |_: &str| Some(u32::MAX);
    assert_eq!(FimIds::read(&new).pre, Some(7));
    assert_eq!(FimIds::read(&old).pre, Some(8));
    assert_eq!(FimIds::read(&absurd), FimIds::default());
}
