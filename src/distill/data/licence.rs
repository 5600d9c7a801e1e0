//! Under which licence a text stands, and whether it is wanted: SPDX expressions, lines in files, files beside them.
//!
//! What this room refuses to do: give advice. What names no licence is counted as such, and left out only where the recipe
//! lists the licences it wants.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

/// The largest licence file read, in bytes.
const LARGEST: u64 = 256 << 10;

/// Which licences are wanted.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wanted<'a> {
    /// Only these, if there are any.
    pub(super) only: &'a [String],
    pub(super) without: &'a [String],
}

impl Wanted<'_> {
    /// Whether a text under this licence is wanted: of `A OR B` one is enough, of `A AND B` both must be.
    pub(super) fn takes(self, licence: Option<&str>) -> bool {
        let Some(licence) = licence else { return self.only.is_empty() };
        let words = words(licence);
        let mut rest = words.as_slice();
        match self.either(&mut rest) {
            Some(taken) if rest.is_empty() => taken,
            // No expression: a name like another one.
            _ => self.name(licence.trim()),
        }
    }

    fn either(self, rest: &mut &[&str]) -> Option<bool> {
        let mut taken = self.both(rest)?;
        while rest.first().is_some_and(|word| word.eq_ignore_ascii_case("or")) {
            *rest = &rest[1..];
            taken |= self.both(rest)?;
        }
        Some(taken)
    }

    fn both(self, rest: &mut &[&str]) -> Option<bool> {
        let mut taken = self.one(rest)?;
        while rest.first().is_some_and(|word| word.eq_ignore_ascii_case("and")) {
            *rest = &rest[1..];
            taken &= self.one(rest)?;
        }
        Some(taken)
    }

    fn one(self, rest: &mut &[&str]) -> Option<bool> {
        let (&word, behind) = rest.split_first()?;
        *rest = behind;
        if word == "(" {
            let taken = self.either(rest)?;
            *rest = rest.strip_prefix(&[")"])?;
            return Some(taken);
        }
        if word == ")" || ["and", "or", "with"].iter().any(|other| word.eq_ignore_ascii_case(other)) {
            return None;
        }
        if rest.len() > 1 && rest[0].eq_ignore_ascii_case("with") {
            // An exception allows more; who leaves the licence out leaves it out with exceptions too.
            *rest = &rest[2..];
        }
        Some(self.name(word))
    }

    fn name(self, name: &str) -> bool {
        let listed = |list: &[String]| list.iter().any(|listed| is_same(listed, name));
        (self.only.is_empty() || listed(self.only)) && !listed(self.without)
    }
}

/// Whether a listed name covers another: `GPL-3.0` covers `GPL-3.0-only` and `GPL-3.0-or-later`, these only themselves.
fn is_same(listed: &str, name: &str) -> bool {
    let (listed, name) = (listed.to_ascii_lowercase(), name.to_ascii_lowercase());
    let name = name.strip_suffix('+').map_or(name.clone(), |whole| format!("{whole}-or-later"));
    let whole = name.strip_suffix("-only").or_else(|| name.strip_suffix("-or-later")).unwrap_or(&name);
    listed == name || listed == whole
}

fn words(expression: &str) -> Vec<&str> {
    let parts = expression.split_whitespace().flat_map(|word| word.split_inclusive(['(', ')']));
    parts
        .flat_map(|part| match part.strip_suffix(['(', ')']) {
            Some(before) => [before, &part[before.len()..]],
            None => [part, ""],
        })
        .filter(|word| !word.is_empty())
        .collect()
}

/// The licence that a text names in its first lines.
pub(super) fn named(text: &str) -> Option<String> {
    let line = text.lines().take(30).find_map(|line| line.split_once("SPDX-License-Identifier:"))?.1;
    let name = line.trim().trim_end_matches("*/").trim_end_matches("-->").trim();
    (!name.is_empty()).then(|| name.chars().take(120).collect())
}

/// Licences of a source's folders, each found once.
pub(super) struct Folders {
    root: PathBuf,
    known: HashMap<PathBuf, Option<String>>,
}

impl Folders {
    pub(super) fn new(root: &Path) -> Self {
        Self { root: root.to_owned(), known: HashMap::new() }
    }

    /// What the licence files of a file's folder say, or of the nearest one above it up to the source's own.
    pub(super) fn of(&mut self, file: &Path) -> Option<String> {
        self.folder(file.parent()?)
    }

    fn folder(&mut self, folder: &Path) -> Option<String> {
        if let Some(known) = self.known.get(folder) {
            return known.clone();
        }
        let inside = folder != self.root && folder.starts_with(&self.root);
        let above = folder.parent().filter(|_| inside);
        let found = here(folder).or_else(|| self.folder(above?));
        self.known.insert(folder.to_owned(), found.clone());
        found
    }
}

/// Whether a file's name is one of a licence's.
pub(super) fn is_file(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default().to_ascii_uppercase();
    ["LICENSE", "LICENCE", "COPYING", "UNLICENSE"]
        .iter()
        .any(|start| name.strip_prefix(start).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '-', '_'])))
}

/// What a folder's own licence files say. Several are a choice where each is named for a licence (`LICENSE-MIT` beside
/// `LICENSE-APACHE`); else all of them hold.
fn here(folder: &Path) -> Option<String> {
    let mut files: Vec<PathBuf> =
        std::fs::read_dir(folder).ok()?.filter_map(|entry| Some(entry.ok()?.path())).collect();
    files.retain(|path| {
        is_file(path) && std::fs::metadata(path).is_ok_and(|facts| facts.is_file() && facts.len() <= LARGEST)
    });
    files.sort_unstable();
    let choice = files.iter().all(|path| path.file_name().is_some_and(|name| name.to_string_lossy().contains('-')));
    let text =
        |path: &PathBuf| String::from_utf8_lossy(&crate::small::read(path, LARGEST).unwrap_or_default()).into_owned();
    let mut names: Vec<String> =
        files.iter().map(|path| recognised(&text(path)).unwrap_or_else(|| "unknown".to_owned())).collect();
    names.sort_unstable();
    names.dedup();
    let names: Vec<String> = if names.len() == 1 { names } else { names.into_iter().map(grouped).collect() };
    (!names.is_empty()).then(|| names.join(if choice { " OR " } else { " AND " }))
}

