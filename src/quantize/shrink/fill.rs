//! How to spend bytes on matrices: pure arithmetic over what each type takes and loses.
//!
//! The loss of a model is taken as the sum over its matrices of the relative squared error, each times how much the
//! matrix counts. That the divergence grows so for small errors is the linearity theorem of Malinovskii et al. 2024,
//! "Pushing the Limits of Large Language Model Quantization via the Linearity Theorem"; how much each matrix counts is
//! guessed. Nothing here ever raises the sum.

use crate::weights::gguf::GgmlType;

/// A type that a matrix could have.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Choice {
    pub(super) kind: GgmlType,
    pub(super) bytes: u64,
    /// What is lost, times how much the matrix counts.
    pub(super) loss: f64,
}

/// A matrix moves from one type to another.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Step {
    /// Which matrix.
    pub(super) at: usize,
    pub(super) to: Choice,
    /// Loss that goes for each byte.
    worth: f64,
}

/// Another type must lose less by so much before it counts as better: errors are measured on some rows only.
const BETTER: f64 = 0.95;

/// A matrix as it is, and what it could be instead.
#[derive(Clone, Debug)]
pub(super) struct Matrix {
    pub(super) name: String,
    pub(super) now: Choice,
    pub(super) others: Vec<Choice>,
}

/// Steps in the order in which they should be made; those of one matrix follow each other, each with less loss than the
/// one before. Steps that take no more bytes come first.
pub(super) fn steps(matrices: &[Matrix]) -> Vec<Step> {
    let mut all: Vec<Step> = matrices.iter().enumerate().flat_map(|(at, matrix)| hull(at, matrix)).collect();
    // Ties go by the matrix's place: the same request gives the same file.
    all.sort_by(|a, b| b.worth.total_cmp(&a.worth).then(a.at.cmp(&b.at)).then(a.to.bytes.cmp(&b.to.bytes)));
    all
}

/// From the type a matrix has along the lower convex hull of its choices, so that worth falls from step to step.
fn hull(at: usize, matrix: &Matrix) -> Vec<Step> {
    let mut now = matrix.now;
    let mut steps = Vec::new();
    let free = matrix.others.iter().filter(|other| other.bytes <= now.bytes && other.loss < now.loss * BETTER);
    if let Some(&to) = free.min_by(|a, b| a.loss.total_cmp(&b.loss).then(a.bytes.cmp(&b.bytes))) {
        steps.push(Step { at, to, worth: f64::INFINITY });
        now = to;
    }
    loop {
        let worth = |to: &Choice| (now.loss - to.loss) / (to.bytes - now.bytes) as f64;
        let more = matrix.others.iter().filter(|to| to.bytes > now.bytes && to.loss < now.loss * BETTER);
        let best = more.max_by(|a, b| worth(a).total_cmp(&worth(b)).then(b.bytes.cmp(&a.bytes)));
        let Some(&to) = best else { return steps };
        steps.push(Step { at, to, worth: worth(&to) });
        now = to;
    }
}

/// The choices after some steps.
pub(super) fn after(matrices: &[Matrix], steps: &[Step]) -> Vec<Choice> {
    let mut now: Vec<Choice> = matrices.iter().map(|matrix| matrix.now).collect();
    for step in steps {
        if let Some(choice) = now.get_mut(step.at) {
            *choice = step.to;
        }
    }
    now
}

/// As many steps as fit: the longest beginning that does, and then each later one that still does, as long as no earlier
/// step of its matrix was left out. `fits` is asked about whole choices.
pub(super) fn fill<E>(
    matrices: &[Matrix],
    steps: &[Step],
    mut fits: impl FnMut(&[Choice]) -> Result<bool, E>,
) -> Result<Vec<Choice>, E> {
    /// Later steps that are tried.
    const LATER: usize = 24;
    let (mut low, mut high) = (0, steps.len());
    while low < high {
        let middle = (low + high).div_ceil(2);
        if fits(&after(matrices, steps.get(..middle).unwrap_or_default()))? {
            low = middle;
        } else {
            high = middle - 1;
        }
    }
    let mut taken = steps.get(..low).unwrap_or_default().to_vec();
    let mut closed = std::collections::BTreeSet::new();
    for step in steps.iter().skip(low).take(LATER) {
        if closed.contains(&step.at) {
            continue;
        }
        taken.push(*step);
        if !fits(&after(matrices, &taken))? {
            taken.pop();
            closed.insert(step.at);
        }
    }
    Ok(after(matrices, &taken))
}

/// Groups of matrices in the order in which llama.cpp's own mixtures favour them, by what their names have in them.
const GROUPS: [&[&str]; 5] = [
    &["attn_v."],
    &["ffn_down"],
    &["output.weight", "token_embd."],
    &["attn_output.", "attn_qkv.", "attn_k."],
    &["ffn_up", "ffn_gate", "attn_q."],
];

/// Better types, each with what llama.cpp gives rows instead that are not whole blocks of 256.
const BUMPS: [(GgmlType, GgmlType); 4] = [
    (GgmlType::Q4_K, GgmlType::Q5_0),
    (GgmlType::Q5_K, GgmlType::Q5_1),
    (GgmlType::Q6_K, GgmlType::Q8_0),
    (GgmlType::Q8_0, GgmlType::Q8_0),
];

