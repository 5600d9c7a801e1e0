//! Texts to tokens and back, by the checkpoint's own `tokenizer.json`.

use std::collections::HashSet;
use std::path::Path;

use serde_json::Value as Json;
use sha2::{Digest, Sha256};
use tokenizers::Tokenizer as Inner;

use super::guard::guarded;
use crate::chat::template::{Hints, Template};
use crate::distill::model::ModelError;
use crate::distill::recipe::Recipe;
use crate::hex::hex;
use crate::weights::checkpoint;

mod file;

/// A tokenizer with what the checkpoint says about its use.
pub(crate) struct Tokenizer {
    /// Special tokens in a text count as such.
    marked: Inner,
    /// They are only text.
    plain: Inner,
    pub(crate) bos: Option<String>,
    pub(crate) eos: Option<String>,
    /// What every text begins with.
    begin: Option<u32>,
    /// Special tokens as texts: a template ends its turns with one.
    specials: Vec<String>,
    pub(crate) template: Template,
    /// SHA-256 of its file.
    pub(crate) fingerprint: String,
    /// The file, with what was added.
    pub(crate) file: Vec<u8>,
    /// New tokens, with what each was split into before.
    pub(crate) added: Vec<(u32, Vec<u32>)>,
    /// What stands against training with it, and what the person should know besides.
    pub(crate) problems: Vec<String>,
    pub(crate) notices: Vec<String>,
    len: usize,
}

/// A token that a vocabulary lacks.
#[derive(Clone, Copy, Debug)]
pub(super) struct New<'a> {
    pub(super) text: &'a str,
    /// Whether texts cannot spell it.
    pub(super) special: bool,
}

impl Tokenizer {
    /// Reads the tokenizer of a checkpoint's folder, and adds tokens that it lacks; the others keep their places.
    #[cfg(any(feature = "engine", test))]
    pub(crate) fn open(folder: &Path, architecture: &str, add: &[String]) -> Result<Self, ModelError> {
        let add: Vec<New<'_>> = add.iter().map(|text| New { text, special: false }).collect();
        Self::with(folder, architecture, |_| Ok(add))
    }

    /// The same with what a recipe adds: its `tokens.add`, and marks for holes where the vocabulary has none.
    pub(crate) fn of(recipe: &Recipe, folder: &Path, architecture: &str) -> Result<Self, ModelError> {
        let mut tokenizer = Self::with(folder, architecture, |old| {
            let mut add: Vec<New<'_>> = recipe.tokens.add.iter().map(|text| New { text, special: false }).collect();
            let has = |text: &str| old.token_to_id(text).is_some() || add.iter().any(|new| new.text == text);
            let marks = recipe.data.fim.missing(&has)?;
            add.extend(marks.into_iter().map(|text| New { text, special: true }));
            Ok(add)
        })?;
        let new: Vec<String> = tokenizer.added.iter().filter_map(|&(id, _)| tokenizer.token(id)).collect();
        let new: Vec<&str> =
            new.iter().map(String::as_str).filter(|new| !recipe.tokens.add.iter().any(|t| t == new)).collect();
        if !new.is_empty() && !recipe.teachers.is_empty() {
            let what = format!(
                "it has no tokens for filling in, and teachers do not know new ones (`{}`): leave `data.fim` out, or name \
                 three of its tokens by `data.fim.form`",
                new.join("`, `")
            );
            return Err(ModelError::Config { path: folder.join("tokenizer.json"), what });
        }
        if !new.is_empty() {
            let what = format!("the vocabulary has no tokens for filling in; `{}` are added", new.join("`, `"));
            tokenizer.notices.push(what);
        }
        Ok(tokenizer)
    }

