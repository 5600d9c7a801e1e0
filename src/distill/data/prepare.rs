//! From sources to two files of windows: one to learn from, one to be judged by.

use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::code;
use super::corpus::{Corpus, hex};
use super::fim::{self, FimRecipe, Marks};
use super::near::Near;
use super::pack::Part;
use super::render::{self, Form, Learn};
use super::source::{self, Example};
use super::tokenizer::Tokenizer;
use crate::distill::kernel::dropout::{mix, share};
use crate::error::Advise;
use crate::quantize::WriteError;

/// Where texts come from and what is made of them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct DataRecipe {
    /// Tokens of a window.
    pub(crate) context: usize,
    /// The form that turns take.
    pub(crate) form: Form,
    /// What is learnt of an example.
    pub(crate) learn: Learn,
    /// What becomes of a document longer than a window.
    pub(crate) long: Long,
    /// The share of documents that is held out.
    pub(crate) validation: f64,
    /// Examples taken at most; 0 for all.
    pub(crate) examples: u64,
    /// Documents that are as similar to an earlier one are left out; 0 leaves out only repetitions.
    pub(crate) near_duplicates: f64,
    /// Lines that may be wrong before it is an error.
    pub(crate) malformed: u64,
    /// Documents with a hole.
    pub(crate) fim: FimRecipe,
    /// Files of JSON lines or Parquet, and folders of source code.
    #[serde(rename = "source")]
    pub(crate) sources: Vec<SourceRecipe>,
}

impl Default for DataRecipe {
    fn default() -> Self {
        Self {
            context: 1024,
            form: Form::Model,
            learn: Learn::Answers,
            long: Long::Split,
            validation: 0.02,
            examples: 0,
            near_duplicates: 0.0,
            malformed: 10,
            fim: FimRecipe::default(),
            sources: Vec::new(),
        }
    }
}

/// What becomes of a document longer than a window.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Long {
    /// Plain documents go on in the next window; of others, what fits is kept.
    Split,
    /// What fits is kept.
    Cut,
    /// It is left out.
    Drop,
}

/// One source.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SourceRecipe {
    /// A file of JSON lines or Parquet, or a folder.
    pub(crate) path: PathBuf,
    /// Extensions that count in a folder; none for the usual ones of source code.
    #[serde(default)]
    pub(crate) extensions: Vec<String>,
    /// Licences whose files are left out, by their SPDX names.
    #[serde(default)]
    pub(crate) without_licences: Vec<String>,
}

