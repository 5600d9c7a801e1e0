//! The page of a run on a terminal: losses as a curve, figures, what the student writes.
//!
//! It is drawn over itself where the cursor stands, so that nothing has to be given back when the program is killed.

use std::io::Write;
use std::time::{Duration, Instant};

use ratatui::buffer::Buffer;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::symbols::Marker;
use ratatui::widgets::{Axis, Chart, Dataset, GraphType, Paragraph, Widget, Wrap};

use crate::distill::run::Line;
use crate::size::bytes;

/// The tallest page, in rows.
const TALLEST: u16 = 18;

/// What stands on the page.
#[derive(Clone, Debug, Default)]
pub(super) struct Page {
    pub(super) step: u64,
    pub(super) steps: u64,
    pub(super) left: Option<Duration>,
    pub(super) line: Option<Line>,
    /// Steps and losses: what was learnt from, and what was held out.
    pub(super) learnt: Vec<(f64, f64)>,
    pub(super) judged: Vec<(f64, f64)>,
    pub(super) memory: u64,
    /// What happened last.
    pub(super) note: String,
    /// What the student writes.
    pub(super) sample: String,
}

impl Page {
    fn head(&self) -> String {
        let mut text = format!("step {} of {}", self.step, self.steps);
        if let Some(left) = self.left.map(|left| left.as_secs()) {
            text.push_str(&format!("  {}:{:02}:{:02} left", left / 3600, left / 60 % 60, left % 60));
        }
        text
    }

    /// As many to a row as it has room for.
    fn figures(&self, width: usize) -> Vec<String> {
        let Some(line) = &self.line else { return Vec::new() };
        let held_out = self.judged.last().map_or_else(|| "–".to_owned(), |(_, loss)| format!("{loss:.4}"));
        let all = [
            format!("loss {:.4}", line.loss),
            format!("held-out {held_out}"),
            format!("rate {:.1e}", line.rate),
            format!("gradient {:.2}", line.norm),
            format!("{:.0} tokens/s", line.tokens_per_s),
            bytes(self.memory),
        ];
        let mut rows: Vec<String> = Vec::new();
        for figure in all {
            match rows.last_mut() {
                Some(row) if row.chars().count() + 2 + figure.chars().count() <= width => {
                    row.push_str("  ");
                    row.push_str(&figure);
                }
                _ => rows.push(figure),
            }
        }
        rows
    }

    fn chart(&self) -> Chart<'_> {
        let all = || self.learnt.iter().chain(&self.judged);
        let (low, high) = all().fold((f64::MAX, f64::MIN), |(low, high), (_, loss)| (low.min(*loss), high.max(*loss)));
        let (low, high) = if low < high { (low, high) } else { (0.0, 1.0) };
        let steps = self.steps.max(1) as f64;
        let curve = |marker, data| Dataset::default().marker(marker).graph_type(GraphType::Line).data(data);
        let held_out = Dataset::default().marker(Marker::Dot).graph_type(GraphType::Scatter).data(&self.judged);
        Chart::new(vec![curve(Marker::Braille, &self.learnt), held_out])
            .legend_position(None)
            .x_axis(Axis::default().bounds([0.0, steps]).labels(["0".to_owned(), self.steps.to_string()]))
            .y_axis(Axis::default().bounds([low, high]).labels([format!("{low:.2}"), format!("{high:.2}")]))
    }
}

impl Widget for &Page {
    fn render(self, area: Rect, buffer: &mut Buffer) {
        let figures = self.figures(area.width.into());
        let sample_rows = if self.sample.is_empty() { 0 } else { 3 };
        let rows = [1, figures.len() as u16, 1, sample_rows].map(Constraint::Length);
        let [head, numbers, note, sample, curve] =
            Layout::vertical(rows.into_iter().chain([Constraint::Min(0)])).areas(area);
        Paragraph::new(self.head()).render(head, buffer);
        Paragraph::new(figures.join("\n")).render(numbers, buffer);
        Paragraph::new(self.note.as_str()).render(note, buffer);
        Paragraph::new(self.sample.as_str()).wrap(Wrap { trim: false }).render(sample, buffer);
        if curve.height > 3 && curve.width > 20 && self.learnt.len() > 1 {
            self.chart().render(curve, buffer);
        }
    }
}

/// The page where it is drawn.
pub(super) struct Live {
    pub(super) page: Page,
    started: Instant,
    /// Steps that were done before.
    first: Option<u64>,
    /// Rows that the last drawing took.
    rows: u16,
}

