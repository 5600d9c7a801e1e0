//! Carrying out what `app` wants. What blocks is done elsewhere and answers through the channel.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::sync::mpsc::Sender;

use super::{
    Desk, Told, clipboard, completion, editing, edits, failure, files, git, history, last, notes, notice, now_ms,
    preferences, search, services,
};
use crate::app::editor::msg::{EditorEffect, EditorMsg};
use crate::app::msg::{Ask, Effect, FilesMsg, Level, ModelsMsg, Msg, SessionMsg};
use crate::chat::journal::{Entry, SessionId};
use crate::chat::tree::Attachment;
use crate::edits::guard::Guard;
use crate::edits::undo::Undo;
use crate::engine::{Cancel, ChatRequest, JobId, Work};
use crate::error::{ExitCode, UserError};

/// Characters of a title in the name of an exported file.
const TITLE: usize = 40;

impl Desk {
    pub(super) fn carry_out(&mut self, wanted: Vec<Effect>) {
        for effect in wanted {
            match effect {
                Effect::StartEngine(load) => self.prepare_engine(load),
                Effect::CheckModel(load) => {
                    let check = self.start.check.clone();
                    let placed = self.placed(load.clone());
                    self.models(move || check(&placed).map(|()| ModelsMsg::Checked(load)));
                }
                Effect::KeepPreference(choice) => {
                    let file = self.start.paths.config_file();
                    self.background(move || {
                        let kept = preferences::keep(&file, &choice);
                        kept.err().map(|why| Msg::Notice(Level::Warning, why))
                    });
                }
                Effect::Ask(ask) => self.ask(ask),
                Effect::Cancel(job) => self.engine.cancel(job),
                Effect::SaveCache(job, id) => self.snapshot(job, &id, Work::Save),
                Effect::RestoreCache(job, id) => self.snapshot(job, &id, Work::Restore),
                Effect::ReleaseCache(job) => self.engine.submit(job, Work::Release),
                Effect::Journal(entry) => {
                    if matches!(entry, Entry::Node { .. }) {
                        self.note_last();
                    }
                    self.journal.write(entry);
                }
                Effect::Sync => self.journal.sync(),
                Effect::Scroll(by) => {
                    let scrolled = self.view.moved(&self.app, by);
                    self.tell(Msg::Scrolled(scrolled));
                }
                Effect::NewSession => self.new_session(),
                Effect::OpenSession(id) => self.open_session(id),
                Effect::ListSessions => {
                    let store = self.store.clone();
                    self.session(move || Ok(SessionMsg::Listed(store.list()?)));
                }
                Effect::RemoveSession(id) => {
                    let paths = self.start.paths.clone();
                    self.session(move || {
                        crate::retention::remove_session(&paths, &id)?;
                        Ok(SessionMsg::Removed(id))
                    });
                }
                Effect::SearchSessions(query) => self.search_sessions(query),
                Effect::Export { markdown, title, file } => {
                    let folder = self.start.folder.clone();
                    self.session(move || export(&folder, &markdown, &title, file).map(SessionMsg::Exported));
                }
                Effect::Copy { text, what } => self.copy(text, what),
                Effect::ListFiles => {
                    let folder = self.start.folder.clone();
                    self.background(move || {
                        let (names, more) = files::list(&folder);
                        Some(Msg::Files(FilesMsg::Listed { names: Arc::new(names), more }))
                    });
                }
                Effect::CompletePath(typed) => {
                    let folder = self.start.folder.clone();
                    self.background(move || Some(Msg::Files(completion::complete(&folder, typed))));
                }
                Effect::ReadFiles(reading) => {
                    let folder = self.start.folder.clone();
                    self.background(move || {
                        let files::Files { attachments, notices, unmatched } = files::read(&folder, &reading);
                        Some(Msg::Files(FilesMsg::Read { id: reading.id, attachments, notices, unmatched }))
                    });
                }
                Effect::LookForNotes(purpose) => {
                    let (paths, folder) = (self.start.paths.clone(), self.start.folder.clone());
                    self.background(move || Some(Msg::Notes(purpose, notes::look(&paths, &folder))));
                }
                Effect::KeepDecision { hash, decision } => {
                    let (paths, folder) = (self.start.paths.clone(), self.start.folder.clone());
                    self.background(move || {
                        let kept = notes::keep(&paths, &folder, hash, decision);
                        kept.err().map(|why| Msg::Notice(Level::Warning, format!("the choice is not kept: {why}")))
                    });
                }
                Effect::Search(id, sought) => self.search_files(id, sought),
                Effect::CancelSearch => self.searcher.cancel(),
                Effect::ListModels => {
                    let paths = self.start.paths.clone();
                    self.models(move || services::offers(&paths).map(ModelsMsg::Offered));
                }
                Effect::Pull(name) => self.pull(name),
                Effect::CancelPull => {
                    if let Some(pull) = &self.pull {
                        pull.cancel();
                    }
                }
                Effect::AddModel(file) => {
                    let (paths, file) = (self.start.paths.clone(), editing::resolved(&self.start.folder, &file));
                    self.models(move || services::add(&paths, &file, &Cancel::new()).map(ModelsMsg::Added));
                }
                Effect::Propose(wanted) => {
                    let folder = self.start.folder.clone();
                    self.background(move || Some(Msg::Edits(edits::propose(&folder, &wanted))));
                }
                Effect::Write(files) => {
                    let (folder, undo) = (self.start.folder.clone(), Undo::at(self.start.paths.undo()));
                    let at = now_ms();
                    self.background(move || Some(Msg::Edits(edits::write(&folder, &undo, files, at))));
                }
                Effect::TakeBack(record, files) => {
                    let (folder, undo) = (self.start.folder.clone(), Undo::at(self.start.paths.undo()));
                    let at = now_ms();
                    self.background(move || Some(Msg::Edits(edits::take_back(&folder, &undo, &record, files, at))));
                }
                Effect::Changed { commit } => {
                    let (folder, undo) = (self.start.folder.clone(), Undo::at(self.start.paths.undo()));
                    self.background(move || Some(Msg::Edits(git::changed(&folder, &undo, commit))));
                }
                Effect::DropUndo => {
                    let (folder, undo) = (self.start.folder.clone(), Undo::at(self.start.paths.undo()));
                    self.background(move || Some(Msg::Edits(edits::forget(&folder, &undo))));
                }
                Effect::Undo => {
                    let (folder, undo) = (self.start.folder.clone(), Undo::at(self.start.paths.undo()));
                    self.background(move || Some(Msg::Edits(edits::undo(&folder, &undo))));
                }
                Effect::Run(run, command) => self.run_command(run, &command),
                Effect::Kill(run) => self.kill_command(run),
                Effect::KeepUnsent(text) => self.unsent.keep(text),
                Effect::Remember(text) => {
                    let file = self.history.clone();
                    // an unwritable history is not worth a word
                    self.background(move || history::append(&file, &text).err().and(None));
                }
                Effect::Editor(wanted) => self.edit(wanted),
                Effect::Suggest(request) => self.suggest(&request),
                Effect::CancelSuggest => self.cancel_suggestion(),
                Effect::Threads(most) => self.engine.limit_threads(most),
                Effect::Mouse(ours) => self.screen.mouse(ours),
                Effect::Redraw => self.screen.redraw(),
                Effect::Suspend => self.suspend(),
                Effect::Quit => self.quit = Some(ExitCode::Done),
            }
        }
    }

