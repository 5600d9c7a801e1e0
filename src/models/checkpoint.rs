//! Which files of a repository make a checkpoint: configuration, tokenizer, safetensors. A listing comes from outside, so
//! its length, its paths and its sizes are bounded before anything is done with them.

use reqwest::Client;
use serde::Deserialize;

use super::download::{Retry, Tries};
use super::fault::PullError;
use super::hub::{Facts, Fault, Hub, is_sha256};
use super::names::{Source, component};
use crate::cancel::Cancel;
use crate::text::clean::printable;

/// Files a checkpoint may have.
const MOST_FILES: usize = 512;
/// Entries a repository may list.
const MOST_ENTRIES: usize = 20_000;
/// Pages a listing may have.
const MOST_PAGES: usize = 40;
/// Bytes a page may have.
const LARGEST_PAGE: u64 = 8 << 20;

/// One entry of a listing, as hubs send it.
#[derive(Debug, Deserialize)]
struct Listed {
    #[serde(rename = "type", default)]
    kind: String,
    path: String,
    #[serde(default)]
    size: u64,
    #[serde(default)]
    oid: Option<String>,
    #[serde(default)]
    lfs: Option<Linked>,
}

#[derive(Debug, Deserialize)]
struct Linked {
    oid: String,
    #[serde(default)]
    size: Option<u64>,
}

/// A file of a checkpoint, with what the listing says of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Piece {
    pub path: String,
    pub want: Facts,
}

/// Asks a hub for the files of a checkpoint.
pub(super) async fn list(
    client: &Client,
    hub: &Hub,
    source: &Source,
    retry: Retry,
    cancel: &Cancel,
) -> Result<Vec<Piece>, PullError> {
    let mut tries = Tries::new(retry);
    loop {
        match pages(client, hub, source, cancel).await {
            Ok(listed) => return choose(source, listed),
            Err(fault) => tries.next(fault, 0, cancel).await?,
        }
    }
}

async fn pages(client: &Client, hub: &Hub, source: &Source, cancel: &Cancel) -> Result<Vec<Listed>, Fault> {
    let what = source.to_string();
    let mut listed = Vec::new();
    let mut next = Some(hub.tree_url(source));
    let mut left = MOST_PAGES;
    while let Some(url) = next.take() {
        let answer = hub.get(client, url, None, &what, cancel).await?.accept(&what)?;
        next = answer.next_page();
        let body = answer.body(LARGEST_PAGE, &what, cancel).await?;
        let page: Vec<Listed> = serde_json::from_slice(&body)
            .map_err(|error| PullError::Nonsense { what: what.clone(), why: printable(&error.to_string()) })?;
        listed.extend(page);
        left -= 1;
        if listed.len() > MOST_ENTRIES || (left == 0 && next.is_some()) {
            return Err(Fault::Final(PullError::Nonsense { what, why: "the list of files does not end".into() }));
        }
    }
    Ok(listed)
}

fn choose(source: &Source, listed: Vec<Listed>) -> Result<Vec<Piece>, PullError> {
    let ggufs = listed
        .iter()
        .filter(|file| file.path.ends_with(".gguf") && file.path.split('/').all(|part| component(part).is_ok()));
    let ggufs: Vec<String> = ggufs.take(20).map(|file| file.path.clone()).collect();
    let files: Vec<Listed> = listed.into_iter().filter(|file| file.kind != "directory" && wanted(&file.path)).collect();
    let named = |name: &str| files.iter().any(|file| file.path == name);
    let single = named("model.safetensors") || named("model.safetensors.index.json");
    let mut pieces = Vec::new();
    for file in &files {
        // Some repositories hold the same weights twice, once in their maker's own form.
        if single && file.path.ends_with(".safetensors") && !file.path.starts_with("model") {
            continue;
        }
        component(&file.path)?;
        pieces.push(Piece { path: file.path.clone(), want: facts(file) });
    }
    if !pieces.iter().any(|piece| piece.path.ends_with(".safetensors")) {
        return Err(PullError::NoCheckpoint { repo: source.repo.clone(), ggufs });
    }
    if pieces.len() > MOST_FILES {
        let why = format!("a checkpoint of {} files", pieces.len());
        return Err(PullError::Nonsense { what: source.to_string(), why });
    }
    // The small ones first: a repository that is gated or broken says so before the gigabytes.
    pieces.sort_by(|a, b| (a.want.size, &a.path).cmp(&(b.want.size, &b.path)));
    pieces.dedup_by(|a, b| a.path.eq_ignore_ascii_case(&b.path));
    Ok(pieces)
}

