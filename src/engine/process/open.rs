//! The jobs that an engine in another process has not ended yet, with what it said of them: enough to go on with another
//! one.

use crate::chat::{Message, Role, compact};
use crate::engine::{Cancel, ChatRequest, Event, Infilled, Job, JobId, Outcome, Stats, Stop, Work};
use crate::error::UserError;

/// Engines that may die with the same job.
const LIVES: u32 = 3;

/// A job that has not ended.
#[derive(Debug)]
pub(super) struct Open {
    pub(super) id: JobId,
    pub(super) work: Work,
    cancel: Cancel,
    /// The engine knows that it is cancelled.
    told: bool,
    /// What was written so far, and of how many pieces.
    text: String,
    pieces: u32,
    /// Of these, what engines wrote that are dead.
    before: (usize, u32),
    /// Older turns that were left out, and what stands in their place.
    cut: Option<(usize, Option<String>)>,
    /// Engines that died with it.
    deaths: u32,
}

/// All of them, in the order in which they came.
#[derive(Debug, Default)]
pub(super) struct OpenJobs(Vec<Open>);

impl OpenJobs {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Open> {
        self.0.iter()
    }

    pub(super) fn add(&mut self, Job { id, cancel, work }: Job) {
        let (text, before) = (String::new(), (0, 0));
        self.0.push(Open { id, work, cancel, told: false, text, pieces: 0, before, cut: None, deaths: 0 });
    }

    pub(super) fn remove(&mut self, id: JobId) {
        self.0.retain(|open| open.id != id);
    }

    pub(super) fn get(&self, id: JobId) -> Option<&Open> {
        self.0.iter().find(|open| open.id == id)
    }

    /// Those whose flag was raised since the last call.
    pub(super) fn newly_cancelled(&mut self) -> Vec<JobId> {
        let new = self.0.iter_mut().filter(|open| open.cancel.is_cancelled() && !open.told);
        new.map(|open| {
            open.told = true;
            open.id
        })
        .collect()
    }

    /// Takes in what the engine says; gives what is to be passed on.
    pub(super) fn hear(&mut self, event: Event) -> Option<Event> {
        let of = |jobs: &Self, id: JobId| jobs.0.iter().position(|open| open.id == id);
        match event {
            Event::Piece { job, text } => {
                if let Some(open) = of(self, job).and_then(|at| self.0.get_mut(at)) {
                    open.text.push_str(&text);
                    open.pieces += 1;
                }
                Some(Event::Piece { job, text })
            }
            Event::Cut { job, turns, trimmed_lines, earlier_lines, summary } => {
                if let Some(open) = of(self, job).and_then(|at| self.0.get_mut(at)) {
                    if turns == 0 && open.deaths > 0 {
                        // it was told before the death
                        return None;
                    }
                    open.cut = Some((turns, summary.clone()));
                }
                Some(Event::Cut { job, turns, trimmed_lines, earlier_lines, summary })
            }
            Event::Done { job, outcome } => {
                let outcome = match of(self, job) {
                    Some(at) => self.0.remove(at).whole(outcome),
                    None => outcome,
                };
                Some(Event::Done { job, outcome })
            }
            Event::Failed { job, .. } => {
                self.remove(job);
                Some(event)
            }
            other => Some(other),
        }
    }

    /// The engine died. What cannot go on ends with one of these events; the rest is ready for the next engine.
    pub(super) fn survive(&mut self) -> Vec<Event> {
        let mut ends = Vec::new();
        self.0.retain_mut(|open| match open.survive() {
            None => true,
            Some(end) => {
                ends.push(end);
                false
            }
        });
        ends
    }

    /// There will be no other engine: all of them end.
    pub(super) fn give_up(&mut self) -> Vec<Event> {
        self.0.drain(..).map(|open| open.failed("the engine is not running")).collect()
    }
}

impl Open {
    fn failed(&self, message: &str) -> Event {
        Event::Failed { job: self.id, error: UserError::failed(message) }
    }

    fn generated(&self, stop: Stop) -> Event {
        let stats = Stats { generated_tokens: self.pieces, ..Stats::default() };
        Event::Done { job: self.id, outcome: Outcome::Generated { text: self.text.clone(), stop, stats } }
    }

