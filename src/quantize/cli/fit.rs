//! `zord-quantize quantize --fit`: the best mixture for a size. Those that are worth trying are made and read the built-in
//! texts beside the source; the one that diverges least keeps its place on the disk.
//!
//! Where the source cannot be run here, an estimate chooses, and that is told.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::{Value as Json, json};

use super::quantize::{foresee, write, written};
use super::{measure, texts};
use crate::atomic::Partial;
use crate::cli::{output, progress};
use crate::device::free_space;
use crate::device::memory::Probe;
use crate::engine::{Cancel, admission};
use crate::error::{ExitCode, UserError};
use crate::quantize::measure::{Tally, lockstep};
use crate::quantize::shrink::{self, Budget, Fitted, Planned, Request};
use crate::size::bytes;
use crate::weights::gguf::Parts;

/// Tokens of a window, of which the second half is scored, and windows of each kind of text. These few tell files apart
/// whose divergences differ by some per cent: all of them read the same tokens.
const WINDOW: u32 = 256;
const CHUNKS: u32 = 2;

/// Divergences that are about the same by so few tokens: the smaller file is better then.
const ALIKE: f64 = 1.01;

/// A file that is whole but does not have its name yet.
struct Draft {
    name: PathBuf,
    partial: Partial,
    planned: Planned,
}

/// Chooses, and writes unless nothing is to be `named`.
pub(super) fn run(
    request: &Request,
    budget: Budget,
    named: impl Fn(&Request) -> Option<PathBuf>,
    quiet: bool,
    cancel: &Cancel,
) -> Result<Json, UserError> {
    let candidates = shrink::candidates(request, budget, cancel)?;
    let Some(first) = candidates.first() else { return Err(UserError::failed("nothing fits")) };
    let names: Option<Vec<PathBuf>> = candidates.iter().map(|candidate| named(&candidate.request)).collect();
    let Some(names) = names else {
        chosen(first, if candidates.len() > 1 { " by an estimate" } else { "" });
        return foresee(&first.request, quiet, cancel);
    };
    let estimate = |why: &str| {
        output::note(format!("notice: not measured: {why}"));
        chosen(first, " by an estimate");
    };
    if let [only] = candidates.as_slice() {
        chosen(only, "");
        return write(&only.request, names.first().map_or(Path::new(""), PathBuf::as_path), cancel);
    }
    if let Some(why) = in_the_way(request, &candidates, &names)? {
        estimate(&why);
        return write(&first.request, names.first().map_or(Path::new(""), PathBuf::as_path), cancel);
    }
    let mut drafts = Vec::new();
    for (candidate, name) in candidates.iter().zip(names) {
        let mut bar = progress::Bar::counting(candidate.request.kind.name, "tensors");
        let drafted = shrink::draft(&candidate.request, &name, cancel, |done, all| bar.show(done, Some(all)));
        bar.end();
        let (partial, planned) = drafted?;
        drafts.push(Draft { name, partial, planned });
    }
    let divergences = match divergences(request, &drafts, cancel) {
        Err(error) if error.code == ExitCode::Interrupted => return Err(error),
        Err(error) => {
            estimate(error.message.lines().next().unwrap_or_default());
            Vec::new()
        }
        Ok(divergences) => divergences,
    };
    for (candidate, divergence) in candidates.iter().zip(&divergences) {
        output::note(format!("{}: {}, KLD {divergence:.4}", described(candidate), bytes(candidate.bytes)));
    }
    let sizes: Vec<u64> = drafts.iter().map(|draft| draft.planned.bytes).collect();
    let best = least(&divergences, &sizes);
    let (Some(best), Some(draft)) = (candidates.get(best), drafts.into_iter().nth(best)) else {
        return Err(UserError::failed("nothing fits"));
    };
    if !divergences.is_empty() {
        chosen(best, "");
    }
    draft.partial.finish().map_err(shrink::ShrinkError::from)?;
    let mut document = written(&best.request, &draft.name, &draft.planned)?;
    if !divergences.is_empty() {
        let tried = candidates.iter().zip(&divergences).map(|(candidate, divergence)| {
            let raised = raised(candidate).into_iter();
            let raised = raised.map(|(name, kind, count)| json!({"name": name, "to": kind, "tensors": count}));
            json!({
                "type": candidate.request.kind.name, "raised": raised.collect::<Vec<_>>(),
                "bytes": candidate.bytes, "kld_mean": divergence,
            })
        });
        document["candidates"] = tried.collect();
    }
    Ok(document)
}

