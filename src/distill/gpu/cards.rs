//! Several cards that share a step: each has all weights and takes every so manieth part, on a thread of its own.
//! Gradients are added up in the order of the parts, so that the number of cards does not change the sum.

use std::any::Any;

use burn_tensor::wgpu::WgpuBackend;
use burn_tensor::{Device, DeviceKind, StreamId};

use super::card::Card;
use super::{Adapter, Kind, Part};
use crate::distill::kernel::add;
use crate::distill::model::head::Head;
use crate::distill::model::{Decoder, Gradients, Halfway, Slopes};
use crate::error::chain;

/// Opened cards, at least one.
#[derive(Debug)]
pub(crate) struct Cards {
    all: Vec<Card>,
}

impl Cards {
    /// # Errors
    /// In words: which card cannot be opened, and why.
    pub(crate) fn open(adapters: &[Adapter]) -> Result<Self, String> {
        Ok(Self::of(adapters.iter().map(open).collect::<Result<_, _>>()?))
    }

    pub(super) fn of(devices: Vec<Device>) -> Self {
        Self { all: devices.into_iter().map(Card::new).collect() }
    }

    /// To be called whenever trained weights have changed.
    pub(crate) fn changed(&mut self) {
        self.all.iter_mut().for_each(Card::changed);
    }

    /// All parts of a step, forward and backward; what `between` makes of each part's number and states comes back in
    /// their order, and gradients are added.
    ///
    /// # Errors
    /// In words: a card did not do what was asked.
    pub(crate) fn learn<T: Send>(
        &mut self,
        model: &Decoder,
        parts: &[Part<'_>],
        between: &(dyn Fn(usize, &Halfway<'_>, &mut Gradients) -> Slopes<T> + Sync),
        gradients: &mut Gradients,
    ) -> Result<Vec<T>, String> {
        let count = self.all.len();
        let mut values = Vec::with_capacity(parts.len());
        for (round, parts) in parts.chunks(count).enumerate() {
            let mut tasks = Vec::new();
            for (at, (card, part)) in self.all.iter_mut().zip(parts).enumerate() {
                let number = round * count + at;
                tasks.push(move || card.learn(model, part, |halfway, own| between(number, halfway, own)));
            }
            for value in together(tasks) {
                values.push(value?);
            }
            for own in self.all.iter_mut().take(parts.len()).filter_map(|card| card.gradients.as_mut()) {
                for (id, own) in own.each() {
                    if let Some(sum) = gradients.of(id) {
                        add(sum, own);
                    }
                }
            }
        }
        Ok(values)
    }

    /// Hands the normalised states of a part's rows to `judge`, with a head that computes on the first card.
    ///
    /// # Errors
    /// In words: the card did not do what was asked.
    pub(crate) fn states<T: Send>(
        &mut self,
        model: &Decoder,
        part: &Part<'_>,
        judge: impl FnOnce(&Head<'_>, &[f32]) -> T + Send,
    ) -> Result<T, String> {
        let nothing = || Err("no card is open".to_owned());
        let Some(card) = self.all.first_mut() else { return nothing() };
        together(vec![move || card.states(model, part, judge)]).pop().unwrap_or_else(nothing)
    }
}

/// # Errors
/// In words: it cannot be opened, or has been before.
pub(super) fn open(adapter: &Adapter) -> Result<Device, String> {
    let kind = match adapter.kind {
        Kind::Discrete => DeviceKind::DiscreteGpu(adapter.place),
        Kind::Integrated => DeviceKind::IntegratedGpu(adapter.place),
        Kind::Virtual => DeviceKind::VirtualGpu(adapter.place),
        Kind::Software => DeviceKind::Cpu,
    };
    let device = Device::wgpu_options().device_kind(kind).graphics_api(WgpuBackend::Vulkan).init();
    device.map_err(|error| format!("cannot open `gpu:{}` ({}): {}", adapter.number, adapter.name, chain(&error)))
}

/// Each task on a thread of its own. What the driver's library panics about becomes an error.
fn together<T: Send>(tasks: Vec<impl FnOnce() -> Result<T, String> + Send>) -> Vec<Result<T, String>> {
    std::thread::scope(|scope| {
        let start = |(at, task)| {
            // What a card has to do stands in one queue, whichever thread asks.
            let stream = StreamId { value: at as u64 };
            scope.spawn(move || stream.executes(task))
        };
        let threads: Vec<_> = tasks.into_iter().enumerate().map(start).collect();
        threads.into_iter().map(|thread| thread.join().unwrap_or_else(|panic| Err(words(&*panic)))).collect()
    })
}

fn words(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref().copied());
    text.unwrap_or("the driver gave up without a word").to_owned()
}
