//! What a teacher says about one window: llama.cpp evaluates its documents, part by part, and of the logits the recipe's
//! share is kept.

use super::align;
use super::gather::Job;
use super::keep::{drawn, top};
use super::layers::Layers;
use super::store::Head;
use crate::distill::data::corpus::{Corpus, Window};
use crate::distill::data::tokenizer::Tokenizer;
use crate::distill::kernel::dropout::{mix, share};
use crate::distill::kernel::math;
use crate::distill::objective::Chunk;
use crate::llama::session::{Session, Setup};

/// Tokens evaluated at once: logits of more do not exist.
const PART: usize = 256;

/// A teacher that is ready to answer.
pub(super) struct Reader {
    session: Session,
    /// Outlives the session that fills it.
    layers: Layers,
    window: u32,
    /// Bytes of the student's tokens, where the teacher has others.
    pieces: Vec<Vec<u8>>,
    /// The student's marks of holes, which say nothing to other teachers.
    marks: Vec<u32>,
    /// A row of logits to work on.
    row: Vec<f32>,
}

impl Reader {
    pub(super) fn open(job: &Job, corpus: &Corpus) -> Result<Self, String> {
        // A token of another vocabulary may stand for less of a text.
        let longest = if job.head.same { corpus.head.longest } else { 2 * corpus.head.longest + 64 };
        let window = u32::try_from(longest.max(32)).map_err(|_| "a document is too long".to_owned())?;
        let (mut pieces, mut marks) = (Vec::new(), Vec::new());
        if !job.head.same {
            let tokenizer = Tokenizer::open(&job.student, "", &[]).map_err(|error| crate::error::chain(&error))?;
            pieces = tokenizer.bytes().ok_or("the student's vocabulary is not byte-level")?;
            marks = job.fim.ids(&tokenizer)?;
        }
        let layers = Layers::new(job.head.states.clone());
        let threads = i32::try_from(job.threads).unwrap_or(1);
        let session = Session::open(&job.model, &setup(window, threads, &layers, &job.head))?;
        Ok(Self { session, layers, window, pieces, marks, row: Vec::new() })
    }

    /// Another one of the same model, to work beside it.
    pub(super) fn another(&self, job: &Job, threads: i32) -> Result<Self, String> {
        let layers = Layers::new(job.head.states.clone());
        let session = self.session.another(&setup(self.window, threads, &layers, &job.head))?;
        let (pieces, marks) = (self.pieces.clone(), self.marks.clone());
        Ok(Self { session, layers, window: self.window, pieces, marks, row: Vec::new() })
    }

    pub(super) fn use_threads(&mut self, threads: i32) {
        self.session.use_threads(threads);
    }

    /// Bytes of the logits that exist at a time.
    pub(super) fn logits(&self) -> usize {
        PART.min(self.window as usize) * self.session.vocabulary * size_of::<f32>()
    }

    /// What the store keeps of a window.
    pub(super) fn answer(&mut self, job: &Job, corpus: &Corpus, at: u64) -> Result<Vec<u8>, String> {
        let (window, head) = (corpus.window(at)?, &job.head);
        if !head.same {
            return Ok(head.pack_chunks(&self.chunks(&window, head.top as usize)?));
        }
        if head.draws > 0 {
            let (draws, start) = (head.draws, mix(job.seed ^ mix(at)));
            let draw = |goal: usize, row: &mut [f32]| drawn(row, draws, job.temperature, share(start ^ goal as u64));
            let (odds, states) = self.odds(&window, head, draw)?;
            return Ok([head.pack_states(&states), head.pack_draws(&odds)].concat());
        }
        let keep = |_: usize, row: &mut [f32]| top(row, head.top as usize, job.temperature);
        let (odds, states) = self.odds(&window, head, keep)?;
        Ok([head.pack_states(&states), head.pack(&odds)].concat())
    }

    /// What `keep` leaves of the logits of every goal, by its number in the window; and the states of the layers wanted.
    fn odds<T>(
        &mut self,
        window: &Window,
        head: &Head,
        keep: impl Fn(usize, &mut [f32]) -> T,
    ) -> Result<(Vec<T>, Vec<Vec<f32>>), String> {
        let mut all = Vec::new();
        let mut states = vec![Vec::new(); head.states.len()];
        for document in &window.documents {
            // The last token predicts nothing that is there.
            let tokens: Vec<i32> = document.iter().map(|&(token, _)| token.cast_signed()).collect();
            let tokens = tokens.split_last().map(|(_, tokens)| tokens).unwrap_or_default();
            for (part, from) in tokens.chunks(PART).zip((0..).step_by(PART)) {
                self.session.evaluate(part, from, 0)?;
                let seen = self.layers.take();
                for at in (0..part.len()).filter(|at| document[from + at + 1].1) {
                    let row = fresh(&mut self.row, &self.session, at)?;
                    all.push(keep(all.len(), row));
                    for (layer, states) in head.states.iter().zip(&mut states) {
                        let row = seen.get(layer).and_then(|rows| rows.get(at * head.wide..(at + 1) * head.wide));
                        states.extend_from_slice(row.ok_or_else(|| format!("the teacher has no layer {layer}"))?);
                    }
                }
            }
        }
        Ok((all, states))
    }

