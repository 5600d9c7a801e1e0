//! An answer as it comes from a server: its text, its thinking, its counts, and the limits that are kept here whatever
//! the server does.

use std::time::Instant;

use serde_json::Value;

use super::stream::Part;
use crate::engine::pieces::Pieces;
use crate::engine::{ChatRequest, Outcome, Stats, Stop};

/// An answer may get this long, in bytes, when nothing else bounds it.
const LONGEST: usize = 4 << 20;
/// No token of any vocabulary is longer, in bytes; runs of blanks are.
const LONGEST_TOKEN: usize = 128;

/// What came so far.
pub(super) struct Answer {
    started: Instant,
    first: Option<Instant>,
    pieces: Pieces,
    text: String,
    /// What became certain since it was last taken.
    fresh: String,
    /// The server keeps thinking apart, and the last piece was of it.
    thinking: bool,
    /// Something was said that is no thinking.
    spoke: bool,
    pub(super) ended: Option<Stop>,
    /// The server went on past the limit that it was given.
    over: bool,
    /// Tokens at most; a message of the stream is one at least.
    most: usize,
    stats: Stats,
}

impl Answer {
    /// `n_ctx` bounds an answer that the request does not bound; zero is unknown.
    pub(super) fn new(request: &ChatRequest, n_ctx: u32, started: Instant) -> Self {
        let context = if n_ctx == 0 { usize::MAX } else { n_ctx as usize };
        Self {
            started,
            first: None,
            pieces: Pieces::new(request.stop.iter().cloned()),
            text: String::new(),
            fresh: String::new(),
            thinking: false,
            spoke: false,
            ended: None,
            over: false,
            most: request.max_tokens.map_or(context, |most| most as usize),
            stats: Stats::default(),
        }
    }

    /// Takes one message of the stream; `true` when it was the last.
    ///
    /// # Errors
    /// What the server says of its own failing.
    pub(super) fn take(&mut self, part: Part) -> Result<bool, String> {
        let message = match part {
            Part::End => return Ok(true),
            Part::Error(text) => return Err(text),
            Part::Message(message) => message,
        };
        let choice = &message["choices"][0];
        let said = if choice["delta"].is_object() { &choice["delta"] } else { &choice["message"] };
        let thought = ["reasoning_content", "reasoning", "thinking"].iter().find_map(|key| words(&said[*key]));
        if let Some(thought) = thought {
            self.think(&thought);
        }
        let content = &said["content"];
        if let Some(list) = content.as_array() {
            list.iter().for_each(|part| self.take_typed(part));
        } else if let Some(text) = words(content).or_else(|| words(&choice["text"])).or_else(|| words(&said["refusal"]))
        {
            self.speak(&text);
        }
        match choice["finish_reason"].as_str() {
            Some("length") => self.ended = Some(Stop::Length),
            Some("error") => return Err("the server gave up without saying why".into()),
            Some(reason) if !reason.is_empty() => self.ended = Some(Stop::End),
            Some(_) | None => {}
        }
        self.count(&message);
        if self.pieces.stopped() {
            self.ended = Some(Stop::Text);
        }
        Ok(self.pieces.stopped() || self.over)
    }

    /// Content in parts, each with its type.
    fn take_typed(&mut self, part: &Value) {
        let thought = words(&part["thinking"]).or_else(|| {
            let inner = part["thinking"].as_array()?;
            Some(inner.iter().filter_map(|part| words(&part["text"])).collect())
        });
        if let Some(thought) = thought {
            self.think(&thought);
        } else if let Some(text) = words(&part["text"]) {
            self.speak(&text);
        }
    }

    /// Some servers take thinking out of the text; it goes back to where the model wrote it, before the first word.
    fn think(&mut self, thought: &str) {
        if self.spoke {
            return;
        }
        let open = if self.thinking { "" } else { "<think>\n" };
        self.thinking = true;
        self.say(&format!("{open}{thought}"));
    }

    fn speak(&mut self, text: &str) {
        // A blank between two thoughts does not end the thinking.
        if self.thinking && text.trim().is_empty() {
            return;
        }
        let close = if self.thinking { "\n</think>\n\n" } else { "" };
        self.thinking = false;
        self.spoke |= !text.trim().is_empty();
        self.say(&format!("{close}{text}"));
    }

    fn say(&mut self, text: &str) {
        if self.is_full() {
            self.over = true;
            return;
        }
        self.first.get_or_insert_with(Instant::now);
        let certain = self.pieces.push(text.as_bytes());
        self.stats.generated_tokens = self.stats.generated_tokens.saturating_add(1);
        self.text.push_str(&certain);
        self.fresh.push_str(&certain);
        if self.is_full() {
            self.ended.get_or_insert(Stop::Length);
        }
    }

    /// Whether the limit is reached; what may follow are counts.
    fn is_full(&self) -> bool {
        let longest = self.most.saturating_mul(LONGEST_TOKEN).min(LONGEST);
        self.stats.generated_tokens as usize >= self.most || self.text.len() >= longest
    }

    /// What is new since the last time.
    pub(super) fn fresh(&mut self) -> String {
        std::mem::take(&mut self.fresh)
    }

    /// Nothing follows: what was held back because it could have become a stop text is part of the answer.
    pub(super) fn finish(&mut self) {
        let rest = self.pieces.finish();
        self.text.push_str(&rest);
        self.fresh.push_str(&rest);
    }

