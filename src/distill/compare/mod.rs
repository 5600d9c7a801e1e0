//! A checkpoint as it is trained beside a GGUF file as llama.cpp runs it: the same tokens through both.
//!
//! The honest check of a conversion, a merge or a training: how far logits are apart, and from which layer on.

use std::path::{Path, PathBuf};

use serde::Serialize;

use super::data::tokenizer::Tokenizer;
use super::model::head::Wanted;
use super::model::{Base, Batch, Decoder, ModelError, Recompute, Source};
use crate::engine::Cancel;
use crate::error::Advise;

pub(crate) mod watch;

/// Why nothing was compared.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the words say it")]
pub enum CompareError {
    #[error(transparent)]
    Model(#[from] ModelError),
    #[error("`{}`: {what}", path.display())]
    Gguf { path: PathBuf, what: String },
    #[error("{0}")]
    Told(String),
    #[error("interrupted")]
    Interrupted,
}

impl Advise for CompareError {
    fn hint(&self) -> Option<String> {
        match self {
            Self::Model(error) => error.hint(),
            _ => None,
        }
    }
}

/// How far two implementations are apart.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Report {
    pub(crate) tokens: usize,
    pub(crate) logit_max: f64,
    pub(crate) logit_mean: f64,
    /// The share of places with the same likeliest token.
    pub(crate) top1: f64,
    /// For each layer, the length of the difference by the length of llama.cpp's states.
    pub(crate) layers: Vec<f64>,
    /// The first layer above the tolerance, counted from 0.
    pub(crate) parts_at: Option<usize>,
}

/// Compares both on the beginning of a text.
///
/// # Errors
/// A model cannot be read, or they are not of one shape.
pub(crate) fn compare(
    folder: &Path,
    gguf: &Path,
    text: &str,
    most: usize,
    tolerance: f64,
    cancel: &Cancel,
) -> Result<Report, CompareError> {
    let source = Source::open(folder)?;
    let tokenizer = Tokenizer::open(folder, "", &[])?;
    let mut tokens = tokenizer.tokens(text, true).map_err(CompareError::Told)?;
    tokens.truncate(most.min(source.shape.positions));
    if tokens.len() < 2 {
        return Err(CompareError::Told("the text has fewer than two tokens".to_owned()));
    }
    let theirs = watch::ask(gguf, &tokens, cancel)?;
    let mut batch = Batch::default();
    batch.push(tokens.iter().copied());
    let model = source.load(tokens.len(), Base::Stored)?;
    let (logits, layers) = ours(&model, &batch);
    if theirs.logits.len() < logits.len() || theirs.layers.len() != layers.len() {
        let (rows, count) = (theirs.logits.len() / tokens.len(), theirs.layers.len());
        let what = format!(
            "it has {rows} tokens and {count} layers, and the checkpoint {} and {}",
            source.shape.vocabulary,
            layers.len()
        );
        return Err(CompareError::Gguf { path: gguf.to_owned(), what });
    }
    Ok(report(&logits, &theirs.logits, &layers, &theirs.layers, tokens.len(), tolerance))
}

/// Logits, and hidden states behind each layer.
fn ours(model: &Decoder, batch: &Batch) -> (Vec<f32>, Vec<Vec<f32>>) {
    let trace = model.forward(batch, None, Recompute::Block);
    let row = |_: usize, logits: &mut [f32]| logits.to_vec();
    let logits = model.head().run(&trace.normed, &row, Wanted::default()).concat();
    (logits, (0..model.blocks.len()).map(|layer| trace.behind(layer).to_vec()).collect())
}

fn report(
    ours: &[f32],
    theirs: &[f32],
    our_layers: &[Vec<f32>],
    their_layers: &[Vec<f32>],
    tokens: usize,
    tolerance: f64,
) -> Report {
    // Files may hold rows that pad the matrix.
    let (width, wide) = (ours.len() / tokens, theirs.len() / tokens);
    let (mut max, mut sum, mut same) = (0.0_f64, 0.0, 0);
    for (a, b) in ours.chunks_exact(width).zip(theirs.chunks_exact(wide)) {
        for (a, b) in a.iter().zip(b) {
            let apart = f64::from(a - b).abs();
            // What is no number is as far apart as can be.
            max = if apart.is_nan() { f64::INFINITY } else { max.max(apart) };
            sum += apart;
        }
        let best = |row: &[f32]| row.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1)).map(|(at, _)| at);
        same += usize::from(best(a) == best(&b[..width]));
    }
    let apart = |(a, b): (&Vec<f32>, &Vec<f32>)| {
        let square = |x: f32| f64::from(x) * f64::from(x);
        let difference: f64 = a.iter().zip(b).map(|(a, b)| square(a - b)).sum();
        (difference / b.iter().map(|&b| square(b)).sum::<f64>().max(f64::MIN_POSITIVE)).sqrt()
    };
    let layers: Vec<f64> = our_layers.iter().zip(their_layers).map(apart).collect();
    Report {
        tokens,
        logit_max: max,
        logit_mean: sum / ours.len() as f64,
        top1: same as f64 / tokens as f64,
        parts_at: layers.iter().position(|&apart| apart.is_nan() || apart > tolerance),
        layers,
    }
}