    /// With what engines wrote that are dead by now.
    fn whole(&self, outcome: Outcome) -> Outcome {
        match outcome {
            Outcome::Generated { text, stop, mut stats } if self.deaths > 0 => {
                let (bytes, pieces) = self.before;
                let begun = self.text.get(..bytes).unwrap_or_default();
                stats.generated_tokens += pieces;
                Outcome::Generated { text: format!("{begun}{text}"), stop, stats }
            }
            other => other,
        }
    }

    /// Makes the work what is left of it; gives its end where nothing is.
    fn survive(&mut self) -> Option<Event> {
        self.deaths += 1;
        let cancelled = self.cancel.is_cancelled();
        if self.deaths >= LIVES && !cancelled {
            return Some(self.failed("the engine died several times at this"));
        }
        let new = self.text.get(self.before.0..).unwrap_or_default().to_owned();
        let pieces = self.pieces - self.before.1;
        let cut = self.cut.take();
        let left = match &mut self.work {
            Work::Chat(_) | Work::Complete(_) if cancelled => return Some(self.generated(Stop::Cancelled)),
            Work::Infill(_) if cancelled => {
                let outcome = Outcome::Infilled(Infilled { cancelled: true, ..Infilled::default() });
                return Some(Event::Done { job: self.id, outcome });
            }
            // asked for again with the next key, if it is still wanted
            Work::Infill(_) => return Some(self.failed("the engine died")),
            Work::Chat(request) => {
                leave_out(request, cut);
                go_on(request, &new);
                less(&mut request.max_tokens, pieces)
            }
            Work::Complete(request) => {
                request.prefix.push_str(&new);
                let mut left = Some(request.max_tokens);
                let some = less(&mut left, pieces);
                request.max_tokens = left.unwrap_or_default();
                some
            }
            Work::Count(_) | Work::Save(_) | Work::Restore(_) | Work::Release => true,
        };
        self.before = (self.text.len(), self.pieces);
        self.told = false;
        (!left).then(|| self.generated(Stop::Length))
    }
}

/// Takes what was written off the most that may be; `false` where nothing is left.
fn less(most: &mut Option<u32>, written: u32) -> bool {
    let Some(most) = most else { return true };
    *most = most.saturating_sub(written);
    *most > 0
}

/// The person was told that these turns are left out; they stay left out.
fn leave_out(request: &mut ChatRequest, cut: Option<(usize, Option<String>)>) {
    let Some((turns, summary)) = cut.filter(|(turns, _)| *turns > 0) else { return };
    let system = usize::from(request.turns.first().is_some_and(|turn| turn.role == Role::System));
    let end = request.turns.len().min(system + turns);
    request.turns.drain(system..end);
    if let Some(summary) = summary {
        let before = (system == 1).then(|| request.turns.remove(0).content);
        let said = before.as_deref().and_then(|text| compact::parted(text).0);
        if let Some(text) = compact::with_summary(said, Some(&summary)) {
            request.turns.insert(0, Message::new(Role::System, text));
        }
    }
}

