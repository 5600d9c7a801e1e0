//! Vocabularies: what tokens models have, which tokens the result has, and where each token's row comes from.
//!
//! Rows go by token, never by number: two models that number their tokens differently are put in one order first. What this
//! refuses to do: guess what the tokens of a model are that brings no `tokenizer.json`.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use serde_json::{Value, json};

use super::error::MergeError;
use super::model::{Model, object};
use super::names;
use super::recipe::{Row, RowSource, Tokens, Vocabulary as Source};

pub mod bpe;
pub mod rows;
pub mod transplant;
pub mod union;

use rows::{From, Rows, Table};

/// A model's tokens.
#[derive(Clone, Debug)]
pub struct Vocabulary {
    /// `tokenizer.json`.
    pub file: PathBuf,
    /// Its content.
    pub json: Value,
    /// Tokens by text.
    pub ids: BTreeMap<String, u32>,
}

/// The tokens of the result.
#[derive(Debug)]
pub struct Merged {
    /// `tokenizer.json`, where it is not a parent's.
    pub json: Option<Value>,
    /// The model whose other tokenizer files the result has.
    pub donor: usize,
    /// Rows of the result, padding included.
    pub count: u64,
    /// Where each model's rows come from.
    tables: Vec<Arc<Table>>,
}

impl Merged {
    /// A model's tokenizer as it is, with so many rows that are in their places already.
    pub fn of(donor: usize, count: u64) -> Self {
        Self { json: None, donor, count, tables: Vec::new() }
    }

    /// Where a model's rows of a tensor come from; nothing for tensors without a row for each token.
    pub fn rows(&self, models: &[Model], model: usize, tensor: &str) -> Option<Arc<Rows>> {
        if !names::is_vocabulary(tensor) {
            return None;
        }
        let others = models.iter().map(|model| super::plan::weight(model, tensor)).collect();
        self.tables.get(model).map(|table| Arc::new(Rows::new(table.clone(), others)))
    }

    /// Memory it takes, in bytes.
    pub fn bytes(&self) -> u64 {
        self.tables.iter().map(|table| table.bytes()).sum()
    }
}

/// A model's tokens; nothing where it brings no `tokenizer.json`.
///
/// # Errors
/// The file is there and cannot be read.
pub fn vocabulary(model: &Model) -> Result<Option<Vocabulary>, MergeError> {
    let file = model.folder.join("tokenizer.json");
    if let Some(json) = &model.tokenizer {
        return Ok(Some(Vocabulary { file, json: json.clone(), ids: ids(json) }));
    }
    if !file.is_file() {
        return Ok(None);
    }
    let json = Value::Object(object(&file)?);
    let ids = ids(&json);
    Ok(Some(Vocabulary { file, json, ids }))
}

fn ids(json: &Value) -> BTreeMap<String, u32> {
    let mut ids = BTreeMap::new();
    let number = |value: &Value| value.as_u64().and_then(|id| u32::try_from(id).ok());
    match json.pointer("/model/vocab") {
        Some(Value::Object(vocabulary)) => {
            ids.extend(vocabulary.iter().filter_map(|(text, id)| Some((text.clone(), number(id)?))));
        }
        Some(Value::Array(pieces)) => {
            let text = |piece: &Value| piece.get(0).and_then(Value::as_str).map(str::to_owned);
            ids.extend(pieces.iter().enumerate().filter_map(|(id, piece)| Some((text(piece)?, id as u32))));
        }
        _ => {}
    }
    for token in json.get("added_tokens").and_then(Value::as_array).into_iter().flatten() {
        if let (Some(text), Some(id)) = (token.get("content").and_then(Value::as_str), token.get("id").and_then(number))
        {
            ids.insert(text.to_owned(), id);
        }
    }
    ids
}

/// Tokens of the result by text, and the number of the next one.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ids {
    all: BTreeMap<String, u32>,
    next: u32,
}