/// Why there is nothing to learn from.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the words say it")]
pub enum DataError {
    #[error("cannot read the source `{}`: {source}", path.display())]
    Read { path: PathBuf, source: std::io::Error },
    #[error("more than {limit} lines are wrong:\n  {}", shown.join("\n  "))]
    Malformed { limit: u64, shown: Vec<String> },
    #[error("there is nothing to learn from in {sources}")]
    Empty { sources: String },
    #[error("all of it was held out: {documents} documents, of which the share {share} judges")]
    AllHeldOut { documents: u64, share: f64 },
    #[error("{0}")]
    Told(String),
    #[error(transparent)]
    Write(#[from] WriteError),
    #[error(transparent)]
    Io(#[from] std::io::Error),
    #[error("interrupted")]
    Interrupted,
}

impl Advise for DataError {
    fn hint(&self) -> Option<String> {
        match self {
            Self::Malformed { .. } => Some("correct them, or allow more by `data.malformed`".to_owned()),
            Self::Empty { .. } => Some("`zord-distill dataset RECIPE` shows what each source gives".to_owned()),
            Self::AllHeldOut { .. } => Some("lower `data.validation`".to_owned()),
            Self::Write(error) => error.hint(),
            _ => None,
        }
    }
}

/// What was found.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub(crate) struct Tally {
    pub(crate) examples: u64,
    /// Lines that are wrong, and the first of them.
    pub(crate) malformed: u64,
    pub(crate) shown: Vec<String>,
    pub(crate) duplicates: u64,
    pub(crate) near_duplicates: u64,
    /// Examples longer than a window, and what of them was left out.
    pub(crate) long: u64,
    pub(crate) left_out: u64,
    /// Examples in which nothing is to be learnt.
    pub(crate) nothing_to_learn: u64,
    pub(crate) with_hole: u64,
    /// By licence, what folders hold.
    pub(crate) licences: BTreeMap<String, u64>,
}

/// The files of windows.
pub(crate) struct Prepared {
    pub(crate) train: Corpus,
    pub(crate) validation: Option<Corpus>,
    /// None where the files were there already.
    pub(crate) tally: Option<Tally>,
}

/// Makes the files in `folder`, or takes those that an earlier run made of the same sources.
pub(crate) fn prepare(
    recipe: &DataRecipe,
    pairs: bool,
    seed: u64,
    tokenizer: &Tokenizer,
    folder: &Path,
    interrupted: &dyn Fn() -> bool,
) -> Result<Prepared, DataError> {
    let settings = settings(recipe, pairs, seed, tokenizer)?;
    let [train, validation] = ["train", "validation"].map(|name| folder.join(format!("{name}.windows")));
    let open = |path: &Path| Corpus::open(path).ok().filter(|corpus| corpus.head.settings == settings);
    if let (Some(train), Some(validation)) = (open(&train), open(&validation)) {
        let validation = Some(validation).filter(|corpus| corpus.len() > 0);
        return Ok(Prepared { train, validation, tally: None });
    }
    std::fs::create_dir_all(folder).map_err(|source| DataError::Read { path: folder.to_owned(), source })?;
    let mut maker = Maker {
        recipe,
        pairs,
        seed,
        tokenizer,
        marks: recipe.fim.marks(tokenizer).map_err(DataError::Told)?,
        seen: HashSet::new(),
        near: Near::default(),
        parts: [Part::new(&train)?, Part::new(&validation)?],
        tally: Tally::default(),
        interrupted,
    };
    for source in &recipe.sources {
        maker.take(source)?;
    }
    let tally = maker.tally;
    let [learnt, judged] = maker.parts.map(|part| part.finish(&settings));
    let (learnt, judged) = (learnt?, judged?);
    if learnt.windows == 0 && judged.windows > 0 {
        return Err(DataError::AllHeldOut { documents: judged.documents, share: recipe.validation });
    }
    if learnt.learnt == 0 {
        let names: Vec<String> = recipe.sources.iter().map(|source| format!("`{}`", source.path.display())).collect();
        return Err(DataError::Empty { sources: names.join(", ") });
    }
    let open = |path: &Path| Corpus::open(path).map_err(DataError::Told);
    let validation = Some(open(&validation)?).filter(|corpus| corpus.len() > 0);
    Ok(Prepared { train: open(&train)?, validation, tally: Some(tally) })
}

/// A name for everything the windows follow from.
fn settings(recipe: &DataRecipe, pairs: bool, seed: u64, tokenizer: &Tokenizer) -> Result<String, DataError> {
    let mut hash = Sha256::new();
    hash.update(format!("{recipe:?} {pairs} {seed} {} {}", tokenizer.fingerprint, tokenizer.template.origin()));
    for SourceRecipe { path, extensions, .. } in &recipe.sources {
        let mut file = |path: &Path, facts: &std::fs::Metadata| {
            let changed = facts.modified().ok().and_then(|at| at.duration_since(UNIX_EPOCH).ok()).unwrap_or_default();
            hash.update(format!("{} {} {}", path.display(), facts.len(), changed.as_nanos()));
        };
        let facts = std::fs::metadata(path).map_err(|source| DataError::Read { path: path.clone(), source })?;
        if facts.is_dir() {
            code::files::<std::io::Error>(path, extensions, |path, _| {
                file(path, &std::fs::metadata(path)?);
                Ok(())
            })?;
        } else {
            file(path, &facts);
        }
    }
    Ok(hex(&hash.finalize()))
}

struct Maker<'a> {
    recipe: &'a DataRecipe,
    /// Only pairs of answers count.
    pairs: bool,
    seed: u64,
    tokenizer: &'a Tokenizer,
    marks: Option<Marks>,
    /// Fingerprints of what was taken.
    seen: HashSet<u64>,
    near: Near,
    /// To learn from, and to be judged by.
    parts: [Part; 2],
    tally: Tally,
    interrupted: &'a dyn Fn() -> bool,
}

