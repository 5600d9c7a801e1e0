//! Suggestions for the editor: from the cache, else from the engine; what was shown is kept, and what would come after
//! it is prepared. One request at a time: a newer one ends the older one.

use std::path::PathBuf;

use super::Desk;
use crate::app::editor::msg::{Asked, EditorMsg, SuggestId, SuggestRequest};
use crate::app::msg::Msg;
use crate::engine::{Event, InfillRequest, JobId, Outcome, Work};
use crate::fim::Site;
use crate::fim::cache::{Cache, fingerprint};
use crate::fim::ring::Ring;

/// Tokens of a suggestion at most: a phone writes some ten a second.
const MOST_TOKENS: u32 = 48;
/// Tokens of a prompt at most.
const PROMPT_TOKENS: u32 = 1024;
/// Alternatives when they are asked for by the key.
const ALTERNATIVES: u32 = 4;
/// Jobs of suggestions have numbers of their own.
const JOBS: u64 = 1 << 62;

/// A cursor that moved this many lines left a place.
const FAR: usize = 64;

/// What a loaded model's suggestions are known by; `None` inside: there is none any more.
pub(super) fn known_by(event: &Event, lora: &[(PathBuf, f32)]) -> Option<Option<u64>> {
    match event {
        Event::Loaded(facts) => {
            let lora = format!("{lora:?}");
            Some(Some(fingerprint(&[facts.name.as_bytes(), facts.content.as_bytes(), lora.as_bytes()])))
        }
        Event::LoadFailed(_) => Some(None),
        _ => None,
    }
}

/// A request that the engine works on.
struct Flight {
    job: JobId,
    site: Site,
    /// Whom to tell; `None`: nobody yet, it is prepared.
    asked: Option<SuggestId>,
    /// What comes after it is to be prepared too.
    ahead: bool,
}

/// Where the last request was.
struct Seen {
    name: String,
    line: usize,
    text: String,
    /// The cursor's line in `text`.
    at: usize,
}

/// What is known of suggesting.
pub(super) struct Suggester {
    ring: Ring,
    cache: Cache,
    file: PathBuf,
    /// Fingerprint of the model that is loaded; `None` while none is.
    model: Option<u64>,
    flight: Option<Flight>,
    jobs: u64,
    seen: Option<Seen>,
}

impl Suggester {
    /// With what was kept of earlier runs; a cache that cannot be read is an empty one.
    pub(super) fn new(file: PathBuf) -> Self {
        let cache = Cache::load(&file);
        Self { ring: Ring::new(), cache, file, model: None, flight: None, jobs: JOBS, seen: None }
    }

    /// Writes the cache; there is nobody to tell if it cannot be written.
    pub(super) fn close(mut self) {
        if self.cache.is_dirty()
            && let Err(error) = self.cache.save(&self.file)
        {
            tracing::warn!("suggestions are not kept: {error}");
        }
    }

    /// Remembers the place that the cursor left since the last request.
    fn visit(&mut self, request: &SuggestRequest) {
        let line = request.rope.char_to_line(request.at.min(request.rope.len_chars()));
        let left = self.seen.take_if(|seen| seen.name != request.name || seen.line.abs_diff(line) > FAR);
        if let Some(left) = left {
            self.ring.visit(&left.name, &left.text, left.at);
        }
        if self.seen.is_none() {
            let at = request.before.matches('\n').count();
            let text = format!("{}{}", request.before, request.after);
            self.seen = Some(Seen { name: request.name.clone(), line, text, at });
        }
    }
}

impl Desk {
    pub(super) fn suggest(&mut self, request: &SuggestRequest) {
        let folder = self.start.folder.file_name().map(|name| name.to_string_lossy().into_owned());
        let site = Site::new(Some(&request.name), folder.as_deref(), &request.before, &request.after);
        if let Some(flight) = self.suggester.flight.as_mut().filter(|flight| flight.site == site) {
            // It was prepared for just this.
            flight.asked = Some(request.id);
            flight.ahead = request.ahead;
            return;
        }
        self.cancel_suggestion();
        self.look_at_power();
        let Some(model) = self.suggester.model else { return self.suggested(request.id, Vec::new()) };
        self.suggester.visit(request);
        let by_key = request.asked == Asked::Key;
        // Who asks for another one is not served with the one that was found before.
        let found = self.suggester.cache.get(model, &site).filter(|found| !by_key || found.len() > 1);
        if let Some(found) = found {
            let next = found.first().filter(|_| request.ahead).map(|best| site.with(&best.text));
            self.suggested(request.id, found.into_iter().map(|one| one.text).collect());
            if let Some(next) = next {
                self.prepare_suggestion(model, next);
            }
            return;
        }
        let alternatives = if by_key { ALTERNATIVES } else { 1 };
        self.fill_in(site, Some(request.id), alternatives, request.ahead);
    }

