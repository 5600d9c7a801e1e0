//! Forms in which people keep examples: what a line of JSON or a row of a table means, or why it means nothing here.
//!
//! What would change an example's meaning and is not read (tools, images, thoughts beside the words) is refused, never left
//! out.

use std::borrow::Cow;

use serde_json::{Map, Value as Json};

use crate::chat::{Message, Role};

/// One example as it was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Example {
    /// A document. Special tokens that stand in one of a row are tokens, as templates write them; source code may spell
    /// them.
    Text { text: String, marks: bool },
    /// What stands before, and what is to follow. Special tokens in them are tokens.
    Completion { prompt: String, completion: String },
    /// A conversation; answers before the turn `from` are not learnt.
    Chat { turns: Vec<Message>, from: usize },
    /// A task, perhaps with material.
    Instruction { instruction: String, input: String, output: String },
    /// Two ways to go on from the same turns, the better first. Each begins and ends with an answer.
    Pair { prompt: Vec<Message>, chosen: Vec<Message>, rejected: Vec<Message> },
}

impl Example {
    /// All its texts, for whoever compares examples.
    pub(super) fn words(&self) -> Cow<'_, str> {
        let turns = |turns: &[Message]| turns.iter().map(|turn| turn.content.as_str()).collect::<Vec<_>>().join("\n");
        match self {
            Self::Text { text, .. } => Cow::Borrowed(text),
            Self::Completion { prompt, completion } => Cow::Owned(format!("{prompt}{completion}")),
            Self::Chat { turns: all, .. } => Cow::Owned(turns(all)),
            Self::Instruction { instruction, input, output } => Cow::Owned(format!("{instruction}\n{input}\n{output}")),
            Self::Pair { prompt, chosen, rejected } => {
                Cow::Owned([prompt, chosen, rejected].map(|part| turns(part)).join("\n"))
            }
        }
    }
}

/// Understands one example.
///
/// # Errors
/// In words: what is wrong with it.
pub(super) fn understand(json: &Json) -> Result<Example, String> {
    let json = json.as_object().ok_or("it is no object")?;
    if given(json, "tools").is_some_and(|tools| !is_empty(tools)) {
        return Err("it has `tools`, and conversations with tools are not read".to_owned());
    }
    if given(json, "chosen").is_some() || given(json, "rejected").is_some() {
        return pair(json);
    }
    if let Some(turns) = given(json, "messages").or_else(|| given(json, "conversations")) {
        let turns = messages(turns.as_array().ok_or("its `messages` are no list")?)?;
        let answered = turns.iter().any(|turn| turn.role == Role::Assistant);
        let nobody = || "nobody answers in its `messages`".to_owned();
        return if answered { Ok(Example::Chat { turns, from: 0 }) } else { Err(nobody()) };
    }
    if given(json, "completion").is_some() {
        return completion(json);
    }
    if given(json, "instruction").is_some() {
        let input = if given(json, "input").is_some() { text(json, "input")? } else { String::new() };
        let (instruction, output) = (text(json, "instruction")?, text(json, "output")?);
        return Ok(Example::Instruction { instruction, input, output });
    }
    if given(json, "text").is_some() {
        return Ok(Example::Text { text: text(json, "text")?, marks: true });
    }
    Err("it has none of `text`, `messages`, `completion`, `instruction`, `chosen`".to_owned())
}

/// A field that is there: a table has every column in every row.
fn given<'a>(json: &'a Map<String, Json>, key: &str) -> Option<&'a Json> {
    json.get(key).filter(|value| !value.is_null())
}

/// A list or a text with nothing in it.
fn is_empty(value: &Json) -> bool {
    value.as_array().is_some_and(Vec::is_empty) || value.as_str().is_some_and(|text| matches!(text.trim(), "" | "[]"))
}

fn text(json: &Map<String, Json>, key: &str) -> Result<String, String> {
    match given(json, key) {
        Some(Json::String(text)) => Ok(text.clone()),
        None => Err(format!("it has no `{key}`")),
        Some(_) => Err(format!("its `{key}` is no text")),
    }
}

