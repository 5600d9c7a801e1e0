//! Progress of long work: a line that draws over itself on a terminal, nothing elsewhere; and Ctrl-C as a flag.

use std::io::Write;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::output;
use crate::engine::Cancel;
use crate::error::UserError;
use crate::size::bytes;

/// A flag that Ctrl-C raises; the second one ends the process.
///
/// # Errors
/// The system does not let us listen.
pub(crate) fn cancel_on_signals() -> Result<Cancel, UserError> {
    let cancel = Cancel::new();
    for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM] {
        signal_hook::flag::register_conditional_shutdown(signal, 130, Arc::clone(&cancel.0))
            .and_then(|_| signal_hook::flag::register(signal, Arc::clone(&cancel.0)))
            .map_err(|error| UserError::failed(format!("cannot listen for signals: {error}")))?;
    }
    Ok(cancel)
}

/// One line of progress on stderr.
pub(crate) struct Bar {
    name: String,
    on: bool,
    started: Instant,
    drawn: Option<Instant>,
    first: Option<u64>,
    /// What is counted, unless it is bytes.
    unit: Option<&'static str>,
}

impl Bar {
    pub(crate) fn new(name: &str) -> Self {
        let on = output::stderr_is_terminal();
        Self { name: name.to_owned(), on, started: Instant::now(), drawn: None, first: None, unit: None }
    }

    /// The same for things that are counted.
    #[cfg(feature = "lab")]
    pub(crate) fn counting(name: &str, unit: &'static str) -> Self {
        Self { unit: Some(unit), ..Self::new(name) }
    }

    /// So many bytes are done, of so many where that is known.
    pub(crate) fn show(&mut self, done: u64, total: Option<u64>) {
        let first = *self.first.get_or_insert(done);
        if !self.on || self.drawn.is_some_and(|at| at.elapsed() < Duration::from_millis(100)) {
            return;
        }
        self.drawn = Some(Instant::now());
        let seconds = self.started.elapsed().as_secs_f64();
        let rate = if seconds > 0.5 { (done - first.min(done)) as f64 / seconds } else { 0.0 };
        let _ = write!(std::io::stderr(), "\r\x1b[K{}", line(&self.name, done, total, rate, self.unit));
    }

    /// Takes the line away.
    pub(crate) fn end(&mut self) {
        if self.on && self.drawn.is_some() {
            let _ = write!(std::io::stderr(), "\r\x1b[K");
        }
    }
}

/// Bytes so far, the share, the rate in bytes a second and the time left.
fn line(name: &str, done: u64, total: Option<u64>, rate: f64, unit: Option<&str>) -> String {
    let size = |n: u64| unit.map_or_else(|| bytes(n), |unit| format!("{n} {unit}"));
    let mut text = format!("{name}  {}", size(done));
    if let Some(total) = total.filter(|&total| total > 0) {
        text.push_str(&format!(" of {} ({} %)", size(total), done.min(total) * 100 / total));
    }
    if rate >= 1.0 || (unit.is_some() && rate > 0.0) {
        let shown = unit.map_or_else(|| bytes(rate as u64), |unit| format!("{rate:.1} {unit}"));
        text.push_str(&format!("  {shown}/s"));
        if let Some(total) = total {
            let left = (total.saturating_sub(done) as f64 / rate) as u64;
            text.push_str(&format!("  {}:{:02} left", left / 60, left % 60));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_share_rate_and_time_left() {
        assert_eq!(
            line("m", 1 << 20, Some(4 << 20), 1048576.0, None),
            "m  1.0 MiB of 4.0 MiB (25 %)  1.0 MiB/s  0:03 left"
        );
        assert_eq!(line("m", 10, None, 0.0, None), "m  10 B");
        let counted = "q  30 rows of 90 rows (33 %)  0.5 rows/s  2:00 left";
        assert_eq!(line("q", 30, Some(90), 0.5, Some("rows")), counted);
    }
}
