//! `zord plan`: what a model will take here, from its header alone, and why.

use clap::Args;
use serde_json::json;

use super::{Scene, output, prepare};
use crate::budget::{Plan, Refusal};
use crate::device::Device;
use crate::device::memory::Probe;
use crate::error::{ExitCode, UserError};
use crate::size::bytes;

#[derive(Args, Debug)]
pub(super) struct PlanArgs {
    /// The model; like `--model`
    #[arg(value_name = "MODEL")]
    name: Option<String>,
    /// One JSON document
    #[arg(long)]
    json: bool,
}

pub(super) fn run(scene: &Scene, args: &PlanArgs) -> Result<ExitCode, UserError> {
    let chosen = args.name.clone().or_else(|| prepare::chosen(&scene.config, &scene.paths));
    let found = prepare::find(chosen.as_deref(), &scene.paths)?;
    let policy = prepare::policy(&scene.config, &prepare::tuned(&scene.paths, &found), &scene.paths);
    let memory = Probe::new().memory();
    let planned = prepare::plan(&found, &policy, &memory, &Device::probe());
    if args.json {
        output::json(&match &planned {
            Ok(plan) => {
                let mut value = json!(plan);
                value["fits"] = json!(true);
                value
            }
            Err(refusal) => json!({"fits": false, "need": refusal.need, "have": refusal.have, "hint": refusal.hint}),
        })?;
        return Ok(ExitCode::Done);
    }
    let name = crate::text::clean::one_line(&found.name);
    output::print(&match planned {
        Ok(plan) => page(&name, &plan),
        Err(refusal) => refused(&name, &refusal),
    })?;
    Ok(ExitCode::Done)
}

/// Columns a page keeps to: a phone upright.
const WIDTH: usize = 45;

/// A plan as people read it.
fn page(name: &str, plan: &Plan) -> String {
    let rows = [
        ("weights", plan.weights, "mapped file".to_owned()),
        ("copied", plan.weights_copied, "weights, rearranged".to_owned()),
        ("KV cache", plan.kv, format!("{} tokens, {}", plan.n_ctx, plan.kv_type.name())),
        ("compute", plan.compute, format!("{} tokens at once", plan.n_ubatch)),
        ("program", plan.program, String::new()),
        ("total", plan.total, format!("of {}", bytes(plan.budget))),
    ];
    let rows = rows.into_iter().filter(|row| row.1 > 0);
    let rows: Vec<_> =
        rows.map(|(what, size, note)| vec![format!("  {what}"), format!("{:>9}", bytes(size)), note]).collect();
    let kept = plan.total - plan.weights;
    let threads = if plan.threads == 1 { "1 thread".to_owned() } else { format!("{} threads", plan.threads) };
    let notes = [
        format!("{threads}; {}.", plan.reason),
        format!("When memory is short, the system may drop pages of the mapped file; {} stay.", bytes(kept)),
    ];
    let notes = notes.map(|note| wrapped(&note, WIDTH - 2).join("\n  "));
    format!("{name} fits\n\n{}\n  {}\n\n  {}\n", output::table(&rows), notes[0], notes[1])
}

fn refused(name: &str, refusal: &Refusal) -> String {
    let lines = |text: String| wrapped(&text, WIDTH).join("\n");
    format!("{name} does not fit\n\n{}\n\n{}\n", lines(format!("{refusal}.")), lines(format!("hint: {}", refusal.hint)))
}

/// Lines of at most `width` columns, broken at spaces; a longer word stands alone. What stands in backticks is to be
/// typed, and stays on one line where it can.
fn wrapped(text: &str, width: usize) -> Vec<String> {
    use unicode_width::UnicodeWidthStr;
    let mut words: Vec<String> = Vec::new();
    let mut open = false;
    for word in text.split(' ') {
        match words.last_mut().filter(|_| open) {
            Some(last) => *last = format!("{last} {word}"),
            None => words.push(word.to_owned()),
        }
        open ^= word.matches('`').count() % 2 == 1;
    }
    let mut lines: Vec<String> = Vec::new();
    for word in words {
        match lines.last_mut().filter(|line| line.width() + 1 + word.width() <= width) {
            Some(line) => *line = format!("{line} {word}"),
            None => lines.push(word),
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use unicode_width::UnicodeWidthStr;

    use super::*;
    use crate::budget::KvType;

    const MIB: u64 = 1 << 20;

    #[test]
    fn a_plan_is_read_on_a_phone() {
        let plan = Plan {
            n_ctx: 40_960,
            kv_type: KvType::Q8_0,
            n_ubatch: 512,
            threads: 4,
            weights: 935 * MIB,
            weights_copied: 596 * MIB,
            kv: 3570 * MIB,
            compute: 70 * MIB,
            program: 61 * MIB,
            total: 5232 * MIB,
            budget: 6000 * MIB,
            reason: "the model was trained for 40960 tokens; a q8_0 cache saves memory".into(),
            ..Plan::default()
        };
        let page = page("qwen3-zero-coder-reasoning-0.8b", &plan);
        assert!(page.lines().all(|line| line.width() <= WIDTH), "{page}");
        for line in [
            "  weights   935.0 MiB  mapped file",
            "  copied    596.0 MiB  weights, rearranged",
            "  KV cache    3.5 GiB  40960 tokens, q8_0",
            "  compute    70.0 MiB  512 tokens at once",
            "  program    61.0 MiB",
            "  total       5.1 GiB  of 5.9 GiB",
            "  4 threads; the model was trained for 40960",
        ] {
            assert!(page.lines().any(|is| is == line), "{line} is not in\n{page}");
        }
    }

    #[test]
    fn a_refusal_keeps_what_is_typed_together() {
        let hint = "`--kv-type q4_0` would fit; so would a context of 39424 tokens: `--ctx 39424`".to_owned();
        let page = refused("a", &Refusal { need: 4298 * MIB, have: 3584 * MIB, said: None, room: None, hint });
        assert!(page.lines().all(|line| line.width() <= WIDTH), "{page}");
        assert!(page.contains("the model needs 4.2 GiB and the budget is 3.5\nGiB."), "{page}");
        assert!(page.contains("`--kv-type q4_0`") && page.contains("`--ctx 39424`"), "{page}");
        assert_eq!(wrapped("", 5), [""]);
    }
}
