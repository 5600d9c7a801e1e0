//! A picture: the size of each file against its divergence from the base, as SVG or as PNG.
//!
//! Both are drawn from one list of marks. Letters in a PNG come from a bitmap font, so that no font has to be found.

use std::fmt::Write as _;

use font8x8::{LATIN_FONTS, UnicodeFonts};

const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 440.0;
const LEFT: f64 = 70.0;
const BOTTOM: f64 = 50.0;
const TOP: f64 = 40.0;
const RIGHT: f64 = 150.0;
/// Height of a line of text, and how wide a letter is in a PNG.
const LINE: f64 = 14.0;
const LETTER: f64 = 8.0;
/// Pixels of a PNG for each unit.
const SCALE: usize = 2;

const INK: [u8; 3] = [0, 0, 0];
const GRID: [u8; 3] = [0xdd, 0xdd, 0xdd];
const POINT: [u8; 3] = [0x25, 0x63, 0xeb];

/// Where a text stands beside its place.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Anchor {
    Start,
    Middle,
    End,
}

#[derive(Clone, Debug, PartialEq)]
enum Mark {
    /// A level line across the plot.
    Rule {
        y: f64,
    },
    Dot {
        x: f64,
        y: f64,
    },
    Text {
        x: f64,
        y: f64,
        anchor: Anchor,
        text: String,
    },
}

/// An SVG of points (name, megabytes, mean divergence), the divergence on a logarithmic scale.
pub fn svg(points: &[(String, f64, f64)]) -> String {
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" font-family=\"sans-serif\" \
         font-size=\"12\"><rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n"
    );
    for mark in marks(points) {
        // Writing into a text cannot fail.
        let _ = match mark {
            Mark::Rule { y } => writeln!(out, "<path d=\"M{LEFT} {y:.1}H{}\" stroke=\"#ddd\"/>", WIDTH - RIGHT),
            Mark::Dot { x, y } => writeln!(out, "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"4\" fill=\"#2563eb\"/>"),
            Mark::Text { x, y, anchor, text } => {
                let anchor = match anchor {
                    Anchor::Start => "start",
                    Anchor::Middle => "middle",
                    Anchor::End => "end",
                };
                let text = text.replace('&', "&amp;").replace('<', "&lt;");
                writeln!(out, "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\">{text}</text>")
            }
        };
    }
    out + "</svg>\n"
}

/// The same as a PNG.
pub fn png(points: &[(String, f64, f64)]) -> Vec<u8> {
    let mut canvas = Canvas::new();
    for mark in marks(points) {
        match mark {
            Mark::Rule { y } => canvas.fill(LEFT, y, WIDTH - RIGHT - LEFT, 0.5, GRID),
            Mark::Dot { x, y } => canvas.dot(x, y, 4.0),
            Mark::Text { x, y, anchor, text } => {
                let wide = text.chars().count() as f64 * LETTER;
                let x = match anchor {
                    Anchor::Start => x,
                    Anchor::Middle => x - wide / 2.0,
                    Anchor::End => x - wide,
                };
                canvas.text(x, y - LETTER, &text);
            }
        }
    }
    let mut out = Vec::new();
    let mut encoder = png::Encoder::new(&mut out, canvas.width as u32, canvas.height as u32);
    encoder.set_color(png::ColorType::Rgb);
    // Into memory, of the size that was announced: nothing can fail.
    if let Ok(mut writer) = encoder.write_header() {
        let _ = writer.write_image_data(&canvas.pixels);
    }
    out
}

fn marks(points: &[(String, f64, f64)]) -> Vec<Mark> {
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
    let text = |x: f64, y: f64, anchor, text: String| Mark::Text { x, y, anchor, text };
    let mut all = Vec::new();
    for step in 0..=(high - low) as i32 {
        let log = low + f64::from(step);
        all.push(Mark::Rule { y: y(log) });
        all.push(text(LEFT - 6.0, y(log) + 4.0, Anchor::End, format!("{}", 10f64.powf(log))));
    }
    for step in 0..=4 {
        let size = left + (right - left) * f64::from(step) / 4.0;
        all.push(text(x(size), HEIGHT - BOTTOM + 18.0, Anchor::Middle, format!("{size:.0}")));
    }
    all.push(text((LEFT + WIDTH - RIGHT) / 2.0, HEIGHT - 10.0, Anchor::Middle, "file, MB".to_owned()));
    all.push(text(8.0, LINE, Anchor::Start, "mean divergence from the base, nats".to_owned()));
    let mut order: Vec<_> =
        points.iter().map(|(name, size, off)| (name, x(*size), y(positive(*off).log10()))).collect();
    order.sort_by(|a, b| a.2.total_cmp(&b.2));
    let mut taken: Vec<(f64, f64)> = Vec::new();
    for (name, x, y) in order {
        all.push(Mark::Dot { x, y });
        // A name that would lie on another goes below it.
        let mut at = y + 4.0;
        while taken.iter().any(|(left, line)| (left - x).abs() < RIGHT && (line - at).abs() < LINE) {
            at += LINE / 2.0;
        }
        taken.push((x, at));
        all.push(text(x + 8.0, at, Anchor::Start, name.clone()));
    }
    all
}

