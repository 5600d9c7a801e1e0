//! The engine in a process of its own, seen from the program that uses it: the same program, started as `zord engine`.
//!
//! What ends llama.cpp (an abort, a wrong instruction, the kernel when memory is short) ends that process alone. It is
//! started again with the next safer setting, and its jobs go on where they stopped; [`Event::Died`] tells so. Three deaths
//! within a minute, and it is not tried any more.
//!
//! Two threads: one gives orders, starts the process and waits for its end; the other passes on what the engine says. Who
//! submits a job never waits for a pipe. What it refuses to do: outlive its owner, in either direction.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Read};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use super::start::Sink;
use super::wire::{self, BUILD, Order};
use super::{Engine, Event, Job, JobId, LocalSpec, Spec, Work};
use crate::crash::{self, Step};
use crate::device::memory::Probe;
use crate::error::UserError;

mod death;
mod open;
mod safer;

use death::{Death, Deaths};
use open::OpenJobs;

/// How often the flags of jobs are looked at while there are any.
const POLL: Duration = Duration::from_millis(20);
/// How long an engine that was told to finish may take: a large cache is written to a slow disk.
const PATIENCE: Duration = Duration::from_secs(120);
/// How long a process may take to end that has closed its socket.
const LAST_BREATH: Duration = Duration::from_secs(5);
/// Lines of its standard error that are kept.
const LINES: usize = 16;
/// The longest of them, in bytes.
const LONGEST_LINE: u64 = 4096;
/// What the process is started as.
const COMMAND: &str = "engine";

/// What the thread that gives orders is told.
#[derive(Debug)]
enum Call {
    Job(Box<Job>),
    Threads(u32),
    /// Nobody will call again.
    Finish,
    /// The engine closed its end of the socket.
    Closed,
}

/// The process, as long as there is one.
#[derive(Debug, Default)]
pub(super) struct Running(Mutex<Option<Pid>>);

impl Running {
    pub(super) fn id(&self) -> Option<u32> {
        lock(&self.0).map(|pid| pid.as_raw_nonzero().get().cast_unsigned())
    }

    /// Stops it where it is, or lets it go on.
    pub(super) fn pause(&self, pause: bool) {
        self.signal(if pause { Signal::STOP } else { Signal::CONT });
    }

    /// The lock is held meanwhile: the number is not free for another process before it was waited for.
    fn signal(&self, signal: Signal) {
        if let Some(pid) = *lock(&self.0) {
            // one that has ended already needs no signal
            let _ = kill_process(pid, signal);
        }
    }
}

/// The way to a running engine.
#[derive(Debug)]
pub(super) struct Handle {
    calls: Sender<Call>,
    running: Arc<Running>,
    thread: Option<JoinHandle<()>>,
}

impl Handle {
    /// Starts the threads; the process is started by one of them. Whatever goes wrong is told through `sink`.
    pub(super) fn start(program: PathBuf, spec: LocalSpec, sink: Sink) -> std::io::Result<Self> {
        let (calls, inbox) = mpsc::channel();
        let running = Arc::new(Running::default());
        let keeper = Keeper {
            program,
            spec,
            inbox,
            calls: calls.clone(),
            running: Arc::clone(&running),
            jobs: Arc::default(),
            sink: Arc::new(Mutex::new(sink)),
            threads: None,
            finishing: false,
            deaths: Deaths::default(),
            begun: Instant::now(),
        };
        let thread = std::thread::Builder::new().name("engine".into()).spawn(move || keeper.run())?;
        Ok(Self { calls, running, thread: Some(thread) })
    }

    pub(super) fn submit(&self, job: Job) -> bool {
        self.calls.send(Call::Job(Box::new(job))).is_ok()
    }

    pub(super) fn limit_threads(&self, most: u32) {
        let _ = self.calls.send(Call::Threads(most.max(1)));
    }

    pub(super) fn running(&self) -> &Running {
        &self.running
    }

    pub(super) fn stop(mut self) {
        let _ = self.calls.send(Call::Finish);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        let _ = self.calls.send(Call::Finish);
    }
}

fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Keeps an engine running.
struct Keeper {
    program: PathBuf,
    spec: LocalSpec,
    inbox: Receiver<Call>,
    /// For the thread that listens.
    calls: Sender<Call>,
    running: Arc<Running>,
    jobs: Arc<Mutex<OpenJobs>>,
    sink: Arc<Mutex<Sink>>,
    /// The last limit.
    threads: Option<u32>,
    finishing: bool,
    deaths: Deaths,
    begun: Instant,
}

