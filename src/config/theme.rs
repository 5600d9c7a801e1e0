//! Which look a person chose; what it looks like is for `ui::theme` to say.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::error::UnknownName;

/// `ui.theme`
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ThemeChoice {
    /// From the environment.
    Auto,
    /// Light text on a dark ground.
    Dark,
    /// Dark text on a light ground.
    Light,
    /// No colours at all.
    Plain,
}

impl ThemeChoice {
    /// All of them, in the order `/theme` lists them.
    pub const ALL: [Self; 4] = [Self::Auto, Self::Dark, Self::Light, Self::Plain];

    /// Their names.
    pub const NAMES: [&'static str; 4] = [Self::Auto.name(), Self::Dark.name(), Self::Light.name(), Self::Plain.name()];

    /// As a person types it, and as it stands in the file.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Dark => "dark",
            Self::Light => "light",
            Self::Plain => "plain",
        }
    }
}

impl fmt::Display for ThemeChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for ThemeChoice {
    type Err = UnknownName;

    fn from_str(name: &str) -> Result<Self, UnknownName> {
        let found = Self::ALL.into_iter().find(|choice| choice.name() == name);
        found.ok_or_else(|| UnknownName::new("theme", name, &Self::NAMES))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_theme_has_one_name_for_people_and_files() {
        assert_eq!(ThemeChoice::ALL.map(ThemeChoice::name), ThemeChoice::NAMES);
        for choice in ThemeChoice::ALL {
            assert_eq!(choice.to_string().parse(), Ok(choice));
            assert_eq!(serde_json::to_string(&choice).unwrap(), format!("\"{choice}\""));
        }
        assert_eq!(
            "pink".parse::<ThemeChoice>().unwrap_err().to_string(),
            "there is no theme `pink`: `auto`, `dark`, `light`, `plain`"
        );
    }
}
