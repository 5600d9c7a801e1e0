//! Asking teachers that run as servers and give log-probabilities over OpenAI's interface, several at once.
//!
//! vLLM answers for a whole document at a time (`prompt_logprobs`); llama-server and others for the token that follows a
//! prompt, one request a token, of which their cache makes little work. Servers give odds of the likeliest tokens, as
//! they are without a temperature. A key is read from the variable `ZORD_TEACHER_KEY`.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use futures_util::{StreamExt, stream};
use reqwest::{Client, Response, Url};
use serde_json::{Value as Json, json};
use sha2::{Digest, Sha256};

use super::store::{self, Head, Likeliest};
use super::{Progress, TeacherError};
use crate::distill::data::corpus::{Corpus, Window};
use crate::distill::data::tokenizer::Tokenizer;
use crate::distill::recipe::{Recipe, TeacherRecipe};
use crate::engine::Cancel;
use crate::hex::hex;
use crate::models::net;

/// The longest silence of a server.
const SILENCE: Duration = Duration::from_secs(600);
/// Windows asked about at once, of each server.
const AT_ONCE: usize = 2;
/// Times a request is made before its failure counts.
const TRIES: u32 = 3;
/// The longest answer read, in bytes.
const LONGEST: usize = 256 << 20;

/// One server.
struct Server {
    client: Client,
    /// Ends with `/`, before `v1/`.
    base: Url,
    model: String,
    key: Option<String>,
    /// A token that is a whole text: servers show no odds before a token that is part of a character.
    plain: Option<u32>,
}

/// What a store of a server's answers says of itself. It trusts the name.
///
/// # Errors
/// The recipe wants what servers cannot give.
pub(super) fn head(
    recipe: &Recipe,
    teacher: &TeacherRecipe,
    corpus: &Corpus,
    tokenizer: &Tokenizer,
) -> Result<Head, TeacherError> {
    if recipe.objective.temperature != 1.0 {
        return Err(told(
            teacher,
            "servers give odds at a temperature of 1: set `objective.temperature = 1`".to_owned(),
        ));
    }
    Ok(Head {
        version: store::VERSION,
        teacher: hex(&Sha256::digest(format!("server {}", teacher.model.display()))),
        data: corpus.head.content.clone(),
        tokenizer: hex(&Sha256::digest(&tokenizer.file)),
        // Servers do not say how many rows pad their matrix; what the student does not know counts as the rest.
        vocabulary: u64::from(u32::MAX),
        top: teacher.top.min(tokenizer.len()) as u64,
        draws: 0,
        seed: 0,
        states: Vec::new(),
        wide: 0,
        temperature: recipe.objective.temperature.to_string(),
        same: true,
    })
}

fn told(teacher: &TeacherRecipe, what: String) -> TeacherError {
    TeacherError::Told { path: teacher.model.clone(), what }
}

/// Asks for whatever the file beside `path` does not hold yet, and gives it its name.
pub(super) fn ask(
    teacher: &TeacherRecipe,
    head: &Head,
    corpus: &Corpus,
    tokenizer: &Tokenizer,
    path: &Path,
    cancel: &Cancel,
    progress: &mut dyn FnMut(Progress<'_>),
) -> Result<(), TeacherError> {
    let wrong = |what: String| told(teacher, what);
    let part = path.with_extension("odds.part");
    let io = |error: std::io::Error| wrong(format!("cannot write `{}`: {error}", part.display()));
    let (mut file, mut sizes) = store::begin(&part, head, corpus.len()).map_err(io)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| wrong(error.to_string()))?;
    let asked = runtime.block_on(async {
        let servers: Result<Vec<Server>, String> =
            teacher.servers.iter().map(|url| Server::new(url, &teacher.model, tokenizer)).collect();
        let servers = servers?;
        let first = corpus.window(0)?;
        for server in &servers {
            server.is_the_one().await?;
            server.has_tokens_of(tokenizer, &first).await?;
        }
        let answers = stream::iter(sizes.len() as u64..corpus.len())
            .map(|at| servers[at as usize % servers.len()].window(corpus, at, head.top as usize, cancel))
            .buffered(AT_ONCE * servers.len());
        let mut answers = std::pin::pin!(answers);
        while let Some(odds) = answers.next().await {
            let bytes = store::framed(&head.pack(&odds?));
            file.write_all(&bytes).map_err(|error| format!("cannot write `{}`: {error}", part.display()))?;
            sizes.push(bytes.len());
            progress(Progress { teacher: &teacher.model, done: sizes.len() as u64, all: corpus.len() });
        }
        Ok::<(), String>(())
    });
    if cancel.is_cancelled() {
        return Err(TeacherError::Interrupted);
    }
    asked.map_err(wrong)?;
    finish(&mut file, &sizes, &part, path).map_err(io)
}