    fn with<'a>(
        folder: &Path,
        architecture: &str,
        add: impl FnOnce(&Inner) -> Result<Vec<New<'a>>, String>,
    ) -> Result<Self, ModelError> {
        let path = folder.join("tokenizer.json");
        let bytes = crate::small::read(&path, crate::small::TOKENIZER)
            .map_err(|source| ModelError::Read { path: path.clone(), source })?;
        let wrong = |what: String| ModelError::Config { path: path.clone(), what };
        let old = file::tokenizer(&bytes).map_err(wrong)?;
        let add = add(&old).map_err(wrong)?;
        let (marked, bytes, added) = extended(old, bytes, &add).map_err(wrong)?;
        let mut plain = marked.clone();
        plain.set_encode_special_tokens(true);
        let settings = folder.join("tokenizer_config.json");
        let settings = if settings.is_file() { crate::distill::model::json(&settings)? } else { Json::Null };
        let map = folder.join("special_tokens_map.json");
        let map = if map.is_file() { crate::distill::model::json(&map)? } else { Json::Null };
        let special = |key: &str| checkpoint::special_token(Some(&settings), Some(&map), key).map(str::to_owned);
        let (bos, eos) = (special("bos_token"), special("eos_token"));
        let begin = begin(&marked, bos.as_deref(), settings.get("add_bos_token").and_then(Json::as_bool));
        let specials = marked.get_added_tokens_decoder().into_values().filter(|token| token.special);
        let mut specials: Vec<String> = specials.map(|token| token.content).filter(|text| !text.is_empty()).collect();
        specials.sort_unstable();
        let found = checkpoint::chat_template(folder, Some(&settings))?;
        let source = found.templates.usual();
        let has_token = |text: &str| marked.token_to_id(text).is_some();
        // Templates that name the day would make another corpus of the same data tomorrow.
        let hints = Hints { architecture, name: "", has_token: &has_token, now: 1_735_689_600 };
        let (template, notice) = Template::new(source.as_deref(), &hints);
        let fingerprint = hex(&Sha256::digest(&bytes));
        let len = marked.get_vocab(true).values().max().map_or(0, |&last| last as usize + 1);
        let mut tokenizer = Self {
            marked,
            plain,
            bos,
            eos,
            begin,
            specials,
            template,
            fingerprint,
            file: bytes,
            added,
            problems: notice.into_iter().collect(),
            notices: found.notice.into_iter().collect(),
            len,
        };
        if tokenizer.end().is_none() {
            let found = tokenizer
                .eos
                .as_ref()
                .map_or("no `eos_token`".to_owned(), |eos| format!("`{eos}` as `eos_token`, which is no token"));
            tokenizer.problems.push(format!(
                "`tokenizer_config.json` names {found}: texts that no template ends are learnt without an end"
            ));
        }
        if tokenizer.puts_spaces() {
            tokenizer
                .notices
                .push("the tokenizer puts a space before every text, so before every answer too".to_owned());
        }
        Ok(tokenizer)
    }

    /// All that the person should know.
    pub(crate) fn told(&self) -> impl Iterator<Item = &str> {
        self.problems.iter().chain(&self.notices).map(String::as_str)
    }

    /// Whether a text alone begins with a space it does not have (SentencePiece's dummy prefix).
    fn puts_spaces(&self) -> bool {
        let first = self.tokens("a", false).ok().and_then(|ids| self.token(*ids.first()?));
        first.is_some_and(|first| first.starts_with('\u{2581}'))
    }

    /// The token that every text begins with, where the checkpoint says so.
    pub(crate) fn begin(&self) -> Option<u32> {
        self.begin
    }

    /// Special tokens as texts.
    pub(super) fn specials(&self) -> &[String] {
        &self.specials
    }

    pub(crate) fn id(&self, token: &str) -> Option<u32> {
        self.marked.token_to_id(token)
    }

    /// The token that ends a document.
    pub(crate) fn end(&self) -> Option<u32> {
        self.eos.as_deref().and_then(|eos| self.id(eos))
    }

    /// Tokens of a text; with `marks`, special tokens in it count as such.
    ///
    /// # Errors
    /// In words: the tokenizer fails on the text.
    pub(crate) fn tokens(&self, text: &str, marks: bool) -> Result<Vec<u32>, String> {
        let inner = if marks { &self.marked } else { &self.plain };
        let encoded = guarded(|| inner.encode_fast(text, false).map(|encoding| encoding.get_ids().to_vec()));
        encoded.ok_or_else(fails)?.map_err(|error| error.to_string())
    }

    /// The text of some tokens, special ones included.
    pub(crate) fn text(&self, tokens: &[u32]) -> String {
        guarded(|| self.marked.decode(tokens, false)).and_then(Result::ok).unwrap_or_default()
    }

    /// A token as the vocabulary spells it.
    pub(crate) fn token(&self, id: u32) -> Option<String> {
        self.marked.id_to_token(id)
    }

    /// The bytes that each token stands for, none for special ones; `None` where the vocabulary is not byte-level.
    pub(crate) fn bytes(&self) -> Option<Vec<Vec<u8>>> {
        let added = self.marked.get_added_tokens_decoder();
        let plain = |b: u32| (33..=126).contains(&b) || (161..=172).contains(&b) || (174..=255).contains(&b);
        // GPT-2's letters: bytes that print stand for themselves, the others for what follows 255.
        let other: Vec<u32> = (0..256).filter(|&b| !plain(b)).collect();
        let byte = |letter: char| match u32::from(letter) {
            letter if plain(letter) => Some(letter as u8),
            letter => letter.checked_sub(256).and_then(|at| other.get(at as usize)).map(|&b| b as u8),
        };
        (0..self.len() as u32)
            .map(|id| match (added.get(&id), self.token(id)) {
                (Some(added), _) if added.special => Some(Vec::new()),
                // Added as they are read, not in GPT-2's letters.
                (Some(added), _) => Some(added.content.clone().into_bytes()),
                (None, Some(token)) => token.chars().map(byte).collect::<Option<Vec<u8>>>(),
                (None, None) => Some(Vec::new()),
            })
            .collect()
    }

    /// One more than the last token's id, added ones included.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Where a text is to be cut so that it falls into `count` parts of about as many tokens: bytes, between characters.
    ///
    /// # Errors
    /// In words: the tokenizer fails on the text.
    pub(super) fn cuts(&self, text: &str, most: usize) -> Result<Vec<usize>, String> {
        let encoded = guarded(|| self.plain.encode(text, false));
        let encoding = encoded.ok_or_else(fails)?.map_err(|error| error.to_string())?;
        let offsets = encoding.get_offsets();
        let count = offsets.len().div_ceil(most.max(1)).max(1);
        let inner = (1..count).map(|part| text.floor_char_boundary(offsets[offsets.len() * part / count].0));
        let mut cuts: Vec<usize> = [0].into_iter().chain(inner).chain([text.len()]).collect();
        cuts.dedup();
        Ok(cuts)
    }
}

