//! Filling in on a server: llama-server's `/infill`, else `/v1/completions` with the text behind the cursor, else
//! without it. What comes back goes through the same rules as a completion made here.

use std::time::Instant;

use reqwest::Method;
use serde_json::{Value, json};

use super::{RemoteError, Server, TOKEN_BYTES, Waited, wait};
use crate::engine::{InfillRequest, Infilled, Job, Outcome, Stats};
use crate::fim::cache::Suggestion;
use crate::fim::stop::{Mode, Watch};
use crate::fim::trim;

impl Server {
    pub(super) async fn infill(&self, job: &Job, request: &InfillRequest) -> Result<Outcome, RemoteError> {
        let started = Instant::now();
        let most = request.prompt_tokens as usize * TOKEN_BYTES;
        let prefix = tail(&request.site.prefix, most / 4 * 3);
        let suffix = head(&request.site.suffix, most / 4);
        let extra: Vec<Value> =
            request.chunks.iter().map(|chunk| json!({"filename": chunk.path, "text": chunk.text})).collect();
        let own = json!({
            "input_prefix": prefix, "input_suffix": suffix, "input_extra": extra, "n_predict": request.max_tokens,
            "temperature": 0.0, "cache_prompt": true, "stream": false,
        });
        let plain = json!({
            "model": self.model, "prompt": prefix, "max_tokens": request.max_tokens, "temperature": 0.0,
            "stream": false,
        });
        let mut with_suffix = plain.clone();
        with_suffix["suffix"] = json!(suffix);
        let ways = [
            (self.address.beside("infill"), own, "server infill"),
            (self.address.door("completions"), with_suffix, "server completion"),
            (self.address.door("completions"), plain, "server continuation"),
        ];
        let mut last = self.language("it completes nothing");
        for (url, body, method) in ways {
            let asked = async { self.whole(self.sent(Method::POST, url, Some(&body)).await?).await };
            let answer = match wait(&job.cancel, Instant::now() + self.silence, asked).await {
                Waited::Came(answer) => answer,
                Waited::Late => return Err(self.silent()),
                Waited::Cancelled => {
                    return Ok(Outcome::Infilled(Infilled { cancelled: true, ..Infilled::default() }));
                }
            };
            match answer {
                Ok(answer) => return Ok(Outcome::Infilled(self.filled(&answer, request, method, started)?)),
                // It has no such door, or its model no such tokens: the next one.
                Err(RemoteError::Status { status: 400 | 404 | 405 | 422 | 500 | 501, url, text }) => {
                    last = RemoteError::Status { status: 501, url, text };
                }
                Err(error) => return Err(error),
            }
        }
        Err(last)
    }

    fn filled(
        &self,
        answer: &[u8],
        request: &InfillRequest,
        method: &str,
        started: Instant,
    ) -> Result<Infilled, RemoteError> {
        let answer: Value = serde_json::from_slice(answer).map_err(|error| self.language(&error.to_string()))?;
        let text = answer["content"].as_str().or(answer["choices"][0]["text"].as_str());
        let text = text.ok_or_else(|| self.language("an answer without text"))?;
        let mut watch = Watch::new(&request.site, Mode::of(&request.site));
        let kept = watch.push(text).unwrap_or_else(|| watch.end(false));
        let text = trim::finish(watch.text().get(..kept).unwrap_or_default(), &request.site);
        let count = |own: &str, openai: &str| answer[own].as_u64().or(answer["usage"][openai].as_u64()).unwrap_or(0);
        let stats = Stats {
            prompt_tokens: count("tokens_evaluated", "prompt_tokens") as u32,
            prefilled_tokens: answer["timings"]["prompt_n"].as_u64().unwrap_or(0) as u32,
            generated_tokens: count("tokens_predicted", "completion_tokens") as u32,
            ..Stats::default()
        };
        Ok(Infilled {
            alternatives: text.map(|text| Suggestion { text, score: 0.0 }).into_iter().collect(),
            method: method.to_owned(),
            cancelled: false,
            stats,
            ms: started.elapsed().as_secs_f64() * 1e3,
        })
    }
}

/// The end of a text, from a line's beginning.
fn tail(text: &str, most: usize) -> &str {
    let from = text.ceil_char_boundary(text.len().saturating_sub(most));
    if from == 0 {
        return text;
    }
    text[from..].split_once('\n').map_or(&text[from..], |(_, rest)| rest)
}

/// The beginning of a text, to a line's end.
fn head(text: &str, most: usize) -> &str {
    if text.len() <= most {
        return text;
    }
    let cut = &text[..text.floor_char_boundary(most)];
    cut.rfind('\n').map_or(cut, |end| &cut[..=end])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sent_is_bounded_at_lines() {
        assert_eq!(tail("one\ntwo\nthree", 8), "three");
        assert_eq!(tail("one\ntwo", 80), "one\ntwo");
        assert_eq!(tail("äöü", 3), "ü");
        assert_eq!(head("one\ntwo\nthree", 6), "one\n");
        assert_eq!(head("äöü", 3), "ä");
    }
}