/// The place of the least divergence; of the smallest file where several are about as little. The first without any.
fn least(divergences: &[f64], sizes: &[u64]) -> usize {
    let least = divergences.iter().copied().fold(f64::INFINITY, f64::min);
    // What rounding alone makes of files that lose nothing.
    let alike = least.max(0.0) * ALIKE + 1e-6;
    let good = divergences.iter().zip(sizes).enumerate().filter(|(_, (divergence, _))| **divergence <= alike);
    good.min_by_key(|(at, (_, size))| (**size, *at)).map_or(0, |(at, _)| at)
}

/// Why the candidates cannot be measured here, as far as that is known beforehand.
fn in_the_way(request: &Request, candidates: &[Fitted], names: &[PathBuf]) -> Result<Option<String>, UserError> {
    let source = Parts::read(&request.input).map_err(shrink::ShrinkError::from)?;
    let name = names.first().map_or(Path::new(""), PathBuf::as_path);
    if !request.prune.is_empty() {
        return Ok(Some("layers are left out".to_owned()));
    }
    if shrink::outputs(request, name)?.len() > 1 {
        return Ok(Some("the model is written in several files".to_owned()));
    }
    if let Err(error) = admission::check(source.first()) {
        return Ok(Some(error.to_string()));
    }
    let files: u64 = candidates.iter().map(|candidate| candidate.planned.bytes).sum();
    let memory = Probe::new().memory();
    let free = memory.available.min(memory.cgroup.unwrap_or(u64::MAX));
    if source.bytes() + files > free {
        let need = bytes(source.bytes() + files);
        return Ok(Some(format!(
            "the source and {} candidates take {need}, and {} of memory are free",
            names.len(),
            bytes(free)
        )));
    }
    let room = free_space(name);
    if let Some(room) = room.filter(|room| files > *room) {
        return Ok(Some(format!(
            "{} candidates take {}, and {} of the disk are free",
            names.len(),
            bytes(files),
            bytes(room)
        )));
    }
    Ok(None)
}

/// The mean divergence of each from the source.
fn divergences(request: &Request, drafts: &[Draft], cancel: &Cancel) -> Result<Vec<f64>, UserError> {
    let texts = texts::sample().into_iter().map(|text| lockstep::Text { kind: text.kind, text: text.text });
    let job = lockstep::Job {
        base: request.input.clone(),
        quants: drafts.iter().map(|draft| draft.partial.path().to_owned()).collect(),
        texts: texts.collect(),
        window: WINDOW,
        chunks: CHUNKS,
        threads: request.threads.into(),
    };
    let tallies = measure::compare(job, cancel)?;
    let mean = |kinds: &Vec<Tally>| {
        let mut all = Tally::default();
        kinds.iter().for_each(|tally| all.add(tally));
        all.compared().map(|compared| compared.kld_mean).filter(|mean| mean.is_finite())
    };
    let means: Option<Vec<f64>> = tallies.iter().skip(1).map(mean).collect();
    means.filter(|means| means.len() == drafts.len()).ok_or_else(|| UserError::failed("a divergence is no number"))
}

/// What was chosen, and `how`.
fn chosen(fitted: &Fitted, how: &str) {
    let described =
        described(fitted).replacen(fitted.request.kind.name, &format!("{} fits", fitted.request.kind.name), 1);
    output::note(format!("{described}{how}: {}", bytes(fitted.bytes)));
}

/// The mixture and what was raised in it.
fn described(fitted: &Fitted) -> String {
    let raised: Vec<String> =
        raised(fitted).iter().map(|(name, kind, count)| format!("{count} `{name}` in {kind}")).collect();
    let with = if raised.is_empty() { String::new() } else { format!(", with {}", raised.join(", ")) };
    format!("{}{with}", fitted.request.kind.name)
}

/// Name, type and number of what was raised, tensors of the same name in all layers together.
fn raised(fitted: &Fitted) -> Vec<(&str, &str, usize)> {
    let mut kinds: BTreeMap<(&str, &str), usize> = BTreeMap::new();
    for (name, kind) in &fitted.raised {
        let layer =
            name.strip_prefix("blk.").and_then(|rest| rest.split_once('.')).map_or(name.as_str(), |(_, rest)| rest);
        *kinds.entry((layer.trim_end_matches(".weight"), kind.name())).or_default() += 1;
    }
    kinds.into_iter().map(|((name, kind), count)| (name, kind, count)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_least_divergence_is_chosen_and_the_smaller_file_where_it_is_alike() {
        assert_eq!(least(&[0.05, 0.04, 0.06], &[3, 2, 1]), 1);
        assert_eq!(least(&[0.0400, 0.0403, 0.05], &[3, 2, 1]), 1);
        assert_eq!(least(&[0.0400, 0.0405, 0.05], &[3, 2, 1]), 0);
        assert_eq!(least(&[-1e-9, 1e-8, 0.05], &[3, 2, 1]), 1);
        assert_eq!(least(&[0.04, 0.04], &[2, 2]), 0);
        assert_eq!(least(&[], &[2, 1]), 0);
    }
}
