//! What is kept of a teacher's logits: its likeliest tokens, or tokens drawn by chance.
//!
//! The likeliest ones alone are a biased picture, which one more outcome for the rest makes good in part. Tokens drawn by
//! the teacher's own odds have no bias: on average over draws, forward KL has the gradient of all odds (arXiv
//! 2503.16870). They are drawn at even distances, which scatters less than independent draws do.

use super::store::Likeliest;
use crate::distill::kernel::math;

/// Logits that are compared by their largest one first.
const BLOCK: usize = 64;

/// The likeliest tokens. `logits` is used up.
pub(super) fn top(logits: &mut [f32], count: usize, temperature: f64) -> Likeliest {
    cool(logits, temperature);
    let count = count.min(logits.len());
    // No token of a block is among the likeliest if that many blocks have a likelier one.
    let mut best: Vec<f32> = logits.chunks(BLOCK).map(math::max).collect();
    let least = match best.len().checked_sub(count) {
        Some(_) if count > 0 => *best.select_nth_unstable_by(count - 1, |a, b| b.total_cmp(a)).1,
        _ => f32::NEG_INFINITY,
    };
    let mut top: Vec<(u32, f32)> =
        logits.iter().enumerate().filter(|(_, x)| **x >= least).map(|(id, &x)| (id as u32, x)).collect();
    let higher = |a: &(u32, f32), b: &(u32, f32)| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0));
    if count < top.len() {
        top.select_nth_unstable_by(count, higher);
        top.truncate(count);
    }
    top.sort_unstable_by(higher);
    let whole = math::softmax(logits);
    top.iter_mut().for_each(|(id, x)| {
        *x -= whole;
        logits[*id as usize] = 0.0;
    });
    Likeliest { top, rest: math::sum(logits).ln() }
}

/// Tokens with how often they were drawn, `draws` times in all; `chance` is a share below 1 from which all follows.
/// `odds` are logits, which are used up.
pub(super) fn drawn(odds: &mut [f32], draws: u16, temperature: f64, chance: f64) -> Vec<(u32, u16)> {
    cool(odds, temperature);
    math::softmax(odds);
    let step = odds.iter().map(|&p| f64::from(p)).sum::<f64>() / f64::from(draws);
    let (mut reach, mut left) = (0.0, draws);
    let mut found: Vec<(u32, u16)> = Vec::new();
    for (id, &p) in odds.iter().enumerate() {
        reach += f64::from(p);
        let before = left;
        while left > 0 && (f64::from(draws - left) + chance) * step < reach {
            left -= 1;
        }
        if left < before {
            found.push((id as u32, before - left));
        }
    }
    // Rounding may leave the last draw behind the last sum.
    if let Some((_, times)) = found.last_mut() {
        *times += left;
    }
    found
}

fn cool(logits: &mut [f32], temperature: f64) {
    if temperature != 1.0 {
        logits.iter_mut().for_each(|x| *x = (f64::from(*x) / temperature) as f32);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_are_on_average_the_odds_and_the_likeliest_alone_are_not() {
        let logits: Vec<f32> = (0..200).map(|i| (i as f32 * 0.91).sin() * 2.0).collect();
        let mut odds = logits.clone();
        math::softmax(&mut odds);
        let mut sums = vec![0.0; odds.len()];
        const CHANCES: u32 = 1000;
        for chance in 0..CHANCES {
            let found = drawn(&mut logits.clone(), 16, 1.0, f64::from(chance) / f64::from(CHANCES));
            assert_eq!(found.iter().map(|&(_, times)| times).sum::<u16>(), 16);
            found.iter().for_each(|&(id, times)| sums[id as usize] += f64::from(times) / 16.0 / f64::from(CHANCES));
        }
        // a grid of 1000 chances tells each share of 16 draws to 1/16000
        assert!(sums.iter().zip(&odds).all(|(sum, &p)| (sum - f64::from(p)).abs() < 1.0 / 16_000.0));
        let likeliest = top(&mut logits.clone(), 16, 1.0);
        let kept: f32 = likeliest.top.iter().map(|(_, log)| log.exp()).sum();
        assert!((kept + likeliest.rest.exp() - 1.0).abs() < 1e-5);
        assert!(kept < 0.5, "a flat teacher has most of its odds elsewhere");
    }

    #[test]
    fn the_likeliest_come_first_and_heat_makes_them_less_so() {
        let logits = [0.0, 3.0, -1.0, 3.0, 1.0];
        let kept = |count, temperature| top(&mut logits.to_vec(), count, temperature);
        let ids = |kept: Likeliest| kept.top.into_iter().map(|(id, _)| id).collect::<Vec<_>>();
        assert_eq!(ids(kept(3, 1.0)), [1, 3, 4]);
        assert_eq!((kept(9, 1.0).top.len(), kept(9, 1.0).rest), (5, f32::NEG_INFINITY));
        assert!(kept(1, 2.0).top[0].1 < kept(1, 1.0).top[0].1);
        assert_eq!(drawn(&mut [0.0, 100.0], 9, 1.0, 0.99), [(1, 9)]);
    }

    #[test]
    fn the_likeliest_of_many_are_those_of_a_sorted_list() {
        // Numbers that stand many times, so that blocks have equal largest ones.
        for (size, wave) in [(1, 1.0), (63, 0.7), (64, 0.01), (1000, 0.37), (4097, 0.0)] {
            let logits: Vec<f32> = (0..size).map(|i| ((i as f32 * wave).sin() * 8.0).round()).collect();
            let mut order: Vec<u32> = (0..size as u32).collect();
            order.sort_by(|&a, &b| logits[b as usize].total_cmp(&logits[a as usize]).then(a.cmp(&b)));
            for count in [1, 7, 32, 200] {
                let found: Vec<u32> = top(&mut logits.clone(), count, 1.0).top.iter().map(|&(id, _)| id).collect();
                assert_eq!(found, order[..count.min(size)], "{size} {count}");
            }
        }
    }
}
