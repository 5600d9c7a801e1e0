//! Taking examples out of sources: repetitions and unwanted licences are left out, the rest is made into tokens on all
//! threads and packed in the order in which it was read.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use rayon::prelude::*;
use sha2::{Digest, Sha256};

use super::code::{self, Met};
use super::corpus::Head;
use super::document::{Made, Making};
use super::example::Example;
use super::licence::{self, Folders, Wanted};
use super::near::Near;
use super::pack::Part;
use super::prepare::{DataError, Tally};
use super::recipe::{DataRecipe, SourceRecipe};
use super::source::{self, Place};
use super::tokenizer::Tokenizer;
use crate::atomic::WriteError;
use crate::distill::kernel::dropout::{mix, share};

/// Examples made at once, and bytes of them.
const AT_ONCE: usize = 512;
const BYTES_AT_ONCE: usize = 4 << 20;

/// What was put into windows.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Counts {
    pub(super) documents: u64,
    pub(super) tokens: u64,
    pub(super) learnt: u64,
}

impl Counts {
    pub(super) fn numbers(self) -> [u64; 3] {
        [self.documents, self.tokens, self.learnt]
    }
}

/// An example that waits to be made into tokens.
struct Waiting {
    /// Of its file.
    place: Option<Place>,
    /// With what chance follows from; or what is wrong with it.
    example: Result<(Example, u64), String>,
}

/// Why reading stops.
enum Stop {
    /// Nothing more is wanted of any source, or of this one, of which the share has been read.
    Enough(f64),
    Failed(DataError),
}

impl<E: Into<DataError>> From<E> for Stop {
    fn from(error: E) -> Self {
        Self::Failed(error.into())
    }
}

/// Takes sources, one after the other.
pub(super) struct Maker<'a> {
    making: Making<'a>,
    seed: u64,
    /// Fingerprints of what was taken.
    seen: HashSet<u64>,
    near: Near,
    waiting: Vec<Waiting>,
    /// Bytes of what waits.
    size: usize,
    /// Bytes of this source that were taken, and how many are enough.
    taken: u64,
    most: Option<u64>,
    /// The share of this source that was read with the last example.
    read: f64,
    /// To learn from, and to be judged by.
    parts: [Part; 2],
    pub(super) counts: [Counts; 2],
    pub(super) tally: Tally,
    interrupted: &'a dyn Fn() -> bool,
}

impl<'a> Maker<'a> {
    pub(super) fn new(
        recipe: &'a DataRecipe,
        pairs: bool,
        seed: u64,
        tokenizer: &'a Tokenizer,
        places: &[PathBuf; 2],
        interrupted: &'a dyn Fn() -> bool,
    ) -> Result<Self, DataError> {
        let marks = recipe.fim.marks(tokenizer).map_err(DataError::Told)?;
        Ok(Self {
            making: Making { recipe, tokenizer, marks, pairs },
            seed,
            seen: HashSet::new(),
            near: Near::default(),
            waiting: Vec::new(),
            size: 0,
            taken: 0,
            most: None,
            read: 0.0,
            parts: [Part::new(&places[0])?, Part::new(&places[1])?],
            counts: Default::default(),
            tally: Tally::default(),
            interrupted,
        })
    }

    /// Takes a source, or about `most` bytes of it; says what share of it was read.
    pub(super) fn take(&mut self, source: &SourceRecipe, most: Option<u64>) -> Result<f64, DataError> {
        (self.most, self.taken, self.read) = (most, 0, 0.0);
        let path = &source.path;
        let facts = std::fs::metadata(path).map_err(|source| DataError::Read { path: path.clone(), source })?;
        let read = if facts.is_dir() { self.folder(source) } else { self.file(source) };
        // What was read before the end counts in either case.
        let read = match read {
            Ok(()) => 1.0,
            Err(Stop::Enough(read)) => read,
            Err(Stop::Failed(DataError::Io(source))) => return Err(DataError::Read { path: path.clone(), source }),
            Err(Stop::Failed(error)) => return Err(error),
        };
        self.make(path)?;
        Ok(read)
    }

    fn folder(&mut self, source: &SourceRecipe) -> Result<(), Stop> {
        let mut all = 0;
        if self.most.is_some() {
            code::files(&source.path, &source.extensions, |met| {
                if let Met::Source(found) = met {
                    all += found.facts.len();
                }
                if (self.interrupted)() { Err(DataError::Interrupted) } else { Ok(()) }
            })?;
        }
        let mut folders = Folders::new(&source.path);
        let mut done = 0;
        code::files::<Stop>(&source.path, &source.extensions, |met| {
            let found = match met {
                Met::Source(found) => found,
                Met::Licence(_) => return Ok(()),
                Met::Unreadable => {
                    self.tally.unreadable += 1;
                    return Ok(());
                }
            };
            done += found.facts.len();
            let Some(text) = code::text(&found.path) else { return Ok(()) };
            let licence = licence::named(&text).or_else(|| folders.of(&found.path));
            *self.tally.licences.entry(licence.clone().unwrap_or_default()).or_default() += 1;
            if wanted(source).takes(licence.as_deref()) {
                let example = Ok(Example::Text { text, marks: false });
                self.example(&source.path, None, example, done as f64 / all.max(1) as f64)
            } else {
                self.tally.unwanted += 1;
                Ok(())
            }
        })
    }

