//! How each family of models is asked to fill in the middle, and which one a model belongs to.
//!
//! The choice rests on what the file says: the token ids in its metadata first, then the texts of its vocabulary. The
//! catalogue only says which models have the tokens and never learnt to use them, and settles doubts.

mod layout;
mod spelling;

pub(super) use layout::{Content, Layout};
pub(crate) use spelling::{SPELLINGS, Spelling};

use serde::{Deserialize, Serialize};

use crate::lang::Syntax;

/// Ids of fill-in-the-middle tokens as a GGUF's metadata gives them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FimIds {
    /// Before the prefix.
    pub pre: Option<i32>,
    /// Before the suffix.
    pub suf: Option<i32>,
    /// Before what is to be written.
    pub mid: Option<i32>,
    /// Fills batches; never in a prompt.
    pub pad: Option<i32>,
    /// Before the repository's name.
    pub rep: Option<i32>,
    /// Before each file.
    pub sep: Option<i32>,
}

impl FimIds {
    /// From the metadata's whole numbers by key, older names of the keys included.
    pub fn read(key: &dyn Fn(&str) -> Option<u32>) -> Self {
        let id = |name: &str| key(&format!("tokenizer.ggml.{name}_token_id")).and_then(|id| i32::try_from(id).ok());
        Self {
            pre: id("fim_pre").or_else(|| id("prefix")),
            suf: id("fim_suf").or_else(|| id("suffix")),
            mid: id("fim_mid").or_else(|| id("middle")),
            pad: id("fim_pad"),
            rep: id("fim_rep"),
            sep: id("fim_sep"),
        }
    }

    fn all(&self) -> impl Iterator<Item = i32> {
        [self.pre, self.suf, self.mid, self.pad, self.rep, self.sep].into_iter().flatten()
    }
}

/// Families of models that fill in the middle.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub enum Family {
    /// Qwen2.5-Coder; also CodeGemma and newer Granite, which spell the three tokens the same.
    Qwen,
    DeepSeek,
    /// StarCoder2; also the older Granite code models.
    StarCoder,
    CodeLlama,
    Codestral,
    /// CodeGeeX4 and GLM.
    Glm,
}

/// What the catalogue says of a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Known {
    /// It does not know the model.
    Nothing,
    /// The model was not trained to fill, whatever its vocabulary has.
    NoFim,
    /// It is of this family.
    Family(Family),
}

/// A way to ask.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Form {
    pub(super) layout: Layout,
    ends: Vec<i32>,
}

/// Tokens that no completion contains, besides those of [`SPELLINGS`].
const FOREIGN: [&str; 31] = [
    "<|endoftext|>",
    "<|im_start|>",
    "<|im_end|>",
    "<|EOT|>",
    "<EOT>",
    "▁<EOT>",
    "<|end_of_text|>",
    "<|eot_id|>",
    "<|end|>",
    "<end_of_turn>",
    "<start_of_turn>",
    "<eos>",
    "<bos>",
    "<|user|>",
    "<|assistant|>",
    "<|observation|>",
    "<|system|>",
    "<PAD>",
    "<|reponame|>",
    "<|fim_repo|>",
    "<REPO>",
    "<|file_separator|>",
    "<|filename|>",
    "<gh_stars>",
    "<issue_start>",
    "<jupyter_start>",
    "<commit_before>",
    "<commit_msg>",
    "<empty_output>",
    "<｜begin▁of▁sentence｜>",
    "<｜end▁of▁sentence｜>",
];

impl Form {
    /// The form for a model: by the ids in its metadata, else by its vocabulary, unless the catalogue knows better.
    /// `token` gives the id of a text that is one token of the vocabulary.
    pub fn choose(ids: &FimIds, token: &dyn Fn(&str) -> Option<i32>, known: Known) -> Self {
        let layout = match (ids.pre, ids.suf, ids.mid) {
            (Some(pre), Some(suf), Some(mid)) => by_ids(ids, [pre, suf, mid], token),
            _ if known == Known::NoFim => None,
            _ => by_vocabulary(token, known).and_then(|spelling| named(spelling, token)),
        };
        Self { layout: layout.unwrap_or_else(|| plain(token)), ends: ends(ids, token) }
    }

    /// Plain continuation, whatever the vocabulary has.
    pub fn plain(token: &dyn Fn(&str) -> Option<i32>) -> Self {
        Self { layout: plain(token), ends: ends(&FimIds::default(), token) }
    }

