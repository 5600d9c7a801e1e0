//! The losses of a run as a picture.

use std::path::Path;

use serde_json::Value as Json;

use super::output::replace;
use crate::quantize::WriteError;

const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 360.0;
const MARGIN: f64 = 48.0;

/// Draws what the log of a run holds: the loss of every step, and the held-out loss where it was measured.
///
/// # Errors
/// The place cannot be written to.
pub(super) fn draw(log: &Path, picture: &Path) -> Result<(), WriteError> {
    let text = std::fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<Json> = text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    let points = |key: &str| -> Vec<(f64, f64)> {
        let point = |line: &Json| Some((line.get("step")?.as_f64()?, line.get(key)?.as_f64()?));
        lines.iter().filter_map(point).filter(|(_, loss)| loss.is_finite()).collect()
    };
    replace(picture, svg(&points("loss"), &points("val_loss")).as_bytes())
}

fn svg(learnt: &[(f64, f64)], judged: &[(f64, f64)]) -> String {
    let all = || learnt.iter().chain(judged);
    let bound = |part: fn(&(f64, f64)) -> f64| {
        let (low, high) = all().map(part).fold((f64::MAX, f64::MIN), |(low, high), x| (low.min(x), high.max(x)));
        if low < high { (low, high) } else { (low.min(0.0).min(1e300), low.min(1e300) + 1.0) }
    };
    let ((left, right), (low, high)) = (bound(|point| point.0), bound(|point| point.1));
    let place = |&(step, loss): &(f64, f64)| {
        let x = MARGIN + (step - left) / (right - left) * (WIDTH - 2.0 * MARGIN);
        let y = HEIGHT - MARGIN - (loss - low) / (high - low) * (HEIGHT - 2.0 * MARGIN);
        format!("{x:.1},{y:.1}")
    };
    let line = |points: &[(f64, f64)], colour: &str, width: &str| {
        let places: Vec<String> = points.iter().map(place).collect();
        format!(
            "<polyline fill=\"none\" stroke=\"{colour}\" stroke-width=\"{width}\" points=\"{}\"/>\n",
            places.join(" ")
        )
    };
    let label = |x: f64, y: f64, anchor: &str, text: String| {
        format!("<text x=\"{x}\" y=\"{y}\" text-anchor=\"{anchor}\">{text}</text>\n")
    };
    let (bottom, end) = (HEIGHT - MARGIN, WIDTH - MARGIN);
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{HEIGHT}\" font-family=\"sans-serif\" \
         font-size=\"12\">\n<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n\
         <path fill=\"none\" stroke=\"#888\" d=\"M{MARGIN},{MARGIN}V{bottom}H{end}\"/>\n{}{}{}{}{}{}</svg>\n",
        line(learnt, "#4477aa", "1"),
        line(judged, "#cc6677", "2"),
        label(MARGIN - 6.0, MARGIN + 4.0, "end", format!("{high:.2}")),
        label(MARGIN - 6.0, bottom + 4.0, "end", format!("{low:.2}")),
        label(end, bottom + 18.0, "end", format!("step {right:.0}")),
        label(WIDTH / 2.0, MARGIN - 16.0, "middle", "loss: blue of each step, red of what was held out".to_owned()),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_has_a_point_for_every_step_also_where_there_are_few() {
        for count in [0, 1, 50] {
            let points: Vec<(f64, f64)> = (0..count).map(|i| (f64::from(i), 3.0 - f64::from(i) / 50.0)).collect();
            let picture = svg(&points, &points[..points.len() / 2]);
            assert!(!picture.contains("NaN") && !picture.contains("inf"), "{picture}");
            let first = picture.lines().find(|line| line.contains("#4477aa")).unwrap();
            assert_eq!(first.matches(',').count(), count as usize);
        }
    }
}
