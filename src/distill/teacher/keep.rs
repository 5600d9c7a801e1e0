//! What is kept of a teacher's logits: its likeliest tokens, or tokens drawn by chance.
//!
//! The likeliest ones alone are a biased picture, which one more outcome for the rest makes good in part. Tokens drawn by
//! the teacher's own odds have no bias: on average over draws, forward KL has the gradient of all odds (arXiv
//! 2503.16870). They are drawn at even distances, which scatters less than independent draws do.

use crate::distill::kernel::math;

/// The likeliest tokens with the logarithms of their odds, the likeliest first.
pub(super) fn top(logits: &[f32], count: usize, temperature: f64) -> Vec<(u32, f32)> {
    let cooled = cooled(logits, temperature);
    let whole = math::softmax(&mut cooled.clone());
    let mut all: Vec<(u32, f32)> = cooled.iter().enumerate().map(|(id, &x)| (id as u32, x - whole)).collect();
    let higher = |a: &(u32, f32), b: &(u32, f32)| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0));
    if count < all.len() {
        all.select_nth_unstable_by(count, higher);
        all.truncate(count);
    }
    all.sort_unstable_by(higher);
    all
}

/// Tokens with how often they were drawn, `draws` times in all; `chance` is a share below 1 from which all follows.
pub(super) fn drawn(logits: &[f32], draws: u16, temperature: f64, chance: f64) -> Vec<(u32, u16)> {
    let mut odds = cooled(logits, temperature);
    math::softmax(&mut odds);
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

fn cooled(logits: &[f32], temperature: f64) -> Vec<f32> {
    logits.iter().map(|&x| (f64::from(x) / temperature) as f32).collect()
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
            let found = drawn(&logits, 16, 1.0, f64::from(chance) / f64::from(CHANCES));
            assert_eq!(found.iter().map(|&(_, times)| times).sum::<u16>(), 16);
            found.iter().for_each(|&(id, times)| sums[id as usize] += f64::from(times) / 16.0 / f64::from(CHANCES));
        }
        // a grid of 1000 chances tells each share of 16 draws to 1/16000
        assert!(sums.iter().zip(&odds).all(|(sum, &p)| (sum - f64::from(p)).abs() < 1.0 / 16_000.0));
        let kept: f32 = top(&logits, 16, 1.0).iter().map(|(_, log)| log.exp()).sum();
        assert!(kept < 0.5, "a flat teacher has most of its odds elsewhere");
    }

    #[test]
    fn the_likeliest_come_first_and_heat_makes_them_less_so() {
        let logits = [0.0, 3.0, -1.0, 3.0, 1.0];
        let ids = |list: Vec<(u32, f32)>| list.into_iter().map(|(id, _)| id).collect::<Vec<_>>();
        assert_eq!(ids(top(&logits, 3, 1.0)), [1, 3, 4]);
        assert_eq!(top(&logits, 9, 1.0).len(), 5);
        assert!(top(&logits, 1, 2.0)[0].1 < top(&logits, 1, 1.0)[0].1);
        assert_eq!(drawn(&[0.0, 100.0], 9, 1.0, 0.99), [(1, 9)]);
    }
}