    /// Something is said here: `--continue` goes on with it in this folder.
    fn note_last(&mut self) {
        if let Some((file, id)) = self.last.note(self.app.conversation.id()) {
            // without it `--continue` finds an older one, and that is all
            self.background(move || last::write(&file, &id).err().and(None));
        }
    }

    fn ask(&mut self, ask: Ask) {
        let seed = now_ms() as u32 ^ (ask.job.0 as u32).rotate_left(16);
        let request = ChatRequest {
            turns: ask.turns,
            sampling: services::varied(services::sampling(ask.preset, &self.app.model.name, seed), ask.tries),
            max_tokens: self.start.config.chat.max_tokens,
            stop: self.start.config.chat.stop.clone(),
            overflow: ask.overflow,
            ..ChatRequest::default()
        };
        self.looked.get_or_insert_with(std::time::Instant::now);
        // what is prepared ahead for the editor must not be waited for
        self.cancel_suggestion();
        if ask.files.is_empty() {
            self.engine.submit(ask.job, Work::Chat(request));
        } else {
            let number = self.engine.expect(ask.job);
            let (files, guard) = (ask.files, ask.guard);
            form(&self.post, number, ask.job, request, self.start.folder.clone(), files, guard);
        }
    }

    /// One search at a time: it reads everything that was ever said.
    fn search_sessions(&mut self, query: String) {
        let (store, post) = (self.store.clone(), self.post.clone());
        let work = move |query: String, cancel: &Cancel| {
            let found = match store.search_until(&query, &|| cancel.is_cancelled()) {
                Ok(None) => return,
                Ok(Some(hits)) => SessionMsg::Found { query, hits },
                Err(error) => SessionMsg::Failed(UserError::from(error)),
            };
            let _ = post.blocking_send(Told::Msg(Msg::Session(found)));
        };
        if let Err(error) = self.sessions.ask("sessions", search::PAUSE, query, work) {
            self.fail(format!("cannot search: {error}"));
        }
    }

