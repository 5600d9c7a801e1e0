//! A tensor with a row for each token, its rows in another order.

use std::sync::{Arc, OnceLock};

use crate::merge::model::Weight;

/// Where a row comes from.
#[derive(Clone, Debug, PartialEq)]
pub enum From {
    /// The model's own tensor.
    Own(u32),
    /// Another model's.
    Other(usize, u32),
    /// The mean of rows of several models.
    Mean(Arc<[(usize, u32)]>),
    /// Zeros.
    Zero,
}

/// Where all rows come from.
#[derive(Debug)]
pub struct Table {
    /// A row for each token.
    pub rows: Vec<From>,
    /// With those that only fill up; they are the mean of all others.
    pub count: u64,
}

impl Table {
    pub(super) fn bytes(&self) -> u64 {
        (self.rows.len() * std::mem::size_of::<From>()) as u64
    }
}

/// A table for one tensor.
#[derive(Debug)]
pub struct Rows {
    table: Arc<Table>,
    /// The tensor in every model.
    others: Vec<Option<Arc<Weight>>>,
    mean: OnceLock<Vec<f32>>,
}

impl Rows {
    /// Rows of one tensor, which `others` has for every model that has it.
    pub fn new(table: Arc<Table>, others: Vec<Option<Arc<Weight>>>) -> Self {
        Self { table, others, mean: OnceLock::new() }
    }

    /// Rows of the result.
    pub fn count(&self) -> u64 {
        self.table.count
    }

    /// Whether every row is there.
    pub fn missing(&self, own: &Weight) -> Option<String> {
        let inside = |weight: Option<&Weight>, row: u32| {
            weight.is_some_and(|weight| u64::from(row) < weight.shape.first().copied().unwrap_or(0))
        };
        let other = |model: usize| self.others.get(model).and_then(Option::as_deref);
        let bad = self.table.rows.iter().position(|from| match from {
            From::Own(row) => !inside(Some(own), *row),
            From::Other(model, row) => !inside(other(*model), *row),
            From::Mean(all) => all.iter().any(|&(model, row)| !inside(other(model), row)),
            From::Zero => false,
        });
        bad.map(|id| format!("token {id} of the result has no row to come from"))
    }

    /// Numbers from the element `at` on.
    pub fn read(&self, own: &Weight, at: u64, out: &mut [f32]) {
        let columns = own.columns().max(1);
        let (mut row, mut within, mut done) = (at / columns, at % columns, 0);
        while done < out.len() {
            let length = ((columns - within) as usize).min(out.len() - done);
            self.row(own, row, within, &mut out[done..done + length]);
            (row, within, done) = (row + 1, 0, done + length);
        }
    }

    fn row(&self, own: &Weight, row: u64, within: u64, out: &mut [f32]) {
        let columns = own.columns().max(1);
        let read = |weight: &Weight, row: u32, out: &mut [f32]| {
            weight.read(u64::from(row) * columns + within, out);
        };
        let other = |model: usize| self.others.get(model).and_then(Option::as_deref);
        match self.table.rows.get(row as usize) {
            Some(From::Own(row)) => read(own, *row, out),
            Some(From::Other(model, row)) => match other(*model) {
                Some(weight) => read(weight, *row, out),
                None => out.fill(0.0),
            },
            Some(From::Zero) => out.fill(0.0),
            Some(From::Mean(all)) => {
                let mut one = vec![0.0; out.len()];
                out.fill(0.0);
                for &(model, row) in all.iter() {
                    if let Some(weight) = other(model) {
                        read(weight, row, &mut one);
                        out.iter_mut().zip(&one).for_each(|(to, from)| *to += from);
                    }
                }
                out.iter_mut().for_each(|number| *number /= all.len() as f32);
            }
            None => {
                let mean = self.mean.get_or_init(|| self.mean(own, columns));
                let within = within as usize;
                if let Some(part) = mean.get(within..within + out.len()) {
                    out.copy_from_slice(part);
                }
            }
        }
    }

    /// The mean of all rows that stand for a token.
    fn mean(&self, own: &Weight, columns: u64) -> Vec<f32> {
        let mut sum = vec![0f64; columns as usize];
        let mut one = vec![0f32; columns as usize];
        for row in 0..self.table.rows.len() as u64 {
            self.row(own, row, 0, &mut one);
            sum.iter_mut().zip(&one).for_each(|(to, &from)| *to += f64::from(from));
        }
        let count = self.table.rows.len().max(1) as f64;
        sum.into_iter().map(|sum| (sum / count) as f32).collect()
    }
}