/// As people do it by hand: one group after the other in a better type, wherever a matrix of it gains by that, as long as
/// the whole fits.
pub(super) fn bump<E>(
    matrices: &[Matrix],
    mut fits: impl FnMut(&[Choice]) -> Result<bool, E>,
) -> Result<Vec<Choice>, E> {
    let mut now = after(matrices, &[]);
    for group in GROUPS {
        for (kind, instead) in BUMPS {
            let mut next = now.clone();
            for (matrix, choice) in matrices.iter().zip(&mut next) {
                // `attn_output.weight` ends like the output's own matrix.
                let output = matrix.name == "output.weight";
                let inside = |part: &&str| if *part == "output.weight" { output } else { matrix.name.contains(*part) };
                let known = |kind| matrix.others.iter().find(|other| other.kind == kind);
                let better = known(kind).or_else(|| known(instead)).filter(|better| better.loss < choice.loss);
                if let Some(better) = better.filter(|_| group.iter().any(inside)) {
                    *choice = *better;
                }
            }
            if next != now && fits(&next)? {
                now = next;
            }
        }
    }
    Ok(now)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn choice(kind: GgmlType, bytes: u64, loss: f64) -> Choice {
        Choice { kind, bytes, loss }
    }

    fn loss(choices: &[Choice]) -> f64 {
        choices.iter().map(|choice| choice.loss).sum()
    }

    /// Matrices of several sizes; Q5_1 takes more than Q5_0 and loses more, Q4_1 takes less than Q4_K and loses nothing.
    fn matrices() -> Vec<Matrix> {
        (1..12_u64)
            .map(|n| {
                let size = 1000 * (1 + n * n % 7);
                let hard = 1.0 + (n % 5) as f64;
                let kind = |kind, bits: u64, loss: f64| choice(kind, size * bits / 8, hard * loss);
                let mut others = vec![
                    kind(GgmlType::Q3_K, 3, 3e-2),
                    kind(GgmlType::Q5_0, 5, 2.0e-3),
                    kind(GgmlType::Q5_1, 6, 2.2e-3),
                    kind(GgmlType::Q6_K, 7, 5e-4),
                    kind(GgmlType::Q8_0, 8, 3e-5),
                ];
                if n % 3 == 0 {
                    others.push(kind(GgmlType::Q4_1, 3, 1e-8));
                }
                let name = format!("blk.{n}.{}.weight", ["attn_v", "ffn_down", "attn_q"][n as usize % 3]);
                Matrix { name, now: kind(GgmlType::Q4_K, 4, 7e-3), others }
            })
            .collect()
    }

    #[test]
    fn no_matrix_loses_more_than_before_whatever_the_room() {
        let matrices = matrices();
        let steps = steps(&matrices);
        let first: u64 = matrices.iter().map(|matrix| matrix.now.bytes).sum();
        let mut last = f64::INFINITY;
        for room in (first..4 * first).step_by(500) {
            let fits = |choices: &[Choice]| Ok::<_, ()>(choices.iter().map(|choice| choice.bytes).sum::<u64>() <= room);
            let filled = fill(&matrices, &steps, fits).unwrap();
            assert!(filled.iter().map(|choice| choice.bytes).sum::<u64>() <= room);
            for (matrix, choice) in matrices.iter().zip(&filled) {
                assert!(choice.loss <= matrix.now.loss, "{choice:?} instead of {:?}", matrix.now);
                assert_ne!(choice.kind, GgmlType::Q5_1);
            }
            assert!(loss(&filled) < loss(&after(&matrices, &[])));
            last = last.min(loss(&filled));
        }
        // With room for everything each has what loses least.
        let least = matrices.iter().map(|m| m.others.iter().map(|c| c.loss).fold(f64::INFINITY, f64::min));
        assert!((last - least.sum::<f64>()).abs() < 1e-12);
    }

    #[test]
    fn what_is_smaller_and_loses_less_is_taken_without_any_room() {
        let matrices = matrices();
        let filled = fill(&matrices, &steps(&matrices), |choices| {
            let bytes = |all: &[Choice]| all.iter().map(|choice| choice.bytes).sum::<u64>();
            Ok::<_, ()>(bytes(choices) <= bytes(&after(&matrices, &[])))
        });
        let changed = filled.unwrap().iter().filter(|choice| choice.kind == GgmlType::Q4_1).count();
        assert_eq!(changed, 3);
    }

    #[test]
    fn a_group_is_bumped_as_a_whole_and_only_where_it_gains() {
        let matrices = matrices();
        let bytes = |all: &[Choice]| all.iter().map(|choice| choice.bytes).sum::<u64>();
        let room = bytes(&after(&matrices, &[])) + 6000;
        let bumped = bump(&matrices, |choices| Ok::<_, ()>(bytes(choices) <= room)).unwrap();
        assert!(bytes(&bumped) <= room);
        let kinds = |part: &str| {
            let of = matrices.iter().zip(&bumped).filter(|(matrix, _)| matrix.name.contains(part));
            of.map(|(_, choice)| choice.kind).collect::<std::collections::BTreeSet<_>>()
        };
        assert!(kinds("attn_v").iter().all(|&kind| kind != GgmlType::Q4_K), "{bumped:?}");
        assert_eq!(kinds("attn_v").len(), 1);
        for (matrix, choice) in matrices.iter().zip(&bumped) {
            assert!(choice.loss <= matrix.now.loss);
        }
    }
}
