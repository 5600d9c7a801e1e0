//! How long a frame takes in a long conversation: what `scripts/bench.sh chat` prints.

use std::time::{Duration, Instant};

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::View;
use super::highlight::Highlighter;
use super::theme::{Ability, Depth, Ground};
use crate::app::msg::{Move, Msg, Scrolled};
use crate::app::{App, Setup};
use crate::chat::Role;
use crate::chat::journal::{Entry, SessionId};
use crate::chat::tree::{Conversation, NodeId};
use crate::config::Config;
use crate::engine::Stop;

/// What was measured.
#[derive(Clone, Copy, Debug)]
pub struct Frames {
    /// Messages in the conversation.
    pub messages: u32,
    /// The first frame after opening it, nothing laid out before.
    pub first: Duration,
    /// The median of frames while scrolling through all of it by pages and rows.
    pub median: Duration,
    /// 99 of 100 are faster.
    pub most: Duration,
    /// The slowest of them.
    pub worst: Duration,
    /// The most that one of them took of a processor: less than `worst` where others used the machine meanwhile.
    pub busiest: Duration,
    /// How many were drawn.
    pub frames: usize,
}

const ANSWER: &str = "The function folds the *list* from the left; `acc` starts at **zero**.\n\n1. first the head\n2. then \
                      the rest\n\n```rust\nfn sum(list: &[i64]) -> i64 {\n    let mut acc = 0;\n    for n in list {\n        \
                      acc += n; // may overflow\n    }\n    acc\n}\n```\n\n| case | result |\n|---|--:|\n| empty | 0 |\n| \
                      中文 | 3 |\n\nA closing paragraph that is long enough to be wrapped on a phone as well as on a wide \
                      screen.\n";

/// One answer in so many is as long as a context of 4,096 tokens lets it be.
const LONG: u32 = 50;
const TIMES: usize = 24;

/// A conversation of so many messages, questions and answers in turn.
pub(crate) fn conversation(messages: u32) -> Conversation {
    let id = SessionId::new(1_700_000_000_000, 7);
    let mut conversation = Conversation::new(id, "model", 1_700_000_000);
    for n in 0..messages {
        let asks = n % 2 == 0;
        let entry = Entry::Node {
            id: NodeId(conversation.next_id().0),
            parent: conversation.head(),
            role: if asks { Role::User } else { Role::Assistant },
            text: match n % LONG {
                _ if asks => format!("Question {n}: what does this do?"),
                1 => ANSWER.repeat(TIMES),
                _ => ANSWER.to_owned(),
            },
            attachments: Vec::new(),
            at: 1_700_000_000,
        };
        let id = conversation.next_id();
        // entries made here are in order; one that were not would only make the conversation shorter
        let _ = conversation.apply(&entry);
        if !asks {
            let _ = conversation.apply(&Entry::End { id, stop: Some(Stop::End), stats: None });
        }
    }
    conversation
}

/// Opens a conversation of so many messages on a screen of this size and scrolls through all of it, up by pages and down
/// by rows, drawing each step.
pub fn frames(messages: u32, columns: u16, rows: u16) -> Frames {
    let setup = Setup {
        conversation: conversation(messages),
        model: Some("model".into()),
        lora: Vec::new(),
        settings: Config::default(),
        history: Vec::new(),
        notices: Vec::new(),
        input: String::new(),
        size: (columns, rows),
    };
    let mut app = App::new(setup);
    // Colours as in the program: read and found on the thread, drawn when they are there.
    let view = View::new(Ability { ground: Ground::Dark, depth: Depth::True }, Highlighter::new(|| {}));
    let area = Rect::new(0, 0, columns, rows);
    let mut busiest = Duration::ZERO;
    let mut frame = |app: &mut App, by: Option<Move>| -> (Option<Scrolled>, Duration) {
        let mut screen = Buffer::empty(area);
        let (begin, busy) = (Instant::now(), busy());
        let to = by.map(|by| view.moved(app, by));
        if let Some(to) = to {
            app.update(Msg::Scrolled(to));
        }
        view.draw(app, area, &mut screen);
        busiest = busiest.max(self::busy().saturating_sub(busy));
        (to, begin.elapsed())
    };
    let (_, first) = frame(&mut app, None);
    let mut times = Vec::new();
    let mut before = None;
    for by in std::iter::repeat_n(Move::Pages(-1), 100_000) {
        let (to, took) = frame(&mut app, Some(by));
        times.push(took);
        if before == to {
            break;
        }
        before = to;
    }
    times.extend((0..2_000).map(|_| frame(&mut app, Some(Move::Rows(1))).1));
    times.sort_unstable();
    let worst = times.last().copied().unwrap_or_default();
    Frames {
        messages,
        first,
        busiest,
        median: times[times.len() / 2],
        most: times[times.len() * 99 / 100],
        worst,
        frames: times.len(),
    }
}

/// What this thread has had of a processor.
fn busy() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.try_into().unwrap_or(0), time.tv_nsec.try_into().unwrap_or(0))
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_long_conversation_is_scrolled_and_the_times_printed() {
        for (columns, rows) in [(80, 24), (45, 30)] {
            let found = super::frames(2_000, columns, rows);
            println!("{columns}x{rows}: {found:?}");
            assert!(found.frames > 2_000, "it was not scrolled");
        }
    }
}
