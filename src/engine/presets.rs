//! Sampling by name. A model's own card comes first (the catalogue has it), then values that suit small coders.

use super::Sampling;
use crate::models::catalogue::Entry;
use crate::sampling::Preset;

/// The values of a preset for a model; `entry` is the model's place in the catalogue, if it has one.
///
/// `auto` follows the model's card, and without one is `balanced`.
pub fn sampling(preset: Preset, entry: Option<&Entry>) -> Sampling {
    let card = |preset: Preset| entry.and_then(|entry| entry.presets.get(&preset)).cloned();
    card(preset).unwrap_or_else(|| match preset {
        Preset::Greedy => Sampling::default(),
        Preset::Precise => chain(0.3, 0.9),
        Preset::Auto => card(Preset::Balanced).unwrap_or_else(|| chain(0.6, 0.9)),
        Preset::Balanced => chain(0.6, 0.9),
        Preset::Explore => chain(0.9, 0.95),
    })
}

fn chain(temperature: f32, top_p: f32) -> Sampling {
    Sampling { temperature, top_p, top_k: 40, min_p: 0.05, repeat_penalty: 1.05, ..Sampling::default() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn presets_grow_bolder_in_the_order_of_their_names() {
        let heat = [Preset::Greedy, Preset::Precise, Preset::Balanced, Preset::Explore]
            .map(|preset| sampling(preset, None).temperature);
        assert!(heat.is_sorted(), "{heat:?}");
        assert_eq!(heat[0], 0.0);
        assert!((0.25..=0.35).contains(&heat[1]) && (0.8..=1.0).contains(&heat[3]));
        assert_eq!(sampling(Preset::Auto, None), sampling(Preset::Balanced, None));
    }
}
