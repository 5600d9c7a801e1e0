//! `[editor]`

use serde::{Deserialize, Serialize};

/// `[editor]`
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EditorConfig {
    /// A typed bracket or double quote brings its other end.
    pub close_brackets: bool,
}