fn finish(file: &mut File, sizes: &[usize], part: &PathBuf, path: &Path) -> std::io::Result<()> {
    store::complete(file, sizes)?;
    std::fs::rename(part, path)?;
    crate::atomic::sync_parent(path)
}

/// The likeliest tokens of each goal with the logarithms of their odds.
type Goals = Vec<Likeliest>;

impl Server {
    fn new(url: &str, model: &Path, tokenizer: &Tokenizer) -> Result<Self, String> {
        let wrong = || format!("`{url}` is no address of a server, like `http://127.0.0.1:8080`");
        let trimmed = url.trim_end_matches('/').trim_end_matches("/v1");
        let base = Url::parse(&format!("{trimmed}/")).map_err(|_| wrong())?;
        if !matches!(base.scheme(), "http" | "https") {
            return Err(wrong());
        }
        let client = net::client_to(&base, Some(SILENCE)).map_err(|error| crate::error::chain(&error))?;
        let key = std::env::var("ZORD_TEACHER_KEY").ok();
        let plain = tokenizer.tokens("a", false)?.first().copied();
        Ok(Self { client, base, model: model.to_string_lossy().into_owned(), key, plain })
    }

    /// The answer to a request, with a few tries where the network fails or the server is overloaded.
    async fn answer(&self, place: &str, body: Option<&Json>) -> Result<Json, String> {
        let url = self.base.join(place).map_err(|error| error.to_string())?;
        let mut last = String::new();
        for again in 0..TRIES {
            if again > 0 {
                tokio::time::sleep(Duration::from_secs(u64::from(again))).await;
            }
            let request = match body {
                Some(body) => self.client.post(url.clone()).json(body),
                None => self.client.get(url.clone()),
            };
            let request = match &self.key {
                Some(key) => request.bearer_auth(key),
                None => request,
            };
            let response = match request.send().await {
                Ok(response) => response,
                Err(error) => {
                    last = format!("cannot reach `{url}`: {}", crate::error::chain(&error));
                    continue;
                }
            };
            let status = response.status();
            match whole(response).await {
                Ok(bytes) if status.is_success() => {
                    return serde_json::from_slice(&bytes)
                        .map_err(|error| format!("`{url}` answered no JSON: {error}"));
                }
                Ok(bytes) => {
                    let quote: String = String::from_utf8_lossy(&bytes).chars().take(200).collect();
                    last = format!("`{url}` answered {status}: {}", quote.replace(char::is_control, " "));
                    if status.is_client_error() && status.as_u16() != 429 {
                        break;
                    }
                }
                Err(what) => last = format!("`{url}` broke off: {what}"),
            }
        }
        Err(last)
    }

    /// Whether it serves the model of the recipe's name.
    async fn is_the_one(&self) -> Result<(), String> {
        let list = self.answer("v1/models", None).await?;
        let ids: Vec<&str> =
            list["data"].as_array().into_iter().flatten().filter_map(|one| one["id"].as_str()).collect();
        let name = |id: &str| id.rsplit('/').next().unwrap_or(id).to_owned();
        if ids.iter().any(|id| *id == self.model || name(id) == name(&self.model)) {
            return Ok(());
        }
        Err(format!("`{}` serves `{}`, expected `{}`", self.base, ids.join("`, `"), self.model))
    }

    /// Whether it splits the data's text as the student does.
    async fn has_tokens_of(&self, tokenizer: &Tokenizer, window: &Window) -> Result<(), String> {
        for document in window.documents.iter().take(4) {
            let tokens: Vec<u32> = document.iter().map(|&(token, _)| token).collect();
            let text = tokenizer.text(&tokens);
            let ours = tokenizer.tokens(&text, true)?;
            // Each server takes its own words of these.
            let body = json!({
                "content": text, "add_special": false, "parse_special": true,
                "prompt": text, "add_special_tokens": false, "model": self.model,
            });
            let answer = self.answer("tokenize", Some(&body)).await?;
            let theirs = answer["tokens"].as_array().map(Vec::as_slice).unwrap_or_default();
            if !theirs.iter().map(Json::as_u64).eq(ours.iter().map(|&token| Some(u64::from(token)))) {
                return Err(format!("`{}` has other tokens than the student", self.base));
            }
        }
        Ok(())
    }