impl Live {
    pub(super) fn new() -> Self {
        Self { page: Page::default(), started: Instant::now(), first: None, rows: 0 }
    }

    pub(super) fn is_drawn(&self) -> bool {
        self.rows > 0
    }

    /// A step is done.
    pub(super) fn step(&mut self, line: &Line, steps: u64) {
        let page = &mut self.page;
        (page.step, page.steps) = (line.step, steps);
        if line.fault.is_none() {
            page.learnt.push((line.step as f64, line.loss));
        }
        page.judged.extend(line.val_loss.map(|loss| (line.step as f64, loss)));
        if let Some(sample) = &line.sample {
            page.sample.clone_from(sample);
        }
        page.memory = crate::device::memory::Probe::new().resident().peak;
        page.line = Some(line.clone());
        let first = *self.first.get_or_insert(line.step);
        if line.step > first {
            let each = self.started.elapsed() / u32::try_from(line.step - first).unwrap_or(u32::MAX);
            page.left = Some(each * u32::try_from(steps - line.step).unwrap_or(u32::MAX));
        } else {
            self.started = Instant::now();
        }
        self.draw();
    }

    /// Something happened.
    pub(super) fn note(&mut self, text: String) {
        self.page.note = text;
        self.draw();
    }

    fn draw(&mut self) {
        let (width, height) = crossterm::terminal::size().unwrap_or((80, 24));
        let area = Rect { x: 0, y: 0, width, height: height.saturating_sub(1).min(TALLEST) };
        let mut buffer = Buffer::empty(area);
        self.page.render(area, &mut buffer);
        let up = if self.rows > 0 { format!("\x1b[{}A", self.rows) } else { String::new() };
        let rows: String = rows(&buffer).iter().map(|row| format!("\r{row}\x1b[K\n")).collect();
        self.rows = area.height;
        // A terminal that is gone does not stop a training.
        let _ = write!(std::io::stderr(), "{up}{rows}\x1b[J");
    }
}

/// A buffer as lines of text.
fn rows(buffer: &Buffer) -> Vec<String> {
    let width = usize::from(buffer.area.width).max(1);
    let row = |cells: &[ratatui::buffer::Cell]| cells.iter().map(ratatui::buffer::Cell::symbol).collect::<String>();
    buffer.content.chunks(width).map(|cells| row(cells).trim_end().to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page() -> Page {
        let line = Line { step: 40, loss: 2.5, rate: 1e-4, norm: 0.75, tokens_per_s: 140.0, ..Line::default() };
        Page {
            step: 40,
            steps: 100,
            left: Some(Duration::from_secs(3725)),
            line: Some(line),
            learnt: (1..=40).map(|i| (f64::from(i), 4.5 - f64::from(i) / 20.0)).collect(),
            judged: vec![(20.0, 3.6), (40.0, 2.75)],
            memory: 3 << 30,
            note: "step 40 is saved".to_owned(),
            sample: "fn add(a: u32, b: u32) -> u32 {\n    a + b\n}".to_owned(),
        }
    }

    fn drawn(page: &Page, width: u16, height: u16) -> Vec<String> {
        let mut buffer = Buffer::empty(Rect { x: 0, y: 0, width, height });
        page.render(buffer.area, &mut buffer);
        rows(&buffer)
    }

    #[test]
    fn a_page_has_figures_a_sample_and_a_curve() {
        let wide = drawn(&page(), 80, 18);
        let text = [
            "step 40 of 100  1:02:05 left",
            "loss 2.5000  held-out 2.7500  rate 1.0e-4  gradient 0.75  140 tokens/s  3.0 GiB",
            "step 40 is saved",
            "fn add(a: u32, b: u32) -> u32 {",
            "    a + b",
            "}",
        ];
        assert_eq!(&wide[..6], text);
        assert!(wide[6].starts_with("4.45"), "{wide:#?}");
        let curve = wide[6..].concat();
        assert!(curve.chars().any(|c| ('\u{2801}'..='\u{28ff}').contains(&c)) && curve.contains('•'), "{wide:#?}");
    }

    #[test]
    fn small_screens_get_what_fits() {
        let phone = drawn(&page(), 45, 30);
        assert_eq!(phone[0], "step 40 of 100  1:02:05 left");
        assert!(phone[1].starts_with("loss 2.5000") && phone[2].ends_with("3.0 GiB"), "{phone:#?}");
        assert_eq!(drawn(&page(), 2, 2)[0], "st");
        assert_eq!(drawn(&Page::default(), 30, 2), ["step 0 of 0", ""]);
    }
}
