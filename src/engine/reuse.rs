//! Which cells of the KV cache serve a new prompt: the common beginning, and later runs that only moved. Pure.

/// A run of cached tokens that stands elsewhere in the new prompt: after `remove` (positions in the cache, half-open)
/// is taken out, the `len` tokens that followed move down to `remove.0`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Move {
    /// Cells to take out, in the positions that hold after all moves before this one were made at the front.
    pub(crate) remove: (usize, usize),
    /// How many tokens after the gap are kept.
    pub(crate) len: usize,
}

/// What to do with the cache before evaluating the rest of the prompt.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Reuse {
    /// Moves in order.
    pub(crate) moves: Vec<Move>,
    /// How many tokens of the prompt are then in the cache; evaluation starts here.
    pub(crate) kept: usize,
}

/// Shorter runs are not worth a shift: their rotation costs as much as evaluating them.
const SHORTEST_MOVE: usize = 64;

/// Compares the tokens in the cache with the tokens of the prompt. At least the last token of the prompt is left to
/// evaluate, since its logits are needed. Runs are moved only where the memory `can_shift`.
pub(crate) fn plan(cached: &[i32], prompt: &[i32], can_shift: bool) -> Reuse {
    let most = prompt.len().saturating_sub(1);
    let mut kept = common(cached, &prompt[..most]);
    let mut moves = Vec::new();
    if !can_shift {
        return Reuse { moves, kept };
    }
    let mut from = kept;
    while from < cached.len() && kept < most {
        let len = common(&cached[from..], &prompt[kept..most]);
        if len >= SHORTEST_MOVE {
            if from > kept {
                moves.push(Move { remove: (kept, from), len });
            }
            kept += len;
            from += len;
        } else {
            from += 1;
        }
    }
    // Every run is found at its original place in the cache, but an earlier move has already brought it down.
    let mut down = 0;
    for one in &mut moves {
        one.remove.1 -= down;
        down += one.remove.1 - one.remove.0;
    }
    Reuse { moves, kept }
}

fn common(a: &[i32], b: &[i32]) -> usize {
    a.iter().zip(b).take_while(|(a, b)| a == b).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the cache holds after the plan is carried out.
    fn carry_out(cached: &[i32], reuse: &Reuse) -> Vec<i32> {
        let mut cells = cached.to_vec();
        for one in &reuse.moves {
            cells.drain(one.remove.0..one.remove.1);
        }
        cells.truncate(reuse.kept);
        cells
    }

    #[test]
    fn the_common_beginning_is_kept_but_for_the_last_token() {
        assert_eq!(plan(&[1, 2, 3], &[1, 2, 3, 4], true).kept, 3);
        assert_eq!(plan(&[1, 2, 3], &[1, 2, 3], true).kept, 2);
        assert_eq!(plan(&[1, 2, 3], &[1, 9, 3, 4], true), Reuse { moves: vec![], kept: 1 });
        assert_eq!(plan(&[1], &[], true).kept, 0);
    }

    #[test]
    fn a_dropped_turn_moves_what_came_after_it() {
        let system: Vec<i32> = (0..20).collect();
        let old: Vec<i32> = (100..300).collect();
        let new: Vec<i32> = (400..600).collect();
        let cached = [system.clone(), old, new.clone()].concat();
        let prompt = [system, new, vec![7, 8]].concat();
        let reuse = plan(&cached, &prompt, true);
        assert_eq!(reuse, Reuse { moves: vec![Move { remove: (20, 220), len: 200 }], kept: 220 });
        assert_eq!(carry_out(&cached, &reuse), prompt[..220]);
        assert_eq!(plan(&cached, &prompt, false).kept, 20);
    }

    #[test]
    fn two_gaps_are_closed_one_after_the_other() {
        let part = |from: i32| (from..from + 100).collect::<Vec<i32>>();
        let cached = [part(0), vec![-1; 10], part(1000), vec![-2; 30], part(2000)].concat();
        let prompt = [part(0), part(1000), part(2000), vec![5]].concat();
        let reuse = plan(&cached, &prompt, true);
        assert_eq!(reuse.kept, 300);
        assert_eq!(carry_out(&cached, &reuse), prompt[..300]);
    }

    proptest::proptest! {
        #[test]
        fn what_is_kept_is_the_beginning_of_the_prompt(
            blocks in proptest::collection::vec((0i32..6, 1usize..150), 1..8),
            picked in proptest::collection::vec(0usize..8, 1..8),
        ) {
            let tokens = |(kind, len): (i32, usize)| (0..len as i32).map(move |i| kind * 1000 + i);
            let cached: Vec<i32> = blocks.iter().copied().flat_map(tokens).collect();
            let prompt: Vec<i32> = picked.iter().filter_map(|&i| blocks.get(i)).copied().flat_map(tokens).chain([9]).collect();
            let reuse = plan(&cached, &prompt, true);
            proptest::prop_assert!(reuse.kept < prompt.len());
            proptest::prop_assert_eq!(carry_out(&cached, &reuse), prompt[..reuse.kept].to_vec());
        }
    }
}
