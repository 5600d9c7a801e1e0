//! `zord bench`: what this device does with a model; `--tune` finds and keeps the best settings.
//!
//! Each rate is the median of several runs after one that warms up. Prefill is measured on a prompt of its own, decode
//! from a short prompt without speculation, like llama.cpp's own benchmark.

use clap::Args;
use serde_json::json;

use super::prepare::{self, Tuned};
use super::stream::Session;
use super::{Scene, output};
use crate::device::memory::Probe;
use crate::device::{Device, Rates};
use crate::engine::{CompleteRequest, LocalSpec, Outcome, Sampling, Spec, Stats, Work};
use crate::error::{ExitCode, UserError};

#[derive(Args, Debug)]
pub(super) struct BenchArgs {
    /// Tokens of the prompt
    #[arg(long, value_name = "N", default_value_t = 512, value_parser = clap::value_parser!(u32).range(1..=65536))]
    prompt_tokens: u32,
    /// Tokens to generate
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = clap::value_parser!(u32).range(2..=65536))]
    gen_tokens: u32,
    /// Runs, of which the median counts
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=100))]
    runs: u32,
    /// Then write for so many minutes, and tell the first one's rate from the last one's
    #[arg(long, value_name = "N", conflicts_with = "tune", value_parser = clap::value_parser!(u32).range(2..=600))]
    minutes: Option<u32>,
    /// Try threads, batch and flash attention, and keep the best for this model and device
    #[arg(long)]
    tune: bool,
    /// One JSON document
    #[arg(long)]
    json: bool,
}

/// What was measured. Milliseconds, tokens a second, bytes.
struct Measured {
    threads: u32,
    load_ms: f64,
    first_token_ms: f64,
    prefill_tps: f64,
    decode_tps: f64,
    /// Of the first and the last minute.
    sustained: Option<(f64, f64)>,
}

pub(super) fn run(scene: &Scene, args: &BenchArgs) -> Result<ExitCode, UserError> {
    let mut config = scene.config.clone();
    let wanted = args.prompt_tokens + args.gen_tokens;
    // what the configuration says is for chats
    config.context.size = Some(scene.flags.ctx.unwrap_or(0).max(wanted.next_multiple_of(256)));
    // Decoding is measured without drafts, so nothing is planned for them.
    config.chat.speculate = false;
    let ready = prepare::ready(&config, &scene.paths, false)?;
    let measured = match (&ready.spec, args.tune) {
        (Spec::Local(spec), true) => tune(scene, args, spec)?,
        (_, true) => return Err(UserError::usage("a server tunes itself")),
        (spec, false) => measure(spec.clone(), args)?,
    };
    let peak = Probe::new().resident().peak;
    if args.json {
        let mut said = json!({
            "model": ready.name, "threads": measured.threads, "load_ms": measured.load_ms,
            "first_token_ms": measured.first_token_ms, "prefill_tps": measured.prefill_tps,
            "decode_tps": measured.decode_tps, "peak_rss": peak,
        });
        if let Some((first, last)) = measured.sustained {
            said["first_minute_tps"] = json!(first);
            said["last_minute_tps"] = json!(last);
        }
        output::json(&said)?;
    } else {
        let row = |name: &str, value: String| vec![name.to_owned(), value];
        let mut rows = vec![
            row("model", ready.name),
            row("threads", measured.threads.to_string()),
            row("load", format!("{:.0} ms", measured.load_ms)),
            row(
                "first token",
                format!("{:.0} ms after a prompt of {} tokens", measured.first_token_ms, args.prompt_tokens),
            ),
            row("prefill", format!("{:.1} tokens/s", measured.prefill_tps)),
            row("decode", format!("{:.1} tokens/s", measured.decode_tps)),
            row("peak memory", crate::size::bytes(peak)),
        ];
        if let Some((first, last)) = measured.sustained {
            let kept = 100.0 * last / first;
            rows.push(row("first minute", format!("{first:.1} tokens/s")));
            rows.push(row("last minute", format!("{last:.1} tokens/s ({kept:.0} %)")));
        }
        output::print(&output::table(&rows))?;
    }
    Ok(ExitCode::Done)
}

fn measure(mut spec: Spec, args: &BenchArgs) -> Result<Measured, UserError> {
    let mut threads = 0;
    if let Spec::Local(local) = &mut spec {
        local.speculate = false;
        threads = local.plan.threads;
    }
    let mut session = Session::start(spec)?;
    let mut bench = Bench { session: &mut session, args };
    bench.generate(0, 1, args.prompt_tokens.min(64))?;
    bench.generate(1, args.gen_tokens.min(16), 1)?;
    let mut prefill = Vec::new();
    let mut decode = Vec::new();
    for i in 0..args.runs as usize {
        prefill.push(bench.generate(2 + i, 1, args.prompt_tokens)?);
        decode.push(bench.generate(2 + i, args.gen_tokens, 1)?);
    }
    let sustained = args.minutes.map(|minutes| bench.sustain(minutes)).transpose()?.flatten();
    let measured = Measured {
        threads,
        load_ms: session.facts.load_ms,
        first_token_ms: median(prefill.iter().map(|stats| stats.first_token_ms)),
        prefill_tps: median(prefill.iter().map(|stats| stats.prefill_tps)),
        decode_tps: median(decode.iter().map(|stats| stats.decode_tps)),
        sustained,
    };
    session.stop();
    Ok(measured)
}

struct Bench<'a> {
    session: &'a mut Session,
    args: &'a BenchArgs,
}

