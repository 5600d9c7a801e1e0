//! What a checkpoint on a hub looks like, without its weights: the small files whole, and of each safetensors file its
//! header and a hole as long as the rest. What reads headers alone can open that folder as if the checkpoint had been pulled.
//!
//! It refuses to put anything into the store: a checkpoint of holes is no model.

use std::fs::File;
use std::io::Write;
use std::path::Path;

use reqwest::Client;

use super::checkpoint::{self, Piece};
use super::download::Tries;
use super::fault::PullError;
use super::hub::{Fault, chunk};
use super::names::Source;
use super::pull::{Request, pull_piece};
use crate::cancel::Cancel;

/// The longest header of a safetensors file, in bytes (the format's own bound).
const LONGEST: u64 = 100_000_000;

/// Gets headers and small files of a checkpoint into a folder that is there; gives the bytes of the whole checkpoint.
///
/// # Errors
/// What [`PullError`] lists.
pub async fn headers(
    client: &Client,
    request: &Request,
    folder: &Path,
    step: &mut dyn FnMut(u64, Option<u64>),
    cancel: &Cancel,
) -> Result<u64, PullError> {
    let pieces = checkpoint::list(client, &request.hub, &request.source, request.retry, cancel).await?;
    let mut whole = 0u64;
    for piece in &pieces {
        if piece.path.ends_with(".safetensors") {
            let mut tries = Tries::new(request.retry);
            loop {
                match head(client, request, folder, piece, cancel).await {
                    Ok(()) => break,
                    Err(fault) => tries.next(fault, 0, cancel).await?,
                }
            }
        } else {
            pull_piece(client, request, folder, piece, step, cancel).await?;
        }
        whole = whole.saturating_add(piece.want.size.unwrap_or(0));
    }
    Ok(whole)
}

/// One file's header; the connection is dropped when it is here.
async fn head(client: &Client, request: &Request, folder: &Path, piece: &Piece, cancel: &Cancel) -> Result<(), Fault> {
    let source = Source { file: Some(piece.path.clone()), ..request.source.clone() };
    let what = source.to_string();
    let url = request.hub.file_url(&source, &piece.path);
    let mut answer = request.hub.get(client, url, None, &what, cancel).await?.accept(&what)?;
    let size = piece.want.size.or(answer.response.content_length()).unwrap_or(0);
    let mut bytes = Vec::new();
    let mut length = 8;
    while (bytes.len() as u64) < length {
        let Some(part) = chunk(&mut answer.response, &what, cancel).await? else {
            let cause = PullError::Short { what, got: bytes.len() as u64, want: length };
            return Err(Fault::Again { wait: None, cause });
        };
        bytes.extend_from_slice(&part);
        if let Some(start) = bytes.first_chunk::<8>() {
            length = u64::from_le_bytes(*start).saturating_add(8);
        }
        if length > LONGEST.min(size) {
            return Err(Fault::Final(PullError::Nonsense { what, why: "it does not begin as safetensors do".into() }));
        }
    }
    bytes.truncate(length as usize);
    let path = folder.join(&piece.path);
    let write = || {
        let mut file = File::create(&path)?;
        file.write_all(&bytes)?;
        file.set_len(size)
    };
    write().map_err(|source| Fault::Final(PullError::Write { path: path.clone(), source }))
}
