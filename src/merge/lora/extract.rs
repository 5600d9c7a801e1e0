//! An adapter out of a difference: for each matrix the best one of its rank (truncated SVD), and the error that it leaves.
//!
//! The singular vectors come from a random subspace that is turned towards them a few times (Halko, Martinsson & Tropp,
//! arXiv 0909.4061); the error is measured, not estimated. What no product of matrices holds (embeddings, the output, norms)
//! can be saved whole. Memory: one difference, and the adapter.

use std::collections::BTreeSet;
use std::path::Path;

use faer::Mat;
use serde_json::json;

use crate::engine::Cancel;
use crate::merge::error::MergeError;
use crate::merge::method::dot;
use crate::merge::model::{Model, Weight};
use crate::merge::names;
use crate::weights::numbers;
use crate::weights::peft::{CONFIG, PREFIX, WEIGHTS};
use crate::weights::safetensors::Dtype;
use crate::weights::safetensors::write::{NewTensor, PYTORCH, Writer};

/// Directions beside the wanted ones, which make these exact sooner.
const MORE: usize = 16;
/// How often the subspace is turned.
const TURNS: usize = 6;

/// What became of one tensor.
#[derive(Clone, Debug, serde::Serialize)]
pub struct Extracted {
    /// The tensor.
    pub tensor: String,
    /// The rank of its product; 0 for one that is saved whole or not at all.
    pub rank: usize,
    /// Whether it is saved whole.
    pub whole: bool,
    /// The length of the difference.
    pub difference: f64,
    /// What is left of it, as a share of that.
    pub error: f64,
}

/// `left · right` nearest to a matrix, both with the square roots of the singular values; and the share that is left.
pub fn truncate(difference: &Mat<f32>, rank: usize) -> Result<(Mat<f32>, Mat<f32>, f64), String> {
    let (rows, columns) = (difference.nrows(), difference.ncols());
    let whole = square(difference);
    if whole == 0.0 {
        return Ok((Mat::zeros(rows, rank), Mat::zeros(rank, columns), 0.0));
    }
    let failed = |_| "its singular values cannot be found".to_owned();
    let width = (rank + MORE).min(rows).min(columns);
    let (u, s, v) = if width * 3 >= rows.min(columns) {
        let svd = difference.thin_svd().map_err(failed)?;
        (svd.U().to_owned(), svd.S().column_vector().to_owned(), svd.V().to_owned())
    } else {
        let mut state = 1u32;
        let start = Mat::from_fn(columns, width, |_, _| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 8) as f32 / 8_388_608.0 - 1.0
        });
        let mut basis = orthogonal(&(difference * &start));
        for _ in 0..TURNS {
            let back = orthogonal(&(difference.transpose() * &basis));
            basis = orthogonal(&(difference * &back));
        }
        let small = basis.transpose() * difference;
        let svd = small.thin_svd().map_err(failed)?;
        (&basis * svd.U(), svd.S().column_vector().to_owned(), svd.V().to_owned())
    };
    // Of a matrix that is smaller than the rank, what is beyond it is nothing.
    let root = |at: usize| if at < s.nrows() { s[at].max(0.0).sqrt() } else { 0.0 };
    let part = |of: &Mat<f32>, row: usize, at: usize| if at < s.nrows() { of[(row, at)] * root(at) } else { 0.0 };
    let left = Mat::from_fn(rows, rank, |row, at| part(&u, row, at));
    let right = Mat::from_fn(rank, columns, |at, column| part(&v, column, at));
    let rest = difference - &left * &right;
    Ok((left, right, (square(&rest) / whole).sqrt()))
}

fn orthogonal(matrix: &Mat<f32>) -> Mat<f32> {
    matrix.qr().compute_thin_Q()
}

fn square(matrix: &Mat<f32>) -> f64 {
    (0..matrix.ncols()).map(|column| matrix.col_as_slice(column)).map(|column| dot(column, column)).sum()
}

/// What an adapter is made of.
#[derive(Default)]
struct Parts {
    /// With their bytes.
    tensors: Vec<(NewTensor, Vec<u8>)>,
    /// Modules with a product, by the last part of their names.
    targets: BTreeSet<String>,
    /// Modules that are saved whole.
    whole: BTreeSet<String>,
}

impl Parts {
    fn product(&mut self, module: &str, left: &Mat<f32>, right: &Mat<f32>) {
        for (part, matrix) in [("lora_B", left), ("lora_A", right)] {
            let rows = (0..matrix.nrows()).flat_map(|row| (0..matrix.ncols()).map(move |column| matrix[(row, column)]));
            let shape = vec![matrix.nrows() as u64, matrix.ncols() as u64];
            let name = format!("{PREFIX}{module}.{part}.weight");
            let bytes = numbers::encoded(Dtype::F32, &rows.collect::<Vec<_>>());
            self.tensors.push((NewTensor { name, dtype: Dtype::F32, shape }, bytes));
        }
        self.targets.insert(module.rsplit('.').next().unwrap_or(module).to_owned());
    }

    /// PEFT finds modules by how their names end: those of layers by the last part, others by the whole.
    fn whole(&mut self, module: &str, in_layer: bool, own: &Weight, tuned: &[f32]) {
        let name = format!("{PREFIX}{module}.weight");
        let spec = NewTensor { name, dtype: own.dtype, shape: own.shape.clone() };
        self.tensors.push((spec, numbers::encoded(own.dtype, tuned)));
        let last = module.rsplit('.').next().filter(|_| in_layer);
        self.whole.insert(last.unwrap_or(module).to_owned());
    }
}

/// How an adapter is made.
#[derive(Clone, Copy, Debug)]
pub struct Wanted {
    /// Of the products.
    pub rank: usize,
    /// Whether modules that no product holds (embeddings, output, norms) are saved whole where they changed.
    pub whole: bool,
}

