use std::collections::BTreeSet;

use proptest::prelude::*;

use super::check::{KEYS, Kind};
use super::*;

fn read_text(text: &str) -> Result<Config, ConfigError> {
    parse(text, Path::new("config.toml"))
}

/// The default file with every shown setting turned on.
fn everything_on() -> String {
    let uncomment = |line: &str| match line.strip_prefix('#') {
        Some(rest) if rest.starts_with(|c: char| c == '[' || c.is_ascii_lowercase()) => rest.to_owned(),
        _ => line.to_owned(),
    };
    DEFAULT_TEXT.lines().map(uncomment).collect::<Vec<_>>().join("\n")
}

#[test]
fn the_documented_defaults_are_the_defaults() {
    assert_eq!(read_text(DEFAULT_TEXT).unwrap(), Config::default());
    assert_eq!(read_text("").unwrap(), Config::default());
}

#[test]
fn every_key_is_documented_and_takes_what_the_file_shows() {
    let text = everything_on();
    let config = read_text(&text).unwrap();
    assert_eq!(config.context.kv_type, Some(KvType::Q8_0));
    assert_eq!(config.budget.limit, Some(ByteSize(2_684_354_560)));
    assert_eq!(config.lora.len(), 1);
    let value: toml::Value = toml::from_str(&text).unwrap();
    for (key, kind) in KEYS {
        let found = key.split('.').try_fold(&value, |at, part| match at {
            toml::Value::Array(items) => items[0].get(part),
            _ => at.get(part),
        });
        assert!(found.is_some(), "`{key}` ({kind:?}) is not in the documented file");
    }
}

/// The paths of all fields that are no tables, joined by dots; those of a list's first table under the list's name.
fn fields(value: &serde_json::Value, path: &str, found: &mut BTreeSet<String>) {
    let tables = value.as_array().and_then(|items| items.first()).filter(|first| first.is_object());
    let Some(table) = tables.unwrap_or(value).as_object() else {
        found.insert(path.to_owned());
        return;
    };
    for (key, value) in table {
        let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
        fields(value, &path, found);
    }
}

#[test]
fn every_field_of_the_configuration_is_a_known_key() {
    let config = read_text(&everything_on()).unwrap();
    let mut found = BTreeSet::new();
    fields(&serde_json::to_value(&config).unwrap(), "", &mut found);
    let keys = KEYS.iter().filter(|(_, kind)| !matches!(kind, Kind::Table | Kind::Tables));
    assert_eq!(found, keys.map(|(key, _)| (*key).to_owned()).collect::<BTreeSet<_>>());
    let text = toml::to_string(&config).unwrap();
    assert_eq!(read_text(&text).unwrap(), config);
}

#[test]
fn every_key_decides_its_own_field_and_no_other() {
    let json = |config: &Config| serde_json::to_value(config).unwrap();
    let default = json(&Config::default());
    let mut keys = 0;
    for (key, kind) in KEYS.iter().filter(|(key, _)| !key.starts_with("lora")) {
        let (table, name) = key.rsplit_once('.').map_or(("", *key), |(table, name)| (table, name));
        let place = format!("/{}", key.replace('.', "/"));
        let shown = default.pointer(&place).unwrap();
        // A value that is not the default.
        let value: serde_json::Value = match kind {
            Kind::Table | Kind::Tables => continue,
            Kind::Text => "other".into(),
            // sizes are written down in bytes
            Kind::Size => (1u64 << 30).to_string().into(),
            Kind::Word(words) => words.iter().copied().rfind(|word| *shown != **word).unwrap().into(),
            Kind::Count | Kind::Threads => 7.into(),
            Kind::Number => 0.5.into(),
            Kind::Switch => (*shown != true).into(),
            Kind::Texts => vec!["other"].into(),
        };
        let text = if table.is_empty() { format!("{name} = {value}") } else { format!("[{table}]\n{name} = {value}") };
        let mut wanted = default.clone();
        *wanted.pointer_mut(&place).unwrap() = value;
        assert_ne!(wanted, default, "{key}");
        let config = read_text(&text).unwrap();
        assert_eq!(json(&config), wanted, "{key}");
        assert_eq!(read_text(&toml::to_string(&config).unwrap()).unwrap(), config, "{key}");
        keys += 1;
    }
    assert!(keys > 20, "{keys}");
}

#[test]
fn an_unknown_key_names_its_line_and_its_neighbour() {
    for (text, line, key, near) in [
        ("modle = 'x'", 1, "modle", Some("model")),
        ("[context]\n# c\nsiez = 1", 3, "context.siez", Some("context.size")),
        ("[contxt]\nsize = 1", 1, "contxt", Some("context")),
        ("[chat]\nspeculation = true", 2, "chat.speculation", Some("chat.speculate")),
        ("max_tokens = 3", 1, "max_tokens", Some("chat.max_tokens")),
        ("[[lora]]\npath='a'\nscael=1", 3, "lora.scael", Some("lora.scale")),
        ("zzzzzzzzzz = 1", 1, "zzzzzzzzzz", None),
    ] {
        match read_text(text).unwrap_err() {
            ConfigError::UnknownKey { line: at, key: found, nearest, .. } => {
                assert_eq!((at, found.as_str(), nearest.as_deref()), (line, key, near), "{text}");
            }
            other => panic!("{text}: {other}"),
        }
    }
}

