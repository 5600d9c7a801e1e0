//! What goes over the stream between an engine in a process of its own and whoever uses it: [`Order`]s in, [`Event`]s
//! out, each as JSON behind its length in four bytes, the lowest first.
//!
//! Any stream will do. What it refuses to do: take in more than [`LARGEST`] bytes at once, whatever the length says.

use std::io::{self, Read, Write};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

#[cfg(doc)]
use super::Event;
use super::{JobId, LocalSpec, Work};

/// Bytes of one message at most: a conversation with everything attached has fewer.
pub const LARGEST: usize = 64 << 20;
/// Tells this build's messages from another's.
pub const BUILD: &str = concat!(env!("CARGO_PKG_VERSION"), "/1");

/// What an engine is told. Whoever sends needs no copy of the work: `W` and `S` may be references.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Order<W = Work, S = LocalSpec> {
    /// The first one: what to load.
    Start {
        /// The sender's [`BUILD`].
        build: String,
        /// The model.
        spec: S,
    },
    /// A job; it ends in exactly one `Done` or `Failed`.
    Work {
        /// Names it.
        id: JobId,
        /// What to do.
        work: W,
    },
    /// Stops a job, which still ends with `Done`.
    Cancel(JobId),
    /// Works with at most so many threads.
    Threads(u32),
    /// The last one: what was ordered is done, then the engine ends. A stream that ends without it has lost its owner.
    Finish,
}

/// Writes a message in one go.
///
/// # Errors
/// `InvalidInput` for one that is too large or cannot be written down (nothing was written then); else the stream's.
pub fn write(to: &mut impl Write, message: &impl Serialize) -> io::Result<()> {
    let mut bytes = vec![0; 4];
    let refused = |error| io::Error::new(io::ErrorKind::InvalidInput, error);
    serde_json::to_writer(&mut bytes, message).map_err(refused)?;
    let length = bytes.len() - 4;
    if length > LARGEST {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, format!("a message of {length} bytes")));
    }
    bytes[..4].copy_from_slice(&(length as u32).to_le_bytes());
    to.write_all(&bytes)
}

/// Reads a message; `None` where the stream ended before one began.
///
/// # Errors
/// `InvalidData` for what is no message, `UnexpectedEof` for a part of one; else the stream's.
pub fn read<T: DeserializeOwned>(from: &mut impl Read) -> io::Result<Option<T>> {
    let mut head = Vec::with_capacity(4);
    from.by_ref().take(4).read_to_end(&mut head)?;
    if head.is_empty() {
        return Ok(None);
    }
    let Ok(head) = <[u8; 4]>::try_from(head) else { return Err(io::ErrorKind::UnexpectedEof.into()) };
    let length = u32::from_le_bytes(head) as usize;
    let invalid = |what: String| io::Error::new(io::ErrorKind::InvalidData, what);
    if length > LARGEST {
        return Err(invalid(format!("a message of {length} bytes")));
    }
    // it grows with what comes, so that a length alone takes no memory
    let mut bytes = Vec::new();
    from.by_ref().take(length as u64).read_to_end(&mut bytes)?;
    if bytes.len() < length {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    serde_json::from_slice(&bytes).map(Some).map_err(|error| invalid(error.to_string()))
}

#[cfg(test)]
mod tests;