impl Keeper {
    fn run(mut self) {
        loop {
            let kills = Probe::new().kills();
            let (status, words) = match Process::start(&self.program) {
                Ok(process) => self.live(process),
                Err(error) if self.deaths.is_empty() => {
                    tracing::warn!("the engine gets no process of its own: {error}");
                    return self.work_inside();
                }
                Err(error) => {
                    let hint = "`ZORD_ENGINE=thread` keeps the engine inside this process";
                    return self.give_up(&format!("cannot start the engine: {error}"), Some(hint));
                }
            };
            crash::engine_is_at(Step::Other);
            if self.finishing && status.is_none_or(|status| status.success()) {
                return;
            }
            let starved = kills.zip(Probe::new().kills()).map(|(before, now)| before != now);
            let death = Death::of(status, &words, starved);
            tracing::warn!("the engine {}", death.how);
            if self.finishing {
                return self.end(OpenJobs::give_up);
            }
            if !self.deaths.note(self.begun.elapsed()) {
                let message = format!("the engine {}; it died three times within a minute", death.how);
                return self
                    .give_up(&message, Some("`/model` starts it again or chooses another; the conversation is kept"));
            }
            self.prepare_next(death);
        }
    }

    /// Where no process can be started (an emulator, a system that forbids it) the engine is a thread as elsewhere.
    fn work_inside(self) {
        let sink = Arc::clone(&self.sink);
        let sink: Sink = Box::new(move |event| lock(&sink)(event));
        let engine = match Engine::start(Spec::Local(self.spec.clone()), sink) {
            Ok(engine) => engine,
            Err(error) => return self.give_up(&format!("cannot start the engine: {error}"), None),
        };
        while let Ok(call) = self.inbox.recv() {
            match call {
                Call::Job(job) => {
                    engine.submit(*job);
                }
                Call::Threads(most) => engine.limit_threads(most),
                Call::Finish => break,
                Call::Closed => {}
            }
        }
        engine.stop();
    }

    /// The next engine gets what this one left, with safer settings.
    fn prepare_next(&mut self, death: Death) {
        let next = safer::safer(&self.spec.plan, death.cause);
        let with = next.map(|(plan, told)| {
            self.spec.plan = plan;
            told
        });
        self.tell(Event::Died { how: death.how, with });
        self.end(OpenJobs::survive);
    }

    /// There is no engine, and there will be none: whatever is asked fails, until nobody asks any more.
    fn give_up(&self, message: &str, hint: Option<&str>) {
        let hint = hint.map(str::to_owned);
        self.tell(Event::LoadFailed(UserError { hint, ..UserError::failed(message) }));
        self.end(OpenJobs::give_up);
        while let Ok(call) = self.inbox.recv() {
            match call {
                Call::Job(job) => {
                    self.tell(Event::Failed { job: job.id, error: UserError::failed("no model is loaded") });
                }
                Call::Finish => return,
                Call::Threads(_) | Call::Closed => {}
            }
        }
    }

    fn tell(&self, event: Event) {
        lock(&self.sink)(event);
    }

    /// Ends jobs; what their ends are is said without their lock.
    fn end(&self, which: impl FnOnce(&mut OpenJobs) -> Vec<Event>) {
        let ends = which(&mut lock(&self.jobs));
        ends.into_iter().for_each(|end| self.tell(end));
    }

    /// The life of one process; its end, and its last words.
    fn live(&mut self, process: Process) -> (Option<ExitStatus>, Vec<String>) {
        let Process { mut child, mut stream } = process;
        crash::engine_is_at(Step::Loading);
        *lock(&self.running.0) = Pid::from_raw(child.id().cast_signed());
        let words = child.stderr.take().and_then(|from| keep_words(from).ok());
        let listener = stream.try_clone().and_then(|stream| self.listen(stream));
        match listener {
            Ok(listener) => {
                self.order_all(&mut stream);
                // whoever listens tells when the other side is closed
                self.serve(&mut stream);
                let _ = stream.shutdown(std::net::Shutdown::Both);
                let _ = listener.join();
            }
            Err(error) => tracing::warn!("cannot listen to the engine: {error}"),
        }
        drop(stream);
        let status = self.wait(&mut child);
        let words = words.and_then(|words| words.join().ok()).unwrap_or_default();
        (status, words)
    }

    /// What the engine is to load, and everything that has not ended.
    fn order_all(&mut self, stream: &mut UnixStream) {
        self.order(stream, &Order::Start { build: BUILD.to_owned(), spec: &self.spec });
        if let Some(most) = self.threads {
            self.order(stream, &Order::Threads(most));
        }
        let ids: Vec<_> = lock(&self.jobs).iter().map(|open| open.id).collect();
        ids.into_iter().for_each(|id| self.order_work(stream, id));
    }

    /// Gives an order; one that does not get through finds the engine gone, which the listener tells.
    fn order(&self, stream: &mut UnixStream, order: &Order<&Work, &LocalSpec>) {
        let _ = wire::write(stream, order);
    }

    fn order_work(&self, stream: &mut UnixStream, id: JobId) {
        // the copy is for the time of writing, in which the engine may go on talking
        let Some(work) = lock(&self.jobs).get(id).map(|open| open.work.clone()) else { return };
        let written = wire::write(stream, &Order::<&Work, &LocalSpec>::Work { id, work: &work });
        if let Err(error) = written
            && error.kind() == std::io::ErrorKind::InvalidInput
        {
            lock(&self.jobs).remove(id);
            let error = UserError::failed(format!("this is too much for the engine: {error}"));
            self.tell(Event::Failed { job: id, error });
        }
    }