impl Ids {
    fn of(all: BTreeMap<String, u32>) -> Self {
        let next = all.values().max().map_or(0, |id| id + 1);
        Self { all, next }
    }

    fn has(&self, text: &str) -> bool {
        self.all.contains_key(text)
    }

    fn add(&mut self, text: &str) -> u32 {
        self.all.insert(text.to_owned(), self.next);
        self.next += 1;
        self.next - 1
    }
}

/// How two vocabularies differ, in words; nothing if they number the same tokens alike.
pub fn differ(a: &Vocabulary, b: &Vocabulary) -> Option<String> {
    if a.ids == b.ids {
        return None;
    }
    let moved = a.ids.iter().filter(|(text, id)| b.ids.get(*text).is_some_and(|other| other != *id)).count();
    let (only_a, only_b) = (
        a.ids.keys().filter(|text| !b.ids.contains_key(*text)).count(),
        b.ids.keys().filter(|text| !a.ids.contains_key(*text)).count(),
    );
    Some(format!("{moved} tokens have other numbers, {only_a} are only in the first and {only_b} only in the second"))
}

/// Tokens that a model has rows for.
fn used(vocabulary: &Vocabulary, model: &Model) -> BTreeMap<String, u32> {
    let rows = model.number(&["vocab_size"]).or_else(|| model.number(&["padded_vocab_size"])).unwrap_or(u64::MAX);
    vocabulary.ids.iter().filter(|(_, id)| u64::from(**id) < rows).map(|(text, id)| (text.clone(), *id)).collect()
}

/// Puts vocabularies together as a recipe says. The second part is what a person should know.
///
/// # Errors
/// A model brings no tokenizer, or the recipe names a token that is not there.
pub fn merge(wanted: &Tokens, models: &[Model], donor: usize) -> Result<(Merged, Vec<String>), MergeError> {
    let fault = |what: String| MergeError::Tokenizer { what };
    let mut notices = Vec::new();
    let mut all = Vec::new();
    for model in models {
        all.push(vocabulary(model)?);
    }
    let number = |reference: &super::recipe::Reference| {
        let found = models.iter().position(|model| model.reference == *reference);
        found.ok_or_else(|| fault(format!("the tokenizer names the model `{reference}`, which is not merged")))
    };
    let from = match &wanted.source {
        Source::Of(reference) => number(reference)?,
        Source::Base | Source::Union | Source::BpeUnion => donor,
    };
    let missing = |at: usize| {
        let name = models.get(at).map(|model| model.reference.to_string()).unwrap_or_default();
        fault(format!("the model `{name}` has no `tokenizer.json`, whose tokens are wanted"))
    };
    let own = all.get(from).and_then(Option::as_ref).ok_or_else(|| missing(from))?;
    let base: Vec<BTreeMap<String, u32>> = models
        .iter()
        .zip(&all)
        .map(|(model, vocabulary)| match vocabulary {
            Some(vocabulary) => used(vocabulary, model),
            None => {
                let (name, same) = (&model.reference, &models[donor].reference);
                notices.push(format!("`{name}` has no `tokenizer.json`; its tokens are taken to be those of `{same}`"));
                all[donor].as_ref().map_or_else(BTreeMap::new, |own| used(own, model))
            }
        })
        .collect();
    let mut json = own.json.clone();
    let mut ids = Ids::of(base.get(from).cloned().unwrap_or_default());
    let mut changed = ids.all.len() < own.ids.len();
    if changed {
        union::strip(&mut json, &ids.all);
    }
    match wanted.source {
        Source::Union => {
            let added = union::append(&mut json, &mut ids, &all, from);
            changed |= added > 0;
            if added > 0 {
                notices.push(format!(
                    "{added} tokens are appended as added tokens, as mergekit does: text is split at them before anything \
                     else, which no parent did; `source: bpe_union` splits as the parents do"
                ));
            }
        }
        Source::BpeUnion => {
            for other in all.iter().enumerate().filter(|(at, _)| *at != from).filter_map(|(_, other)| other.as_ref()) {
                let done = bpe::unite(&mut json, &mut ids, other).map_err(fault)?;
                changed |= done.tokens > 0;
                notices.push(done.to_string());
            }
        }
        Source::Base | Source::Of(_) => {}
    }
    for (text, _) in &wanted.tokens {
        if !ids.has(text) {
            union::add(&mut json, &mut ids, text, json!({}));
            changed = true;
        }
    }
    let tokens = u64::from(ids.next);
    let count = wanted.multiple.map_or(tokens, |multiple| tokens.next_multiple_of(multiple));
    let tables = tables(wanted, &ids.all, &base, donor, tokens, count, &number)?;
    Ok((Merged { json: changed.then_some(json), donor: from, count, tables }, notices))
}

