//! The losses of a run as pictures, SVG and PNG.

use std::path::Path;

use plotters::prelude::{DrawingBackend, RGBColor};
use serde_json::Value as Json;

use super::error::RunError;
use crate::picture::{self, Anchor, Drawn, Figure, Pen};

const WIDTH: i32 = 720;
const HEIGHT: i32 = 360;
const MARGIN: i32 = 56;
/// The most points drawn of a line: more are narrower than a pixel.
const POINTS: usize = 1024;
/// Lines across.
const LINES: i32 = 4;

const GREY: RGBColor = RGBColor(0xdd, 0xdd, 0xdd);
const BLUE: RGBColor = RGBColor(0x44, 0x77, 0xaa);
const RED: RGBColor = RGBColor(0xcc, 0x66, 0x77);

/// Losses by steps.
struct Curves {
    learnt: Vec<(f64, f64)>,
    held_out: Vec<(f64, f64)>,
}

/// Draws what the log of a run holds, as `loss.svg` and `loss.png` in a folder: the loss of every step, and the held-out
/// loss where it was measured.
///
/// # Errors
/// The place cannot be written to.
pub(super) fn draw(log: &Path, folder: &Path) -> Result<(), RunError> {
    let text = std::fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<Json> = text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    let points = |key: &str| -> Vec<(f64, f64)> {
        let point = |line: &Json| Some((line.get("step")?.as_f64()?, line.get(key)?.as_f64()?));
        lines.iter().filter_map(point).filter(|(_, loss)| loss.is_finite()).collect()
    };
    let curves = Curves { learnt: fewer(points("loss")), held_out: fewer(points("val_loss")) };
    for name in ["loss.svg", "loss.png"] {
        let path = folder.join(name);
        picture::write(&curves, &path).map_err(|source| RunError::Log { path, source })?;
    }
    Ok(())
}

/// Means of neighbours, where there are too many points.
fn fewer(points: Vec<(f64, f64)>) -> Vec<(f64, f64)> {
    let each = points.len().div_ceil(POINTS).max(1);
    let mean = |part: &[(f64, f64)]| {
        let sum = part.iter().fold((0.0, 0.0), |sum, point| (sum.0 + point.0, sum.1 + point.1));
        (sum.0 / part.len() as f64, sum.1 / part.len() as f64)
    };
    points.chunks(each).map(mean).collect()
}

impl Curves {
    /// The least and the greatest of all points' numbers, never the same.
    fn bounds(&self, number: fn(&(f64, f64)) -> f64) -> (f64, f64) {
        let all = self.learnt.iter().chain(&self.held_out).map(number);
        let (low, high) = all.fold((f64::MAX, f64::MIN), |(low, high), x| (low.min(x), high.max(x)));
        match low < high {
            true => (low, high),
            false if low == high => (low, low + 1.0),
            false => (0.0, 1.0),
        }
    }
}

impl Figure for Curves {
    fn size(&self) -> (u32, u32) {
        (WIDTH.unsigned_abs(), HEIGHT.unsigned_abs())
    }

    fn draw<B: DrawingBackend>(&self, pen: &Pen<'_, B>) -> Drawn<B> {
        let ((first, last), (low, high)) = (self.bounds(|point| point.0), self.bounds(|point| point.1));
        let (bottom, right) = (HEIGHT - MARGIN, WIDTH - MARGIN);
        for at in 0..=LINES {
            let y = bottom - at * (bottom - MARGIN) / LINES;
            pen.line(&[(MARGIN, y), (right, y)], 1, &GREY)?;
            let loss = low + (high - low) * f64::from(at) / f64::from(LINES);
            pen.text(&format!("{loss:.2}"), (MARGIN - 6, y), Anchor::End)?;
        }
        pen.text(&format!("step {first:.0}"), (MARGIN, bottom + 18), Anchor::Start)?;
        pen.text(&format!("{last:.0}"), (right, bottom + 18), Anchor::End)?;
        let place = |&(step, loss): &(f64, f64)| {
            let x = f64::from(MARGIN) + (step - first) / (last - first) * f64::from(right - MARGIN);
            let y = f64::from(bottom) - (loss - low) / (high - low) * f64::from(bottom - MARGIN);
            (x.round() as i32, y.round() as i32)
        };
        for (name, points, colour, width, x) in
            [("loss of a step", &self.learnt, BLUE, 1, MARGIN), ("held-out loss", &self.held_out, RED, 2, WIDTH / 2)]
        {
            if points.is_empty() {
                continue;
            }
            pen.line(&[(x, MARGIN / 2), (x + 24, MARGIN / 2)], 2, &colour)?;
            pen.text(name, (x + 32, MARGIN / 2), Anchor::Start)?;
            let places: Vec<(i32, i32)> = points.iter().map(place).collect();
            pen.line(&places, width, &colour)?;
            // A line of one point is none.
            if let [(x, y)] = places[..] {
                pen.fill((x - 2, y - 2), (x + 2, y + 2), &colour)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_shows_every_step_also_where_there_are_few_or_very_many() {
        for count in [0, 1, 50, 5000] {
            let points: Vec<(f64, f64)> = (0..count).map(|i| (f64::from(i), 3.0 - f64::from(i) / 5000.0)).collect();
            let held_out = points.iter().copied().step_by(2).collect();
            let curves = Curves { learnt: fewer(points), held_out: fewer(held_out) };
            let text = picture::svg(&curves).unwrap();
            assert!(!text.contains("NaN") && !text.contains("inf"), "{text}");
            assert_eq!(text.contains("loss of a step"), count > 0);
            assert_eq!(text.contains("#4477AA"), count > 0, "{text}");
            let most = text.lines().filter(|line| line.contains("#4477AA")).map(|line| line.matches(',').count()).max();
            let least = if count > 1 { 50 } else { 0 };
            assert!(most.unwrap_or_default() >= least && most.unwrap_or_default() <= POINTS + 1, "{count}: {most:?}");
            assert!(picture::png(&curves).unwrap().len() > 1000);
        }
    }
}