    /// Chunks of a window's documents, with goals counted from the window's first.
    fn chunks(&mut self, window: &Window, count: usize) -> Result<Vec<Chunk>, String> {
        let mut all = Vec::new();
        let mut before = 0;
        for document in &window.documents {
            // Texts in another order, and a part that is missing: no text that another teacher would know.
            if !document.iter().any(|(token, _)| self.marks.contains(token)) {
                self.document(document, count, before, &mut all)?;
            }
            before += document.iter().skip(1).filter(|(_, learn)| *learn).count();
        }
        Ok(all)
    }

    fn document(
        &mut self,
        document: &[(u32, bool)],
        count: usize,
        before: usize,
        all: &mut Vec<Chunk>,
    ) -> Result<(), String> {
        let piece = |token: u32| self.pieces.get(token as usize).map(Vec::as_slice).unwrap_or_default();
        let bytes: Vec<u8> = document.iter().flat_map(|&(token, _)| piece(token)).copied().collect();
        // A document that was split may begin and end within a character.
        let cut = bytes.iter().take_while(|&&byte| byte & 0xc0 == 0x80).count();
        let text = match std::str::from_utf8(&bytes[cut..]) {
            Ok(text) => text,
            Err(error) => std::str::from_utf8(&bytes[cut..cut + error.valid_up_to()]).unwrap_or_default(),
        };
        let mut tokens = self.session.tokens(text, true, false)?;
        tokens.truncate(self.session.window);
        if tokens.len() < 2 {
            return Ok(());
        }
        let lengths = lengths(&self.session, &tokens, text);
        let mut left = cut;
        let ours: Vec<usize> = document
            .iter()
            .map(|&(token, _)| {
                let length = piece(token).len();
                let gone = length.min(left);
                left -= gone;
                length - gone
            })
            .collect();
        // Goals up to each token.
        let mut goal = before;
        let goals: Vec<Option<usize>> = (0..)
            .zip(document)
            .map(|(at, &(_, learn))| {
                let own = (at > 0 && learn).then_some(goal);
                goal += usize::from(own.is_some());
                own
            })
            .collect();
        let stretches: Vec<(Vec<usize>, std::ops::Range<usize>)> = align::stretches(&ours, &lengths)
            .into_iter()
            .filter(|stretch| stretch.theirs.start > 0)
            .filter_map(|stretch| Some((goals[stretch.ours].iter().copied().collect::<Option<_>>()?, stretch.theirs)))
            .collect();
        let mut begins = vec![false; tokens.len()];
        stretches.iter().for_each(|(_, theirs)| begins[theirs.start] = true);
        // The logarithm of each token's odds, and the largest odds where a stretch begins.
        let mut logs = vec![0.0; tokens.len()];
        let mut sorted = vec![Vec::new(); tokens.len()];
        for (part, from) in tokens[..tokens.len() - 1].chunks(PART).zip((0..).step_by(PART)) {
            self.session.evaluate(part, from, 0)?;
            for at in 0..part.len() {
                let next = from + at + 1;
                let row = fresh(&mut self.row, &self.session, at)?;
                let own = row[tokens[next] as usize];
                if begins[next] {
                    let likeliest = top(&mut row.to_vec(), count, 1.0);
                    sorted[next] = likeliest.top.into_iter().map(|(_, log)| log.exp()).collect();
                }
                logs[next] = own - math::softmax(row);
            }
        }
        for (goals, theirs) in stretches {
            let sorted = std::mem::take(&mut sorted[theirs.start]);
            let log = logs[theirs].iter().sum();
            all.push(Chunk { first: goals[0], goals: goals.len(), log, sorted });
        }
        Ok(())
    }
}

fn setup(window: u32, threads: i32, layers: &Layers, head: &Head) -> Setup {
    let watch = (!head.states.is_empty()).then(|| layers.watch());
    Setup { window, step: window.min(PART as u32), threads, watch, exact: true, repack: true }
}

/// A copy of a row of logits, to be worked on.
fn fresh<'a>(row: &'a mut Vec<f32>, session: &Session, at: usize) -> Result<&'a mut [f32], String> {
    row.clear();
    row.extend_from_slice(session.logits(at).ok_or("llama.cpp gave no logits")?);
    Ok(row)
}

/// How many bytes of the text each token stands for, up to where they do not spell it.
fn lengths(session: &Session, tokens: &[i32], text: &str) -> Vec<usize> {
    let mut rest = text.as_bytes();
    let mut lengths = Vec::with_capacity(tokens.len());
    for &token in tokens {
        let piece = session.piece(token);
        // Some tokenizers put a space before the first word.
        let spelt: &[u8] = if rest.len() == text.len() && !rest.starts_with(&piece) {
            piece.strip_prefix(b" ").unwrap_or(&piece)
        } else {
            &piece
        };
        let Some(left) = rest.strip_prefix(spelt) else { break };
        lengths.push(spelt.len());
        rest = left;
    }
    lengths
}