/// Where each model's rows come from: its own row for a token that it has; else what the recipe says; else the only model's
/// that has it, the base's, the mean of those that have it; zeros for a token that no model has (mergekit's rule).
fn tables(
    wanted: &Tokens,
    ids: &BTreeMap<String, u32>,
    base: &[BTreeMap<String, u32>],
    donor: usize,
    tokens: u64,
    count: u64,
    number: &dyn Fn(&super::recipe::Reference) -> Result<usize, MergeError>,
) -> Result<Vec<Arc<Table>>, MergeError> {
    let mut tables = vec![vec![From::Zero; tokens as usize]; base.len()];
    let told: BTreeMap<&str, &Row> = wanted.tokens.iter().map(|(text, row)| (text.as_str(), row)).collect();
    for (text, &id) in ids {
        let rows: Vec<Option<u32>> = base.iter().map(|ids| ids.get(text).copied()).collect();
        let row = told.get(text.as_str());
        let said = row.and_then(|row| row.source.as_ref()).map(|source| explicit(source, text, base, number));
        let default = match said.transpose()? {
            Some(from) => from,
            None => usual(&rows, donor),
        };
        let force = row.is_some_and(|row| row.force);
        for (table, own) in tables.iter_mut().zip(&rows) {
            if let Some(place) = table.get_mut(id as usize) {
                *place = match own {
                    Some(own) if !force => From::Own(*own),
                    _ => default.clone(),
                };
            }
        }
    }
    let done = tables.into_iter().map(|rows| Arc::new(Table { rows, count }));
    Ok(done.collect())
}

fn usual(rows: &[Option<u32>], donor: usize) -> From {
    let having: Vec<(usize, u32)> = rows.iter().enumerate().filter_map(|(at, row)| Some((at, (*row)?))).collect();
    match having[..] {
        [] => From::Zero,
        [(model, row)] => From::Other(model, row),
        _ => match rows.get(donor) {
            Some(Some(row)) => From::Other(donor, *row),
            _ => From::Mean(having.into()),
        },
    }
}

fn explicit(
    source: &RowSource,
    text: &str,
    base: &[BTreeMap<String, u32>],
    number: &dyn Fn(&super::recipe::Reference) -> Result<usize, MergeError>,
) -> Result<From, MergeError> {
    let of = |reference: &super::recipe::Reference, text: &str| {
        let model = number(reference)?;
        let row = base.get(model).and_then(|ids| ids.get(text)).copied();
        let what = || format!("the model `{reference}` has no token `{text}`");
        row.map(|row| From::Other(model, row)).ok_or_else(|| MergeError::Tokenizer { what: what() })
    };
    match source {
        RowSource::Zero => Ok(From::Zero),
        RowSource::Model(reference) => of(reference, text),
        RowSource::Token(reference, token) => of(reference, token),
        RowSource::Number(reference, row) => {
            let row =
                u32::try_from(*row).map_err(|_| MergeError::Tokenizer { what: format!("there is no row {row}") })?;
            Ok(From::Other(number(reference)?, row))
        }
    }
}
