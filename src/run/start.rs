//! What the terminal interface is given to begin with.

use std::path::PathBuf;
use std::sync::Arc;

use crate::app::editor::msg::Place;
use crate::app::msg::Load;
use crate::budget::Plan;
use crate::chat::journal::SessionId;
use crate::config::Config;
use crate::engine::Spec;
use crate::error::UserError;
use crate::paths::Paths;

/// A model that is ready to be loaded.
#[derive(Clone, Debug)]
pub struct Prepared {
    /// As the person reads it.
    pub name: String,
    /// What the engine is started with.
    pub spec: Spec,
    /// What will be used; `None` for a server.
    pub plan: Option<Plan>,
    /// Told when it is loaded.
    pub notice: Option<String>,
}

/// Resolves a model, reads its header and plans. It may block; it is called off the terminal's thread, after the first
/// frame and on every switch. `Load::model` is `None` for what the command line or the configuration chose.
pub type Prepare = Arc<dyn Fn(&Load) -> Result<Prepared, UserError> + Send + Sync>;

/// Looks at the files of a model and its adapters without loading anything. It may block.
pub type Check = Arc<dyn Fn(&Load) -> Result<(), UserError> + Send + Sync>;

/// Everything decided before the first frame. Nothing in it may have cost more than a few milliseconds.
pub struct Start {
    /// Where things live.
    pub paths: Paths,
    /// The folder that is open; the file picker stays inside.
    pub folder: PathBuf,
    /// How to get from a model's name to an engine.
    pub prepare: Prepare,
    /// Whether what shall be loaded is fit for use.
    pub check: Check,
    /// The program that is started as the engine, which must be this one; `None`: it works on a thread of this process.
    pub engine: Option<PathBuf>,
    /// The chosen model's name, as far as known before looking; `None` when there is none in the store: the first-start
    /// screen is shown.
    pub model: Option<String>,
    /// The session to open; `None` for a new one.
    pub resume: Option<SessionId>,
    /// The file to open, relative to the folder or not, and where.
    pub open: Option<(PathBuf, Option<Place>)>,
    /// The last run ended uncleanly: the newest conversation is offered.
    pub unclean: bool,
    /// It crashed: the question it was at goes back into the input.
    pub crashed: bool,
    /// Told on the first screen, a line each.
    pub notices: Vec<String>,
    /// Everything the person decided: the configuration, and over it the command line.
    pub config: Config,
}
