//! A build without the feature `gpu`: there are no cards, and none can be opened.

use super::{Adapter, Part};
use crate::distill::model::head::Head;
use crate::distill::model::{Decoder, Gradients, Halfway, Slopes};

/// None can be made.
#[derive(Debug)]
pub(crate) enum Cards {}

/// Always empty.
pub(crate) fn adapters() -> Vec<Adapter> {
    Vec::new()
}

impl Cards {
    pub(crate) fn open(_: &[Adapter]) -> Result<Self, String> {
        Err("this program was built without the feature `gpu`".to_owned())
    }

    pub(crate) fn changed(&mut self) {
        match *self {}
    }

    pub(crate) fn learn<T: Send>(
        &mut self,
        _: &Decoder,
        _: &[Part<'_>],
        _: &(dyn Fn(usize, &Halfway<'_>, &mut Gradients) -> Slopes<T> + Sync),
        _: &mut Gradients,
    ) -> Result<Vec<T>, String> {
        match *self {}
    }

    pub(crate) fn states<T: Send>(
        &mut self,
        _: &Decoder,
        _: &Part<'_>,
        _: impl FnOnce(&Head<'_>, &[f32]) -> T + Send,
    ) -> Result<T, String> {
        match *self {}
    }
}