fn facts(file: &Listed) -> Facts {
    let plain = |oid: &String| oid.len() == 40 && oid.bytes().all(|byte| byte.is_ascii_hexdigit());
    match &file.lfs {
        Some(linked) => {
            let sha256 = Some(linked.oid.trim_start_matches("sha256:").to_owned()).filter(|oid| is_sha256(oid));
            Facts { etag: sha256.clone(), sha256, size: Some(linked.size.unwrap_or(file.size)), commit: None }
        }
        None => Facts { etag: file.oid.clone().filter(plain), sha256: None, size: Some(file.size), commit: None },
    }
}

/// Files at the top of the repository that a loader reads. Never programs, never pickles.
fn wanted(path: &str) -> bool {
    const NAMES: [&str; 6] = ["merges.txt", "vocab.txt", "LICENSE", "LICENSE.txt", "LICENSE.md", "README.md"];
    const ENDINGS: [&str; 5] = [".safetensors", ".json", ".model", ".jinja", ".tiktoken"];
    !path.contains('/') && (NAMES.contains(&path) || ENDINGS.iter().any(|ending| path.ends_with(ending)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listing(text: &str) -> Result<Vec<Piece>, PullError> {
        choose(&Source::parse("hf:a/b").unwrap(), serde_json::from_str(text).unwrap())
    }

    #[test]
    fn what_a_loader_reads_is_chosen_and_programs_are_not() {
        let sha = "cd".repeat(32);
        let pieces = listing(&format!(
            r#"[{{"type":"directory","path":"onnx.json","size":0}},
               {{"type":"file","path":"onnx/model.safetensors","size":9}},
               {{"type":"file","path":"config.json","size":5,"oid":"{}"}},
               {{"type":"file","path":"modeling.py","size":5}},
               {{"type":"file","path":"pytorch_model.bin","size":5}},
               {{"type":"file","path":"consolidated.safetensors","size":90}},
               {{"type":"file","path":"model.safetensors","size":90,"lfs":{{"oid":"{sha}","size":90}}}},
               {{"type":"file","path":"tokenizer.json","size":70}}]"#,
            "0a".repeat(20)
        ))
        .unwrap();
        let paths: Vec<&str> = pieces.iter().map(|piece| piece.path.as_str()).collect();
        assert_eq!(paths, ["config.json", "tokenizer.json", "model.safetensors"]);
        assert_eq!(pieces[2].want.sha256.as_deref(), Some(sha.as_str()));
        assert_eq!(pieces[0].want.etag, Some("0a".repeat(20)));
    }

    #[test]
    fn a_repository_of_ggufs_says_which_to_name() {
        let error =
            listing(r#"[{"type":"file","path":"x.gguf","size":9},{"type":"file","path":"config.json","size":1}]"#)
                .unwrap_err();
        assert!(matches!(error, PullError::NoCheckpoint { ref ggufs, .. } if ggufs == &["x.gguf"]));
    }

    #[test]
    fn a_listing_that_leads_outside_is_refused() {
        for path in ["..\\\\x.safetensors", "a\\u0000.safetensors", "nul.safetensors", "a\\u001b[2J.json"] {
            let text = format!(
                r#"[{{"type":"file","path":"{path}","size":1}},{{"type":"file","path":"model.safetensors","size":1}}]"#
            );
            // The one that hides beside real weights is either refused or left out, never taken.
            if let Ok(pieces) = listing(&text) {
                assert_eq!(pieces.len(), 1, "{path}");
            }
        }
        let many: Vec<String> =
            (0..600).map(|i| format!(r#"{{"type":"file","path":"model-{i}.safetensors","size":1}}"#)).collect();
        assert!(listing(&format!("[{}]", many.join(","))).is_err());
    }
}