    /// Odds of a window's goals.
    async fn window(&self, corpus: &Corpus, at: u64, top: usize, cancel: &Cancel) -> Result<Goals, String> {
        let mut all = Vec::new();
        for document in corpus.window(at)?.documents {
            let tokens: Vec<u32> = document.iter().map(|&(token, _)| token).collect();
            let goals: Vec<usize> = (1..document.len()).filter(|&at| document[at].1).collect();
            let mut whole: Option<Vec<Json>> = None;
            for &goal in &goals {
                if cancel.is_cancelled() {
                    return Err("interrupted".to_owned());
                }
                let first = goal == goals[0];
                // Who answers for all places at once is asked once, with the whole document.
                let prompt = if first { &tokens[..] } else { &tokens[..goal] };
                let odds = match &whole {
                    Some(places) => Self::place(places, goal, top),
                    None => {
                        let answer = self.answer("v1/completions", Some(&self.request(prompt, top, first))).await?;
                        match answer["choices"][0]["prompt_logprobs"].as_array() {
                            Some(places) => Self::place(whole.insert(places.clone()), goal, top),
                            None if first => {
                                let body = self.request(&tokens[..goal], top, false);
                                next(&self.answer("v1/completions", Some(&body)).await?, top)
                            }
                            None => next(&answer, top),
                        }
                    }
                };
                all.push(odds.ok_or_else(|| format!("`{}` gives no log-probabilities", self.base))?);
            }
        }
        Ok(all)
    }

    fn request(&self, prompt: &[u32], top: usize, whole: bool) -> Json {
        let mut body = json!({
            "model": self.model, "prompt": prompt, "max_tokens": 1, "temperature": 0, "logprobs": top, "cache_prompt": true,
        });
        if whole {
            body["prompt_logprobs"] = json!(top);
        } else if let Some(plain) = self.plain {
            // What is then written does not matter, and odds are told as they are without it.
            body["logit_bias"] = json!({plain.to_string(): 100});
        }
        body
    }

    /// What vLLM says of the token at a place: an object of tokens' ids.
    fn place(places: &[Json], at: usize, top: usize) -> Option<Likeliest> {
        let odds = places.get(at)?.as_object()?.iter();
        let odds = odds.map(|(id, said)| Some((id.parse().ok()?, said["logprob"].as_f64()? as f32)));
        sorted(odds.collect::<Option<_>>()?, top)
    }
}

/// An answer's bytes, as long as they are not too many.
async fn whole(mut response: Response) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    while let Some(piece) = response.chunk().await.map_err(|error| crate::error::chain(&error))? {
        if bytes.len() + piece.len() > LONGEST {
            return Err(format!("it answered with more than {LONGEST} bytes"));
        }
        bytes.extend_from_slice(&piece);
    }
    Ok(bytes)
}

/// What llama-server says of the token that follows.
fn next(answer: &Json, top: usize) -> Option<Likeliest> {
    let odds = answer["choices"][0]["logprobs"]["content"][0]["top_logprobs"].as_array()?;
    let odds =
        odds.iter().map(|said| Some((u32::try_from(said["id"].as_u64()?).ok()?, said["logprob"].as_f64()? as f32)));
    sorted(odds.collect::<Option<_>>()?, top)
}

/// The likeliest first, each once, filled up to the number wanted with odds of nothing.
fn sorted(mut odds: Vec<(u32, f32)>, top: usize) -> Option<Likeliest> {
    if odds.is_empty() || odds.iter().any(|(_, log)| log.is_nan() || *log > 1e-3) {
        return None;
    }
    odds.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
    let mut seen = BTreeSet::new();
    odds.retain(|(token, _)| seen.insert(*token));
    odds.truncate(top);
    // Servers do not tell what is left; of what they tell, rounded to a few digits, it may be a little less than nothing.
    let rest = 1.0 - odds.iter().map(|(_, log)| f64::from(*log).exp()).sum::<f64>();
    odds.resize(top, (0, f32::NEG_INFINITY));
    Some(Likeliest { top: odds, rest: rest.max(0.0).ln() as f32 })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_of_odds_are_read() {
        let vllm = json!([null, {"7": {"logprob": -2.0, "rank": 2}, "5": {"logprob": -0.5, "rank": 1}}]);
        let odds = Server::place(vllm.as_array().unwrap(), 1, 3).unwrap();
        assert_eq!(odds.top, [(5, -0.5), (7, -2.0), (0, f32::NEG_INFINITY)]);
        assert!((odds.rest.exp() - (1.0 - (-0.5_f32).exp() - (-2.0_f32).exp())).abs() < 1e-6);
        assert_eq!(Server::place(vllm.as_array().unwrap(), 0, 3), None);
        let said = json!([{"id": 9, "logprob": -0.1}, {"id": 3, "logprob": -4.0}, {"id": 4, "logprob": -5.0}]);
        let answer = json!({"choices": [{"logprobs": {"content": [{"top_logprobs": said}]}}]});
        assert_eq!(next(&answer, 2).unwrap().top, [(9, -0.1), (3, -4.0)]);
        assert_eq!(next(&json!({"choices": [{"text": "x"}]}), 2), None);
    }
}
