//! What can only be seen from inside: the logits at the places where kernels of different width disagree.

use super::context::CHAT;
use super::*;
use crate::budget::Policy;
use crate::budget::shape::Shape;
use crate::chat::{Message, Role};
use crate::device::Processor;
use crate::device::memory::Probe;
use crate::engine::{Cancel, ChatRequest, Overflow, Stop};
use crate::fim::form::Known;

/// How far the two best logits may be apart where decoding several tokens at once chooses another one than decoding
/// one after the other. On x86 with AVX-512 the logits of SmolLM2 (Q4_1) are the same to the bit for every width, so
/// nothing parts; processors with matrix kernels that need an even width add up in another order, and levels of one
/// architecture were seen to agree within this.
const NEAR_TIE: f32 = 0.1;

#[test]
fn a_lack_of_memory_is_not_blamed_on_the_file() {
    let hint = |reason: &str| EngineError::Load { model: "m".into(), reason: reason.into() }.hint().unwrap();
    for reason in ["mmap failed: Cannot allocate memory", "failed to allocate buffer of size 1117320768", "ENOMEM"] {
        assert!(hint(reason).contains("zord plan") && !hint(reason).contains("verify"), "{reason}");
    }
    assert!(hint("tensor 'x' data is not within the file bounds").contains("zord models verify"));
}

fn worker(speculate: bool) -> Option<Worker> {
    worker_of("SmolLM2-135M-Instruct.Q4_1.gguf", speculate)
}

fn worker_of(name: &str, speculate: bool) -> Option<Worker> {
    let folder = std::env::var_os("ZORD_TEST_MODELS").or_else(|| {
        eprintln!("SKIPPED: ZORD_TEST_MODELS names no folder with models");
        None
    })?;
    let model = Path::new(&folder).join(name);
    if !model.is_file() {
        eprintln!("SKIPPED: needs `{name}` in the folder that ZORD_TEST_MODELS names");
        return None;
    }
    let header = Header::read(&model).unwrap();
    let shape = Shape::from_header(&header).unwrap();
    let policy = Policy { n_ctx: Some(1024), speculate: true, ..Policy::default() };
    let processor = Processor { threads: 1, ..crate::device::Device::probe().processor() };
    let plan = crate::budget::plan::plan(&shape, &Probe::new().memory(), &policy, &processor).unwrap();
    let spec = LocalSpec { model, plan, lora: Vec::new(), speculate, cpus: Vec::new(), known: Known::Nothing };
    Some(Worker::load(spec, Threads::default(), &mut queue(), &mut (Box::new(|_| ()) as Sink)).unwrap().0)
}

/// One that nobody sends to, but not empty: else nobody would be left to load for.
fn queue() -> Queue {
    let (_, inbox) = std::sync::mpsc::channel();
    let waiting = VecDeque::from([Job { id: JobId(0), cancel: Cancel::new(), work: Work::Release }]);
    Queue { inbox, waiting }
}

/// Prompt and answer as tokens, and how many of them were drafted.
fn tokens(worker: &mut Worker, question: &str) -> (Vec<i32>, u32) {
    let request = ChatRequest {
        turns: vec![Message::new(Role::User, question)],
        max_tokens: Some(160),
        ..ChatRequest::default()
    };
    let job = Job { id: JobId(1), cancel: Cancel::new(), work: Work::Release };
    // As on a processor where width is free: so that much is drafted, whether it pays here or not.
    for width in 1..=MAX_OUTPUTS {
        worker.costs.learn(width, 1e-3);
    }
    let Ok(Outcome::Generated { stats, .. }) =
        worker.chat(&job, &request, &mut queue(), &mut (Box::new(|_| ()) as Sink))
    else {
        panic!("no answer");
    };
    (worker.cached.clone(), stats.accepted_tokens)
}

/// The two largest logits after these tokens, evaluated as a prompt is.
fn two_best(worker: &mut Worker, tokens: &[i32]) -> [(f32, i32); 2] {
    let cancel = Cancel::new();
    let context = worker.context().unwrap();
    context.remove(CHAT, 0, None);
    let mut at = 0;
    let mut row = 0;
    for chunk in tokens.chunks(context.n_batch()) {
        context.decode(chunk, at, CHAT, 1, &cancel).unwrap();
        at += chunk.len();
        row = chunk.len() - 1;
    }
    let mut ranked: Vec<(f32, i32)> = context.logits(row).unwrap().iter().copied().zip(0..).collect();
    ranked.sort_by(|a, b| b.0.total_cmp(&a.0));
    worker.cached.clear();
    worker.context().unwrap().remove(CHAT, 0, None);
    [ranked[0], ranked[1]]
}

