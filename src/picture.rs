//! Figures as SVG or as PNG, drawn once for both.
//!
//! In a PNG letters are those of a bitmap font, so that no font has to be found and the same file comes out everywhere; an
//! SVG has its texts as texts.

use std::io;
use std::path::Path;

use font8x8::{BASIC_FONTS, LATIN_FONTS, UnicodeFonts};
use plotters::coord::Shift;
use plotters::prelude::{
    BLACK, BitMapBackend, DrawingArea, DrawingBackend, IntoDrawingArea, Rectangle, SVGBackend, Text, WHITE,
};
use plotters::style::text_anchor::{HPos, Pos, VPos};
use plotters::style::{Color, IntoTextStyle};

/// Width and height of a letter in units.
pub(crate) const LETTER: (i32, i32) = (8, 8);
/// Pixels of a PNG for each unit.
const SCALE: i32 = 2;

/// What can be drawn.
pub(crate) trait Figure {
    /// Width and height in units.
    fn size(&self) -> (u32, u32);

    /// Draws it, white being there already.
    ///
    /// # Errors
    /// The backend's own.
    fn draw<B: DrawingBackend>(&self, pen: &Pen<'_, B>) -> Drawn<B>;
}

/// What drawing on a backend gives.
pub(crate) type Drawn<B> = Result<(), plotters::drawing::DrawingAreaErrorKind<<B as DrawingBackend>::ErrorType>>;

/// Draws in units.
pub(crate) struct Pen<'a, B: DrawingBackend> {
    area: &'a DrawingArea<B, Shift>,
    scale: i32,
    letters: bool,
}

/// Where a text stands beside its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Anchor {
    Start,
    Middle,
    End,
}

impl<B: DrawingBackend> Pen<'_, B> {
    /// Fills a rectangle from its upper left corner to the lower right one, which it no longer contains.
    pub(crate) fn fill(&self, from: (i32, i32), to: (i32, i32), colour: &impl Color) -> Drawn<B> {
        let [from, to] = [from, to].map(|(x, y)| (x * self.scale, y * self.scale));
        self.area.draw(&Rectangle::new([from, to], colour.filled()))
    }

    /// A filled circle.
    #[cfg(feature = "engine")]
    pub(crate) fn dot(&self, (x, y): (i32, i32), radius: i32, colour: &impl Color) -> Drawn<B> {
        let place = (x * self.scale, y * self.scale);
        self.area.draw(&plotters::element::Circle::new(place, radius * self.scale, colour.filled()))
    }

    /// A line through all places.
    #[cfg(feature = "train")]
    pub(crate) fn line(&self, places: &[(i32, i32)], width: u32, colour: &impl Color) -> Drawn<B> {
        let places: Vec<_> = places.iter().map(|&(x, y)| (x * self.scale, y * self.scale)).collect();
        let width = width * self.scale.unsigned_abs();
        self.area.draw(&plotters::element::PathElement::new(places, colour.stroke_width(width)))
    }

    /// A text in one line, around the height `y`.
    pub(crate) fn text(&self, text: &str, (x, y): (i32, i32), anchor: Anchor) -> Drawn<B> {
        if !self.letters {
            let side = match anchor {
                Anchor::Start => HPos::Left,
                Anchor::Middle => HPos::Center,
                Anchor::End => HPos::Right,
            };
            let style = ("sans-serif", 15).into_text_style(self.area).pos(Pos::new(side, VPos::Center));
            return self.area.draw(&Text::new(text.to_owned(), (x, y), style));
        }
        let width = text.chars().count() as i32 * LETTER.0;
        let left = match anchor {
            Anchor::Start => x,
            Anchor::Middle => x - width / 2,
            Anchor::End => x - width,
        };
        for (at, letter) in (0..).zip(text.chars()) {
            let shape = BASIC_FONTS.get(letter).or_else(|| LATIN_FONTS.get(letter)).or_else(|| BASIC_FONTS.get('?'));
            for (row, bits) in (0..).zip(shape.unwrap_or_default()) {
                for column in (0..8).filter(|column| bits >> column & 1 == 1) {
                    let (x, y) = (left + at * LETTER.0 + column, y - LETTER.1 / 2 + row);
                    self.fill((x, y), (x + 1, y + 1), &BLACK)?;
                }
            }
        }
        Ok(())
    }
}

/// The figure as SVG.
pub(crate) fn svg(figure: &impl Figure) -> io::Result<String> {
    let mut out = String::new();
    {
        let area = SVGBackend::with_string(&mut out, figure.size()).into_drawing_area();
        let drawn = area.fill(&WHITE).and_then(|()| figure.draw(&Pen { area: &area, scale: 1, letters: false }));
        drawn.and_then(|()| area.present()).map_err(|error| io::Error::other(error.to_string()))?;
    }
    Ok(out)
}

/// The figure as PNG.
pub(crate) fn png(figure: &impl Figure) -> io::Result<Vec<u8>> {
    let (width, height) = figure.size();
    let (width, height) = (width * SCALE.unsigned_abs(), height * SCALE.unsigned_abs());
    let mut pixels = vec![255; (width * height * 3) as usize];
    {
        let area = BitMapBackend::with_buffer(&mut pixels, (width, height)).into_drawing_area();
        let drawn = figure.draw(&Pen { area: &area, scale: SCALE, letters: true });
        drawn.and_then(|()| area.present()).map_err(|error| io::Error::other(error.to_string()))?;
    }
    let mut out = Vec::new();
    let mut encoder = png::Encoder::new(&mut out, width, height);
    encoder.set_color(png::ColorType::Rgb);
    encoder.write_header().and_then(|mut writer| writer.write_image_data(&pixels)).map_err(io::Error::other)?;
    Ok(out)
}

/// Writes the figure, in the form that the name's ending says: SVG, else PNG.
///
/// # Errors
/// The file cannot be written.
pub(crate) fn write(figure: &impl Figure, path: &Path) -> io::Result<()> {
    let is_svg = path.extension().is_some_and(|end| end.eq_ignore_ascii_case("svg"));
    let bytes = if is_svg { svg(figure)?.into_bytes() } else { png(figure)? };
    crate::atomic::write(path, bytes)
}
