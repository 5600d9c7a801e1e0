//! The model card: what the front matter of `README.md` says of a model, as `general.*` values.
//!
//! Front matter is YAML, of which cards use little: a name with a text, or with a list of texts. Whatever else it may hold
//! is passed over; a card is never a reason to refuse a checkpoint.

use std::path::Path;

use super::general::{Name, title};
use crate::weights::gguf::Metadata;

/// The longest card read, in bytes.
const LONGEST: u64 = 4 << 20;

/// What a card says, in its order.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Card {
    values: Vec<(String, Vec<String>)>,
}

/// Names in a card and in the file, of values that are one text.
const TEXTS: [(&str, &[&str]); 7] = [
    ("author", &["author", "model_author", "model_creator"]),
    ("description", &["description", "model_description"]),
    ("source.url", &["url", "model_url"]),
    ("source.doi", &["doi", "model_doi"]),
    ("source.uuid", &["uuid", "model_uuid"]),
    ("source.repo_url", &["repo_url", "model_repo_url"]),
    ("license.name", &["license_name"]),
];

impl Card {
    /// The card of a checkpoint; an empty one where there is none.
    pub(super) fn read(folder: &Path) -> Self {
        let path = folder.join("README.md");
        Self::parse(&crate::small::text(path, LONGEST).unwrap_or_default())
    }

    fn parse(text: &str) -> Self {
        let mut lines = text.lines().map(|line| line.trim_end().replace('\t', "  "));
        let mut card = Self::default();
        if lines.next().as_deref() != Some("---") {
            return card;
        }
        for line in lines.take_while(|line| line != "---") {
            let bare = line.trim_start();
            if let Some(item) = bare.strip_prefix("- ") {
                if let Some((_, list)) = card.values.last_mut() {
                    list.extend(scalar(item));
                }
            } else if bare.len() == line.len()
                && let Some((key, value)) = line.split_once(':')
                && !key.starts_with(['#', '"', '\''])
            {
                let value = value.trim();
                let list = value.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
                let said = match list {
                    Some(list) => list.split(',').filter_map(scalar).collect(),
                    None => scalar(value).into_iter().collect(),
                };
                card.values.push((key.trim().to_owned(), said));
            }
        }
        card
    }

    fn list(&self, key: &str) -> &[String] {
        self.values.iter().find(|(name, _)| name == key).map_or(&[], |(_, list)| list)
    }

    fn text(&self, keys: &[&str]) -> Option<String> {
        keys.iter().find_map(|key| self.list(key).first().cloned())
    }

    /// What it calls the model.
    pub(super) fn name(&self) -> Name {
        Name {
            title: self.text(&["name", "model_name"]),
            organization: self.text(&["organization", "model_organization"]),
            basename: self.text(&["basename", "model_basename", "model_type"]),
            finetune: self.text(&["finetune", "model_finetune"]),
            version: self.text(&["version", "model_version"]),
            size: self.text(&["size_label", "model_size_label"]),
        }
    }

    /// Everything but the name.
    pub(super) fn describe(&self, parameters: u64, out: &mut Metadata) {
        for (key, names) in TEXTS {
            if let Some(text) = self.text(names) {
                out.str(&format!("general.{key}"), &text);
            }
        }
        if !self.list("license").is_empty() {
            out.str("general.license", &self.list("license").join(","));
        }
        if let Some(link) = self.text(&["license_link"]) {
            out.str("general.license.link", &link);
        }
        let first = |keys: [&str; 3]| keys.into_iter().map(|key| self.list(key)).find(|list| !list.is_empty());
        if let Some(models) = first(["base_model", "base_models", "base_model_sources"]) {
            origins("base_model", models, parameters, out);
        }
        if let Some(sets) = first(["datasets", "dataset", "dataset_sources"]) {
            origins("dataset", sets, parameters, out);
        }
        for (key, names) in [("tags", ["tags", "pipeline_tag"]), ("languages", ["languages", "language"])] {
            let all = names.map(|name| self.list(name)).concat();
            if !all.is_empty() {
                out.strs(&format!("general.{key}"), all.iter());
            }
        }
    }
}

