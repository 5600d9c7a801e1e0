//! Numbers to a card and back. What goes wrong on the way is kept until somebody asks.

use std::cell::RefCell;

use burn_tensor::{Device, Tensor, TensorData, Transaction};

use crate::error::chain;

/// The way to one card.
#[derive(Debug)]
pub(super) struct Link {
    pub(super) device: Device,
    trouble: RefCell<Option<String>>,
}

impl Link {
    pub(super) fn new(device: Device) -> Self {
        Self { device, trouble: RefCell::new(None) }
    }

    pub(super) fn up<const D: usize>(&self, numbers: Vec<f32>, dims: [usize; D]) -> Tensor<D> {
        Tensor::from_data(TensorData::new(numbers, dims), &self.device)
    }

    /// All at once, as every read waits for the card. Empty lists where it fails, which [`Self::check`] tells.
    pub(super) fn down(&self, tensors: Vec<Tensor<2>>) -> Vec<Vec<f32>> {
        let count = tensors.len();
        let all = tensors.into_iter().fold(Transaction::default(), Transaction::register);
        let read = all
            .try_execute()
            .map_err(|error| chain(&error))
            .and_then(|all| all.into_iter().map(|data| data.try_into_vec().map_err(|error| chain(&error))).collect());
        read.unwrap_or_else(|error| {
            self.trouble.borrow_mut().get_or_insert(error);
            vec![Vec::new(); count]
        })
    }

    pub(super) fn down_one(&self, tensor: Tensor<2>) -> Vec<f32> {
        self.down(vec![tensor]).pop().unwrap_or_default()
    }

    /// Whether everything has come through since it was last asked.
    ///
    /// # Errors
    /// In the driver's words: what has not.
    pub(super) fn check(&self) -> Result<(), String> {
        self.trouble.take().map_or(Ok(()), Err)
    }
}