    fn file(&mut self, source: &SourceRecipe) -> Result<(), Stop> {
        source::examples::<Stop>(&source.path, |found| {
            if let Some(licence) = &found.licence {
                *self.tally.licences.entry(licence.clone()).or_default() += 1;
            }
            if found.example.is_ok() && !wanted(source).takes(found.licence.as_deref()) {
                self.tally.unwanted += 1;
                return Ok(());
            }
            self.example(&source.path, Some(found.place), found.example, found.read)
        })
    }

    /// Puts an example with those that wait, unless it was there before.
    fn example(
        &mut self,
        path: &Path,
        place: Option<Place>,
        example: Result<Example, String>,
        read: f64,
    ) -> Result<(), Stop> {
        if (self.interrupted)() {
            return Err(DataError::Interrupted.into());
        }
        let recipe = self.making.recipe;
        if recipe.examples > 0 && self.tally.examples == recipe.examples {
            return Err(Stop::Enough(1.0));
        }
        if self.most.is_some_and(|most| self.taken >= most) {
            return Err(Stop::Enough(self.read));
        }
        self.read = read;
        let example = example.and_then(|example| {
            let wanted = if self.making.pairs { "a pair of answers" } else { "something to continue" };
            let fits = self.making.pairs == matches!(example, Example::Pair { .. });
            if fits { Ok(example) } else { Err(format!("the objective wants {wanted}, and this is not")) }
        });
        let example = match example {
            Ok(example) => match self.new_one(example) {
                Some(example) => Ok(example),
                None => return Ok(()),
            },
            Err(what) => Err(what),
        };
        self.waiting.push(Waiting { place, example });
        if self.waiting.len() == AT_ONCE || self.size >= BYTES_AT_ONCE {
            self.make(path)?;
        }
        Ok(())
    }

    /// An example with what chance follows from; `None` where it was there before.
    fn new_one(&mut self, example: Example) -> Option<(Example, u64)> {
        let name = Sha256::digest(format!("{example:?}"));
        let name = u64::from_le_bytes(name[..8].try_into().unwrap_or_default());
        self.tally.examples += 1;
        let size = example.words().len();
        self.taken += size as u64;
        if !self.seen.insert(name) {
            self.tally.duplicates += 1;
            return None;
        }
        let least = self.making.recipe.near_duplicates;
        if least > 0.0 && self.near.is_known(&example.words(), least) {
            self.tally.near_duplicates += 1;
            return None;
        }
        self.size += size;
        Some((example, mix(self.seed ^ name)))
    }

    /// Makes what waits, on all threads, and packs it in order.
    fn make(&mut self, path: &Path) -> Result<(), DataError> {
        self.size = 0;
        let waiting = std::mem::take(&mut self.waiting);
        let making = &self.making;
        let made: Vec<Result<(Made, u64), String>> = waiting
            .par_iter()
            .map(|one| {
                let (example, place) = one.example.as_ref().map_err(Clone::clone)?;
                Ok((making.make(example, *place)?, *place))
            })
            .collect();
        for (one, made) in waiting.iter().zip(made) {
            match made {
                Ok((made, place)) => self.pack(made, place)?,
                Err(what) => self.malformed(path, one.place, &what)?,
            }
        }
        Ok(())
    }

    /// Counts an example that cannot be read, and keeps the first one for each reason.
    fn malformed(&mut self, path: &Path, place: Option<Place>, what: &str) -> Result<(), DataError> {
        let limit = self.making.recipe.malformed;
        let Tally { malformed, shown, .. } = &mut self.tally;
        *malformed += 1;
        let reason = format!(": {what}");
        if shown.len() < 5 && !shown.iter().any(|shown| shown.ends_with(&reason)) {
            let place = place.map_or_else(String::new, |place| format!(", {place}"));
            shown.push(format!("`{}`{place}{reason}", path.display()));
        }
        if *malformed > limit { Err(DataError::Malformed { limit, shown: shown.clone() }) } else { Ok(()) }
    }

    fn pack(&mut self, made: Made, place: u64) -> Result<(), WriteError> {
        let Self { tally, counts, parts, making, .. } = self;
        made.lengths.iter().for_each(|&length| *tally.lengths.entry(length).or_default() += 1);
        tally.long += made.long;
        tally.left_out += made.left_out;
        tally.nothing_to_learn += made.nothing_to_learn;
        tally.with_hole += u64::from(made.with_hole);
        tally.by_spare += u64::from(made.by_spare);
        tally.marked += u64::from(made.marked);
        let at = usize::from(share(mix(place ^ 7)) < making.recipe.validation);
        let (part, counts) = (&mut parts[at], &mut counts[at]);
        if making.pairs && !made.documents.is_empty() {
            part.writer.window();
        }
        for tokens in &made.documents {
            counts.documents += 1;
            counts.tokens += tokens.len() as u64;
            counts.learnt += tokens.iter().skip(1).filter(|(_, learn)| *learn).count() as u64;
            if making.pairs {
                part.writer.document(tokens)?;
            } else {
                part.add(tokens, making.recipe.context)?;
            }
        }
        Ok(())
    }

    /// Completes both files.
    pub(super) fn finish(self, settings: &str) -> Result<(Tally, [Head; 2]), DataError> {
        let [learnt, judged] = self.parts.map(|part| part.finish(settings));
        Ok((self.tally, [learnt?, judged?]))
    }
}

fn wanted(source: &SourceRecipe) -> Wanted<'_> {
    Wanted { only: &source.only_licences, without: &source.without_licences }
}
