//! A picture: the size of each file against its divergence from the base.

use std::fmt::Write as _;

const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 440.0;
const LEFT: f64 = 70.0;
const BOTTOM: f64 = 50.0;
const TOP: f64 = 20.0;
const RIGHT: f64 = 100.0;

/// An SVG of points (name, megabytes, mean divergence), the divergence on a logarithmic scale.
pub fn svg(points: &[(String, f64, f64)]) -> String {
    let positive = |value: f64| value.max(1e-6);
    let bounds = |values: &mut dyn Iterator<Item = f64>| {
        values.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| (low.min(value), high.max(value)))
    };
    let (left, right) = bounds(&mut points.iter().map(|point| point.1));
    let (low, high) = bounds(&mut points.iter().map(|point| positive(point.2).log10()));
    let (left, right) = (left * 0.95, (right * 1.05).max(left * 0.95 + 1.0));
    let (low, high) = (low.floor(), high.ceil().max(low.floor() + 1.0));
    let x = |size: f64| LEFT + (size - left) / (right - left) * (WIDTH - LEFT - RIGHT);
    let y = |log: f64| TOP + (high - log) / (high - low) * (HEIGHT - TOP - BOTTOM);
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" font-family=\"sans-serif\" \
         font-size=\"12\"><rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n"
    );
    // Writing into a text cannot fail.
    for step in 0..=(high - low) as i32 {
        let log = low + f64::from(step);
        let at = y(log);
        let _ = writeln!(
            out,
            "<path d=\"M{LEFT} {at:.1}H{}\" stroke=\"#ddd\"/><text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
            WIDTH - RIGHT,
            LEFT - 6.0,
            at + 4.0,
            10f64.powf(log)
        );
    }
    for step in 0..=4 {
        let size = left + (right - left) * f64::from(step) / 4.0;
        let (at, below) = (x(size), HEIGHT - BOTTOM + 18.0);
        let _ = writeln!(out, "<text x=\"{at:.1}\" y=\"{below}\" text-anchor=\"middle\">{size:.0}</text>");
    }
    let _ = writeln!(
        out,
        "<text x=\"{}\" y=\"{}\" text-anchor=\"middle\">file, MB</text>\
         <text transform=\"translate(16 {}) rotate(-90)\" text-anchor=\"middle\">mean divergence from the base, nats</text>",
        (LEFT + WIDTH - RIGHT) / 2.0,
        HEIGHT - 10.0,
        HEIGHT / 2.0
    );
    for (name, size, divergence) in points {
        let (at, up) = (x(*size), y(positive(*divergence).log10()));
        let name = name.replace('&', "&amp;").replace('<', "&lt;");
        let _ = writeln!(
            out,
            "<circle cx=\"{at:.1}\" cy=\"{up:.1}\" r=\"4\" fill=\"#2563eb\"/><text x=\"{:.1}\" y=\"{:.1}\">{name}</text>",
            at + 7.0,
            up + 4.0
        );
    }
    out + "</svg>\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_point_is_inside_and_named() {
        let points = [("A<b>".to_owned(), 90.0, 0.05), ("Q8_0".to_owned(), 140.0, 0.0), ("one".to_owned(), 100.0, 2.0)];
        for points in [&points[..], &points[..1]] {
            let text = svg(points);
            assert_eq!(text.matches("<circle").count(), points.len());
            assert!(text.contains(">A&lt;b></text>") && !text.contains("NaN") && !text.contains("inf"), "{text}");
            for part in text.split("cx=\"").skip(1) {
                let at: f64 = part.split('"').next().unwrap().parse().unwrap();
                assert!((LEFT..=WIDTH - RIGHT).contains(&at), "{at}");
            }
        }
    }
}