    /// Tokens that end a completion, besides the vocabulary's own ends; sorted.
    pub fn ends(&self) -> &[i32] {
        &self.ends
    }

    /// Whether the model sees what follows the cursor. If not, candidates are chosen by how well it follows them.
    pub fn fills(&self) -> bool {
        !matches!(self.layout, Layout::Plain { .. })
    }

    /// A word for reports.
    pub fn name(&self) -> &'static str {
        match self.layout {
            Layout::Psm { files: Some(_), .. } => "fim-repository",
            Layout::Psm { .. } => "fim",
            Layout::CodeLlama { .. } => "fim-codellama",
            Layout::Codestral { .. } => "fim-codestral",
            Layout::Glm { .. } => "fim-glm",
            Layout::Plain { .. } => "continuation",
        }
    }
}

/// The family whose tokens are the ones the metadata names; else the three in the usual order.
fn by_ids(ids: &FimIds, three: [i32; 3], token: &dyn Fn(&str) -> Option<i32>) -> Option<Layout> {
    let same = |one: &&Spelling| one.marks.iter().zip(three).all(|(text, id)| token(text) == Some(id));
    if let Some(layout) = SPELLINGS.iter().find(same).and_then(|spelling| named(spelling, token)) {
        return Some(layout);
    }
    let files = ids.sep.map(|sep| layout::Files { repository: ids.rep, separator: sep, star: false });
    let [pre, suf, mid] = three;
    Some(Layout::Psm { pre, suf, mid, files, mark: None })
}

fn by_vocabulary(token: &dyn Fn(&str) -> Option<i32>, known: Known) -> Option<&'static Spelling> {
    let whole = |one: &&Spelling| one.fits(&|text| token(text).is_some());
    if let Known::Family(family) = known
        && let Some(spelling) = SPELLINGS.iter().filter(|one| one.family == family).find(whole)
    {
        return Some(spelling);
    }
    SPELLINGS.iter().find(whole)
}

fn named(spelling: &Spelling, token: &dyn Fn(&str) -> Option<i32>) -> Option<Layout> {
    let [pre, suf, mid] = spelling.marks;
    let (pre, suf) = (token(pre)?, token(suf)?);
    Some(match spelling.family {
        Family::Codestral => Layout::Codestral { pre, suf },
        Family::CodeLlama => Layout::CodeLlama { pre, suf, mid: token(mid)? },
        Family::Glm => {
            Layout::Glm { user: token("<|user|>")?, assistant: token("<|assistant|>")?, pre, suf, mid: token(mid)? }
        }
        Family::DeepSeek => Layout::Psm { pre, suf, mid: token(mid)?, files: None, mark: Some("#") },
        Family::Qwen | Family::StarCoder => {
            Layout::Psm { pre, suf, mid: token(mid)?, files: files(token, spelling.family), mark: None }
        }
    })
}

/// The tokens of a repository's layout, where the vocabulary has the very ones that family was trained with.
fn files(token: &dyn Fn(&str) -> Option<i32>, family: Family) -> Option<layout::Files> {
    let [_, repository, separator] = SPELLINGS.iter().find(|one| one.family == family)?.beside;
    let star = family == Family::StarCoder;
    Some(layout::Files { repository: Some(token(repository)?), separator: token(separator)?, star })
}

fn plain(token: &dyn Fn(&str) -> Option<i32>) -> Layout {
    Layout::Plain { files: files(token, Family::StarCoder) }
}

fn ends(ids: &FimIds, token: &dyn Fn(&str) -> Option<i32>) -> Vec<i32> {
    let spelt = SPELLINGS.iter().flat_map(|one| one.marks.into_iter().chain(one.beside));
    let spelt = spelt.filter(|text| !text.is_empty());
    let mut ends: Vec<i32> = spelt.chain(FOREIGN).filter_map(token).chain(ids.all()).collect();
    ends.sort_unstable();
    ends.dedup();
    ends
}

/// How a file's name stands above its text where no token says so.
pub(super) fn heading(mark: Option<&str>, language: Syntax, path: &str) -> String {
    let path: String = path.chars().filter(|c| !c.is_control()).take(200).collect();
    match mark {
        Some(mark) => format!("{mark}{path}\n"),
        None => format!("{} {path}\n", language.comment()),
    }
}

#[cfg(test)]
mod tests;
