//! Licences as model cards name them, and which of them do not go together.
//!
//! This is no lawyer: it knows some names, says what it sees, and leaves the decision to a person.

use crate::merge::model::Model;
use crate::small;

/// A model's licence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Licence {
    /// As its card names it; `None` where nothing does.
    pub name: Option<String>,
    /// What kind it is.
    pub kind: Kind,
}

/// Kinds of licences, by what a merge has to do with them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Allows nearly everything.
    Permissive,
    /// Wants the result under itself.
    Copyleft,
    /// Forbids commercial use.
    NonCommercial,
    /// A licence of its maker's, with conditions of its own.
    Own,
    /// Nothing says.
    Unknown,
}

/// What comes of all of them.
#[derive(Clone, Debug, Default)]
pub struct Verdict {
    /// Of each model.
    pub of: Vec<Licence>,
    /// What needs a decision.
    pub problems: Vec<String>,
    /// What a person should know.
    pub notices: Vec<String>,
}

const PERMISSIVE: [&str; 14] = [
    "apache-2.0",
    "mit",
    "bsd",
    "bsd-2-clause",
    "bsd-3-clause",
    "isc",
    "unlicense",
    "cc0-1.0",
    "cc-by-4.0",
    "cc-by-2.0",
    "cc-by-3.0",
    "wtfpl",
    "zlib",
    "bsl-1.0",
];
const COPYLEFT: [&str; 8] =
    ["gpl", "gpl-2.0", "gpl-3.0", "agpl-3.0", "lgpl-3.0", "cc-by-sa-4.0", "cc-by-sa-3.0", "osl-3.0"];

impl Licence {
    /// By name.
    pub fn named(name: &str) -> Self {
        let lower = name.to_ascii_lowercase();
        let non_commercial = ["-nc", "noncommercial", "non-commercial", "research", "mnpl"];
        let kind = if PERMISSIVE.contains(&lower.as_str()) {
            Kind::Permissive
        } else if COPYLEFT.contains(&lower.as_str()) {
            Kind::Copyleft
        } else if non_commercial.iter().any(|part| lower.contains(part)) {
            Kind::NonCommercial
        } else {
            Kind::Own
        };
        Self { name: Some(name.to_owned()), kind }
    }

    /// A model's: from its card, else from its licence's text.
    pub fn of(model: &Model) -> Self {
        let read = |name: &str| {
            let text = small::read(model.folder.join(name), small::TEXT).ok()?;
            Some(String::from_utf8_lossy(text.get(..64 << 10).unwrap_or(&text)).into_owned())
        };
        if let Some(name) = read("README.md").as_deref().and_then(in_card) {
            return Self::named(&name);
        }
        let text = ["LICENSE", "LICENSE.txt", "LICENSE.md"].iter().find_map(|name| read(name)).unwrap_or_default();
        const TEXTS: [(&str, &str); 6] = [
            ("Apache License", "apache-2.0"),
            ("MIT License", "mit"),
            ("NonCommercial", "cc-by-nc"),
            ("RESEARCH LICENSE", "research licence"),
            ("GNU AFFERO", "agpl-3.0"),
            ("GNU GENERAL", "gpl-3.0"),
        ];
        match TEXTS.iter().find(|(part, _)| text.contains(part)) {
            Some((_, name)) => Self::named(name),
            None if !text.is_empty() => {
                Self::named(text.lines().find(|line| !line.trim().is_empty()).unwrap_or("own").trim())
            }
            None => Self { name: None, kind: Kind::Unknown },
        }
    }
}

/// `license_name` or `license` in the card's head.
fn in_card(text: &str) -> Option<String> {
    let head = text.strip_prefix("---")?.split("\n---").next()?;
    let field = |key: &str| {
        let line = head.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'))?;
        Some(line.trim().trim_matches(['"', '\'']).chars().take(80).collect::<String>()).filter(|name| !name.is_empty())
    };
    field("license_name").or_else(|| field("license")).filter(|name| !matches!(name.as_str(), "other" | "unknown"))
}

/// What the licences of these models mean for a merge of them.
pub fn judge(models: &[Model]) -> Verdict {
    let of: Vec<Licence> = models.iter().map(Licence::of).collect();
    let names: Vec<String> = models.iter().map(|model| model.reference.to_string()).collect();
    verdict(of, &names)
}

fn verdict(of: Vec<Licence>, models: &[String]) -> Verdict {
    let mut verdict = Verdict::default();
    let with = |kind: Kind| {
        let pairs = of.iter().zip(models).filter(move |(licence, _)| licence.kind == kind);
        pairs.map(|(licence, model)| (licence.name.clone().unwrap_or_default(), model.clone()))
    };
    for (licence, model) in with(Kind::NonCommercial) {
        verdict.problems.push(format!("`{model}` is under `{licence}`, which forbids commercial use"));
    }
    let mut strict: Vec<(String, String)> = with(Kind::Copyleft).chain(with(Kind::Own)).collect();
    strict.sort();
    strict.dedup_by(|a, b| a.0 == b.0);
    if strict.len() > 1 {
        let each: Vec<String> = strict.iter().map(|(licence, model)| format!("`{licence}` (`{model}`)")).collect();
        verdict.problems.push(format!("{} each want the result on their own terms", each.join(" and ")));
    } else if let Some((licence, model)) = strict.first() {
        verdict.notices.push(format!("the result is bound by `{licence}` of `{model}`"));
    }
    for (licence, model) in of.iter().zip(models) {
        if licence.kind == Kind::Unknown {
            verdict.notices.push(format!("nothing says under which licence `{model}` is"));
        }
    }
    verdict.of = of;
    verdict
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(names: &[&str]) -> Verdict {
        let models: Vec<String> = (0..names.len()).map(|at| format!("m{at}")).collect();
        verdict(names.iter().map(|name| Licence::named(name)).collect(), &models)
    }

    #[test]
    fn what_forbids_or_conflicts_is_named() {
        assert!(judged(&["apache-2.0", "mit"]).problems.is_empty());
        assert!(judged(&["cc-by-nc-4.0", "mit"]).problems[0].contains("`m0` is under `cc-by-nc-4.0`"));
        assert!(judged(&["qwen-research", "mit"]).problems[0].contains("forbids"));
        assert!(judged(&["gpl-3.0", "llama3"]).problems[0].contains("`gpl-3.0` (`m0`) and `llama3` (`m1`)"));
        let one = judged(&["deepseek", "deepseek", "mit"]);
        assert!(one.problems.is_empty() && one.notices[0].contains("bound by `deepseek`"));
    }

    #[test]
    fn cards_say_their_licence_in_the_head() {
        assert_eq!(in_card("---\nlicense: \"apache-2.0\"\n---\nlicense: mit"), Some("apache-2.0".into()));
        assert_eq!(in_card("---\nlicense: other\nlicense_name: deepseek\n---\n"), Some("deepseek".into()));
        assert_eq!(in_card("---\nlicense: other\n---\n"), None);
        assert_eq!(in_card("license: mit"), None);
    }
}
