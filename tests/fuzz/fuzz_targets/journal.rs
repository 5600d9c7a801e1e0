//! Any bytes as a journal: reading never panics, what is read can be shown, and cutting off the end never adds to it.
#![no_main]

use libfuzzer_sys::fuzz_target;
use zord::chat::export::export_markdown;
use zord::chat::journal::{SessionId, read, read_as};

fuzz_target!(|bytes: &[u8]| {
    let _ = read(bytes);
    let Ok(id) = SessionId::parse("fuzz") else { return };
    let Ok(whole) = read_as(bytes, &id) else { return };
    let conversation = &whole.conversation;
    let _ = (conversation.turns(), conversation.title(), conversation.cut(), export_markdown(conversation));
    // Cut off at its last line, the conversation is no longer than it was.
    let end = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
    if let Ok(part) = read_as(&bytes[..end], &id) {
        assert!(part.conversation.len() <= conversation.len());
    }
});
