//! What a server sends, as far as completions use it: server-sent events with `data: JSON` and a last `data: [DONE]`, or
//! one plain JSON document where a stream was asked for. Servers differ in what they call things; what they say of an
//! error is found wherever they put it. Pure.

use serde_json::Value;

/// One message.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Part {
    /// A piece of the answer.
    Message(Value),
    /// The server gave up with this text.
    Error(String),
    /// Nothing follows.
    End,
}

/// A line, or an answer that is no stream, may get this long; a server that sends more is not believed.
const LONGEST: usize = 4 << 20;
/// Of a page that is no stream, so many characters are quoted.
const QUOTE: usize = 120;

/// Cuts the bytes of a stream into messages.
#[derive(Debug, Default)]
pub(super) struct Lines {
    held: Vec<u8>,
    /// What kind of answer it is, once its first bytes have come.
    form: Option<Form>,
    /// A message of several lines, as far as it has come.
    begun: Vec<u8>,
    /// The server named the event an error.
    is_error: bool,
    /// Whether anything was understood.
    understood: bool,
    /// The first line that belongs to no stream.
    stray: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Events,
    Document,
}

impl Lines {
    /// The messages that became whole, in order; an error (a line without end, or data that is no JSON) is the last.
    pub(super) fn push(&mut self, bytes: &[u8]) -> Vec<Result<Part, String>> {
        self.held.extend_from_slice(bytes);
        let mut parts = Vec::new();
        if self.form() == Some(Form::Events) {
            let mut from = 0;
            while let Some(len) = self.held[from..].iter().position(|&byte| byte == b'\n') {
                let line = self.held[from..from + len].to_vec();
                parts.extend(self.line(&line).transpose());
                from += len + 1;
            }
            self.held.drain(..from);
        }
        if self.held.len().max(self.begun.len()) > LONGEST {
            parts.push(Err("a line of the stream has no end".into()));
        }
        self.understood |= parts.iter().any(Result::is_ok);
        parts
    }

    /// What is left when the connection is closed: a last line, or the document.
    pub(super) fn finish(&mut self) -> Vec<Result<Part, String>> {
        let held = std::mem::take(&mut self.held);
        let parts = match self.form {
            Some(Form::Document) => document(&held),
            Some(Form::Events) => {
                let mut parts: Vec<_> = self.line(&held).transpose().into_iter().collect();
                parts.extend(self.line(b"").transpose());
                parts
            }
            None => Vec::new(),
        };
        match &self.stray {
            Some(text) if !self.understood && parts.is_empty() => vec![Err(format!("it sent no answer but `{text}`"))],
            _ => parts,
        }
    }

    fn form(&mut self) -> Option<Form> {
        if self.form.is_none() {
            let text = self.held.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&self.held).trim_ascii_start();
            let form = match text.first()? {
                b'{' | b'[' => Form::Document,
                _ => Form::Events,
            };
            self.held = text.to_vec();
            self.form = Some(form);
        }
        self.form
    }

    fn line(&mut self, line: &[u8]) -> Result<Option<Part>, String> {
        let line = line.trim_ascii();
        if line.is_empty() {
            self.is_error = false;
            return match std::mem::take(&mut self.begun).as_slice() {
                [] => Ok(None),
                begun => message(begun).map(Some),
            };
        }
        if let Some(event) = line.strip_prefix(b"event:") {
            self.is_error = event.trim_ascii() == b"error";
            return Ok(None);
        }
        if let Some(error) = line.strip_prefix(b"error:") {
            return Ok(Some(error_line(error)));
        }
        let Some(data) = line.strip_prefix(b"data:").map(<[u8]>::trim_ascii) else {
            if ![&b":"[..], b"id:", b"retry:"].iter().any(|field| line.starts_with(field)) {
                let text = String::from_utf8_lossy(line);
                self.stray.get_or_insert_with(|| text.chars().filter(|c| !c.is_control()).take(QUOTE).collect());
            }
            return Ok(None);
        };
        if data.is_empty() {
            return Ok(None);
        }
        if data == b"[DONE]" {
            return Ok(Some(Part::End));
        }
        if self.is_error {
            return Ok(Some(error_line(data)));
        }
        self.begun.extend_from_slice(data);
        self.begun.push(b'\n');
        match serde_json::from_slice::<Value>(&self.begun) {
            Err(error) if error.is_eof() => Ok(None),
            _ => message(&std::mem::take(&mut self.begun)).map(Some),
        }
    }
}

/// An answer that is one document, or one a line.
fn document(text: &[u8]) -> Vec<Result<Part, String>> {
    let lines: Result<Vec<Value>, _> = serde_json::Deserializer::from_slice(text).into_iter().collect();
    match lines {
        Ok(messages) => {
            let parts = messages.into_iter().map(|message| Ok(Part::from(message)));
            parts.chain([Ok(Part::End)]).collect()
        }
        Err(error) => vec![Err(format!("its answer: {error}"))],
    }
}

fn message(data: &[u8]) -> Result<Part, String> {
    let message: Value = serde_json::from_slice(data).map_err(|error| format!("a message of the stream: {error}"))?;
    Ok(message.into())
}

fn error_line(data: &[u8]) -> Part {
    let text = String::from_utf8_lossy(data).trim().to_owned();
    let told = serde_json::from_str::<Value>(&text).ok().and_then(|value| told(&value).or_else(|| words(&value)));
    Part::Error(told.unwrap_or(text))
}

impl From<Value> for Part {
    fn from(message: Value) -> Self {
        match told(&message) {
            Some(text) => Self::Error(text),
            None => Self::Message(message),
        }
    }
}

