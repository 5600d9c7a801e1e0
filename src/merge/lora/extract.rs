//! An adapter out of a difference: for each matrix the best one of its rank (truncated SVD), and the error that it leaves.
//!
//! The singular vectors come from a random subspace that is turned towards them a few times (Halko, Martinsson & Tropp,
//! arXiv 0909.4061); the error is measured, not estimated. Memory: one difference, and its thin factors.

use std::path::Path;

use faer::Mat;
use serde_json::{Map, Value, json};

use crate::engine::Cancel;
use crate::merge::error::MergeError;
use crate::merge::method::dot;
use crate::merge::model::Model;
use crate::weights::numbers;
use crate::weights::safetensors::Dtype;

/// Directions beside the wanted ones, which make these exact sooner.
const MORE: usize = 16;
/// How often the subspace is turned.
const TURNS: usize = 6;

/// What became of one tensor.
#[derive(Clone, Debug, serde::Serialize)]
pub struct Extracted {
    /// The tensor.
    pub tensor: String,
    /// The rank of its adapter; 0 for one that no adapter holds.
    pub rank: usize,
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

/// Makes an adapter's folder; `show` is told tensors done and all.
///
/// # Errors
/// The models do not fit, or nothing differs, or the folder cannot be written.
pub fn run(
    base: &Model,
    tuned: &Model,
    rank: usize,
    folder: &Path,
    cancel: &Cancel,
    mut show: impl FnMut(u64, u64),
) -> Result<Vec<Extracted>, MergeError> {
    let fault = |what: String| MergeError::Adapter { what };
    let mut tensors: Vec<(String, Mat<f32>)> = Vec::new();
    let (mut all, mut modules) = (Vec::new(), std::collections::BTreeSet::new());
    for (at, (name, own)) in base.weights.iter().enumerate() {
        if cancel.is_cancelled() {
            return Err(MergeError::Interrupted);
        }
        let other = tuned.weights.get(name);
        let other = other.ok_or_else(|| fault(format!("`{name}` is missing in `{}`", tuned.reference)))?;
        if other.shape != own.shape {
            let (a, b) = (&own.shape, &other.shape);
            return Err(fault(format!("the shapes of `{name}` differ: {a:?} in the base, {b:?} in the other")));
        }
        let (before, mut after) = (own.all(), other.all());
        if !numbers::all_finite(&before) || !numbers::all_finite(&after) {
            return Err(fault(format!("`{name}` has numbers that are none")));
        }
        after.iter_mut().zip(&before).for_each(|(after, before)| *after -= before);
        let difference = dot(&after, &after).sqrt();
        let mut found = Extracted { tensor: name.clone(), rank: 0, difference, error: 1.0 };
        let module = name.strip_suffix(".weight").filter(|_| base.layers.of(name).is_some() && own.shape.len() == 2);
        if let Some(module) = module.filter(|_| difference > 0.0) {
            let columns = own.columns() as usize;
            let matrix = Mat::from_fn(own.shape[0] as usize, columns, |row, column| after[row * columns + column]);
            let (left, right, error) = truncate(&matrix, rank).map_err(|what| fault(format!("`{name}`: {what}")))?;
            (found.rank, found.error) = (left.ncols(), error);
            tensors.push((format!("base_model.model.{module}.lora_B.weight"), left));
            tensors.push((format!("base_model.model.{module}.lora_A.weight"), right));
            modules.insert(module.rsplit('.').next().unwrap_or(module).to_owned());
        }
        if difference > 0.0 {
            all.push(found);
        }
        show(at as u64 + 1, base.weights.len() as u64);
    }
    if tensors.is_empty() {
        return Err(fault(format!("no matrix of `{}` differs from the base's", tuned.reference)));
    }
    write(base, rank, folder, &tensors, &modules)?;
    Ok(all)
}

fn write(
    base: &Model,
    rank: usize,
    folder: &Path,
    tensors: &[(String, Mat<f32>)],
    modules: &std::collections::BTreeSet<String>,
) -> Result<(), MergeError> {
    let fault = |source| MergeError::Write { path: folder.to_owned(), source };
    std::fs::create_dir_all(folder).map_err(fault)?;
    let config = json!({
        "peft_type": "LORA", "task_type": "CAUSAL_LM", "base_model_name_or_path": base.reference.to_string(), "r": rank,
        "lora_alpha": rank, "lora_dropout": 0.0, "bias": "none", "fan_in_fan_out": false, "inference_mode": true,
        "use_rslora": false, "use_dora": false, "target_modules": modules,
    });
    let mut header = Map::new();
    let mut data = Vec::new();
    header.insert("__metadata__".to_owned(), json!({"format": "pt"}));
    for (name, matrix) in tensors {
        let rows: Vec<f32> =
            (0..matrix.nrows()).flat_map(|row| (0..matrix.ncols()).map(move |column| matrix[(row, column)])).collect();
        let begin = data.len();
        numbers::encode(Dtype::F32, &rows, &mut data);
        header.insert(
            name.clone(),
            json!({"dtype": "F32", "shape": [matrix.nrows(), matrix.ncols()], "data_offsets": [begin, data.len()]}),
        );
    }
    let mut head = Value::Object(header).to_string().into_bytes();
    head.resize(head.len().next_multiple_of(8), b' ');
    let mut file = (head.len() as u64).to_le_bytes().to_vec();
    file.extend(head);
    file.extend(data);
    crate::atomic::write(folder.join("adapter_model.safetensors"), file).map_err(fault)?;
    crate::atomic::write(folder.join("adapter_config.json"), format!("{config:#}\n")).map_err(fault)
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