/// Has the answer begin with what stands of it.
fn go_on(request: &mut ChatRequest, new: &str) {
    if new.is_empty() {
        return;
    }
    match request.turns.last_mut() {
        Some(turn) if request.raw || turn.role == Role::Assistant => turn.content.push_str(new),
        _ => request.turns.push(Message::new(Role::Assistant, new)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::{CompleteRequest, InfillRequest, Sampling};
    use crate::fim::Site;

    const ID: JobId = JobId(7);

    fn chat(max_tokens: Option<u32>) -> Work {
        let turns = vec![
            Message::new(Role::System, "be brief"),
            Message::new(Role::User, "old"),
            Message::new(Role::Assistant, "older"),
            Message::new(Role::User, "new"),
        ];
        Work::Chat(ChatRequest { turns, max_tokens, ..ChatRequest::default() })
    }

    fn open(work: Work) -> (OpenJobs, Cancel) {
        let mut jobs = OpenJobs::default();
        let cancel = Cancel::new();
        jobs.add(Job { id: ID, cancel: cancel.clone(), work });
        (jobs, cancel)
    }

    fn piece(text: &str) -> Event {
        Event::Piece { job: ID, text: text.into() }
    }

    fn turns(jobs: &OpenJobs) -> Vec<(Role, String)> {
        let Work::Chat(request) = &jobs.get(ID).unwrap().work else { panic!() };
        request.turns.iter().map(|turn| (turn.role, turn.content.clone())).collect()
    }

    fn end(text: &str) -> Event {
        let stats = Stats { generated_tokens: 1, ..Stats::default() };
        Event::Done { job: ID, outcome: Outcome::Generated { text: text.into(), stop: Stop::End, stats } }
    }

    #[test]
    fn an_answer_goes_on_where_it_stopped_and_ends_whole() {
        let (mut jobs, _) = open(chat(Some(10)));
        for text in ["one ", "two "] {
            assert_eq!(jobs.hear(piece(text)), Some(piece(text)));
        }
        assert_eq!(jobs.survive(), []);
        assert_eq!(turns(&jobs)[3..], [(Role::User, "new".into()), (Role::Assistant, "one two ".into())]);
        jobs.hear(piece("three"));
        assert_eq!(jobs.survive(), []);
        assert_eq!(turns(&jobs)[4].1, "one two three");
        let Work::Chat(ChatRequest { max_tokens, .. }) = &jobs.get(ID).unwrap().work else { panic!() };
        assert_eq!(*max_tokens, Some(7));
        let Some(Event::Done { outcome: Outcome::Generated { text, stats, .. }, .. }) = jobs.hear(end(".")) else {
            panic!()
        };
        assert_eq!((text.as_str(), stats.generated_tokens), ("one two three.", 4));
        assert!(jobs.is_empty());
    }

    #[test]
    fn a_job_that_no_engine_survives_is_given_up() {
        let (mut jobs, _) = open(Work::Count("x".into()));
        assert_eq!((jobs.survive(), jobs.survive()), (vec![], vec![]));
        assert!(matches!(jobs.survive()[..], [Event::Failed { job: ID, .. }]));
        assert!(jobs.is_empty());
    }

    #[test]
    fn what_is_left_out_stays_left_out() {
        for summary in [None, Some("they talked")] {
            let (mut jobs, _) = open(chat(None));
            let cut = |turns| Event::Cut {
                job: ID,
                turns,
                trimmed_lines: 0,
                earlier_lines: 0,
                summary: summary.map(str::to_owned),
            };
            assert_eq!(jobs.hear(cut(2)), Some(cut(2)));
            assert_eq!(jobs.survive(), []);
            let turns = turns(&jobs);
            assert_eq!((turns.len(), turns[1].1.as_str()), (2, "new"));
            assert!(turns[0].1.starts_with("be brief") && turns[0].1.contains(summary.unwrap_or("be brief")));
            assert_eq!(jobs.hear(cut(0)), None, "told before");
        }
    }

    #[test]
    fn what_was_cancelled_ends_as_such() {
        let (mut jobs, cancel) = open(chat(None));
        jobs.hear(piece("one"));
        assert_eq!(jobs.newly_cancelled(), []);
        cancel.cancel();
        assert_eq!((jobs.newly_cancelled(), jobs.newly_cancelled()), (vec![ID], vec![]));
        let ends = jobs.survive();
        let [Event::Done { outcome: Outcome::Generated { text, stop: Stop::Cancelled, .. }, .. }] = &ends[..] else {
            panic!("{ends:?}")
        };
        assert_eq!(text, "one");
    }

    #[test]
    fn a_completion_that_is_long_enough_ends_and_a_suggestion_is_dropped() {
        let request = CompleteRequest {
            prefix: "a".into(),
            sampling: Sampling::default(),
            max_tokens: 2,
            stop: Vec::new(),
            ignore_end: false,
        };
        let (mut jobs, _) = open(Work::Complete(request.clone()));
        jobs.hear(piece("b"));
        assert_eq!(jobs.survive(), []);
        let Work::Complete(left) = &jobs.get(ID).unwrap().work else { panic!() };
        assert_eq!((left.prefix.as_str(), left.max_tokens), ("ab", 1));
        jobs.hear(piece("c"));
        let ends = jobs.survive();
        let [Event::Done { outcome: Outcome::Generated { text, stop: Stop::Length, .. }, .. }] = &ends[..] else {
            panic!("{ends:?}")
        };
        assert_eq!(text, "bc");
        let site = Site::new(None, None, "a", "");
        let infill = InfillRequest { site, chunks: Vec::new(), max_tokens: 9, alternatives: 1, prompt_tokens: 64 };
        let (mut jobs, _) = open(Work::Infill(infill));
        assert!(matches!(jobs.survive()[..], [Event::Failed { job: ID, .. }]));
    }
}