/// Where a model comes from: names like `owner/model`, or addresses.
pub(super) fn origins(kind: &str, ids: &[String], parameters: u64, out: &mut Metadata) {
    out.u32(&format!("general.{kind}.count"), u32::try_from(ids.len()).unwrap_or(u32::MAX));
    for (at, id) in ids.iter().enumerate() {
        let mut put = |key: &str, text: &str| out.str(&format!("general.{kind}.{at}.{key}"), text);
        let address = ["https://", "http://", "ssh://"].iter().any(|start| id.starts_with(start));
        let path = ["https://huggingface.co/", "http://huggingface.co/"].iter().find_map(|hub| id.strip_prefix(hub));
        let known = if address { path.filter(|path| path.matches('/').count() == 1) } else { Some(id.as_str()) };
        if let Some(known) = known {
            let name = Name::of(known, parameters);
            let full = known.split_once('/').filter(|_| !known.contains(' ')).map_or(known, |(_, full)| full);
            put("name", &title(full));
            for (key, value) in [("organization", name.organization), ("version", name.version)] {
                if let Some(value) = value {
                    put(key, &value);
                }
            }
            if !address && known.contains('/') && !known.contains(' ') && !known.starts_with('.') {
                put("repo_url", &format!("https://huggingface.co/{known}"));
            }
        }
        if address {
            put("repo_url", id);
        }
    }
}

/// A text without its quotes and the remark behind it; nothing for what is no text.
fn scalar(text: &str) -> Option<String> {
    let text = text.trim();
    for quote in ['"', '\''] {
        if let Some(rest) = text.strip_prefix(quote) {
            return rest.split_once(quote).map(|(inside, _)| inside.to_owned());
        }
    }
    let text = text.split(" #").next().unwrap_or_default().trim();
    let block = text.starts_with(['|', '>', '{', '[', '&', '*', '!']);
    let pair = text.contains(": ") || text.ends_with(':');
    (!block && !pair && !["", "~", "null"].contains(&text)).then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const CARD: &str = "---\nlicense: apache-2.0\nlanguage:\n- en\n- no\ntags: [code, \"chat\"]\npipeline_tag: text-generation\n\
        base_model:\n  - Qwen/Qwen2.5-0.5B # the small one\nmodel-index:\n- name: x\n  results:\n  - a\nversion: \nextra: |\n  more\n---\n# Title\nname: no\n";

    #[test]
    fn front_matter_is_texts_and_lists() {
        let card = Card::parse(CARD);
        assert_eq!(card.text(&["license"]).as_deref(), Some("apache-2.0"));
        assert_eq!(card.list("language"), ["en", "no"]);
        assert_eq!(card.list("tags"), ["code", "chat"]);
        assert_eq!(card.list("base_model"), ["Qwen/Qwen2.5-0.5B"]);
        assert_eq!((card.text(&["version"]), card.text(&["name"]), card.text(&["extra"])), (None, None, None));
    }

    #[test]
    fn what_is_no_card_says_nothing() {
        for text in
            ["", "# Title\n---\nlicense: mit\n---\n", "---", "---\n: :\n- \n-\n\"\n[\n", "\u{feff}---\na: b\n---"]
        {
            let card = Card::parse(text);
            assert!(card.text(&["license", "a"]).is_none(), "{text}");
        }
    }

    #[test]
    fn origins_have_names_and_addresses() {
        let mut out = Metadata::new();
        let ids = ["Qwen/Qwen2.5-0.5B-v2", "https://huggingface.co/a/b-c", "https://example.org/x"].map(str::to_owned);
        origins("base_model", &ids, 0, &mut out);
        let text = |key: &str| {
            let key = format!("general.base_model.{key}");
            let found = out.entries().find(|entry| entry.0 == key)?;
            Some(String::from_utf8(found.2[8..].to_vec()).unwrap())
        };
        assert_eq!(text("0.name").as_deref(), Some("Qwen2.5 0.5B v2"));
        assert_eq!(text("0.version").as_deref(), Some("v2"));
        assert_eq!(text("0.repo_url").as_deref(), Some("https://huggingface.co/Qwen/Qwen2.5-0.5B-v2"));
        assert_eq!((text("1.name").as_deref(), text("1.organization").as_deref()), (Some("B C"), Some("A")));
        assert_eq!((text("2.name"), text("2.repo_url").as_deref()), (None, Some("https://example.org/x")));
    }
}
