//! Whatever is said arrives as it was said, and whatever else arrives is refused.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;

use proptest::prelude::*;

use super::*;
use crate::budget::{KvType, Plan};
use crate::chat::{Message, Role};
use crate::edits::grammar::Constraint;
use crate::engine::{
    ChatRequest, CompleteRequest, Event, Facts, InfillRequest, Infilled, Outcome, Overflow, Sampling, Stats, Stop,
};
use crate::error::UserError;
use crate::fim::Site;
use crate::fim::cache::Suggestion;
use crate::fim::form::{Family, Known};
use crate::fim::ring::Chunk;

fn any_path() -> impl Strategy<Value = std::path::PathBuf> {
    prop::collection::vec(1u8.., 0..20).prop_map(|bytes| OsString::from_vec(bytes).into())
}

fn any_stats() -> impl Strategy<Value = Stats> {
    // quarters are written down without loss
    (any::<u32>(), any::<u32>(), any::<u32>()).prop_map(|(a, b, ms)| Stats {
        prompt_tokens: a,
        generated_tokens: b,
        first_token_ms: f64::from(ms) / 4.0,
        ..Stats::default()
    })
}

fn any_plan() -> impl Strategy<Value = Plan> {
    (any::<u32>(), any::<u64>(), any::<bool>(), ".*").prop_map(|(n_ctx, total, flash, reason)| Plan {
        n_ctx,
        kv_type: KvType::Q8_0,
        total,
        flash,
        reason,
        ..Plan::default()
    })
}

fn any_spec() -> impl Strategy<Value = LocalSpec> {
    let lora = prop::collection::vec((any_path(), -8.0f32..8.0), 0..3);
    (any_path(), any_plan(), lora, any::<bool>(), prop::collection::vec(0usize..256, 0..4)).prop_map(
        |(model, plan, lora, speculate, cpus)| LocalSpec {
            model,
            plan,
            lora,
            speculate,
            cpus,
            known: Known::Family(Family::Codestral),
        },
    )
}

fn any_outcome() -> impl Strategy<Value = Outcome> {
    let generated = (".*", any_stats()).prop_map(|(text, stats)| Outcome::Generated { text, stop: Stop::Text, stats });
    let suggestion = (".*", -9.0f32..0.0).prop_map(|(text, score)| Suggestion { text, score });
    let filled = (prop::collection::vec(suggestion, 0..4), any_stats()).prop_map(|(alternatives, stats)| {
        Outcome::Infilled(Infilled { alternatives, method: "qwen".into(), cancelled: true, stats, ms: 12.5 })
    });
    prop_oneof![
        generated,
        filled,
        any::<u32>().prop_map(Outcome::Counted),
        any::<u32>().prop_map(Outcome::Restored),
        Just(Outcome::Released)
    ]
}

fn any_event() -> impl Strategy<Value = Event> {
    let job = || any::<u64>().prop_map(JobId);
    let hint = || prop::option::of(".*");
    let report = || (".*", hint()).prop_map(|(message, hint)| UserError { hint, ..UserError::failed(message) });
    let facts = (any_plan(), ".*", hint(), any::<u32>()).prop_map(|(plan, name, server, n_ctx)| Facts {
        name,
        n_ctx,
        plan: Some(plan),
        server,
        ..Facts::default()
    });
    prop_oneof![
        (0.0f32..1.0).prop_map(Event::Loading),
        facts.prop_map(|facts| Event::Loaded(Box::new(facts))),
        report().prop_map(Event::LoadFailed),
        (".*", hint()).prop_map(|(how, with)| Event::Died { how, with }),
        (job(), 0usize..9, hint()).prop_map(|(job, turns, summary)| Event::Cut {
            job,
            turns,
            trimmed_lines: 1,
            earlier_lines: 2,
            summary
        }),
        (job(), any::<u32>(), any::<u32>()).prop_map(|(job, done, total)| Event::Prefill { job, done, total }),
        (job(), ".*").prop_map(|(job, text)| Event::Piece { job, text }),
        (job(), ".*").prop_map(|(job, text)| Event::Filling { job, text }),
        (job(), any_outcome()).prop_map(|(job, outcome)| Event::Done { job, outcome }),
        (job(), report()).prop_map(|(job, error)| Event::Failed { job, error }),
    ]
}

