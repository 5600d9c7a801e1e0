//! Where training runs: on the processor. What asks for more is told so.

use std::str::FromStr;

use crate::cli::output;
use crate::error::Report;

/// What was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Device {
    /// Only say what there is.
    List,
    /// The best there is, or the processor by name: the same.
    Processor,
    Gpu(usize),
}

impl FromStr for Device {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "list" => Ok(Self::List),
            "auto" | "cpu" => Ok(Self::Processor),
            _ => text
                .strip_prefix("gpu:")
                .and_then(|number| number.parse().ok())
                .map(Self::Gpu)
                .ok_or_else(|| "expected `list`, `auto`, `cpu` or `gpu:0`".to_owned()),
        }
    }
}

impl Device {
    /// Whether to go on.
    ///
    /// # Errors
    /// A GPU was asked for.
    pub(super) fn settle(self) -> Result<bool, Report> {
        match self {
            Self::Processor => Ok(true),
            Self::List => {
                let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
                output::print(&format!("cpu  {threads} threads\n"))?;
                Ok(false)
            }
            Self::Gpu(number) => Err(Report::failed(format!(
                "there is no GPU {number} to train on: this program trains on the processor"
            ))
            .hint("`--device cpu`, which is what `auto` chooses")),
        }
    }
}