impl Maker<'_> {
    fn take(&mut self, source: &SourceRecipe) -> Result<(), DataError> {
        let path = &source.path;
        let named = |error: DataError| match error {
            DataError::Io(source) => DataError::Read { path: path.clone(), source },
            other => other,
        };
        if path.is_dir() {
            return code::files::<DataError>(path, &source.extensions, |_, text| {
                let licence = code::licence(&text);
                *self.tally.licences.entry(licence.clone().unwrap_or_default()).or_default() += 1;
                if licence.is_some_and(|licence| source.without_licences.contains(&licence)) {
                    self.tally.left_out += 1;
                    return Ok(());
                }
                self.example(&Example::Text(text)).map_err(DataError::Told)?;
                Ok(())
            })
            .map_err(named);
        }
        source::examples::<DataError>(path, |number, example| {
            if (self.interrupted)() {
                return Err(DataError::Interrupted);
            }
            let taken = example.and_then(|example| self.example(&example));
            let Err(what) = taken else { return Ok(()) };
            self.tally.malformed += 1;
            if self.tally.shown.len() < 5 {
                self.tally.shown.push(format!("`{}`, line {number}: {what}", path.display()));
            }
            if self.tally.malformed > self.recipe.malformed {
                let shown = self.tally.shown.clone();
                return Err(DataError::Malformed { limit: self.recipe.malformed, shown });
            }
            Ok(())
        })
        .map_err(named)
    }

    /// Takes an example, or says in words why it cannot be one.
    fn example(&mut self, example: &Example) -> Result<(), String> {
        if self.pairs != matches!(example, Example::Pair { .. }) {
            let wanted = if self.pairs { "a pair of answers" } else { "something to continue" };
            return Err(format!("the objective wants {wanted}, and this is not"));
        }
        let name = Sha256::digest(format!("{example:?}"));
        let name = u64::from_le_bytes(name[..8].try_into().unwrap_or_default());
        if self.recipe.examples > 0 && self.tally.examples == self.recipe.examples {
            return Ok(());
        }
        self.tally.examples += 1;
        if !self.seen.insert(name) {
            self.tally.duplicates += 1;
            return Ok(());
        }
        if self.recipe.near_duplicates > 0.0 && self.near.is_known(&example.words(), self.recipe.near_duplicates) {
            self.tally.near_duplicates += 1;
            return Ok(());
        }
        let place = mix(self.seed ^ name);
        let before = self.tally.with_hole;
        let documents = self.documents(example, place)?;
        // A document with a hole makes no sense in parts.
        let plain = matches!(example, Example::Text(_)) && self.tally.with_hole == before;
        if documents.iter().any(|tokens| !tokens.iter().skip(1).any(|(_, learn)| *learn)) {
            self.tally.nothing_to_learn += 1;
            return Ok(());
        }
        let part = usize::from(share(mix(place ^ 7)) < self.recipe.validation);
        self.pack(&documents, plain, part).map_err(|error| crate::error::chain(&error))
    }

    fn documents(&mut self, example: &Example, place: u64) -> Result<Vec<Vec<(u32, bool)>>, String> {
        let all = self.recipe.learn == Learn::All;
        let mut documents = match (example, self.marks) {
            (Example::Text(text), Some(marks)) if share(mix(place ^ 11)) < self.recipe.fim.rate => {
                self.tally.with_hole += 1;
                let pieces = self.pieces(text)?;
                let cut = |piece: &&str| fim::cut(piece, place, self.recipe.fim.spm, marks, self.tokenizer);
                pieces.iter().map(cut).collect::<Result<_, _>>()?
            }
            _ => {
                let mut documents = Vec::new();
                for stretches in render::stretches(example, self.recipe.form, self.tokenizer)? {
                    let mut tokens = Vec::new();
                    for part in stretches {
                        let ids = self.tokenizer.tokens(&part.text, part.marks)?;
                        tokens.extend(ids.into_iter().map(|id| (id, part.answer)));
                    }
                    documents.push(tokens);
                }
                documents
            }
        };
        for tokens in &mut documents {
            // A template ends its turns itself.
            let ended =
                self.recipe.form == Form::Model && !matches!(example, Example::Text(_) | Example::Completion { .. });
            if let Some(end) = self.tokenizer.end().filter(|_| !ended) {
                tokens.push((end, true));
            }
            if all {
                tokens.iter_mut().for_each(|(_, learn)| *learn = true);
            }
        }
        Ok(documents)
    }

    /// A text in as many parts as it takes to have each, with its marks, in one window.
    fn pieces<'t>(&self, text: &'t str) -> Result<Vec<&'t str>, String> {
        let room = self.recipe.context.saturating_sub(8).max(1);
        let count = self.tokenizer.tokens(text, false)?.len().div_ceil(room).max(1);
        let ends =
            |part: usize| (text.len() * part / count..).find(|&at| text.is_char_boundary(at)).unwrap_or(text.len());
        Ok((0..count).map(|part| &text[ends(part)..ends(part + 1)]).filter(|part| !part.is_empty()).collect())
    }

    fn pack(&mut self, documents: &[Vec<(u32, bool)>], plain: bool, part: usize) -> Result<(), WriteError> {
        let context = self.recipe.context;
        let part = &mut self.parts[part];
        if self.pairs {
            // Both stand in one window of their own, each cut to half of it.
            let longest = documents.iter().map(Vec::len).max().unwrap_or(0);
            if longest > context / 2 {
                self.tally.long += 1;
                self.tally.left_out += 1;
                return Ok(());
            }
            part.writer.window();
            return documents.iter().try_for_each(|tokens| part.writer.document(tokens));
        }
        for tokens in documents {
            if tokens.len() <= context {
                part.add(tokens, context)?;
                continue;
            }
            self.tally.long += 1;
            match self.recipe.long {
                Long::Drop => self.tally.left_out += 1,
                Long::Split if plain => tokens.chunks(context).try_for_each(|tokens| part.add(tokens, context))?,
                Long::Split | Long::Cut => {
                    self.tally.left_out += 1;
                    part.add(&tokens[..context], context)?;
                }
            }
        }
        Ok(())
    }
}
