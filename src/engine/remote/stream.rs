//! Server-sent events, as far as completions use them: lines of `data: JSON` and a last `data: [DONE]`. Pure.

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

/// A line may get this long; a server that sends more is not believed.
const LONGEST_LINE: usize = 4 << 20;

/// Cuts the bytes of a stream into messages.
#[derive(Debug, Default)]
pub(super) struct Lines {
    held: Vec<u8>,
}

impl Lines {
    /// The messages that became whole, in order; an error (a line without end, or data that is no JSON) is the last.
    pub(super) fn push(&mut self, bytes: &[u8]) -> Vec<Result<Part, String>> {
        self.held.extend_from_slice(bytes);
        let mut parts = Vec::new();
        let mut from = 0;
        while let Some(len) = self.held[from..].iter().position(|&byte| byte == b'\n') {
            parts.extend(part(&self.held[from..from + len]).transpose());
            from += len + 1;
        }
        self.held.drain(..from);
        if self.held.len() > LONGEST_LINE {
            parts.push(Err("a line of the stream has no end".into()));
        }
        parts
    }
}

fn part(line: &[u8]) -> Result<Option<Part>, String> {
    let line = line.trim_ascii();
    if let Some(error) = line.strip_prefix(b"error:") {
        return Ok(Some(Part::Error(String::from_utf8_lossy(error).trim().to_owned())));
    }
    let Some(data) = line.strip_prefix(b"data:").map(<[u8]>::trim_ascii) else { return Ok(None) };
    if data == b"[DONE]" {
        return Ok(Some(Part::End));
    }
    let message: Value = serde_json::from_slice(data).map_err(|error| format!("a message of the stream: {error}"))?;
    let error =
        message.get("error").map(|error| error["message"].as_str().map_or_else(|| error.to_string(), str::to_owned));
    Ok(Some(error.map_or(Part::Message(message), Part::Error)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn whole(parts: Vec<Result<Part, String>>) -> Result<Vec<Part>, String> {
        parts.into_iter().collect()
    }

    #[test]
    fn messages_come_whole_however_the_bytes_are_cut() {
        let stream = b": hello\r\n\r\ndata: {\"a\":\"\xc3\xa9\"}\n\ndata:[DONE]\n";
        for cut in 0..stream.len() {
            let mut lines = Lines::default();
            let mut parts = whole(lines.push(&stream[..cut])).unwrap();
            parts.extend(whole(lines.push(&stream[cut..])).unwrap());
            assert_eq!(parts, [Part::Message(json!({"a": "é"})), Part::End], "cut at {cut}");
        }
    }

    #[test]
    fn an_error_in_the_stream_is_told() {
        let parts =
            whole(Lines::default().push(b"data: {\"error\":{\"message\":\"too hot\"}}\nerror: gone\n")).unwrap();
        assert_eq!(parts, [Part::Error("too hot".into()), Part::Error("gone".into())]);
    }

    #[test]
    fn nonsense_and_endless_lines_are_refused() {
        assert!(whole(Lines::default().push(b"data: {nope\n")).is_err());
        assert!(whole(Lines::default().push(&vec![b'x'; LONGEST_LINE + 1])).is_err());
    }
}