fn any_work() -> impl Strategy<Value = Work> {
    let chat = (prop::collection::vec(".*", 0..4), any::<bool>(), prop::option::of(any::<u32>())).prop_map(
        |(turns, raw, max_tokens)| {
            Work::Chat(ChatRequest {
                turns: turns.into_iter().map(|text| Message::new(Role::User, text)).collect(),
                raw,
                max_tokens,
                stop: vec!["\n\n".into()],
                overflow: Overflow::Summarise,
                constraint: raw.then(|| Constraint::new([("a.rs", "fn a() {}\n")]).changing()),
                sampling: Sampling { temperature: 0.7, ..Sampling::default() },
                ignore_end: !raw,
            })
        },
    );
    let infill = (".*", ".*", prop::option::of("[a-z]{1,8}[.](rs|py|go|txt)")).prop_map(|(before, after, path)| {
        Work::Infill(InfillRequest {
            site: Site::new(path.as_deref(), Some("repo"), &before, &after),
            chunks: vec![Chunk { path: "b.rs".into(), text: after }],
            max_tokens: 48,
            alternatives: 4,
            prompt_tokens: 1024,
        })
    });
    let complete = ".*".prop_map(|prefix| {
        Work::Complete(CompleteRequest {
            prefix,
            sampling: Sampling::default(),
            max_tokens: 3,
            stop: Vec::new(),
            ignore_end: true,
        })
    });
    prop_oneof![
        chat,
        infill,
        complete,
        ".*".prop_map(Work::Count),
        any_path().prop_map(Work::Save),
        any_path().prop_map(Work::Restore),
        Just(Work::Release)
    ]
}

fn any_order() -> impl Strategy<Value = Order> {
    prop_oneof![
        any_spec().prop_map(|spec| Order::Start { build: BUILD.into(), spec }),
        (any::<u64>(), any_work()).prop_map(|(id, work)| Order::Work { id: JobId(id), work }),
        any::<u64>().prop_map(|id| Order::Cancel(JobId(id))),
        any::<u32>().prop_map(Order::Threads),
        Just(Order::Finish)
    ]
}

/// Gives a few bytes at a time, as a socket may.
struct Slow<'a>(&'a [u8], usize);

impl Read for Slow<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let most = into.len().min(self.1);
        self.0.read(&mut into[..most])
    }
}

fn told(order: &Order) -> String {
    format!("{order:?}")
}

proptest! {
    #[test]
    fn events_arrive_as_they_were_said(events in prop::collection::vec(any_event(), 1..6), step in 1usize..9) {
        let mut bytes = Vec::new();
        for event in &events {
            write(&mut bytes, event).unwrap();
        }
        let mut from = Slow(&bytes, step);
        for event in events {
            prop_assert_eq!(read::<Event>(&mut from).unwrap(), Some(event));
        }
        prop_assert_eq!(read::<Event>(&mut from).unwrap(), None);
    }

    #[test]
    fn orders_arrive_as_they_were_given(order in any_order(), step in 1usize..9) {
        let mut bytes = Vec::new();
        write(&mut bytes, &order).unwrap();
        let again: Order = read(&mut Slow(&bytes, step)).unwrap().unwrap();
        prop_assert_eq!(told(&again), told(&order));
    }

    #[test]
    fn a_part_of_a_message_is_none(order in any_order(), at in any::<prop::sample::Index>()) {
        let mut bytes = Vec::new();
        write(&mut bytes, &order).unwrap();
        bytes.truncate(1 + at.index(bytes.len() - 1));
        let error = read::<Order>(&mut &bytes[..]).unwrap_err();
        prop_assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
    }

    #[test]
    fn noise_is_refused_and_takes_no_memory(noise in prop::collection::vec(any::<u8>(), 1..64)) {
        prop_assert!(read::<Order>(&mut &noise[..]).is_err());
    }
}

#[test]
fn a_message_that_is_too_large_is_neither_written_nor_read() {
    let mut bytes = Vec::new();
    let large = Order::<&Work, &LocalSpec>::Start { build: "x".repeat(LARGEST), spec: &spec() };
    assert_eq!(write(&mut bytes, &large).unwrap_err().kind(), io::ErrorKind::InvalidInput);
    assert!(bytes.is_empty());
    let head = (LARGEST as u32 + 1).to_le_bytes();
    assert_eq!(read::<Order>(&mut &head[..]).unwrap_err().kind(), io::ErrorKind::InvalidData);
}

fn spec() -> LocalSpec {
    LocalSpec {
        model: "m.gguf".into(),
        plan: Plan::default(),
        lora: Vec::new(),
        speculate: false,
        cpus: Vec::new(),
        known: Known::Nothing,
    }
}