#[test]
fn speculation_parts_from_plain_decoding_at_near_ties_only() {
    let (Some(mut plain), Some(mut drafting)) = (worker(false), worker(true)) else { return };
    let code =
        "def add(a, b):\n    return a + b\n\ndef sub(a, b):\n    return a - b\n\ndef mul(a, b):\n    return a * b\n";
    let questions = [
        format!("```python\n{code}```\nWrite this code again."),
        format!("```python\n{code}```\nAdd a function `div` and write everything."),
        format!("```python\n{code}```\nAdd a docstring to each function."),
        "Repeat ten times: the quick brown fox jumps over the lazy dog.".to_owned(),
        "Write a poem with a refrain.".to_owned(),
        "Count from one to fifty in words.".to_owned(),
    ];
    let (mut parted, mut accepted) = (0, 0);
    for question in &questions {
        let ((one, _), (many, drafted)) = (tokens(&mut plain, question), tokens(&mut drafting, question));
        accepted += drafted;
        let Some(at) = one.iter().zip(&many).position(|(a, b)| a != b) else {
            // One may hold a token less: the last one of an answer is not always evaluated.
            assert!(one.len().abs_diff(many.len()) <= 16, "{question}: {} and {} tokens", one.len(), many.len());
            continue;
        };
        parted += 1;
        let [first, second] = two_best(&mut plain, &one[..at]);
        let gap = first.0 - second.0;
        eprintln!("parted after {at} tokens, gap {gap}: {question:?}");
        assert!(gap < NEAR_TIE, "{question}: {gap}");
        for token in [one[at], many[at]] {
            assert!([first.1, second.1].contains(&token), "{question}: {token} is neither {first:?} nor {second:?}");
        }
    }
    eprintln!("{parted} of {} answers parted, {accepted} tokens came from drafts", questions.len());
    assert!(accepted > 0, "nothing was drafted, so nothing was tested");
}

#[test]
fn logits_hardly_depend_on_the_width_of_a_batch() {
    let Some(mut worker) = worker(false) else { return };
    let tokens = worker.words.tokens(&"def add(first, second):\n    return first + second\n\n".repeat(12), true);
    let tokens = &tokens[..160];
    let cancel = Cancel::new();
    let mut rows = |width: usize| {
        let context = worker.context().unwrap();
        context.remove(CHAT, 0, None);
        let mut rows = Vec::new();
        for (i, chunk) in tokens.chunks(width).enumerate() {
            context.decode(chunk, i * width, CHAT, chunk.len(), &cancel).unwrap();
            rows.extend((0..chunk.len()).map(|row| context.logits(row).unwrap().to_vec()));
        }
        rows
    };
    let plain = rows(1);
    for width in [2, 5, 16] {
        let wide = rows(width);
        let pairs = plain.iter().zip(&wide).flat_map(|(a, b)| a.iter().zip(b));
        let most = pairs.map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        eprintln!("width {width}: logits differ by at most {most}");
        assert!(most < NEAR_TIE / 2.0, "width {width}: {most}");
    }
}

#[test]
fn fewer_threads_work_from_the_next_evaluation_on_and_compute_the_same() {
    let Some(mut worker) = worker(false) else { return };
    worker.spec.plan.threads = 2;
    worker.context = None;
    let text = worker.words.tokens("In the beginning God created the heaven and the earth", false);
    let alone = |worker: &mut Worker| {
        let best = two_best(worker, &text);
        (best, worker.context().unwrap().n_threads())
    };
    let (planned, before) = alone(&mut worker);
    worker.threads.set(1);
    let (limited, during) = alone(&mut worker);
    worker.threads.set(9);
    let (again, after) = alone(&mut worker);
    assert_eq!([before, during, after], [2, 1, 2]);
    assert_eq!(planned, again);
    assert_eq!(planned.map(|(_, token)| token), limited.map(|(_, token)| token));
}

/// A model file's path in a folder, loaded.
fn load(folder: &Path, bytes: &[u8]) -> Result<Worker, EngineError> {
    let model = folder.join("m.gguf");
    std::fs::write(&model, bytes).unwrap();
    let shape = Shape::from_header(&Header::read(&model).unwrap()).unwrap();
    let policy = Policy { n_ctx: Some(256), ..Policy::default() };
    let processor = Processor { threads: 1, ..Processor::default() };
    let plan = crate::budget::plan::plan(&shape, &Probe::new().memory(), &policy, &processor).unwrap();
    let spec = LocalSpec { model, plan, lora: Vec::new(), speculate: false, cpus: Vec::new(), known: Known::Nothing };
    let mut sink = Box::new(|_| ()) as Sink;
    Worker::load(spec, Threads::default(), &mut queue(), &mut sink).map(|(worker, _)| worker)
}

#[test]
fn the_model_that_hostile_ones_are_made_from_is_loaded_and_evaluated() {
    let folder = tempfile::tempdir().unwrap();
    let mut worker = load(folder.path(), &admission::tests::Minimal::new().bytes()).unwrap();
    let text = worker.words.tokens("ab\u{e4}", true);
    assert_eq!(text.len(), 8, "a mark, the three bytes of a blank, two words, two bytes: {text:?}");
    let [best, _] = two_best(&mut worker, &text);
    assert_eq!(best.0, 0.0, "weights of zero");
}

#[test]
fn a_hostile_model_is_refused_before_llama_cpp_sees_it() {
    let folder = tempfile::tempdir().unwrap();
    let mut model = admission::tests::Minimal::new();
    model.keys.f32("llama.attention.layer_norm_rms_epsilon", -1.0);
    let Err(refusal) = load(folder.path(), &model.bytes()) else { panic!("it was loaded") };
    assert!(refusal.to_string().contains("rms_epsilon` is -1"), "{refusal}");
}

