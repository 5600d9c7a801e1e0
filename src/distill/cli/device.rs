//! Where training runs: on the processor, or on graphics cards where this build and this machine have them.

use std::str::FromStr;

use crate::cli::output;
use crate::distill::gpu::{self, Adapter};
use crate::error::UserError;

/// What was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Device {
    /// Only say what there is.
    List,
    /// A card if there is one, else the processor.
    Best,
    Processor,
    /// Cards by their numbers.
    Cards(Vec<usize>),
}

impl FromStr for Device {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || "expected `list`, `auto`, `cpu`, `gpu:0`, or several as `gpu:0,gpu:1`".to_owned();
        match text {
            "list" => Ok(Self::List),
            "auto" => Ok(Self::Best),
            "cpu" => Ok(Self::Processor),
            _ => {
                let number = |one: &str| one.strip_prefix("gpu:")?.parse().ok();
                let all: Vec<usize> = text.split(',').map(number).collect::<Option<_>>().ok_or_else(wrong)?;
                match all.iter().enumerate().find(|(at, number)| all[..*at].contains(number)) {
                    Some((_, twice)) => Err(format!("`gpu:{twice}` stands there twice")),
                    None => Ok(Self::Cards(all)),
                }
            }
        }
    }
}

impl Device {
    /// The cards to train on, none of them for the processor. `fit` says whether cards can do what is asked.
    ///
    /// # Errors
    /// There is no card of a number that was asked for.
    pub(super) fn settle(&self, fit: bool) -> Result<Vec<Adapter>, UserError> {
        match self {
            Self::Best if fit => Ok(Adapter::best(&gpu::adapters()).cloned().into_iter().collect()),
            Self::Best | Self::Processor | Self::List => Ok(Vec::new()),
            Self::Cards(numbers) => {
                let all = gpu::adapters();
                let find = |&number: &usize| all.get(number).cloned().ok_or_else(|| missing(number, all.len()));
                numbers.iter().map(find).collect()
            }
        }
    }
}

fn missing(number: usize, found: usize) -> UserError {
    if !gpu::BUILT_IN {
        let what = format!("there is no card `gpu:{number}`: this program was built without the feature `gpu`");
        return UserError::failed(what)
            .hint("`--device cpu` trains here; `cargo build --release --features gpu` makes a program that can do it");
    }
    let what = format!("there is no card `gpu:{number}`: Vulkan offers {found}");
    UserError::failed(what).hint("`--device list` names them; a card needs its maker's Vulkan driver")
}

/// Says what there is.
///
/// # Errors
/// Nobody reads it.
pub(super) fn list() -> Result<(), UserError> {
    output::print(&table(&gpu::adapters()))
}

fn table(adapters: &[Adapter]) -> String {
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let mut rows = vec![vec!["cpu".to_owned(), format!("{threads} threads")]];
    for Adapter { number, name, driver, kind, .. } in adapters {
        rows.push(vec![format!("gpu:{number}"), format!("{name}, {kind} ({driver})")]);
    }
    output::table(&rows)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::distill::gpu::Kind;

    #[test]
    fn devices_are_named_once_each() {
        assert_eq!("gpu:0,gpu:3".parse(), Ok(Device::Cards(vec![0, 3])));
        assert_eq!("auto".parse(), Ok(Device::Best));
        for wrong in ["gpu", "gpu:", "gpu:x", "cpu,gpu:0", "gpu:1,gpu:1", "gpu:0,", "cuda:0", ""] {
            assert!(wrong.parse::<Device>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_best_card_is_never_a_software_renderer() {
        let one = |number, kind| Adapter { number, name: String::new(), driver: String::new(), kind, place: 0 };
        let all = [one(0, Kind::Software), one(1, Kind::Integrated), one(2, Kind::Discrete)];
        assert_eq!(Adapter::best(&all).map(|adapter| adapter.number), Some(2));
        assert_eq!(Adapter::best(&all[..2]).map(|adapter| adapter.number), Some(1));
        assert_eq!(Adapter::best(&all[..1]), None);
    }
}
