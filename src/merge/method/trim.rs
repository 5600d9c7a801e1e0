//! What of a task vector stays: the largest (TIES), a band (Breadcrumbs), by chance (DARE), by chance that grows with the
//! magnitude (DELLA).

use super::random::draw;
use super::ranks::Sorter;
use super::select::{Place, Ranks, Window};

/// How one model's difference is thinned out.
#[derive(Debug)]
pub(super) enum Trim {
    /// Nothing falls.
    All,
    /// Everything falls.
    Nothing,
    /// Some ranks stay; `window` is known after two looks.
    Band { band: Band, ranks: Ranks, window: Option<Window> },
    /// Each stays with this chance.
    Chance { density: f64, key: u64 },
    /// Each stays with a chance that its rank in its row decides.
    Ranked { density: f64, epsilon: f64, key: u64, columns: usize },
}

/// Which ranks stay.
#[derive(Clone, Copy, Debug)]
pub(super) enum Band {
    /// The largest so many.
    Largest(u64),
    /// From one rank on to another, which is not in it.
    Between(u64, u64),
}

impl Trim {
    /// TIES: `density` of all, and at least one (arXiv 2306.01708, section 3).
    pub(super) fn largest(density: f64, total: u64) -> Self {
        match (density >= 1.0, density <= 0.0 || total == 0) {
            (true, _) => Self::All,
            (_, true) => Self::Nothing,
            _ => Self::band(Band::Largest(((density * total as f64) as u64).clamp(1, total))),
        }
    }

    /// Breadcrumbs: the largest `gamma` fall, and of the rest the smallest, until `density` are left (arXiv 2312.06795).
    pub(super) fn between(density: f64, gamma: f64, total: u64) -> Self {
        if density >= 1.0 {
            return Self::All;
        }
        let keep = (density * total as f64) as u64;
        let top = (gamma * total as f64) as u64;
        let bottom = total.saturating_sub(keep).saturating_sub(top);
        if keep == 0 { Self::Nothing } else { Self::band(Band::Between(bottom, (bottom + keep).min(total))) }
    }

    fn band(band: Band) -> Self {
        Self::Band { band, ranks: Ranks::default(), window: None }
    }

    /// Ranks whose keys are needed, from the smallest.
    pub(super) fn wanted(&self, total: u64) -> Vec<u64> {
        match self {
            Self::Band { band: Band::Largest(count), .. } => vec![total - count],
            Self::Band { band: Band::Between(from, to), .. } => vec![*from, to - 1],
            _ => Vec::new(),
        }
    }

    /// Takes the places of the ranks; `equal` are all numbers as large as each of them.
    pub(super) fn set(&mut self, places: &[Place], equal: &[u64], total: u64) {
        if let (Self::Band { band, window, .. }, Some(first), Some(last)) = (self, places.first(), places.last()) {
            *window = Some(match *band {
                Band::Largest(count) => Window::largest(first, total, count, equal.first().copied().unwrap_or(0)),
                Band::Between(from, to) => Window::between(first, last, from, to),
            });
        }
    }

    /// Sets to zero what falls. Where `by_chance` is set, what stays is divided by its chance (as the papers do).
    pub(super) fn apply(
        &self,
        delta: &mut [f32],
        start: u64,
        slab: usize,
        cursor: &mut [u64],
        sorter: &mut Sorter,
        by_chance: bool,
    ) {
        match self {
            Self::All => {}
            Self::Nothing => delta.fill(0.0),
            Self::Band { window, .. } => {
                if let Some(window) = window {
                    window.apply(delta, slab, cursor);
                }
            }
            Self::Chance { density, key } => {
                let (limit, factor) = (limit(*density), if by_chance { (1.0 / density) as f32 } else { 1.0 });
                draw(*key, start, delta, |_, number, bits| {
                    *number = if bits < limit { *number * factor } else { 0.0 };
                });
            }
            Self::Ranked { density, epsilon, key, columns } => {
                let mut chances = vec![0f32; *columns];
                for (at, row) in delta.chunks_mut(*columns).enumerate() {
                    let last = (row.len() - 1).max(1) as f64;
                    sorter.ranks(row, |place, rank| {
                        chances[place] = (density - epsilon + rank as f64 / last * 2.0 * epsilon) as f32;
                    });
                    draw(*key, start + (at * columns) as u64, row, |place, number, bits| {
                        let chance = chances[place];
                        let factor = if by_chance { 1.0 / chance } else { 1.0 };
                        *number = if bits < limit(f64::from(chance)) { *number * factor } else { 0.0 };
                    });
                }
            }
        }
    }
}

/// 32 even bits are below this with the chance `density`.
fn limit(density: f64) -> u32 {
    (density * 4_294_967_296.0) as u32
}