    pub(super) fn cancel_suggestion(&mut self) {
        if let Some(flight) = self.suggester.flight.take() {
            self.engine.cancel(flight.job);
        }
    }

    /// What would be asked if the suggestion that is shown were taken.
    fn prepare_suggestion(&mut self, model: u64, site: Site) {
        if self.suggester.cache.get(model, &site).is_none() {
            self.fill_in(site, None, 1, false);
        }
    }

    fn fill_in(&mut self, site: Site, asked: Option<SuggestId>, alternatives: u32, ahead: bool) {
        self.suggester.jobs += 1;
        let job = JobId(self.suggester.jobs);
        let request = InfillRequest {
            chunks: self.suggester.ring.chunks(&site),
            site: site.clone(),
            max_tokens: MOST_TOKENS,
            alternatives,
            prompt_tokens: PROMPT_TOKENS,
        };
        self.suggester.flight = Some(Flight { job, site, asked, ahead });
        self.engine.submit(job, Work::Infill(request));
    }

    fn suggested(&mut self, id: SuggestId, alternatives: Vec<String>) {
        self.tell(Msg::Suggested { id, alternatives, done: true });
    }

    /// Takes what is about suggestions; gives back what is not.
    pub(super) fn take_suggestion(&mut self, event: Event) -> Option<Event> {
        let (job, outcome) = match event {
            Event::Filling { job, text } => {
                let flight = self.suggester.flight.as_ref().filter(|flight| flight.job == job);
                if let Some(id) = flight.and_then(|flight| flight.asked) {
                    self.tell(Msg::Suggested { id, alternatives: vec![text], done: false });
                }
                return None;
            }
            Event::Done { job, outcome } if job.0 > JOBS => (job, Ok(outcome)),
            Event::Failed { job, error } if job.0 > JOBS => (job, Err(error.message)),
            other => return Some(other),
        };
        let flight = self.suggester.flight.take_if(|flight| flight.job == job)?;
        let (Some(model), Ok(Outcome::Infilled(filled))) = (self.suggester.model, outcome) else {
            if let Some(id) = flight.asked {
                self.suggested(id, Vec::new());
            }
            return None;
        };
        if filled.cancelled {
            return None;
        }
        tracing::debug!(ms = filled.ms, prefilled = filled.stats.prefilled_tokens, method = filled.method, "suggested");
        self.suggester.cache.put(model, &flight.site, filled.alternatives.clone());
        if let Some(id) = flight.asked {
            let next = filled.alternatives.first().map(|best| flight.site.with(&best.text));
            self.suggested(id, filled.alternatives.into_iter().map(|one| one.text).collect());
            // The editor may have asked anew meanwhile; that goes before.
            if let Some(next) = next.filter(|_| flight.ahead && self.suggester.flight.is_none()) {
                self.prepare_suggestion(model, next);
            }
        }
        None
    }

    /// A model was loaded, or is gone: the editor may ask, or not.
    pub(super) fn suggestions_by(&mut self, model: Option<u64>) {
        self.suggester.model = model;
        // what is on its way was asked of the one before
        if let Some(flight) = self.suggester.flight.take() {
            self.engine.cancel(flight.job);
            if let Some(id) = flight.asked {
                self.suggested(id, Vec::new());
            }
        }
        self.look_at_power();
        self.tell(Msg::Editor(EditorMsg::Suggests(model.is_some())));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::Facts;

    #[test]
    fn a_model_trained_further_under_its_name_has_suggestions_of_its_own() {
        let loaded = |content: &str| {
            let facts = Facts { name: "tiny".into(), content: content.into(), ..Facts::default() };
            known_by(&Event::Loaded(Box::new(facts)), &[]).unwrap().unwrap()
        };
        assert_eq!(loaded("before"), loaded("before"));
        assert_ne!(loaded("before"), loaded("after"));
    }
}
