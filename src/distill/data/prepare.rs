//! From sources to two files of windows: one to learn from, one to be judged by.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use serde::Serialize;
use sha2::{Digest, Sha256};

use super::code::{self, Met};
use super::corpus::{Corpus, Head};
use super::make::Maker;
use super::recipe::{DataRecipe, SourceRecipe};
use super::tokenizer::Tokenizer;
use crate::atomic::WriteError;
use crate::error::{Advise, ExitCode};
use crate::hex::hex;

/// Why nothing was left, behind a sentence.
fn reasons(shown: &[String]) -> String {
    if shown.is_empty() { String::new() } else { format!(":\n  {}", shown.join("\n  ")) }
}

/// Why there is nothing to learn from.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the words say it")]
pub enum DataError {
    #[error("cannot read the source `{}`: {source}", path.display())]
    Read { path: PathBuf, source: std::io::Error },
    #[error("more than {limit} examples cannot be read:\n  {}", shown.join("\n  "))]
    Malformed { limit: u64, shown: Vec<String> },
    #[error("there is nothing to learn from in {sources}{}", reasons(shown))]
    Empty { sources: String, shown: Vec<String> },
    #[error("all {documents} documents were held out for validation (share {share})")]
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
            Self::Read { .. } | Self::Told(_) | Self::Io(_) | Self::Interrupted => None,
        }
    }

    fn code(&self) -> ExitCode {
        if matches!(self, Self::Interrupted) { ExitCode::Interrupted } else { ExitCode::Failed }
    }
}

/// What was found.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub(crate) struct Tally {
    pub(crate) examples: u64,
    /// Examples that cannot be read, and the first one for each reason.
    pub(crate) malformed: u64,
    pub(crate) shown: Vec<String>,
    pub(crate) duplicates: u64,
    pub(crate) near_duplicates: u64,
    /// Documents longer than a window, and what of them was left out.
    pub(crate) long: u64,
    pub(crate) left_out: u64,
    /// Documents in which nothing is to be learnt.
    pub(crate) nothing_to_learn: u64,
    pub(crate) with_hole: u64,
    /// By licence, what is named.
    pub(crate) licences: BTreeMap<String, u64>,
    /// Left out for their licence.
    pub(crate) unwanted: u64,
    /// Files and folders that cannot be read.
    pub(crate) unreadable: u64,
    /// Conversations for which a built-in template took the place of the model's own.
    pub(crate) by_spare: u64,
    /// Texts in which special tokens stand, read as tokens.
    pub(crate) marked: u64,
    /// How many documents have so many tokens, before they are cut.
    #[serde(skip)]
    pub(crate) lengths: BTreeMap<usize, u64>,
}

impl Tally {
    /// Lengths of documents: of the shortest, of those at each share of them in `shares`.
    pub(crate) fn quantiles(&self, shares: &[f64]) -> Vec<usize> {
        let all: u64 = self.lengths.values().sum();
        let at = |share: f64| {
            let wanted = ((all as f64 * share).ceil() as u64).max(1);
            let mut seen = 0;
            self.lengths.iter().find(|(_, count)| {
                seen += **count;
                seen >= wanted
            })
        };
        shares.iter().filter_map(|&share| at(share)).map(|(length, _)| *length).collect()
    }

    /// What of it the person should know.
    pub(crate) fn notices(&self) -> Vec<String> {
        let mut all = Vec::new();
        if self.malformed > 0 {
            all.push(format!("{} examples cannot be read:\n  {}", self.malformed, self.shown.join("\n  ")));
        }
        if self.by_spare > 0 {
            all.push(format!(
                "the model's chat template failed on {} conversations; a built-in one was used",
                self.by_spare
            ));
        }
        if self.marked > 0 {
            all.push(format!("special tokens that stand in the text of {} examples are read as tokens", self.marked));
        }
        if self.left_out > 0 {
            all.push(format!(
                "{} of {} documents longer than a window are truncated or left out (`data.context`, `data.long`)",
                self.left_out.min(self.long),
                self.long
            ));
        }
        if self.unreadable > 0 {
            all.push(format!("{} files or folders cannot be read", self.unreadable));
        }
        all
    }
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
    let settings = settings(recipe, pairs, seed, tokenizer, interrupted)?;
    let [train, validation] = places(folder);
    let open = |path: &Path| Corpus::open(path).ok().filter(|corpus| corpus.head.settings == settings);
    if let (Some(train), Some(validation)) = (open(&train), open(&validation)) {
        let validation = Some(validation).filter(|corpus| corpus.len() > 0);
        return Ok(Prepared { train, validation, tally: None });
    }
    let mut maker = maker(recipe, pairs, seed, tokenizer, folder, interrupted)?;
    for source in &recipe.sources {
        maker.take(source, None)?;
    }
    finished(maker, recipe, folder, &settings)
}

/// What all sources come to, from the beginning of each.
pub(crate) struct Estimate {
    /// Windows of what was read.
    pub(crate) prepared: Prepared,
    /// To learn from, and to be judged by: all of it.
    pub(crate) heads: [Head; 2],
    /// Whether all was read, so that nothing is estimated.
    pub(crate) exact: bool,
}