#[test]
fn a_wrong_value_names_its_line_and_what_is_taken() {
    for (text, line, part) in [
        ("model = 3", 1, "`model` must be a text in quotes, not 3"),
        ("[context]\n\nsize = '4096'", 3, "`context.size` must be a whole number from 1 up, not \"4096\""),
        ("[context]\nsize = 0", 2, "not 0"),
        ("[context]\nsize = -1", 2, "not -1"),
        ("[context]\nsize = 99999999999", 2, "not 99999999999"),
        ("[context]\nkv_type = 'q5_0'", 2, "\"f16\" or \"q8_0\" or \"q4_0\""),
        ("[threads]\ncount = 100000", 2, "a whole number from 1 to 512, not 100000"),
        ("[threads]\ncount = 4294967295", 2, "not 4294967295"),
        ("[threads]\ncount = 0", 2, "a whole number from 1 to 512, not 0"),
        ("context = 3", 1, "`context` must be a table"),
        ("[chat]\nstop = [1]", 2, "a list of texts"),
        ("[lora]\npath = 'x'", 1, "`lora` must be a list of tables"),
        ("[budget]\nlimit = 'much'", 2, "\"2.5GiB\""),
        ("[ui]\nmouse = 'no'", 2, "true or false"),
        ("[ui]\ntheme = 'pink'", 2, "\"auto\" or \"dark\" or \"light\" or \"plain\", not \"pink\""),
        ("[chat]\npreset = 'bold'", 2, "\"auto\" or \"greedy\" or \"precise\" or \"balanced\" or \"explore\""),
    ] {
        let error = read_text(text).unwrap_err();
        let shown = error.to_string();
        assert!(shown.contains(&format!("line {line}:")) && shown.contains(part), "{text}: {shown}");
        assert!(error.hint().is_some());
    }
    assert_eq!(read_text("[context]\nsize = 0x1000").unwrap().context.size, Some(4096));
}

#[test]
fn broken_toml_names_its_line() {
    assert!(read_text("a = 1\n[ui\n").unwrap_err().to_string().contains("line 2:"));
    assert!(read_text("[[lora]]\nscale = 1.0\n").unwrap_err().to_string().contains("path"));
}

#[test]
fn a_file_that_is_not_text_is_refused_with_its_line() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("config.toml");
    fs::write(&file, b"# fine\nmodel = \"\xff\"\n").unwrap();
    assert!(load(&file).unwrap_err().to_string().contains("line 2: it is not UTF-8"));
    fs::write(&file, vec![b'#'; (LARGEST + 1) as usize]).unwrap();
    assert!(matches!(load(&file), Err(ConfigError::Read { .. })));
    assert!(matches!(load(folder.path()), Err(ConfigError::Read { .. })));
}

#[test]
fn a_missing_file_is_the_defaults() {
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(load(&folder.path().join("none.toml")).unwrap(), Config::default());
}

#[test]
fn setting_a_key_keeps_the_comments_around_it() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("new/config.toml");
    set(&file, "context.size", 2048.into()).unwrap();
    fs::write(&file, "# mine\nmodel = \"a\" # first\n\n[context] # here\nsize = 1 # small\n").unwrap();
    set(&file, "context.size", 8192.into()).unwrap();
    set(&file, "ui.mouse", true.into()).unwrap();
    set(&file, "model", "b \"quoted\"".into()).unwrap();
    let text = fs::read_to_string(&file).unwrap();
    for kept in ["# mine", "# first", "# here", "# small"] {
        assert!(text.contains(kept), "{text}");
    }
    let config = load(&file).unwrap();
    assert_eq!(
        (config.context.size, config.ui.mouse, config.model.as_deref()),
        (Some(8192), true, Some("b \"quoted\""))
    );
}

#[test]
fn a_wrong_setting_leaves_the_file_alone() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("config.toml");
    fs::write(&file, "model = 'a'\n").unwrap();
    assert!(set(&file, "context.size", "big".into()).is_err());
    assert!(set(&file, "context", 3.into()).is_err());
    assert!(
        matches!(set(&file, "contxt.size", 3.into()), Err(ConfigError::UnknownKey { nearest: Some(near), .. }) if near == "context.size")
    );
    assert!(set(&file, "lora.path", "x".into()).is_err());
    assert_eq!(fs::read_to_string(&file).unwrap(), "model = 'a'\n");
    fs::write(&file, "nonsense = [\n").unwrap();
    assert!(set(&file, "model", "b".into()).is_err());
    assert_eq!(fs::read_to_string(&file).unwrap(), "nonsense = [\n");
}

proptest! {
    #[test]
    fn no_text_makes_the_parser_fall_over(text in "[a-z\\[\\]=.\"'#0-9\n ]{0,60}") {
        let _ = read_text(&text);
    }
}