/// A prompt and a completion, as texts or both as turns; of turns only the completion's answers are learnt, as TRL does.
fn completion(json: &Map<String, Json>) -> Result<Example, String> {
    match (given(json, "prompt"), given(json, "completion")) {
        (Some(Json::Array(prompt)), Some(Json::Array(completion))) => {
            let (mut turns, completion) = (messages(prompt)?, messages(completion)?);
            if !completion.iter().any(|turn| turn.role == Role::Assistant) {
                return Err("nobody answers in its `completion`".to_owned());
            }
            let from = turns.len();
            turns.extend(completion);
            Ok(Example::Chat { turns, from })
        }
        (Some(Json::String(_)), Some(Json::Array(_))) | (Some(Json::Array(_)), Some(Json::String(_))) => {
            Err("of its `prompt` and `completion` one is a text and the other a list of turns".to_owned())
        }
        _ => Ok(Example::Completion { prompt: text(json, "prompt")?, completion: text(json, "completion")? }),
    }
}

/// Two conversations with a common beginning, which is the prompt (TRL's `extract_prompt`), or a prompt and two answers.
/// The prompt may be said again in the conversations.
fn pair(json: &Map<String, Json>) -> Result<Example, String> {
    let [chosen, rejected] = [side(json, "chosen")?, side(json, "rejected")?];
    // Both end with an answer, which is never common to them.
    let most = chosen.len().min(rejected.len()) - 1;
    let common = chosen.iter().zip(&rejected).take(most).take_while(|(one, other)| one == other).count();
    if common == 0 {
        return Err(match given(json, "prompt") {
            None => "it has no `prompt`, and its `chosen` and `rejected` have no common beginning".to_owned(),
            Some(_) => "its `chosen` and `rejected` have no common beginning".to_owned(),
        });
    }
    let (prompt, chosen, rejected) = (&chosen[..common], &chosen[common..], &rejected[common..]);
    if chosen[0].role != Role::Assistant || rejected[0].role != Role::Assistant {
        return Err("its `chosen` and `rejected` answer different questions".to_owned());
    }
    Ok(Example::Pair { prompt: prompt.to_vec(), chosen: chosen.to_vec(), rejected: rejected.to_vec() })
}

/// A whole conversation that ends with an answer: the prompt, and what goes on from it.
fn side(json: &Map<String, Json>, key: &str) -> Result<Vec<Message>, String> {
    let (answered, listed) = match given(json, key) {
        Some(Json::String(text)) => (vec![Message::new(Role::Assistant, text)], false),
        Some(Json::Array(turns)) => (messages(turns)?, true),
        _ => return Err(format!("it has no `{key}` that is text or a list of turns")),
    };
    if answered.last().is_none_or(|last| last.role != Role::Assistant) {
        return Err(format!("its `{key}` does not end with an answer"));
    }
    match given(json, "prompt") {
        Some(Json::Array(prompt)) => Ok(joined(messages(prompt)?, answered)),
        Some(Json::String(prompt)) => {
            let mut users = answered.iter().filter(|turn| turn.role == Role::User).peekable();
            if users.peek().is_none() {
                let at = answered.iter().take_while(|turn| turn.role == Role::System).count();
                let (system, answers) = answered.split_at(at);
                return Ok([system, &[Message::new(Role::User, prompt)], answers].concat());
            }
            if users.any(|turn| turn.content.trim() == prompt.trim()) {
                return Ok(answered);
            }
            Err(format!("its `prompt` is none of the questions in its `{key}`"))
        }
        None if listed => Ok(answered),
        None => Err("it has no `prompt`".to_owned()),
        Some(_) => Err("its `prompt` is neither a text nor a list of turns".to_owned()),
    }
}