/// Reads about `most` bytes of each source into `folder`, and says what all of it comes to.
pub(crate) fn estimate(
    recipe: &DataRecipe,
    pairs: bool,
    seed: u64,
    tokenizer: &Tokenizer,
    folder: &Path,
    most: u64,
    interrupted: &dyn Fn() -> bool,
) -> Result<Estimate, DataError> {
    let mut maker = maker(recipe, pairs, seed, tokenizer, folder, interrupted)?;
    let (mut scaled, mut exact, mut examples) = ([[0.0; 3]; 2], true, 0.0);
    for source in &recipe.sources {
        let (before, counted) = (maker.counts, maker.tally.examples);
        let read = maker.take(source, Some(most))?.clamp(f64::MIN_POSITIVE, 1.0);
        exact &= read >= 1.0;
        examples += (maker.tally.examples - counted) as f64 / read;
        for (scaled, (after, before)) in scaled.iter_mut().zip(maker.counts.iter().zip(before)) {
            let grown =
                after.numbers().into_iter().zip(before.numbers()).map(|(after, before)| (after - before) as f64);
            scaled.iter_mut().zip(grown).for_each(|(all, grown)| *all += grown / read);
        }
    }
    let counts = maker.counts;
    let taken = if recipe.examples > 0 && !exact { (recipe.examples as f64 / examples).min(1.0) } else { 1.0 };
    let prepared = finished(maker, recipe, folder, "")?;
    let corpora = [Some(&prepared.train), prepared.validation.as_ref()];
    let heads = [0, 1].map(|at| {
        let mut head = corpora[at].map(|corpus| corpus.head.clone()).unwrap_or_default();
        if !exact {
            let [documents, tokens, learnt] = scaled[at].map(|number| (number * taken).round() as u64);
            let grown = tokens as f64 / counts[at].tokens.max(1) as f64;
            head = Head { documents, tokens, learnt, windows: (head.windows as f64 * grown).ceil() as u64, ..head };
        }
        head
    });
    Ok(Estimate { prepared, heads, exact })
}

fn places(folder: &Path) -> [PathBuf; 2] {
    ["train", "validation"].map(|name| folder.join(format!("{name}.windows")))
}

fn maker<'a>(
    recipe: &'a DataRecipe,
    pairs: bool,
    seed: u64,
    tokenizer: &'a Tokenizer,
    folder: &Path,
    interrupted: &'a dyn Fn() -> bool,
) -> Result<Maker<'a>, DataError> {
    std::fs::create_dir_all(folder).map_err(|source| DataError::Read { path: folder.to_owned(), source })?;
    Maker::new(recipe, pairs, seed, tokenizer, &places(folder), interrupted)
}

fn finished(maker: Maker<'_>, recipe: &DataRecipe, folder: &Path, settings: &str) -> Result<Prepared, DataError> {
    let (tally, [learnt, judged]) = maker.finish(settings)?;
    if learnt.windows == 0 && judged.windows > 0 {
        return Err(DataError::AllHeldOut { documents: judged.documents, share: recipe.validation });
    }
    if learnt.learnt == 0 {
        let names: Vec<String> = recipe.sources.iter().map(|source| format!("`{}`", source.path.display())).collect();
        return Err(DataError::Empty { sources: names.join(", "), shown: tally.notices() });
    }
    let [train, validation] = places(folder);
    let open = |path: &Path| Corpus::open(path).map_err(DataError::Told);
    let validation = Some(open(&validation)?).filter(|corpus| corpus.len() > 0);
    Ok(Prepared { train: open(&train)?, validation, tally: Some(tally) })
}

/// A name for everything the windows follow from. Of files it takes names, sizes and times of change.
fn settings(
    recipe: &DataRecipe,
    pairs: bool,
    seed: u64,
    tokenizer: &Tokenizer,
    interrupted: &dyn Fn() -> bool,
) -> Result<String, DataError> {
    let mut hash = Sha256::new();
    hash.update(format!("{recipe:?} {pairs} {seed} {} {}", tokenizer.fingerprint, tokenizer.template.origin()));
    hash.update(format!("{:?} {:?}", tokenizer.begin(), tokenizer.end()));
    for SourceRecipe { path, extensions, .. } in &recipe.sources {
        let mut file = |path: &Path, facts: &std::fs::Metadata| {
            let changed = facts.modified().ok().and_then(|at| at.duration_since(UNIX_EPOCH).ok()).unwrap_or_default();
            hash.update(format!("{} {} {}", path.display(), facts.len(), changed.as_nanos()));
        };
        let facts = std::fs::metadata(path).map_err(|source| DataError::Read { path: path.clone(), source })?;
        if facts.is_dir() {
            code::files::<DataError>(path, extensions, |met| {
                if let Met::Source(found) | Met::Licence(found) = met {
                    file(&found.path, &found.facts);
                }
                if interrupted() { Err(DataError::Interrupted) } else { Ok(()) }
            })?;
        } else {
            file(path, &facts);
        }
    }
    Ok(hex(&hash.finalize()))
}