    fn count(&mut self, message: &Value) {
        let tokens = |key: &str| message["usage"][key].as_u64().map(|n| n as u32);
        if let Some(prompt) = tokens("prompt_tokens") {
            self.stats.prompt_tokens = prompt;
            self.stats.prefilled_tokens = prompt;
            self.stats.generated_tokens = tokens("completion_tokens").unwrap_or(self.stats.generated_tokens);
        }
        if let Some(cached) = message["usage"]["prompt_tokens_details"]["cached_tokens"].as_u64() {
            self.stats.prefilled_tokens = self.stats.prompt_tokens.saturating_sub(cached as u32);
        }
        let timing = |key: &str| message["timings"][key].as_f64();
        if let Some(rate) = timing("prompt_per_second") {
            self.stats.prefill_tps = rate;
        }
        if let Some(prefilled) = timing("prompt_n") {
            self.stats.prefilled_tokens = prefilled as u32;
        }
    }

    pub(super) fn outcome(mut self, stop: Stop) -> Outcome {
        if let Some(first) = self.first {
            self.stats.first_token_ms = (first - self.started).as_secs_f64() * 1e3;
            let seconds = first.elapsed().as_secs_f64();
            if seconds > 0.0 {
                self.stats.decode_tps = f64::from(self.stats.generated_tokens.saturating_sub(1)) / seconds;
            }
        }
        self.stats.context_tokens = self.stats.prompt_tokens.saturating_add(self.stats.generated_tokens);
        Outcome::Generated { text: self.text, stop, stats: self.stats }
    }
}

fn words(value: &Value) -> Option<String> {
    value.as_str().filter(|text| !text.is_empty()).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::chat::thinking;

    fn answer(request: &ChatRequest) -> Answer {
        Answer::new(request, 0, Instant::now())
    }

    fn told(messages: &[Value]) -> String {
        let mut answer = answer(&ChatRequest::default());
        for message in messages {
            assert_eq!(answer.take(Part::Message(message.clone())), Ok(false), "{message}");
        }
        answer.finish();
        answer.fresh()
    }

    fn delta(delta: Value) -> Value {
        json!({"choices": [{"delta": delta}]})
    }

    #[test]
    fn separate_thinking_goes_back_into_the_text() {
        for key in ["reasoning_content", "reasoning", "thinking"] {
            let text = told(&[
                delta(json!({"role": "assistant", "content": ""})),
                delta(json!({key: "hm", "content": null})),
                delta(json!({key: "…", "content": "\n"})),
                delta(json!({"content": "yes", key: null})),
                delta(json!({key: "afterthought"})),
                delta(json!({"content": "."})),
            ]);
            assert_eq!(text, "<think>\nhm…\n</think>\n\nyes.", "{key}");
            assert_eq!(thinking::strip(&text), "yes.");
        }
        let both = delta(json!({"reasoning": "hm", "reasoning_content": "hm"}));
        assert_eq!(told(&[both]), "<think>\nhm");
    }

    #[test]
    fn an_answer_is_found_in_each_form() {
        let table = [
            delta(json!({"content": "yes"})),
            delta(json!({"content": [{"type": "text", "text": "y"}, {"type": "text", "text": "es"}]})),
            json!({"choices": [{"message": {"role": "assistant", "content": "yes"}, "finish_reason": "stop"}]}),
            json!({"choices": [{"text": "yes"}]}),
            json!({"choices": [{"delta": {}, "text": "yes"}]}),
            delta(json!({"refusal": "yes", "content": null})),
        ];
        for message in table {
            assert_eq!(told(std::slice::from_ref(&message)), "yes", "{message}");
        }
        let thought = json!([{"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}, {"type": "text", "text": "yes"}]);
        assert_eq!(told(&[delta(json!({"content": thought}))]), "<think>\nhm\n</think>\n\nyes");
    }

    #[test]
    fn limits_are_kept_here() {
        let few = ChatRequest { max_tokens: Some(3), ..ChatRequest::default() };
        for (request, n_ctx, words) in [(few, 0, 3), (ChatRequest::default(), 5, 5)] {
            let mut answer = Answer::new(&request, n_ctx, Instant::now());
            while !answer.take(Part::Message(delta(json!({"content": "word "})))).unwrap() {}
            assert_eq!((answer.fresh(), answer.ended), ("word ".repeat(words), Some(Stop::Length)));
        }
        let mut long = answer(&ChatRequest::default());
        while !long.take(Part::Message(delta(json!({"content": "x".repeat(1 << 16)})))).unwrap() {}
        assert_eq!(long.text.len(), LONGEST);
    }

    #[test]
    fn counts_after_a_full_answer_are_taken() {
        let mut answer = answer(&ChatRequest { max_tokens: Some(1), ..ChatRequest::default() });
        for message in [
            delta(json!({"content": "one"})),
            json!({"choices": [{"delta": {}, "finish_reason": "stop"}]}),
            json!({"choices": [], "usage": {"prompt_tokens": 7, "completion_tokens": 1}}),
        ] {
            assert_eq!(answer.take(Part::Message(message)), Ok(false));
        }
        assert_eq!((answer.ended, answer.stats.prompt_tokens), (Some(Stop::End), 7));
    }
}