/// Pixels, in red, green and blue.
struct Canvas {
    width: usize,
    height: usize,
    pixels: Vec<u8>,
}

impl Canvas {
    fn new() -> Self {
        let (width, height) = (WIDTH as usize * SCALE, HEIGHT as usize * SCALE);
        Self { width, height, pixels: vec![255; width * height * 3] }
    }

    fn put(&mut self, x: usize, y: usize, colour: [u8; 3]) {
        let at = (y * self.width + x) * 3;
        if x < self.width
            && let Some(pixel) = self.pixels.get_mut(at..at + 3)
        {
            pixel.copy_from_slice(&colour);
        }
    }

    /// A rectangle, in units. What is outside is not drawn.
    fn fill(&mut self, x: f64, y: f64, wide: f64, high: f64, colour: [u8; 3]) {
        let pixel = |units: f64| (units * SCALE as f64).round().max(0.0) as usize;
        for row in pixel(y)..pixel(y + high).min(self.height) {
            for column in pixel(x)..pixel(x + wide).min(self.width) {
                self.put(column, row, colour);
            }
        }
    }

    fn dot(&mut self, x: f64, y: f64, radius: f64) {
        let step = 1.0 / SCALE as f64;
        let steps = (radius / step) as i32;
        for down in -steps..=steps {
            for right in -steps..=steps {
                let (dx, dy) = (f64::from(right) * step, f64::from(down) * step);
                if dx * dx + dy * dy <= radius * radius {
                    self.fill(x + dx, y + dy, step, step, POINT);
                }
            }
        }
    }

    fn text(&mut self, x: f64, y: f64, text: &str) {
        for (at, letter) in text.chars().enumerate() {
            let shape = LATIN_FONTS.get(letter).or_else(|| font8x8::BASIC_FONTS.get(letter));
            let shape = shape.or_else(|| font8x8::BASIC_FONTS.get('?')).unwrap_or_default();
            for (row, bits) in shape.into_iter().enumerate() {
                for column in (0..8).filter(|column| bits >> column & 1 == 1) {
                    let left = x + at as f64 * LETTER + f64::from(column);
                    self.fill(left, y + row as f64, 1.0, 1.0, INK);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn points() -> Vec<(String, f64, f64)> {
        vec![("A<b>".to_owned(), 90.0, 0.05), ("Q8_0".to_owned(), 140.0, 0.0), ("one".to_owned(), 91.0, 0.051)]
    }

    #[test]
    fn every_point_is_inside_and_named() {
        let all = points();
        for points in [&all[..], &all[..1]] {
            let text = svg(points);
            assert_eq!(text.matches("<circle").count(), points.len());
            assert!(text.contains(">A&lt;b></text>") && !text.contains("NaN") && !text.contains("inf"), "{text}");
            for part in text.split("cx=\"").skip(1) {
                let at: f64 = part.split('"').next().unwrap().parse().unwrap();
                assert!((LEFT..=WIDTH - RIGHT).contains(&at), "{at}");
            }
        }
    }

    #[test]
    fn names_of_near_points_do_not_lie_on_each_other() {
        let marks = marks(&points());
        let place = |name: &str| {
            let find = |mark: &Mark| matches!(mark, Mark::Text { text, .. } if text == name).then(|| mark.clone());
            match marks.iter().find_map(find) {
                Some(Mark::Text { y, .. }) => y,
                _ => panic!("{name}"),
            }
        };
        assert!((place("A<b>") - place("one")).abs() >= LINE);
    }

    #[test]
    fn a_png_holds_the_same_dots_and_letters() {
        let bytes = png(&points());
        let mut reader = png::Decoder::new(std::io::Cursor::new(&bytes)).read_info().unwrap();
        let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
        let info = reader.next_frame(&mut pixels).unwrap();
        assert_eq!((info.width, info.height), (1440, 880));
        let count = |colour: [u8; 3]| pixels.chunks(3).filter(|pixel| *pixel == colour).count();
        // Dots of a radius of 8 pixels, of which two lie partly on each other.
        assert!((3 * 150..3 * 220).contains(&count(POINT)), "{}", count(POINT));
        assert!(count(INK) > 2000 && count(GRID) > 2000);
    }
}