fn grouped(name: String) -> String {
    if name.contains(' ') { format!("({name})") } else { name }
}

/// Sentences by which common licences are known, the more particular first.
const KNOWN: [(&str, &[&str]); 14] = [
    ("AGPL-3.0", &["GNU AFFERO GENERAL PUBLIC LICENSE", "Version 3"]),
    ("LGPL-3.0", &["GNU LESSER GENERAL PUBLIC LICENSE", "Version 3"]),
    ("LGPL-2.1", &["GNU LESSER GENERAL PUBLIC LICENSE", "Version 2.1"]),
    ("GPL-3.0", &["GNU GENERAL PUBLIC LICENSE", "Version 3"]),
    ("GPL-2.0", &["GNU GENERAL PUBLIC LICENSE", "Version 2"]),
    ("Apache-2.0", &["Apache License", "Version 2.0"]),
    ("MPL-2.0", &["Mozilla Public License", "2.0"]),
    ("CC0-1.0", &["CC0 1.0 Universal"]),
    ("Unlicense", &["free and unencumbered software released into the public domain"]),
    ("BSL-1.0", &["Boost Software License - Version 1.0"]),
    ("BSD-3-Clause", &["Redistribution and use in source and binary forms", "endorse or promote products"]),
    ("BSD-2-Clause", &["Redistribution and use in source and binary forms"]),
    ("ISC", &["Permission to use, copy, modify, and/or distribute this software for any purpose"]),
    ("MIT", &["Permission is hereby granted, free of charge, to any person obtaining a copy"]),
];

/// The licence a text is of.
fn recognised(text: &str) -> Option<String> {
    if let Some(name) = named(text) {
        return Some(name);
    }
    // Licences mention others further down; what they are stands in front.
    let front: String = text.split_whitespace().take(250).collect::<Vec<_>>().join(" ").to_lowercase();
    let holds = |words: &&str| front.contains(&words.to_lowercase());
    KNOWN.iter().find(|(_, signs)| signs.iter().all(holds)).map(|(name, _)| (*name).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn takes(only: &[&str], without: &[&str], licence: Option<&str>) -> bool {
        let [only, without] = [only, without].map(|list| list.iter().map(|&name| name.to_owned()).collect::<Vec<_>>());
        Wanted { only: &only, without: &without }.takes(licence)
    }

    #[test]
    fn expressions_are_understood() {
        for (licence, taken) in [
            ("GPL-2.0-only", false),
            ("GPL-2.0-only OR MIT", true),
            ("GPL-2.0-only AND MIT", false),
            ("(GPL-2.0-only OR MIT) AND Apache-2.0", true),
            ("MIT OR (Apache-2.0 AND GPL-2.0-only)", true),
            ("gpl-2.0-ONLY WITH Classpath-exception-2.0", false),
            ("GPL-2.0-or-later", true),
            ("no expression (at all", true),
        ] {
            assert_eq!(takes(&[], &["GPL-2.0-only"], Some(licence)), taken, "{licence}");
        }
        assert!(!takes(&[], &["GPL-3.0"], Some("GPL-3.0+")) && !takes(&[], &["GPL-3.0"], Some("GPL-3.0-only")));
        assert!(takes(&[], &["GPL-3.0-only"], None));
    }

    #[test]
    fn only_what_is_listed_is_taken_where_there_is_a_list() {
        let only = ["MIT", "Apache-2.0"];
        assert!(takes(&only, &[], Some("mit")) && takes(&only, &[], Some("GPL-3.0-only OR MIT")));
        assert!(takes(&only, &[], Some("MIT AND Apache-2.0")) && !takes(&only, &["MIT"], Some("MIT AND Apache-2.0")));
        assert!(!takes(&only, &[], Some("MIT AND ISC")) && !takes(&only, &[], None));
    }

    #[test]
    fn files_beside_a_text_say_its_licence() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        let mit = "MIT License\n\nPermission is hereby granted, free of charge,\nto any person obtaining a copy";
        write("LICENSE", mit);
        write("one/COPYING", "GNU GENERAL PUBLIC LICENSE\n Version 3, 29 June 2007");
        write("two/LICENSE-MIT", mit);
        write("two/LICENSE-APACHE", "Apache License\n Version 2.0, January 2004");
        write("three/LICENSE.txt", "You may not.");
        let mut folders = Folders::new(folder.path());
        let mut of = |name: &str| folders.of(&folder.path().join(name)).unwrap();
        assert_eq!(of("a.py"), "MIT");
        assert_eq!(of("deep/er/a.py"), "MIT");
        assert_eq!(of("one/deep/a.py"), "GPL-3.0");
        assert_eq!(of("two/a.py"), "Apache-2.0 OR MIT");
        assert_eq!(of("three/a.py"), "unknown");
        let mut inside = Folders::new(&folder.path().join("deep"));
        assert_eq!(inside.of(&folder.path().join("deep/er/a.py")), None, "nothing above the source counts");
    }

    #[test]
    fn lines_name_licences() {
        assert_eq!(named("/* SPDX-License-Identifier: MIT OR ISC */").as_deref(), Some("MIT OR ISC"));
        assert_eq!(named("no licence"), None);
    }
}