    fn snapshot(&mut self, job: JobId, id: &SessionId, work: fn(PathBuf) -> Work) {
        let path = self.store.snapshot_path(id);
        self.engine.submit(job, work(path));
    }

    fn session(&self, work: impl FnOnce() -> Result<SessionMsg, UserError> + Send + 'static) {
        self.background(move || Some(Msg::Session(work().unwrap_or_else(SessionMsg::Failed))));
    }

    fn models(&self, work: impl FnOnce() -> Result<ModelsMsg, UserError> + Send + 'static) {
        self.background(move || Some(Msg::Models(work().unwrap_or_else(ModelsMsg::Failed))));
    }

    fn new_session(&mut self) {
        match self.store.create(&self.app.model.name, now_ms()) {
            Ok((conversation, writer)) => {
                self.journal.switch(writer);
                self.tell(Msg::Session(SessionMsg::Opened { conversation: Box::new(conversation), notice: None }));
            }
            Err(error) => self.tell(Msg::Session(SessionMsg::NotOpened(UserError::from(error)))),
        }
    }

    fn open_session(&mut self, id: SessionId) {
        let (store, post) = (self.store.clone(), self.post.clone());
        tokio::task::spawn_blocking(move || {
            let told = match store.open(&id) {
                Ok((conversation, writer, notice)) => {
                    Told::Opened(Box::new(conversation), Box::new(writer), notice.text())
                }
                Err(error) => Told::Msg(Msg::Session(SessionMsg::NotOpened(UserError::from(error)))),
            };
            let _ = post.blocking_send(told);
        });
    }

    fn edit(&mut self, wanted: EditorEffect) {
        let (folder, kept) = (self.start.folder.clone(), self.kept.clone());
        match wanted {
            EditorEffect::Open { path, place } => {
                self.background(move || Some(Msg::Editor(editing::open(&folder, &kept, &path, place))));
            }
            EditorEffect::OpenNamed(names) => {
                self.background(move || Some(Msg::Editor(editing::open_named(&folder, &kept, names))));
            }
            EditorEffect::Save { id, path, rope, bom, state, expected, force } => {
                let saving = editing::Saving { id, path, rope, bom, state, expected, force };
                self.background(move || Some(Msg::Editor(editing::save(&saving))));
            }
            EditorEffect::SaveAs { id, path, rope, bom, state } => {
                self.background(move || Some(Msg::Editor(editing::save_as(&folder, id, &path, rope, bom, state))));
            }
            EditorEffect::TakeDisk { id, path } => {
                self.background(move || {
                    let disk = editing::read_again(&path);
                    Some(Msg::Editor(EditorMsg::Taken { id, disk }))
                });
            }
            EditorEffect::Check(known) => {
                for (id, path, stamp) in known {
                    self.background(move || {
                        editing::compare(&path, &stamp).map(|disk| Msg::Editor(EditorMsg::Disk { id, disk }))
                    });
                }
            }
            EditorEffect::Keep { real, base, rope, changes } => self.keeper.keep(real, base, rope, changes),
            EditorEffect::Paste => {
                let post = self.post.clone();
                tokio::spawn(async move {
                    let text = match clipboard::termux_get() {
                        Some(command) => clipboard::look(command).await,
                        None => None,
                    };
                    let _ = post.send(Told::Msg(Msg::Editor(EditorMsg::Paste(text)))).await;
                });
            }
            EditorEffect::Forget(real) => self.keeper.forget(real),
            EditorEffect::Adopted { real, record } => self.keeper.adopted(real, record),
            EditorEffect::SetAside(record) => self.keeper.set_aside(record),
        }
    }

