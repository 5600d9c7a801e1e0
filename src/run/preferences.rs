//! What was chosen in the interface, for the next start: keys of the configuration, where a person finds them and can
//! change them. Everything else in that file stays as it is.

use std::path::Path;

use crate::app::msg::Preference;
use crate::config;
use crate::engine::Overflow;
use crate::error::UserError;

/// Writes a choice into the configuration; gives the words to tell where that does not work.
pub(super) fn keep(file: &Path, preference: &Preference) -> Result<(), String> {
    let (key, value) = match preference {
        Preference::Model(name) => ("model", toml::Value::from(anywhere(name))),
        Preference::Preset(preset) => ("chat.preset", preset.name().into()),
        Preference::Theme(theme) => ("ui.theme", theme.name().into()),
        Preference::Mouse(ours) => ("ui.mouse", (*ours).into()),
        Preference::Overflow(Overflow::Drop) => ("context.overflow", "drop".into()),
        Preference::Overflow(Overflow::Summarise) => ("context.overflow", "summarise".into()),
    };
    config::set(file, key, value).map_err(|error| format!("the choice is not kept: {}", UserError::from(error).message))
}

/// A path as it is right from any folder; names stay names.
fn anywhere(name: &str) -> String {
    let path = Path::new(name);
    let whole = path.is_file().then(|| std::path::absolute(path).ok()).flatten();
    whole.and_then(|path| path.to_str().map(str::to_owned)).unwrap_or_else(|| name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::ThemeChoice;
    use crate::sampling::Preset;

    #[test]
    fn choices_are_there_at_the_next_start_and_comments_stay() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("new/config.toml");
        std::fs::create_dir(folder.path().join("new")).unwrap();
        std::fs::write(&file, "# mine\n[ui]\ntheme = \"auto\" # by day\n").unwrap();
        for preference in [
            Preference::Model("qwen".into()),
            Preference::Preset(Preset::Precise),
            Preference::Theme(ThemeChoice::Light),
            Preference::Mouse(true),
            Preference::Overflow(Overflow::Summarise),
        ] {
            keep(&file, &preference).unwrap();
        }
        let config = config::load(&file).unwrap();
        assert_eq!(
            (config.model.as_deref(), config.chat.preset, config.ui.theme),
            (Some("qwen"), Preset::Precise, ThemeChoice::Light)
        );
        assert!(config.ui.mouse && config.context.overflow == Overflow::Summarise);
        let text = std::fs::read_to_string(&file).unwrap();
        assert!(text.contains("# mine") && text.contains("# by day"), "{text}");
    }

    #[test]
    fn a_broken_configuration_is_told_and_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("config.toml");
        std::fs::write(&file, "[ui\n").unwrap();
        assert!(keep(&file, &Preference::Preset(Preset::Precise)).unwrap_err().contains("not kept"));
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "[ui\n");
    }

    #[test]
    fn a_relative_path_is_kept_whole() {
        // tests run in the package's folder
        assert!(Path::new(&anywhere("Cargo.toml")).is_absolute());
        assert_eq!(anywhere("no-such-model"), "no-such-model");
    }
}
