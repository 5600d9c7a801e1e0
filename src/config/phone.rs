//! `[phone]`: what only matters in Termux.

use serde::{Deserialize, Serialize};

/// `[phone]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PhoneConfig {
    /// Keep the phone awake while an answer is made.
    pub wake_lock: bool,
}

impl Default for PhoneConfig {
    fn default() -> Self {
        Self { wake_lock: true }
    }
}