    fn copy(&mut self, text: String, what: String) {
        let lines = text.lines().count();
        let done =
            notice(Level::Info, format!("copied {what} ({lines} {})", if lines == 1 { "line" } else { "lines" }));
        if let Some(command) = clipboard::termux() {
            let post = self.post.clone();
            tokio::spawn(async move {
                let answer = if clipboard::hand_over(command, &[], text).await {
                    done
                } else {
                    failure("`termux-clipboard-set` does not answer: is the app Termux:API installed?")
                };
                let _ = post.send(answer).await;
            });
            return;
        }
        if let Some(command) = clipboard::tmux() {
            let post = self.post.clone();
            tokio::spawn(async move {
                let told = if clipboard::to_tmux(command, text).await {
                    notice(Level::Info, format!("copied {what} to tmux's buffer; prefix ] pastes it"))
                } else {
                    failure("tmux took nothing: `tmux load-buffer -` failed")
                };
                let _ = post.send(told).await;
            });
            return;
        }
        match clipboard::sequence(&text).map(|sequence| self.screen.tell(&sequence)) {
            Some(Ok(())) => self.own.put(done),
            Some(Err(_)) => {}
            None => self.hint(Level::Warning, format!("{what} is too long for the terminal's clipboard; `/export` writes the conversation, `/save NAME` the file in the editor")),
        }
    }

    fn pull(&mut self, name: String) {
        let cancel = Cancel::new();
        self.pull = Some(cancel.clone());
        let endpoint = self.start.config.models.endpoint.clone();
        let (paths, post) = (self.start.paths.clone(), self.post.clone());
        // on a thread of its own: checking what came means reading all of it, and the end of the program need not wait
        let work = move || {
            let mut progress = |done: u64, total: Option<u64>| {
                // the next step tells more
                let step = ModelsMsg::Progress { name: name.clone(), done, total };
                let _ = post.try_send(Told::Msg(Msg::Models(step)));
            };
            let answer = match services::pull(&paths, endpoint.as_deref(), &name, &cancel, &mut progress) {
                Ok(name) => ModelsMsg::Added(name),
                Err(_) if cancel.is_cancelled() => ModelsMsg::Cancelled,
                Err(report) => ModelsMsg::Failed(report),
            };
            let _ = post.blocking_send(Told::Msg(Msg::Models(answer)));
        };
        if let Err(error) = std::thread::Builder::new().name("pull".into()).spawn(work) {
            self.fail(format!("cannot start the download: {error}"));
        }
    }

    /// Stops until the shell continues us. The key reader goes first: it must not eat what is meant for the shell.
    fn suspend(&mut self) {
        self.keys = None;
        self.engine.pause(true);
        self.screen.lend(|| {
            let _ = signal_hook::low_level::emulate_default_handler(signal_hook::consts::SIGTSTP);
        });
        self.engine.pause(false);
        self.keys = Some(crossterm::event::EventStream::new());
        let (columns, rows) = self.screen.size();
        self.tell(Msg::Resize(columns, rows));
    }
}

