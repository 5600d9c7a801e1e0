//! A figure: the size of each file against its divergence from the base, on a logarithmic scale.

use plotters::prelude::{DrawingBackend, RGBColor};

use crate::picture::{Anchor, Drawn, Figure, Pen};

const WIDTH: i32 = 720;
const HEIGHT: i32 = 440;
const LEFT: i32 = 70;
const BOTTOM: i32 = 50;
const TOP: i32 = 40;
const RIGHT: i32 = 150;
/// Height of a line of text.
const LINE: i32 = 14;

const GRID: RGBColor = RGBColor(0xdd, 0xdd, 0xdd);
const POINT: RGBColor = RGBColor(0x25, 0x63, 0xeb);

/// Files that were measured.
pub(crate) struct Sizes {
    /// Name, size in megabytes, mean divergence in nats.
    pub(crate) points: Vec<(String, f64, f64)>,
}

/// What the axes show.
struct Axes {
    sizes: (f64, f64),
    /// Powers of ten.
    logs: (i32, i32),
}

impl Sizes {
    fn axes(&self) -> Axes {
        let bounds = |values: &mut dyn Iterator<Item = f64>| {
            values.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| (low.min(value), high.max(value)))
        };
        let (left, right) = bounds(&mut self.points.iter().map(|point| point.1));
        let (low, high) = bounds(&mut self.points.iter().map(|point| log(point.2)));
        let low = low.floor() as i32;
        Axes {
            sizes: (left * 0.95, (right * 1.05).max(left * 0.95 + 1.0)),
            logs: (low, (high.ceil() as i32).max(low + 1)),
        }
    }

    /// Each file's name with the place of its point, and the height of the name: none lies on another.
    fn places(&self) -> Vec<(&str, (i32, i32), i32)> {
        let axes = self.axes();
        let place = |(_, size, off): &(String, f64, f64)| (axes.x(*size), axes.y(log(*off)));
        let mut order: Vec<_> = self.points.iter().map(|point| (point.0.as_str(), place(point))).collect();
        order.sort_by_key(|(_, (_, y))| *y);
        let mut all: Vec<(&str, (i32, i32), i32)> = Vec::new();
        for (name, (x, y)) in order {
            let mut line = y;
            while all.iter().any(|(_, (other, _), taken)| (other - x).abs() < RIGHT && (taken - line).abs() < LINE) {
                line += LINE / 2;
            }
            all.push((name, (x, y), line));
        }
        all
    }
}

/// A divergence's power of ten; what is no more than nothing counts as a millionth.
fn log(divergence: f64) -> f64 {
    divergence.max(1e-6).log10()
}

impl Axes {
    fn x(&self, size: f64) -> i32 {
        let share = (size - self.sizes.0) / (self.sizes.1 - self.sizes.0);
        LEFT + (share * f64::from(WIDTH - LEFT - RIGHT)).round() as i32
    }

    fn y(&self, log: f64) -> i32 {
        let share = (f64::from(self.logs.1) - log) / f64::from(self.logs.1 - self.logs.0);
        TOP + (share * f64::from(HEIGHT - TOP - BOTTOM)).round() as i32
    }
}

impl Figure for Sizes {
    fn size(&self) -> (u32, u32) {
        (WIDTH.unsigned_abs(), HEIGHT.unsigned_abs())
    }

    fn draw<B: DrawingBackend>(&self, pen: &Pen<'_, B>) -> Drawn<B> {
        let axes = self.axes();
        for log in axes.logs.0..=axes.logs.1 {
            let y = axes.y(log.into());
            pen.fill((LEFT, y), (WIDTH - RIGHT, y + 1), &GRID)?;
            pen.text(&format!("{}", 10f64.powi(log)), (LEFT - 6, y), Anchor::End)?;
        }
        for step in 0..=4 {
            let size = axes.sizes.0 + (axes.sizes.1 - axes.sizes.0) * f64::from(step) / 4.0;
            pen.text(&format!("{size:.0}"), (axes.x(size), HEIGHT - BOTTOM + 14), Anchor::Middle)?;
        }
        pen.text("file, MB", ((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 14), Anchor::Middle)?;
        pen.text("mean divergence from the base, nats", (8, LINE), Anchor::Start)?;
        for (name, place, line) in self.places() {
            pen.dot(place, 4, &POINT)?;
            pen.text(name, (place.0 + 8, line), Anchor::Start)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::picture::{png, svg};

    fn sizes() -> Sizes {
        let points = [("A<b>", 90.0, 0.05), ("Q8_0", 140.0, 0.0), ("one", 91.0, 0.051)];
        Sizes { points: points.map(|(name, size, off)| (name.to_owned(), size, off)).to_vec() }
    }

    #[test]
    fn every_point_is_inside_and_named() {
        let all = sizes();
        for count in [3, 1] {
            let some = Sizes { points: all.points[..count].to_vec() };
            let text = svg(&some).unwrap();
            assert_eq!(text.matches("<circle").count(), count);
            assert!(text.contains("A&lt;b&gt;") && !text.contains("NaN") && !text.contains("inf"), "{text}");
            for (_, (x, y), _) in some.places() {
                assert!((LEFT..=WIDTH - RIGHT).contains(&x) && (TOP..=HEIGHT - BOTTOM).contains(&y), "{x} {y}");
            }
        }
    }

    #[test]
    fn names_of_near_points_do_not_lie_on_each_other() {
        let sizes = sizes();
        let line = |name: &str| sizes.places().into_iter().find(|place| place.0 == name).unwrap().2;
        assert!((line("A<b>") - line("one")).abs() >= LINE);
    }

    #[test]
    fn a_png_holds_the_same_dots_and_letters() {
        let bytes = png(&sizes()).unwrap();
        let mut reader = png::Decoder::new(std::io::Cursor::new(&bytes)).read_info().unwrap();
        let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
        let info = reader.next_frame(&mut pixels).unwrap();
        assert_eq!((info.width, info.height), (1440, 880));
        let count = |colour: [u8; 3]| pixels.chunks(3).filter(|pixel| *pixel == colour).count();
        // Dots of a radius of 8 pixels, of which two lie partly on each other.
        let dots = count([POINT.0, POINT.1, POINT.2]);
        assert!((3 * 120..3 * 220).contains(&dots), "{dots}");
        let (ink, grid) = (count([0, 0, 0]), count([GRID.0, GRID.1, GRID.2]));
        assert!(ink > 2000 && grid > 2000, "{ink} {grid}");
    }
}
