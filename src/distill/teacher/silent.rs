//! What a teacher with other tokens says nothing about: documents with a hole, and tokens that end where none of its own do.
//! Such targets are learnt from the data alone, with the weight that is left, which the person should know.

use super::Store;
use super::store::Said;
use crate::distill::data::corpus::Corpus;
use crate::distill::recipe::Recipe;

/// Windows looked at, spread over all.
const WINDOWS: u64 = 256;

/// What is to be told of each such teacher.
///
/// # Errors
/// In words: a file is damaged.
pub(crate) fn notices(recipe: &Recipe, corpus: &Corpus, stores: &[Option<Store>]) -> Result<Vec<String>, String> {
    let mut all = Vec::new();
    for (teacher, store) in recipe.teachers.iter().zip(stores) {
        let Some((goals, silent)) = store.as_ref().map(|store| measured(store, corpus)).transpose()?.flatten() else {
            continue;
        };
        let name = teacher.model.display();
        if silent > 0 {
            let share = 100.0 * silent as f64 / goals.max(1) as f64;
            let left = 1.0 - recipe.objective.alpha;
            let holes = if recipe.data.fim.rate > 0.0 { ", all those of documents with a hole among them" } else { "" };
            all.push(format!(
                "`{name}` has other tokens: {share:.1} % of what is learnt has no counterpart there{holes}, and counts \
                 with 1 − `objective.alpha` = {left:.2} only"
            ));
        }
        if recipe.objective.temperature != 1.0 {
            all.push(format!("`{name}` has other tokens: `objective.temperature` does not apply to it"));
        }
    }
    Ok(all)
}

/// Learnt tokens of the windows looked at, and those of them in no chunk; `None` for a teacher with the student's tokens.
fn measured(store: &Store, corpus: &Corpus) -> Result<Option<(u64, u64)>, String> {
    let (mut goals, mut silent) = (0, 0);
    let step = (corpus.len() / WINDOWS).max(1);
    for at in (0..corpus.len()).step_by(usize::try_from(step).unwrap_or(usize::MAX)) {
        let Said::Across(said) = store.window(at)? else { return Ok(None) };
        let here = corpus.window(at)?.goals() as u64;
        goals += here;
        silent += here.saturating_sub(said.chunks.iter().map(|chunk| chunk.goals as u64).sum());
    }
    Ok(Some((goals, silent)))
}