fn fails() -> String {
    "the tokenizer fails on this text".to_owned()
}

/// The token that every text begins with: `add_bos_token` decides; without it, what the tokenizer's own post-processor
/// writes before a text.
fn begin(inner: &Inner, bos: Option<&str>, add: Option<bool>) -> Option<u32> {
    let bos = || inner.token_to_id(bos?);
    match add {
        Some(true) => bos(),
        Some(false) => None,
        None => {
            let first = |special| inner.encode_fast("a", special).ok()?.get_ids().first().copied();
            let (with, without) = (first(true)?, first(false));
            (Some(with) != without && inner.get_added_tokens_decoder().contains_key(&with)).then_some(with)
        }
    }
}

/// New tokens with their ids, and the old tokens each was split into.
type Added = Vec<(u32, Vec<u32>)>;

/// The tokenizer with tokens behind its last one, its file, and what each was split into. Their ids are the library's:
/// it counts for itself and does not look at the file's.
fn extended(old: Inner, bytes: Vec<u8>, add: &[New<'_>]) -> Result<(Inner, Vec<u8>, Added), String> {
    let mut missing: Vec<New<'_>> = add.iter().copied().filter(|new| old.token_to_id(new.text).is_none()).collect();
    let mut seen = HashSet::new();
    missing.retain(|new| seen.insert(new.text));
    if missing.is_empty() {
        return Ok((old, bytes, Vec::new()));
    }
    let written = |ids: &[u32]| {
        let mut json: Json = serde_json::from_slice(&bytes).map_err(|error| error.to_string())?;
        let list = json.get_mut("added_tokens").and_then(Json::as_array_mut).ok_or("it has no list `added_tokens`")?;
        // A domain's tokens are not special: they are meant where they stand in a text.
        list.extend(missing.iter().zip(ids).map(|(new, id)| {
            serde_json::json!({
                "id": id, "content": new.text, "single_word": false, "lstrip": false, "rstrip": false,
                "normalized": false, "special": new.special,
            })
        }));
        serde_json::to_vec_pretty(&json).map_err(|error| error.to_string())
    };
    let read = file::tokenizer;
    let first = old.get_vocab(true).values().max().map_or(0, |last| last + 1);
    let ids: Vec<u32> = (first..).take(missing.len()).collect();
    let draft = read(&written(&ids)?)?;
    let given = |inner: &Inner| -> Result<Vec<u32>, String> {
        let id = |new: &New<'_>| {
            inner.token_to_id(new.text).ok_or_else(|| format!("it does not take the token `{}`", new.text))
        };
        missing.iter().map(id).collect()
    };
    let ids = given(&draft)?;
    let bytes = written(&ids)?;
    let new = read(&bytes)?;
    let kept = old.get_vocab(true).iter().all(|(token, &id)| new.token_to_id(token) == Some(id));
    if given(&new)? != ids || ids.iter().any(|&id| old.id_to_token(id).is_some()) || !kept {
        return Err("new tokens do not get places of their own in it".to_owned());
    }
    let parts = |new: &New<'_>| old.encode_fast(new.text, false).map(|parts| parts.get_ids().to_vec());
    let parts: Result<Vec<_>, _> = missing.iter().map(parts).collect();
    let added = ids.into_iter().zip(parts.map_err(|error| error.to_string())?).collect();
    Ok((new, bytes, added))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// A vocabulary of `a` to `c` with a hole at 3, and special tokens behind it; `more` goes into its settings.
    fn tokenizer(processor: &Json, more: Json, add: &[&str]) -> Tokenizer {
        let folder = tempfile::tempdir().unwrap();
        let token = |id: u32, text: &str, special: bool| {
            json!({"id": id, "content": text, "single_word": false, "lstrip": false,
            "rstrip": false, "normalized": false, "special": special})
        };
        let file = json!({"version": "1.0", "truncation": null, "padding": null,
            "added_tokens": [token(0, "<s>", true), token(1, "</s>", true), token(2, "<think>", false)],
            "normalizer": null, "pre_tokenizer": null, "post_processor": processor, "decoder": null,
            "model": {"type": "BPE", "dropout": null, "unk_token": null, "continuing_subword_prefix": null,
                "end_of_word_suffix": null, "fuse_unk": false, "merges": [],
                "vocab": {"<s>": 0, "</s>": 1, "<think>": 2, "a": 4, "b": 5, "c": 9}}});
        std::fs::write(folder.path().join("tokenizer.json"), file.to_string()).unwrap();
        std::fs::write(folder.path().join("tokenizer_config.json"), more.to_string()).unwrap();
        let add: Vec<String> = add.iter().map(|&text| text.to_owned()).collect();
        Tokenizer::open(folder.path(), "llama", &add).unwrap()
    }

    #[test]
    fn a_text_begins_as_the_checkpoint_says() {
        let names = json!({"bos_token": "<s>", "eos_token": "</s>"});
        assert_eq!(tokenizer(&Json::Null, names.clone(), &[]).begin(), None);
        let said = |add: bool| json!({"bos_token": "<s>", "eos_token": "</s>", "add_bos_token": add});
        assert_eq!(tokenizer(&Json::Null, said(true), &[]).begin(), Some(0));
        let sequence = json!({"SpecialToken": {"id": "<s>", "type_id": 0}});
        let text = json!({"Sequence": {"id": "A", "type_id": 0}});
        let processor = json!({"type": "TemplateProcessing", "single": [sequence, text],
            "pair": [sequence, text], "special_tokens": {"<s>": {"id": "<s>", "ids": [0], "tokens": ["<s>"]}}});
        assert_eq!(tokenizer(&processor, names, &[]).begin(), Some(0));
        assert_eq!(tokenizer(&processor, said(false), &[]).begin(), None, "the settings decide");
    }

    #[test]
    fn added_tokens_that_are_not_special_stand_for_their_text() {
        let bytes = tokenizer(&Json::Null, json!({}), &[]).bytes().unwrap();
        assert_eq!(
            (bytes[0].as_slice(), bytes[2].as_slice(), bytes[9].as_slice()),
            (&b""[..], &b"<think>"[..], &b"c"[..])
        );
    }

    #[test]
    fn new_tokens_have_the_places_that_the_library_gives_them() {
        let tokenizer = tokenizer(&Json::Null, json!({}), &["<one>", "<two>", "<one>"]);
        let [one, two] = ["<one>", "<two>"].map(|text| tokenizer.id(text).unwrap());
        let added: Vec<u32> = tokenizer.added.iter().map(|(id, _)| *id).collect();
        assert_eq!(added, [one, two]);
        assert_eq!(["a", "b", "c"].map(|text| tokenizer.id(text)), [Some(4), Some(5), Some(9)]);
        assert_eq!(tokenizer.tokens("a<two>c", false).unwrap(), [4, two, 9]);
        let again = Inner::from_bytes(&tokenizer.file).unwrap();
        assert_eq!((again.token_to_id("<one>"), again.token_to_id("<two>")), (Some(one), Some(two)));
        let file: Json = serde_json::from_slice(&tokenizer.file).unwrap();
        let listed = file["added_tokens"].as_array().unwrap().iter().find(|token| token["content"] == "<two>").unwrap();
        assert_eq!(listed["id"], two);
    }

    #[test]
    fn a_missing_end_is_told() {
        assert!(tokenizer(&Json::Null, json!({}), &[]).problems[0].contains("eos_token"));
        assert!(tokenizer(&Json::Null, json!({"eos_token": "<end>"}), &[]).problems[0].contains("`<end>`"));
        assert!(tokenizer(&Json::Null, json!({"eos_token": "</s>"}), &[]).problems.is_empty());
    }
}