    /// Hands on orders until the engine has closed its side.
    fn serve(&mut self, stream: &mut UnixStream) {
        loop {
            let wait = if self.finishing { Some(PATIENCE) } else { (!lock(&self.jobs).is_empty()).then_some(POLL) };
            let call = match wait {
                Some(wait) => self.inbox.recv_timeout(wait),
                None => self.inbox.recv().map_err(|_| RecvTimeoutError::Disconnected),
            };
            self.order_cancelled(stream);
            match call {
                Ok(Call::Job(job)) => {
                    let id = job.id;
                    lock(&self.jobs).add(*job);
                    self.order_work(stream, id);
                    self.order_cancelled(stream);
                }
                Ok(Call::Threads(most)) => {
                    self.threads = Some(most);
                    self.order(stream, &Order::Threads(most));
                }
                Ok(Call::Finish) => {
                    if !self.finishing {
                        self.finishing = true;
                        // one that was stopped could not end
                        self.running.pause(false);
                        self.order(stream, &Order::Finish);
                    }
                }
                Ok(Call::Closed) => return,
                Err(RecvTimeoutError::Timeout) if !self.finishing => {}
                Err(_) => {
                    // told to finish, long ago
                    self.running.signal(Signal::KILL);
                    return;
                }
            }
        }
    }

    fn order_cancelled(&self, stream: &mut UnixStream) {
        let cancelled = lock(&self.jobs).newly_cancelled();
        cancelled.into_iter().for_each(|id| self.order(stream, &Order::Cancel(id)));
    }

    /// Passes on what the engine says, on a thread of its own.
    fn listen(&self, stream: UnixStream) -> std::io::Result<JoinHandle<()>> {
        let (jobs, sink, calls) = (Arc::clone(&self.jobs), Arc::clone(&self.sink), self.calls.clone());
        std::thread::Builder::new().name("engine-events".into()).spawn(move || {
            let mut from = BufReader::new(stream);
            loop {
                match wire::read::<Event>(&mut from) {
                    Ok(Some(event)) => {
                        crash::engine_is_at(step(&event));
                        let heard = lock(&jobs).hear(event);
                        if let Some(event) = heard {
                            lock(&sink)(event);
                        }
                    }
                    Ok(None) => break,
                    Err(error) => {
                        tracing::warn!("the engine does not speak as it should: {error}");
                        break;
                    }
                }
            }
            let _ = calls.send(Call::Closed);
        })
    }

    /// Waits for the process, which has closed its socket or is to end.
    fn wait(&self, child: &mut Child) -> Option<ExitStatus> {
        let until = Instant::now() + LAST_BREATH;
        loop {
            let mut running = lock(&self.running.0);
            match child.try_wait() {
                Ok(Some(status)) => {
                    *running = None;
                    return Some(status);
                }
                Ok(None) if Instant::now() < until => {}
                Ok(None) => {
                    let _ = child.kill();
                    *running = None;
                    return child.wait().ok();
                }
                Err(_) => {
                    *running = None;
                    return None;
                }
            }
            drop(running);
            std::thread::sleep(Duration::from_millis(2));
        }
    }
}

/// What the engine is at when it has said this.
fn step(event: &Event) -> Step {
    match event {
        Event::Loading(_) => Step::Loading,
        Event::Prefill { .. } => Step::Reading,
        Event::Piece { .. } | Event::Cut { .. } => Step::Writing,
        Event::Filling { .. } => Step::Completing,
        Event::Loaded(_) | Event::LoadFailed(_) | Event::Died { .. } => Step::Other,
        Event::Done { .. } | Event::Failed { .. } => Step::Other,
    }
}

/// A process, and the way to it.
struct Process {
    child: Child,
    stream: UnixStream,
}

impl Process {
    /// The socket is its standard input; it has nothing else of ours. Where another file was put in the program's place
    /// meanwhile, the two tell each other their builds.
    fn start(program: &Path) -> std::io::Result<Self> {
        let (stream, theirs) = UnixStream::pair()?;
        let child = Command::new(program)
            .arg(COMMAND)
            .stdin(Stdio::from(OwnedFd::from(theirs)))
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            // keys that interrupt or stop whoever holds the terminal are not for it
            .process_group(0)
            .spawn()?;
        Ok(Self { child, stream })
    }
}

/// Reads what a process says on its standard error; gives the last lines when it is at its end.
fn keep_words(from: impl Read + Send + 'static) -> std::io::Result<JoinHandle<Vec<String>>> {
    std::thread::Builder::new().name("engine-words".into()).spawn(move || {
        let mut from = BufReader::new(from);
        let mut last = VecDeque::new();
        loop {
            let mut line = Vec::new();
            match from.by_ref().take(LONGEST_LINE).read_until(b'\n', &mut line) {
                Ok(1..) => {}
                Ok(0) | Err(_) => return last.into(),
            }
            let line = String::from_utf8_lossy(&line).trim_end().to_owned();
            tracing::debug!(target: "engine", "{line}");
            if last.len() == LINES {
                last.pop_front();
            }
            last.push_back(line);
        }
    })
}
