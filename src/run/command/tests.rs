//! Real commands.

use super::*;
use tokio::sync::mpsc;

/// Runs a command; asks it to stop as soon as `until` was written, `times` times.
fn ran_and_stopped(command: &str, until: Option<&str>, times: usize) -> (String, RunEnd) {
    let folder = tempfile::tempdir().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let (post, mut inbox) = mpsc::channel(4);
        let started = start(folder.path(), command).unwrap();
        let stop = Arc::new(Notify::new());
        let task = tokio::spawn({
            let stop = stop.clone();
            async move { watch(1, started, stop, &post).await }
        });
        let (mut text, mut left) = (String::new(), times);
        while let Some(Told::Msg(Msg::Run(RunMsg::Output(_, part)))) = inbox.recv().await {
            text += &part;
            if left > 0 && until.is_some_and(|until| text.contains(until)) {
                stop.notify_one();
                left -= 1;
            }
        }
        (text, task.await.unwrap())
    })
}

fn ran(command: &str, until: Option<&str>) -> (String, RunEnd) {
    ran_and_stopped(command, until, 1)
}

/// Whether a process is gone; the kernel ends it in its own time.
fn gone(id: &str) -> bool {
    let stat = || std::fs::read_to_string(format!("/proc/{}/stat", id.trim())).unwrap_or_default();
    (0..1000).any(|_| {
        let stat = stat();
        stat.is_empty() || stat.contains(") Z ") || {
            std::thread::park_timeout(Duration::from_millis(1));
            false
        }
    })
}

#[test]
fn both_outputs_come_in_order_with_the_exit_code() {
    let (text, end) = ran("echo one; echo two >&2; echo three; exit 3", None);
    assert_eq!((text.as_str(), end), ("one\ntwo\nthree\n", RunEnd::Code(3)));
    let (text, end) = ran("no-such-program-here", None);
    assert!(text.contains("not found") && end == RunEnd::Code(127), "{text}");
    assert_eq!(ran("cat", None), (String::new(), RunEnd::Code(0)), "there is nothing to read");
    assert_eq!(ran("wait; echo $1 $#", None).0.trim(), "0", "it sees nothing of how it is run");
}

#[test]
fn stopping_ends_the_whole_group_also_those_that_do_not_listen() {
    let (text, end) =
        ran("trap '' TERM; (trap '' TERM; sleep 1000) & echo ready $!; sleep 1000; sleep 1000", Some("ready"));
    assert!(matches!(end, RunEnd::Signal(_)), "{end:?}");
    assert!(gone(text.trim().rsplit(' ').next().unwrap()));
}

#[test]
fn a_flood_waits_for_its_reader_and_a_child_left_behind_is_not_waited_for() {
    let (text, end) = ran("seq 200000", None);
    assert_eq!((text.lines().count(), end), (200_000, RunEnd::Code(0)));
    let (text, end) = ran("sleep 30 & echo done", None);
    assert_eq!((text.as_str(), end), ("done\n", RunEnd::Code(0)));
}

#[test]
fn what_writes_for_ever_behind_a_command_does_not_keep_it_from_ending() {
    let (text, end) = ran("yes & echo started", None);
    assert!(text.contains("started") && end == RunEnd::Code(0), "{end:?}");
    // the same while it is asked to stop, as often as somebody likes
    let (_, end) = ran_and_stopped("yes & echo started", Some("started"), 1000);
    assert!(matches!(end, RunEnd::Code(0) | RunEnd::Signal(_)), "{end:?}");
}

#[test]
fn what_a_command_left_behind_ends_when_the_guard_is_told_nothing_any_more() {
    let folder = tempfile::tempdir().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let text = runtime.block_on(async {
        let mut started = start(folder.path(), "trap '' TERM; sleep 1000 & echo $! $$; sleep 1000; true").unwrap();
        let mut buffer = vec![0; 64];
        let n = started.pipe.read(&mut buffer).await.unwrap();
        // as if we were killed: our end is closed, and nobody sends a signal
        drop(started.guard);
        let _ = started.child.wait().await;
        String::from_utf8(buffer[..n].to_vec()).unwrap()
    });
    assert!(text.split_whitespace().count() == 2 && text.split_whitespace().all(gone), "{text:?}");
}