/// What a server says of an error in a JSON document; `None` where it says none (`"error": null` is none).
pub(super) fn told(message: &Value) -> Option<String> {
    let choice = &message["choices"][0];
    if let Some(text) = [&message["error"], &choice["error"]].into_iter().find_map(error) {
        return Some(text);
    }
    if message.get("choices").is_some() {
        return None;
    }
    let is_error = message["object"] == "error" || message["type"] == "error" || message.get("detail").is_some();
    let has_answer = message.get("content").is_some() || message.get("usage").is_some();
    if is_error || (message.get("message").is_some_and(Value::is_string) && !has_answer) {
        words(message)
    } else {
        None
    }
}

/// The text of an error's value; nothing for `null`, `false`, `""`, `{}` and `[]`.
fn error(value: &Value) -> Option<String> {
    let empty = match value {
        Value::Null | Value::Bool(false) => true,
        Value::String(text) => text.trim().is_empty(),
        Value::Array(list) => list.is_empty(),
        Value::Object(map) => map.is_empty(),
        Value::Bool(true) | Value::Number(_) => false,
    };
    (!empty).then(|| words(value).unwrap_or_else(|| value.to_string()))
}

/// The words in the value, by whichever name they go.
fn words(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()).filter(|text| !text.trim().is_empty()),
        Value::Array(list) => list.iter().find_map(words),
        Value::Object(map) => {
            ["message", "msg", "detail", "error", "reason"].iter().find_map(|key| map.get(*key).and_then(words))
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn whole(parts: Vec<Result<Part, String>>) -> Result<Vec<Part>, String> {
        parts.into_iter().collect()
    }

    fn all(stream: &[u8]) -> Result<Vec<Part>, String> {
        let mut lines = Lines::default();
        let mut parts = whole(lines.push(stream))?;
        parts.extend(whole(lines.finish())?);
        Ok(parts)
    }

    #[test]
    fn messages_come_whole_however_the_bytes_are_cut() {
        let stream =
            b": hello\r\n\r\ndata: {\"a\":\"\xc3\xa9\"}\n\ndata: \ndata:\n\ndata: {\"b\":\ndata: 1}\n\ndata:[DONE]\n";
        for cut in 0..stream.len() {
            let mut lines = Lines::default();
            let mut parts = whole(lines.push(&stream[..cut])).unwrap();
            parts.extend(whole(lines.push(&stream[cut..])).unwrap());
            let expected = [Part::Message(json!({"a": "é"})), Part::Message(json!({"b": 1})), Part::End];
            assert_eq!(parts, expected, "cut at {cut}");
        }
    }

    #[test]
    fn an_error_in_the_stream_is_told_in_the_servers_words() {
        let table = [
            (r#"data: {"error":{"message":"too hot"}}"#, "too hot"),
            ("error: gone", "gone"),
            (r#"error: {"code":400,"message":"gone"}"#, "gone"),
            ("event: error\ndata: {\"message\":\"no room\"}", "no room"),
            ("event: error\ndata: nothing works", "nothing works"),
            (r#"data: {"error":"plain"}"#, "plain"),
            (r#"data: {"error":true}"#, "true"),
            (r#"data: {"object":"error","message":"as vLLM said it"}"#, "as vLLM said it"),
            (r#"data: {"type":"error","error":{"type":"overloaded","message":"busy"}}"#, "busy"),
            (r#"data: {"detail":[{"msg":"field required"}]}"#, "field required"),
            (r#"data: {"message":"no such model","code":404}"#, "no such model"),
            (r#"data: {"choices":[{"error":{"message":"upstream"},"finish_reason":"error"}]}"#, "upstream"),
            (r#"{"error":{"message":"a document"}}"#, "a document"),
            (r#"data: {"error":{"code":7}}"#, r#"{"code":7}"#),
        ];
        for (stream, text) in table {
            assert_eq!(all(stream.as_bytes()).unwrap().first(), Some(&Part::Error(text.into())), "{stream}");
        }
    }

    #[test]
    fn no_error_is_no_error() {
        for error in ["null", "\"\"", "{}", "false", "[]"] {
            let message = format!(r#"{{"error":{error},"choices":[{{"delta":{{"content":"x"}}}}]}}"#);
            let expected = Part::Message(serde_json::from_str(&message).unwrap());
            assert_eq!(all(format!("data: {message}\n\n").as_bytes()).unwrap(), [expected], "{error}");
        }
    }

    #[test]
    fn a_plain_document_is_an_answer() {
        let document = "\u{feff}\n{\n \"choices\": [\n{\"message\": {\"content\": \"x\"}}]\n}\n";
        let message = json!({"choices": [{"message": {"content": "x"}}]});
        assert_eq!(all(document.as_bytes()).unwrap(), [Part::Message(message), Part::End]);
        assert_eq!(all(b"{\"a\":1}\n{\"a\":2}\n").unwrap().len(), 3);
        assert!(all(b"{\"choices\": [").is_err());
    }

    #[test]
    fn a_last_line_without_its_end_counts() {
        assert_eq!(all(b"data: {\"a\":1}\n\ndata: [DONE]").unwrap(), [Part::Message(json!({"a": 1})), Part::End]);
    }

    #[test]
    fn nonsense_and_endless_lines_are_refused() {
        assert!(all(b"data: {nope\n").is_err());
        assert!(all(b"data: {\"a\":\n\n").is_err());
        assert!(all(b"<html>a router's own page</html>").unwrap_err().contains("router's own page"));
        assert!(whole(Lines::default().push(&vec![b'x'; LONGEST + 1])).is_err());
        assert!(whole(Lines::default().push(&vec![b'{'; LONGEST + 1])).is_err());
        assert_eq!(all(b"").unwrap(), []);
    }
}