/// A prompt and what goes on from it, where that may begin with the prompt or its last turns.
fn joined(prompt: Vec<Message>, answered: Vec<Message>) -> Vec<Message> {
    let most = prompt.len().min(answered.len() - 1);
    let again = (0..=most).rev().find(|&again| prompt.ends_with(&answered[..again])).unwrap_or(0);
    [&prompt[..], &answered[again..]].concat()
}

/// Turns, as OpenAI's `role` and `content` or ShareGPT's `from` and `value`.
fn messages(turns: &[Json]) -> Result<Vec<Message>, String> {
    turns.iter().map(message).collect()
}

fn message(turn: &Json) -> Result<Message, String> {
    let turn = turn.as_object().ok_or("a turn is no object")?;
    let part = |key: &str, other: &str| given(turn, key).or_else(|| given(turn, other));
    let role = part("role", "from").and_then(Json::as_str).ok_or("a turn has no `role`")?;
    let role = match role {
        "system" | "developer" => Role::System,
        "user" | "human" => Role::User,
        "assistant" | "gpt" => Role::Assistant,
        "tool" | "function" | "ipython" => {
            return Err(format!("a turn is a tool's (`{role}`), and conversations with tools are not read"));
        }
        other => return Err(format!("a role is `{}`", other.chars().take(40).collect::<String>())),
    };
    for key in ["tool_calls", "function_call"] {
        if given(turn, key).is_some_and(|calls| !is_empty(calls)) {
            return Err(format!("a turn has `{key}`, and conversations with tools are not read"));
        }
    }
    for key in ["reasoning_content", "thinking", "reasoning"] {
        if given(turn, key).is_some_and(|thought| !is_empty(thought)) {
            return Err(format!("a turn has `{key}`: write thoughts into `content` as the template wants them"));
        }
    }
    let content = part("content", "value").ok_or("a turn has no `content`")?;
    Ok(Message::new(role, content_of(content)?))
}

