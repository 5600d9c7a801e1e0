//! Output that comes in pieces: whole characters and whole escape sequences are taken out, the rest waits.

/// An operating system command longer than this is not one.
const LONGEST: usize = 4096;

/// Takes whole characters and whole escape sequences out of what came; the `last` time, everything.
pub(super) fn whole(held: &mut Vec<u8>, last: bool) -> String {
    let mut end = held.len();
    if !last {
        if let Err(error) = std::str::from_utf8(held)
            && error.error_len().is_none()
        {
            end = error.valid_up_to();
        }
        end = open(&held[..end]).unwrap_or(end);
        if end > 0 && held[end - 1] == b'\r' {
            end -= 1;
        }
    }
    let rest = held.split_off(end);
    let text = String::from_utf8_lossy(held).into_owned();
    *held = rest;
    text
}

/// Where an escape sequence begins that is not at its end yet.
fn open(bytes: &[u8]) -> Option<usize> {
    let mut at = 0;
    while let Some(next) = bytes[at..].iter().position(|byte| *byte == 0x1b).map(|next| at + next) {
        let rest = &bytes[next + 1..];
        let parameters = |rest: &[u8]| rest.iter().take(64).take_while(|byte| (0x20..0x40).contains(*byte)).count();
        let whole = match rest.first() {
            None => None,
            Some(b'[') => Some(1 + parameters(&rest[1..])).filter(|end| *end < rest.len()),
            Some(b']' | b'P' | b'X' | b'^' | b'_') if rest.len() < LONGEST => string(rest),
            Some(0x20..0x30) if rest.len() < 2 => None,
            Some(_) => Some(0),
        };
        at = match whole {
            Some(end) => next + 1 + end,
            None => return Some(next),
        };
    }
    None
}

/// Where a control string ends: with a bell, or with an escape and a backslash; one with another escape in it is none.
fn string(rest: &[u8]) -> Option<usize> {
    let end = rest.iter().position(|byte| matches!(byte, 0x07 | 0x1b))?;
    match (rest[end], rest.get(end + 1)) {
        (0x07, _) => Some(end),
        (_, Some(b'\\')) => Some(end + 1),
        (_, Some(_)) => Some(end),
        (_, None) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn characters_and_escapes_are_not_torn() {
        let mut held = "a\u{1b}[3".as_bytes().to_vec();
        assert_eq!(whole(&mut held, false), "a");
        held.extend_from_slice(b"1mb\xe2\x98");
        assert_eq!(whole(&mut held, false), "\u{1b}[31mb");
        held.extend_from_slice(b"\x83\r");
        assert_eq!(whole(&mut held, false), "☃");
        held.extend_from_slice(b"\n\xff");
        assert_eq!(whole(&mut held, true), "\r\n\u{fffd}");
    }

    #[test]
    fn a_title_that_comes_in_two_pieces_is_held_until_its_end() {
        for end in ["\u{7}", "\u{1b}\\"] {
            let all = format!("one\u{1b}]0;title{end}two");
            for cut in 0..all.len() {
                let mut held = all.as_bytes()[..cut].to_vec();
                let mut text = whole(&mut held, false);
                held.extend_from_slice(&all.as_bytes()[cut..]);
                text = crate::text::clean::pasted(&text) + &crate::text::clean::pasted(&whole(&mut held, false));
                assert_eq!(text, "onetwo", "cut at {cut}");
            }
        }
        let mut held = [b"\x1b]".as_slice(), &[b'x'; LONGEST]].concat();
        assert!(!whole(&mut held, false).is_empty() && held.is_empty(), "what never ends is text");
    }
}