/// Works out the form of an answer that changes files, which means reading them; the question comes back with it.
fn form(
    post: &Sender<Told>,
    number: u64,
    job: JobId,
    request: ChatRequest,
    folder: PathBuf,
    files: Vec<Attachment>,
    guard: Option<Guard>,
) {
    let post = post.clone();
    tokio::task::spawn_blocking(move || {
        let constraint = Some(edits::constraint(&folder, &files, guard.as_ref()));
        let _ = post.blocking_send(Told::Formed(number, job, Box::new(ChatRequest { constraint, ..request })));
    });
}

/// Writes a new file; an existing one is never overwritten. Without a name the title gives one, numbered if need be.
fn export(folder: &Path, markdown: &str, title: &str, file: Option<PathBuf>) -> Result<PathBuf, UserError> {
    let named = file.is_some();
    let base = file.map_or_else(|| folder.join(format!("{}.md", file_stem(title))), |file| folder.join(file));
    for n in 1..1000 {
        let path = if n == 1 { base.clone() } else { numbered(&base, n) };
        match OpenOptions::new().write(true).create_new(true).open(&path) {
            Ok(mut target) => {
                let written = target.write_all(markdown.as_bytes()).and_then(|()| target.sync_all());
                written.map_err(|error| UserError::failed(format!("cannot write `{}`: {error}", path.display())))?;
                return Ok(path);
            }
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists && !named => {}
            Err(error) => return Err(UserError::failed(format!("cannot write `{}`: {error}", path.display()))),
        }
    }
    Err(UserError::failed(format!("`{}` and a thousand like it exist", base.display())))
}

fn numbered(base: &Path, n: usize) -> PathBuf {
    let stem = base.file_stem().unwrap_or_default().to_string_lossy();
    base.with_file_name(format!("{stem}-{n}.md"))
}

/// A title as a file's name: letters and digits of any script, joined by single hyphens.
fn file_stem(title: &str) -> String {
    let mut stem = String::new();
    for c in title.chars() {
        if c.is_alphanumeric() {
            stem.extend(c.to_lowercase());
        } else if !stem.is_empty() && !stem.ends_with('-') {
            stem.push('-');
        }
        if stem.chars().count() >= TITLE {
            break;
        }
    }
    let stem = stem.trim_end_matches('-');
    if stem.is_empty() { "conversation".into() } else { stem.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn titles_become_harmless_file_names() {
        assert_eq!(file_stem("What does `../../etc/passwd` do?"), "what-does-etc-passwd-do");
        assert_eq!(file_stem("解释 this"), "解释-this");
        assert_eq!(file_stem("?!"), "conversation");
    }

    #[test]
    fn the_form_of_an_answer_is_worked_out_elsewhere_and_comes_with_its_question() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("a.rs"), "fn a() {}\n").unwrap();
        let files = vec![Attachment { name: "a.rs".into(), text: "fn a() {}\n".into(), real: None }];
        let (post, mut inbox) = tokio::sync::mpsc::channel(1);
        // nothing can come in yet: whoever worked it out here would wait for ever
        assert!(post.try_send(Told::Drawable).is_ok());
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let request = ChatRequest { raw: true, ..ChatRequest::default() };
            form(&post, 3, JobId(5), request, folder.path().to_owned(), files, None);
            assert!(matches!(inbox.recv().await, Some(Told::Drawable)));
            let Some(Told::Formed(3, JobId(5), request)) = inbox.recv().await else { panic!() };
            let ChatRequest { constraint: Some(form), raw: true, .. } = *request else { panic!() };
            assert!(form.allows(b"a.rs\n<<<<<<< SEARCH\nfn a() {}\n") && !form.allows(b"a.rs\n<<<<<<< SEARCH\nfn b"));
        });
    }

    #[test]
    fn exports_never_overwrite() {
        let folder = tempfile::tempdir().unwrap();
        let first = export(folder.path(), "a", "title", None).unwrap();
        let second = export(folder.path(), "b", "title", None).unwrap();
        assert_eq!((first.file_name(), second.file_name()), (Some("title.md".as_ref()), Some("title-2.md".as_ref())));
        assert!(export(folder.path(), "c", "", Some("title.md".into())).is_err());
        assert_eq!(std::fs::read_to_string(first).unwrap(), "a");
    }
}