/// Makes an adapter's folder; `show` is told tensors done and all.
///
/// # Errors
/// The models do not fit, or nothing differs, or the folder cannot be written.
pub fn run(
    base: &Model,
    tuned: &Model,
    wanted: Wanted,
    folder: &Path,
    cancel: &Cancel,
    mut show: impl FnMut(u64, u64),
) -> Result<Vec<Extracted>, MergeError> {
    let fault = |what: String| MergeError::Adapter { what };
    if let Some(name) = tuned.weights.keys().find(|name| !base.weights.contains_key(*name)) {
        return Err(fault(format!("`{name}` is missing in `{}`", base.reference)));
    }
    let (mut parts, mut all) = (Parts::default(), Vec::new());
    for (at, (name, own)) in base.weights.iter().enumerate() {
        if cancel.is_cancelled() {
            return Err(MergeError::Interrupted);
        }
        show(at as u64, base.weights.len() as u64);
        let other = tuned.weights.get(name);
        let other = other.ok_or_else(|| fault(format!("`{name}` is missing in `{}`", tuned.reference)))?;
        if other.shape != own.shape {
            let (a, b) = (&own.shape, &other.shape);
            return Err(fault(format!("the shapes of `{name}` differ: {a:?} in the base, {b:?} in the other")));
        }
        let (before, after) = (own.all(), other.all());
        if !numbers::all_finite(&before) || !numbers::all_finite(&after) {
            return Err(fault(format!("`{name}` has numbers that are none")));
        }
        let change: Vec<f32> = after.iter().zip(&before).map(|(after, before)| after - before).collect();
        let difference = dot(&change, &change).sqrt();
        if difference == 0.0 {
            continue;
        }
        let mut found = Extracted { tensor: name.clone(), rank: 0, whole: false, difference, error: 1.0 };
        let in_layer = base.layers.of(name).is_some();
        match name.strip_suffix(".weight") {
            Some(module) if in_layer && own.shape.len() == 2 => {
                let columns = own.columns() as usize;
                let matrix = Mat::from_fn(own.shape[0] as usize, columns, |row, column| change[row * columns + column]);
                let product = truncate(&matrix, wanted.rank);
                let (left, right, error) = product.map_err(|what| fault(format!("`{name}`: {what}")))?;
                (found.rank, found.error) = (left.ncols(), error);
                parts.product(module, &left, &right);
            }
            Some(module) if wanted.whole => {
                (found.whole, found.error) = (true, 0.0);
                parts.whole(module, in_layer, other, &after);
                let head = name_of_head(base).filter(|_| names::is_vocabulary(name) && names::is_before(name));
                if let Some(head) = head {
                    // PEFT knows two modules where the base has one tensor for both.
                    parts.whole(head, false, other, &after);
                }
            }
            _ => {}
        }
        all.push(found);
    }
    if parts.targets.is_empty() {
        return Err(fault(format!("no matrix of `{}` differs from the base's", tuned.reference)));
    }
    write(base, wanted.rank, folder, &parts)?;
    Ok(all)
}

/// The output's module of a model that has no tensor of its own for it.
fn name_of_head(base: &Model) -> Option<&'static str> {
    (base.tied() && !base.weights.keys().any(|name| names::is_head(name))).then_some("lm_head")
}

fn write(base: &Model, rank: usize, folder: &Path, parts: &Parts) -> Result<(), MergeError> {
    let fault = |source| MergeError::Write { path: folder.to_owned(), source };
    std::fs::create_dir_all(folder).map_err(fault)?;
    let whole = (!parts.whole.is_empty()).then_some(&parts.whole);
    let config = json!({
        "peft_type": "LORA", "task_type": "CAUSAL_LM", "base_model_name_or_path": base.reference.to_string(), "r": rank,
        "lora_alpha": rank, "lora_dropout": 0.0, "bias": "none", "fan_in_fan_out": false, "inference_mode": true,
        "use_rslora": false, "use_dora": false, "target_modules": parts.targets, "modules_to_save": whole,
    });
    let specs: Vec<NewTensor> = parts.tensors.iter().map(|(spec, _)| spec.clone()).collect();
    let mut file = Writer::create(&folder.join(WEIGHTS), &specs, PYTORCH)?;
    for (_, bytes) in &parts.tensors {
        file.write(bytes)?;
    }
    file.finish()?;
    crate::atomic::write(folder.join(CONFIG), format!("{config:#}\n")).map_err(fault)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_matrix_of_low_rank_comes_back_and_the_error_of_another_is_that_of_the_best() {
        let wave =
            |row: usize, column: usize, step: usize| ((row * (2 * step + 3) + column * (5 * step + 1)) as f32).sin();
        // enough rows and columns for the random subspace, of rank twice five
        let low = Mat::from_fn(200, 180, |row, column| (0..5).map(|step| wave(row, column, step)).sum::<f32>());
        let (left, right, error) = truncate(&low, 10).unwrap();
        assert!(error < 1e-4, "{error}");
        assert_eq!((left.ncols(), right.nrows()), (10, 10));
        let (_, _, error) = truncate(&low, 4).unwrap();
        let svd = low.thin_svd().unwrap();
        let values: Vec<f64> = svd.S().column_vector().iter().map(|value| f64::from(*value).powi(2)).collect();
        let best = (values[4..].iter().sum::<f64>() / values.iter().sum::<f64>()).sqrt();
        assert!((error - best).abs() < best * 0.01, "{error} and {best}");
        // smaller than the rank
        let (left, right, error) = truncate(&Mat::from_fn(3, 4, |row, column| wave(row, column, 1)), 8).unwrap();
        assert!(error < 1e-5 && left.ncols() == 8 && right.nrows() == 8);
    }
}
