//! Presets: how freely words are chosen, by name. Which parameters a name stands for is the engine's and the model card's
//! to say.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::error::UnknownName;

/// How freely the next token is chosen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Preset {
    /// The model's own values.
    #[default]
    Auto,
    /// No chance.
    Greedy,
    /// Little of it.
    Precise,
    /// Some.
    Balanced,
    /// Much.
    Explore,
}

impl Preset {
    /// All of them, in the order they are listed.
    pub const ALL: [Self; 5] = [Self::Auto, Self::Greedy, Self::Precise, Self::Balanced, Self::Explore];

    /// Their names.
    pub const NAMES: [&'static str; 5] =
        [Self::Auto.name(), Self::Greedy.name(), Self::Precise.name(), Self::Balanced.name(), Self::Explore.name()];

    /// As a person types it, and as it stands in files.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Greedy => "greedy",
            Self::Precise => "precise",
            Self::Balanced => "balanced",
            Self::Explore => "explore",
        }
    }

    /// What it is for.
    pub const fn about(self) -> &'static str {
        match self {
            Self::Auto => "what the model's makers recommend",
            Self::Greedy => "always the likeliest word; repeatable",
            Self::Precise => "little freedom: code to the letter",
            Self::Balanced => "some freedom: explaining, reviewing",
            Self::Explore => "most freedom: ideas, names",
        }
    }
}

impl fmt::Display for Preset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Preset {
    type Err = UnknownName;

    fn from_str(name: &str) -> Result<Self, UnknownName> {
        let found = Self::ALL.into_iter().find(|preset| preset.name() == name);
        found.ok_or_else(|| UnknownName::new("preset", name, &Self::NAMES))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_preset_has_one_name_for_people_and_files() {
        assert_eq!(Preset::ALL.map(Preset::name), Preset::NAMES);
        for preset in Preset::ALL {
            assert_eq!(preset.to_string().parse(), Ok(preset));
            assert_eq!(serde_json::to_string(&preset).unwrap(), format!("\"{preset}\""));
        }
        assert_eq!(
            "bold".parse::<Preset>().unwrap_err().to_string(),
            "there is no preset `bold`: `auto`, `greedy`, `precise`, `balanced`, `explore`"
        );
    }
}
