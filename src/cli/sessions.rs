//! `zord sessions`: past conversations.

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::{Scene, output, timezone};
use crate::chat::calendar::Moment;
use crate::chat::export::export_markdown;
use crate::chat::journal::SessionId;
use crate::chat::store::Store;
use crate::error::{ExitCode, UserError};
use crate::retention;

#[derive(Args, Debug)]
pub(super) struct SessionsArgs {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// All conversations, newest first, or those with a text in them
    List {
        /// Only conversations that contain this text
        #[arg(long, value_name = "TEXT")]
        search: Option<String>,
        /// One JSON document
        #[arg(long)]
        json: bool,
    },
    /// One conversation, as text
    Show {
        /// Its id, or the beginning of it; `last` is the newest
        id: String,
        /// One JSON document
        #[arg(long)]
        json: bool,
    },
    /// One conversation, as Markdown
    Export {
        /// Its id, or the beginning of it; `last` is the newest
        id: String,
    },
    /// Remove a conversation for good
    Remove {
        /// Its id
        id: String,
    },
}

pub(super) fn run(scene: &Scene, args: SessionsArgs) -> Result<ExitCode, UserError> {
    let store = Store::at(scene.paths.sessions());
    match args.action {
        Action::List { search: None, json } => list(&store, json)?,
        Action::List { search: Some(text), json } => search(&store, &text, json)?,
        Action::Show { id, json } => {
            let read = store.read(&resolve(&store, &id)?)?;
            if read.skipped > 0 || read.torn {
                output::note(format_args!(
                    "notice: the journal is damaged; {} lines were skipped",
                    read.skipped + usize::from(read.torn)
                ));
            }
            let conversation = read.conversation;
            if json {
                let turns: Vec<Value> = conversation
                    .path()
                    .iter()
                    .filter_map(|&id| conversation.node(id))
                    .map(|node| json!({"id": node.id, "role": node.role, "text": node.text, "stop": node.stop, "at": node.at}))
                    .collect();
                output::json(
                    &json!({"id": conversation.id(), "title": conversation.title(), "model": conversation.model(),
                                     "system": conversation.system(), "notes": conversation.notes(), "turns": turns}),
                )?;
            } else {
                output::print(&export_markdown(&conversation))?;
            }
        }
        Action::Export { id } => output::print(&export_markdown(&store.read(&resolve(&store, &id)?)?.conversation))?,
        Action::Remove { id } => retention::remove_session(&scene.paths, &resolve(&store, &id)?)?,
    }
    Ok(ExitCode::Done)
}

fn list(store: &Store, as_json: bool) -> Result<(), UserError> {
    let sessions = store.list()?;
    if as_json {
        let rows: Vec<Value> = sessions
            .iter()
            .map(|s| {
                json!({"id": s.id, "title": s.title, "model": s.model, "updated": s.updated, "messages": s.messages,
                            "interrupted": s.interrupted})
            })
            .collect();
        return output::json(&rows);
    }
    let zone = timezone::here();
    let rows: Vec<_> = sessions
        .iter()
        .map(|s| {
            vec![
                s.id.to_string(),
                Moment::at(s.updated, zone.clone()).minutes(),
                format!("{} messages", s.messages),
                s.title.clone(),
            ]
        })
        .collect();
    if rows.is_empty() {
        output::note("there are no conversations yet")
    }
    output::print(&output::table(&rows))
}

fn search(store: &Store, text: &str, as_json: bool) -> Result<(), UserError> {
    let hits = store.search(text)?;
    if as_json {
        let rows: Vec<Value> =
            hits.iter().map(|hit| json!({"id": hit.id, "title": hit.title, "snippet": hit.snippet})).collect();
        return output::json(&rows);
    }
    if hits.is_empty() {
        output::note("nothing was found")
    }
    let rows: Vec<_> = hits.iter().map(|hit| vec![hit.id.to_string(), hit.snippet.clone()]).collect();
    output::print(&output::table(&rows))
}

/// An id from its beginning; `last` is the newest. Nothing is the beginning of each: an empty variable in a script must not
/// name a conversation.
fn resolve(store: &Store, text: &str) -> Result<SessionId, UserError> {
    if text.is_empty() {
        return Err(UserError::usage("the id of the conversation is empty").hint("`zord sessions list` has the ids"));
    }
    let sessions = store.list()?;
    let mut matching = sessions.iter().filter(|s| text == "last" || s.id.to_string().starts_with(text));
    match (matching.next(), matching.next()) {
        (Some(one), None) => Ok(one.id.clone()),
        (Some(newest), Some(_)) if text == "last" => Ok(newest.id.clone()),
        (Some(_), Some(_)) => Err(UserError::failed(format!("`{text}` is the beginning of several conversations"))),
        (None, _) => {
            Err(UserError::failed(format!("there is no conversation `{text}`"))
                .hint("`zord sessions list` has the ids"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chat::Role;
    use crate::chat::journal::Entry;
    use crate::chat::tree::NodeId;

    #[test]
    fn an_empty_id_names_no_conversation_though_there_is_only_one() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::at(folder.path().join("sessions"));
        let (conversation, mut writer) = store.create("m", 5_000).unwrap();
        let (id, text, attachments) = (NodeId(0), "hi".to_owned(), Vec::new());
        writer.write(&Entry::Node { id, parent: None, role: Role::User, text, attachments, at: 5 }).unwrap();
        drop(writer);
        let whole = conversation.id().to_string();
        assert_eq!(resolve(&store, "").unwrap_err().code, ExitCode::Usage);
        assert!(resolve(&store, " ").is_err());
        for named in ["last", whole.as_str(), &whole[..4]] {
            assert_eq!(resolve(&store, named).unwrap(), *conversation.id(), "{named}");
        }
    }
}
