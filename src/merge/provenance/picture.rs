//! A heat map: how far each tensor of each layer moved.

use std::collections::BTreeSet;
use std::path::Path;

use plotters::prelude::{DrawingBackend, RGBColor};

use super::super::names;
use crate::merge::error::MergeError;
use crate::merge::stream::Stats;
use crate::picture::{Anchor, Drawn, Figure, LETTER, Pen};

/// Sides of a cell, in units.
const CELL: (i32, i32) = (18, 22);
/// Room for names, in units.
const LEFT: i32 = 320;
const TOP: i32 = 40;
const BOTTOM: i32 = 60;

/// Changes by kind of tensor and layer.
#[derive(Debug, PartialEq)]
pub struct Heat {
    kinds: Vec<String>,
    layers: u32,
    /// A row for each kind; where a kind has no tensor in a layer, nothing.
    cells: Vec<Vec<Option<f64>>>,
}

impl Heat {
    /// Of the tensors of a merge; nothing where none of them is in a layer.
    pub fn of(stats: &[Stats]) -> Option<Self> {
        let layers = names::layers(stats.iter().map(|stats| stats.tensor.as_str()));
        if layers.count == 0 {
            return None;
        }
        let inside =
            |stats: &Stats| layers.of(&stats.tensor).map(|(layer, kind)| (layer, kind.to_owned(), stats.change));
        let found: Vec<(u32, String, f64)> = stats.iter().filter_map(inside).collect();
        let kinds: Vec<String> =
            found.iter().map(|(_, kind, _)| kind.clone()).collect::<BTreeSet<_>>().into_iter().collect();
        let mut cells = vec![vec![None; layers.count as usize]; kinds.len()];
        for (layer, kind, change) in found {
            let row = kinds.binary_search(&kind).ok().and_then(|row| cells.get_mut(row));
            if let Some(cell) = row.and_then(|row| row.get_mut(layer as usize)) {
                *cell = Some(change);
            }
        }
        Some(Self { kinds, layers: layers.count, cells })
    }

    /// Writes the picture, as SVG or PNG by the name's ending.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn write(&self, path: &Path) -> Result<(), MergeError> {
        crate::picture::write(self, path).map_err(|source| MergeError::Write { path: path.to_owned(), source })
    }
}

impl Figure for Heat {
    fn size(&self) -> (u32, u32) {
        let width = LEFT + self.layers as i32 * CELL.0 + 20;
        let height = TOP + self.kinds.len() as i32 * CELL.1 + BOTTOM;
        (width.max(LEFT + 420) as u32, height as u32)
    }

    fn draw<B: DrawingBackend>(&self, pen: &Pen<'_, B>) -> Drawn<B> {
        let most = self.cells.iter().flatten().flatten().copied().fold(0.0, f64::max).max(f64::MIN_POSITIVE);
        pen.text("change of each tensor, as a share of its length", (LEFT, 16), Anchor::Start)?;
        for (row, (kind, cells)) in self.kinds.iter().zip(&self.cells).enumerate() {
            let y = TOP + row as i32 * CELL.1;
            let shown: String = kind.chars().take(((LEFT - 16) / LETTER.0) as usize).collect();
            pen.text(&shown, (LEFT - 8, y + CELL.1 / 2), Anchor::End)?;
            for (layer, change) in cells.iter().enumerate() {
                let x = LEFT + layer as i32 * CELL.0;
                let colour = change.map_or(RGBColor(245, 245, 245), |change| colour(change / most));
                pen.fill((x, y), (x + CELL.0 - 1, y + CELL.1 - 1), &colour)?;
            }
        }
        let below = TOP + self.kinds.len() as i32 * CELL.1;
        for layer in (0..self.layers).step_by(if self.layers > 40 { 8 } else { 4 }) {
            let middle = LEFT + layer as i32 * CELL.0 + CELL.0 / 2;
            pen.text(&layer.to_string(), (middle, below + 10), Anchor::Middle)?;
        }
        for step in 0..100 {
            let x = LEFT + step * 2;
            pen.fill((x, below + 26), (x + 2, below + 36), &colour(f64::from(step) / 99.0))?;
        }
        pen.text("0", (LEFT - 4, below + 31), Anchor::End)?;
        pen.text(&format!("{:.3} %", most * 100.0), (LEFT + 206, below + 31), Anchor::Start)
    }
}

/// From nearly white over orange to dark red, even to the eye and also without colour.
fn colour(share: f64) -> RGBColor {
    const STOPS: [(f64, f64, f64); 4] =
        [(255.0, 250.0, 230.0), (253.0, 187.0, 99.0), (217.0, 72.0, 1.0), (103.0, 0.0, 13.0)];
    let place = share.clamp(0.0, 1.0) * 3.0;
    let at = (place as usize).min(2);
    let part = place - at as f64;
    let mix = |a: f64, b: f64| (a + (b - a) * part).round() as u8;
    let (from, to) = (STOPS[at], STOPS[at + 1]);
    RGBColor(mix(from.0, to.0), mix(from.1, to.1), mix(from.2, to.2))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_tensor_of_every_layer_has_its_cell() {
        let stats = |tensor: &str, change| Stats { tensor: tensor.to_owned(), change, ..Stats::default() };
        let all = [
            stats("model.layers.0.mlp.up_proj.weight", 0.5),
            stats("model.layers.1.mlp.up_proj.weight", 0.25),
            stats("model.layers.1.norm.weight", 0.0),
            stats("model.norm.weight", 9.0),
        ];
        let heat = Heat::of(&all).unwrap();
        assert_eq!(heat.kinds, ["mlp.up_proj.weight", "norm.weight"]);
        assert_eq!(heat.cells, [vec![Some(0.5), Some(0.25)], vec![None, Some(0.0)]]);
        let folder = tempfile::tempdir().unwrap();
        let (svg, png) = (folder.path().join("a.svg"), folder.path().join("a.png"));
        heat.write(&svg).unwrap();
        heat.write(&png).unwrap();
        let text = std::fs::read_to_string(svg).unwrap();
        assert!(text.contains("<svg") && text.contains("#67000D"), "the largest change is the darkest");
        assert_eq!(&std::fs::read(png).unwrap()[1..4], b"PNG");
        assert_eq!(Heat::of(&all[3..]), None);
    }
}