/// A turn's words: a text, or a list of typed parts of which all are text.
fn content_of(content: &Json) -> Result<String, String> {
    let parts = match content {
        Json::String(text) => return Ok(text.clone()),
        Json::Array(parts) => parts,
        _ => return Err("a turn has no `content` that is text".to_owned()),
    };
    let one = |part: &Json| match (part, part.get("type").and_then(Json::as_str)) {
        (Json::String(text), _) => Ok(text.clone()),
        (_, Some("text")) => {
            let text = part.get("text").and_then(Json::as_str);
            text.map(str::to_owned).ok_or_else(|| "a part of a turn has no `text`".to_owned())
        }
        (_, Some(kind)) => {
            let kind: String = kind.chars().take(40).collect();
            Err(format!("a part of a turn is `{kind}`, and only text is read"))
        }
        (_, None) => Err("a part of a turn has no `type`".to_owned()),
    };
    parts.iter().map(one).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn parse(line: &str) -> Result<Example, String> {
        understand(&serde_json::from_str(line).map_err(|error| format!("it is no JSON: {error}"))?)
    }

    fn turn(role: Role, text: &str) -> Message {
        Message::new(role, text)
    }

    #[test]
    fn every_form_is_understood() {
        assert_eq!(parse(r#"{"text":"a","id":1}"#), Ok(Example::Text { text: "a".to_owned(), marks: true }));
        let pair = parse(r#"{"prompt":"p","chosen":"c","rejected":[{"role":"assistant","content":"r"}]}"#).unwrap();
        let [prompt, chosen, rejected] =
            [turn(Role::User, "p"), turn(Role::Assistant, "c"), turn(Role::Assistant, "r")].map(|turn| vec![turn]);
        assert_eq!(pair, Example::Pair { prompt, chosen, rejected });
        let expected = Example::Chat { turns: vec![turn(Role::User, "q"), turn(Role::Assistant, "a")], from: 0 };
        for chat in [
            r#"{"messages":[{"role":"user","content":"q"},{"role":"assistant","content":"a"}]}"#,
            r#"{"messages":[{"role":"user","content":[{"type":"text","text":"q"}]},
                {"role":"assistant","content":[{"type":"text","text":"a"}],"tool_calls":null}],"tools":[]}"#,
            r#"{"conversations":[{"from":"human","value":"q"},{"from":"gpt","value":"a"}],"tools":null}"#,
        ] {
            assert_eq!(parse(chat), Ok(expected.clone()), "{chat}");
        }
        assert!(matches!(parse(r#"{"prompt":"p","completion":"c"}"#), Ok(Example::Completion { .. })));
        assert!(matches!(parse(r#"{"instruction":"i","output":"o"}"#), Ok(Example::Instruction { .. })));
    }

    #[test]
    fn of_turns_with_a_completion_only_that_is_learnt() {
        let line = json!({"prompt": [{"role": "user", "content": "p"}, {"role": "assistant", "content": "known"},
            {"role": "user", "content": "q"}], "completion": [{"role": "assistant", "content": "c"}]});
        let Ok(Example::Chat { turns, from }) = understand(&line) else { panic!("{:?}", understand(&line)) };
        assert_eq!((turns.len(), from, turns[3].content.as_str()), (4, 3, "c"));
    }

    #[test]
    fn what_is_null_is_not_there() {
        let line = r#"{"text":"a","chosen":null,"rejected":null,"messages":null,"completion":null,"instruction":null}"#;
        assert_eq!(parse(line), Ok(Example::Text { text: "a".to_owned(), marks: true }));
        let line = r#"{"instruction":"i","input":null,"output":"o","text":null}"#;
        assert!(matches!(parse(line), Ok(Example::Instruction { input, .. }) if input.is_empty()));
        assert!(parse(r#"{"text":null}"#).unwrap_err().contains("none of"));
    }

    /// `s`ystem, `u`ser and `a`ssistant turns, written `u:hello`.
    fn turns(all: &[&str]) -> Json {
        let one = |turn: &&str| {
            let (role, content) = turn.split_once(':').unwrap();
            let role = match role {
                "s" => "system",
                "u" => "user",
                _ => "assistant",
            };
            json!({"role": role, "content": content})
        };
        all.iter().map(one).collect()
    }

    #[test]
    fn the_common_beginning_of_two_conversations_is_their_prompt() {
        let none = Json::Null;
        let (better, worse): (&[&str], &[&str]) = (&["a:c"], &["a:r"]);
        for (prompt, chosen, rejected, expected) in [
            // No prompt beside them.
            (
                none.clone(),
                turns(&["s:S", "u:q", "a:c"]),
                turns(&["s:S", "u:q", "a:r"]),
                (["s:S", "u:q"], better, worse),
            ),
            // It is said again, whole or its last turns.
            (
                turns(&["s:S", "u:q"]),
                turns(&["s:S", "u:q", "a:c"]),
                turns(&["s:S", "u:q", "a:r"]),
                (["s:S", "u:q"], better, worse),
            ),
            (turns(&["s:S", "u:q"]), turns(&["u:q", "a:c"]), turns(&["a:r"]), (["s:S", "u:q"], better, worse)),
            (turns(&["s:S", "u:q"]), json!("c"), json!("r"), (["s:S", "u:q"], better, worse)),
            // A text, beside conversations that ask it or do not.
            (json!("q"), turns(&["s:S", "u:q", "a:c"]), turns(&["s:S", "u:q", "a:r"]), (["s:S", "u:q"], better, worse)),
            (json!("q"), turns(&["s:S", "a:c"]), turns(&["s:S", "a:r"]), (["s:S", "u:q"], better, worse)),
            // Turns go on after they part.
            (
                turns(&["s:S", "u:q"]),
                turns(&["a:c", "u:more", "a:c2"]),
                turns(&["a:r", "u:why", "a:r2"]),
                (["s:S", "u:q"], &["a:c", "u:more", "a:c2"], &["a:r", "u:why", "a:r2"]),
            ),
            // Both answers are the same, or one goes on from the other.
            (turns(&["s:S", "u:q"]), json!("c"), json!("c"), (["s:S", "u:q"], better, better)),
            (
                none.clone(),
                turns(&["s:S", "u:q", "a:c"]),
                turns(&["s:S", "u:q", "a:c", "u:x", "a:y"]),
                (["s:S", "u:q"], better, &["a:c", "u:x", "a:y"]),
            ),
        ] {
            let line = json!({"prompt": prompt, "chosen": chosen, "rejected": rejected});
            let all = |turns: &[&str]| messages(super::tests::turns(turns).as_array().unwrap()).unwrap();
            let (prompt, chosen, rejected) = expected;
            let expected = Example::Pair { prompt: all(&prompt), chosen: all(chosen), rejected: all(rejected) };
            assert_eq!(understand(&line), Ok(expected), "{line}");
        }
    }

    #[test]
    fn an_answer_that_the_prompt_holds_already_stays_in_it() {
        let talk = ["u:one", "a:two", "u:three"];
        let line = json!({"chosen": turns(&[&talk[..], &["a:c"]].concat()), "rejected": turns(&[&talk[..], &["a:r"]].concat())});
        let Ok(Example::Pair { prompt, chosen, rejected }) = understand(&line) else { panic!() };
        assert_eq!((prompt.len(), chosen.len(), rejected.len()), (3, 1, 1));
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (line, word) in [
            ("{", "JSON"),
            ("[]", "object"),
            ("{}", "none of"),
            (r#"{"text":1}"#, "`text`"),
            (r#"{"prompt":"p","chosen":"c"}"#, "`rejected`"),
            (r#"{"chosen":"c","rejected":"r"}"#, "no `prompt`"),
            (r#"{"prompt":3,"chosen":"c","rejected":"r"}"#, "neither a text nor a list"),
            (r#"{"messages":[{"role":"user","content":"q"}]}"#, "nobody answers"),
            (r#"{"messages":"q"}"#, "no list"),
            (r#"{"messages":[{"role":"tool","content":"q"}]}"#, "`tool`"),
            (r#"{"messages":[{"role":"assistant","content":null,"tool_calls":[{}]}]}"#, "`tool_calls`"),
            (r#"{"messages":[{"role":"assistant","content":"a"}],"tools":[{}]}"#, "`tools`"),
            (r#"{"messages":[{"role":"assistant","content":"a","reasoning_content":"b"}]}"#, "thoughts"),
            (r#"{"messages":[{"role":"user","content":[{"type":"image_url"}]}]}"#, "only text"),
            (r#"{"messages":[{"role":"user","content":7}]}"#, "is text"),
            (r#"{"prompt":"p","completion":[{"role":"assistant","content":"c"}]}"#, "list of turns"),
            (r#"{"prompt":[],"completion":[{"role":"user","content":"c"}]}"#, "nobody answers"),
        ] {
            assert!(parse(line).unwrap_err().contains(word), "{line}: {:?}", parse(line));
        }
        for (prompt, chosen, rejected, word) in [
            (Json::Null, turns(&["u:q", "a:c"]), turns(&["u:other", "a:r"]), "no common beginning"),
            (Json::Null, turns(&["a:c"]), turns(&["a:r"]), "no `prompt`"),
            (json!("another"), turns(&["u:q", "a:c"]), turns(&["u:q", "a:r"]), "none of the questions"),
            (Json::Null, turns(&["s:S", "u:q", "a:c"]), turns(&["s:S", "u:p", "a:r"]), "different questions"),
            (Json::Null, turns(&["u:q", "a:c", "u:q"]), turns(&["u:q", "a:r"]), "does not end with an answer"),
        ] {
            let line = json!({"prompt": prompt, "chosen": chosen, "rejected": rejected});
            assert!(understand(&line).unwrap_err().contains(word), "{line}: {:?}", understand(&line));
        }
    }
}