impl Bench<'_> {
    /// Writes for so many minutes; tokens a second in the first and in the last of them.
    fn sustain(&mut self, minutes: u32) -> Result<Option<(f64, f64)>, UserError> {
        let mut rates = Rates::default();
        for run in 0.. {
            let stats = self.generate(run, self.args.gen_tokens, 1)?;
            let tokens = stats.generated_tokens.saturating_sub(1);
            rates.note(u64::from(tokens), (f64::from(tokens) / stats.decode_tps * 1e3).round() as u64);
            if rates.minutes() >= f64::from(minutes) {
                break;
            }
        }
        Ok(rates.first_minute().zip(rates.last_minute()))
    }

    /// Generates `tokens` after a prompt of `prompt` tokens whose first word depends on `run`, so that nothing of it is
    /// in the cache.
    fn generate(&mut self, run: usize, tokens: u32, prompt: u32) -> Result<Stats, UserError> {
        const WORDS: [&str; 8] = ["one", "two", "three", "four", "five", "six", "seven", "eight"];
        let word = WORDS[run % WORDS.len()];
        let mut prefix = word.to_owned();
        let mut filler = prompt.saturating_sub(1) as usize;
        while filler > 0 {
            prefix = format!("{word}{}", " and".repeat(filler));
            let counted = match self.session.work(Work::Count(prefix.clone()), |_| true)? {
                Outcome::Counted(counted) => counted,
                _ => break,
            };
            if counted <= prompt {
                break;
            }
            filler = filler.saturating_sub((counted - prompt) as usize);
        }
        let request = CompleteRequest {
            prefix,
            sampling: Sampling::default(),
            max_tokens: tokens.min(self.args.gen_tokens.max(1)),
            stop: Vec::new(),
            ignore_end: true,
        };
        match self.session.work(Work::Complete(request), |_| true)? {
            Outcome::Generated { .. } if self.session.interrupted() => Err(UserError::interrupted("interrupted")),
            Outcome::Generated { stats, .. } => Ok(stats),
            _ => Err(UserError::failed("nothing was generated")),
        }
    }
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(0.0)
}

/// One knob after the other, each at its best before the next is turned: threads, batch, flash attention.
fn tune(scene: &Scene, args: &BenchArgs, spec: &LocalSpec) -> Result<Measured, UserError> {
    let found = prepare::find(prepare::chosen(&scene.config, &scene.paths).as_deref(), &scene.paths)?;
    let device = Device::probe();
    let mut best: Option<(f64, LocalSpec, Measured)> = None;
    let attempt = |what: String, spec: LocalSpec, best: &mut Option<(f64, LocalSpec, Measured)>| {
        let measured = measure(Spec::Local(spec.clone()), args)?;
        // A turn of a conversation: a few hundred tokens in, about as many out.
        let seconds = 256.0 / measured.prefill_tps + 128.0 / measured.decode_tps;
        output::note(format_args!(
            "{what}: prefill {:.1}, decode {:.1} tokens/s",
            measured.prefill_tps, measured.decode_tps
        ));
        if best.as_ref().is_none_or(|(least, ..)| seconds < *least) {
            *best = Some((seconds, spec, measured));
        }
        Ok::<(), UserError>(())
    };
    for threads in candidates(device.threads(), u32::try_from(device.clusters.count()).unwrap_or(1)) {
        let mut spec = spec.clone();
        spec.plan.threads = threads;
        attempt(format!("{threads} threads"), spec, &mut best)?;
    }
    for n_ubatch in [64, 128, 256, 512] {
        let Some(mut spec) = best.as_ref().map(|best| best.1.clone()) else { break };
        if n_ubatch != spec.plan.n_ubatch {
            spec.plan.n_ubatch = n_ubatch;
            attempt(format!("batches of {n_ubatch}"), spec, &mut best)?;
        }
    }
    if let Some(mut spec) = best.as_ref().map(|best| best.1.clone())
        && (spec.plan.kv_type == crate::budget::KvType::F16 || !spec.plan.flash)
    {
        spec.plan.flash = !spec.plan.flash;
        let what = if spec.plan.flash { "with flash attention" } else { "without flash attention" };
        attempt(what.into(), spec, &mut best)?;
    }
    let Some((_, spec, measured)) = best else { return Err(UserError::failed("nothing was measured")) };
    let tuned =
        Tuned { threads: Some(spec.plan.threads), n_ubatch: Some(spec.plan.n_ubatch), flash: Some(spec.plan.flash) };
    let kept = prepare::keep_tuned(&scene.paths, &found, &tuned)?;
    output::note(format_args!("kept in `{}`", kept.display()));
    let own = &scene.config.threads;
    for (said, key) in [
        (own.count.is_some() && scene.flags.threads.is_none(), "count"),
        (own.ubatch.is_some(), "ubatch"),
        (own.flash.is_some(), "flash"),
    ] {
        if said {
            output::note(format_args!("the configuration's `threads.{key}` goes before what was measured"));
        }
    }
    Ok(measured)
}

/// Threads worth trying: fewer than the default, the default, and up to all.
fn candidates(default: u32, most: u32) -> Vec<u32> {
    let mut threads = vec![default.div_ceil(2), default.saturating_sub(1), default, default + 1, most];
    threads.retain(|&threads| threads >= 1 && threads <= most);
    threads.sort_unstable();
    threads.dedup();
    threads
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_from_few_to_all_are_tried_once_each() {
        assert_eq!(candidates(4, 8), [2, 3, 4, 5, 8]);
        assert_eq!(candidates(1, 1), [1]);
        assert_eq!(candidates(2, 2), [1, 2]);
    }
}