const QWEN: &str = "qwen2.5-coder-0.5b-instruct-q4_k_m.gguf";

/// Answers until these words come; gives whether they did, the text before them, and what was told of turns left out.
fn answer(
    worker: &mut Worker,
    turns: &[(Role, String)],
    overflow: Overflow,
    until: &str,
) -> (bool, String, Vec<Event>) {
    let turns = turns.iter().map(|(role, text)| Message::new(*role, text.clone())).collect();
    // As much as is kept free for an answer without a limit.
    let stop = vec![until.to_owned()];
    let request = ChatRequest { turns, overflow, stop, max_tokens: Some(256), ..ChatRequest::default() };
    let job = Job { id: JobId(1), cancel: Cancel::new(), work: Work::Release };
    let (sender, told) = std::sync::mpsc::channel();
    let mut sink: Sink = Box::new(move |event| drop(sender.send(event)));
    let outcome = worker.chat(&job, &request, &mut queue(), &mut sink).unwrap();
    drop(sink);
    let Outcome::Generated { text, stop, .. } = outcome else { panic!("{outcome:?}") };
    (stop == Stop::Text, text, told.iter().filter(|event| matches!(event, Event::Cut { .. })).collect())
}

#[test]
fn a_mark_that_is_spelt_out_does_not_end_an_answer_and_its_token_does() {
    for (name, mark) in [("SmolLM2-135M-Instruct.Q4_1.gguf", "<|im_end|>"), (QWEN, "<|im_end|>")] {
        let Some(worker) = worker_of(name, false) else { return };
        let request = ChatRequest::default();
        let text = format!("The token {mark} ends a turn, and <|im_start|> begins one.");
        let mut pieces = crate::engine::pieces::Pieces::new(worker.stops(&request));
        let spelt = worker.words.tokens(&text, false);
        let told: String = spelt.iter().map(|&token| pieces.push(&worker.words.bytes(token))).collect();
        assert_eq!((told + &pieces.finish(), pieces.stopped()), (text, false), "{name}");
        assert!(spelt.iter().all(|&token| !worker.ends(token, &request)), "{name}");
        assert!(worker.ends(worker.words.id(mark).unwrap(), &request), "{name}");
    }
}

/// A class of about so many bytes.
fn class(bytes: usize) -> String {
    let mut code = String::from("class PriorityStack:\n    def __init__(self):\n        self.items = []\n");
    for i in 0.. {
        if code.len() >= bytes {
            break;
        }
        code += &format!("\n    def push_{i}(self, item):\n        self.items.append((item, {i}))\n");
    }
    code
}

#[test]
fn the_same_in_another_language_finds_what_it_speaks_of_in_a_small_context() {
    let Some(mut worker) = worker_of(QWEN, false) else { return };
    for (bytes, overflow) in [(1800, Overflow::Drop), (1800, Overflow::Summarise), (6000, Overflow::Drop)] {
        let turns = [
            (Role::User, "What is a stack?".to_owned()),
            (Role::Assistant, "A stack is a list from which the last element is taken first. ".repeat(20)),
            (Role::User, "Write a priority stack in Python.".to_owned()),
            (Role::Assistant, format!("```python\n{}```\n", class(bytes))),
            (Role::User, "Write the same in TypeScript.".to_owned()),
        ];
        let (came, text, cuts) = answer(&mut worker, &turns, overflow, "class PriorityStack");
        assert!(came, "{bytes} {overflow:?}: {text}");
        let [Event::Cut { turns: 2, trimmed_lines: 0, earlier_lines, summary, .. }] = &cuts[..] else {
            panic!("{cuts:?}")
        };
        assert_eq!(summary.is_some(), overflow == Overflow::Summarise);
        // A summary takes room of its own.
        assert!(summary.is_some() || (*earlier_lines > 0) == (bytes > 2000), "{bytes}: {earlier_lines}");
    }
}

#[test]
fn many_pasted_lines_are_cut_and_not_refused() {
    let Some(mut worker) = worker_of(QWEN, false) else { return };
    let log: String = (0..900).map(|i| format!("   Compiling crate-{i} v0.1.{i}\n")).collect();
    for overflow in [Overflow::Drop, Overflow::Summarise] {
        let turns = [
            (Role::User, "What is a crate?".to_owned()),
            (Role::Assistant, "A unit that the compiler of Rust takes at once.".to_owned()),
            (Role::User, "And a module? ".repeat(30)),
            (Role::Assistant, "A part of a crate with names of its own.".to_owned()),
            (Role::User, format!("{log}error: cannot find crate-7\nWhat went wrong?")),
        ];
        let (_, text, cuts) = answer(&mut worker, &turns, overflow, ".");
        assert!(!text.is_empty());
        assert!(matches!(cuts[..], [Event::Cut { turns: 2, trimmed_lines: 500.., .. }]), "{overflow:?}: {cuts:?}");
    }
}
