//! From a TOML file, with keys changed on the command line, to a recipe.

use std::path::{Path, PathBuf};

use toml::{Table, Value};

use super::{AdapterRecipe, Recipe, RoundsRecipe, TeacherRecipe};
use crate::error::Advise;

/// The longest recipe read, in bytes.
const LONGEST: u64 = 1 << 20;

/// Why there is no recipe.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the words say it")]
pub enum RecipeError {
    #[error("cannot read the recipe `{}`: {source}", path.display())]
    Read { path: PathBuf, source: std::io::Error },
    #[error("the recipe `{}`: {what}", path.display())]
    Wrong { path: PathBuf, what: String },
    #[error("`--set {given}`: {what}")]
    Set { given: String, what: String },
    #[error("the recipe cannot be followed:\n  {}", .0.join("\n  "))]
    Problems(Vec<String>),
}

impl Advise for RecipeError {
    fn hint(&self) -> Option<String> {
        match self {
            Self::Set { .. } => Some("keys are written as in the file, `--set optimiser.rate=1e-4`".to_owned()),
            Self::Wrong { .. } => Some("`zord-distill check RECIPE` prints every key as it counts".to_owned()),
            _ => None,
        }
    }
}

/// Reads a recipe that can be followed. Paths in it count from its folder.
pub(crate) fn read(path: &Path, set: &[String]) -> Result<Recipe, RecipeError> {
    let (recipe, problems) = read_with_problems(path, set)?;
    if problems.is_empty() { Ok(recipe) } else { Err(RecipeError::Problems(problems)) }
}

/// The same, with what stands against following it.
pub(crate) fn read_with_problems(path: &Path, set: &[String]) -> Result<(Recipe, Vec<String>), RecipeError> {
    let io = |source| RecipeError::Read { path: path.to_owned(), source };
    let text = crate::small::text(path, LONGEST).map_err(io)?;
    let wrong = |what: String| RecipeError::Wrong { path: path.to_owned(), what };
    // Errors of the file itself come with its lines; those of a changed key cannot.
    let mut table: Table = toml::from_str(&text).map_err(|error| wrong(error.to_string().trim_end().to_owned()))?;
    if set.is_empty() {
        toml::from_str::<Recipe>(&text).map_err(|error| wrong(error.to_string().trim_end().to_owned()))?;
    }
    for given in set {
        change(&mut table, given).map_err(|what| RecipeError::Set { given: given.clone(), what })?;
    }
    let mut recipe: Recipe = table.try_into().map_err(|error: toml::de::Error| wrong(error.message().to_owned()))?;
    place(&mut recipe, path.parent().unwrap_or(Path::new("")));
    let problems = recipe.problems();
    Ok((recipe, problems))
}

/// The recipe as TOML, every key written out.
pub(crate) fn text(recipe: &Recipe) -> String {
    toml::to_string(recipe).unwrap_or_default()
}

/// The same with the defaults of sections that are not there, as comments.
pub(crate) fn whole_text(recipe: &Recipe) -> String {
    let mut all = text(recipe);
    let mut absent = |there: bool, name: &str, keys: String| {
        if !there {
            all.push_str(&format!("\n# not there; it would begin with:\n# {name}\n"));
            keys.lines().for_each(|line| all.push_str(&format!("# {line}\n")));
        }
    };
    let rounds = toml::to_string(&RoundsRecipe::default()).unwrap_or_default();
    let adapter = toml::to_string(&AdapterRecipe::default()).unwrap_or_default();
    let teacher = toml::to_string(&TeacherRecipe::default()).unwrap_or_default();
    absent(!recipe.teachers.is_empty(), "[[teacher]]", teacher);
    absent(recipe.on_policy.is_some(), "[on_policy]", rounds);
    absent(recipe.adapter.is_some(), "[adapter]", adapter);
    let hidden = "weight and pairs of layers have no defaults".to_owned();
    absent(recipe.objective.hidden.is_some(), "[objective.hidden]", hidden);
    all
}

/// Changes `a.b.0.c=value`; a value that is no TOML is a text.
fn change(table: &mut Table, given: &str) -> Result<(), String> {
    let (key, value) = given.split_once('=').ok_or("it has no `=`")?;
    let parsed = toml::from_str::<Table>(&format!("value = {value}")).ok().and_then(|mut one| one.remove("value"));
    let value = parsed.unwrap_or_else(|| Value::String(value.to_owned()));
    let mut parts = key.trim().split('.').peekable();
    let mut here = table;
    while let Some(part) = parts.next() {
        if parts.peek().is_none() {
            here.insert(part.to_owned(), value);
            return Ok(());
        }
        let next = here.entry(part).or_insert_with(|| Value::Table(Table::new()));
        here = match next {
            Value::Table(table) => table,
            Value::Array(all) => {
                let at = parts.next().and_then(|part| part.parse::<usize>().ok());
                let at = at.ok_or_else(|| format!("`{part}` is a list; name one by its number from 0"))?;
                let found = all.get_mut(at).and_then(Value::as_table_mut);
                found.ok_or_else(|| format!("`{part}` has no entry {at}"))?
            }
            _ => return Err(format!("`{part}` has no keys")),
        };
    }
    Err("it names no key".to_owned())
}

fn place(recipe: &mut Recipe, folder: &Path) {
    let at = |path: &mut PathBuf| {
        if !path.to_string_lossy().starts_with("hf:") {
            *path = folder.join(&*path);
        }
    };
    at(&mut recipe.student.path);
    recipe.data.sources.iter_mut().for_each(|source| at(&mut source.path));
    recipe.teachers.iter_mut().filter(|one| one.servers.is_empty()).for_each(|one| at(&mut one.model));
    if let Some(from) = recipe.adapter.as_mut().and_then(|adapter| adapter.from.as_mut()) {
        at(from);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEAST: &str = "[student]\npath = 's'\n[[data.source]]\npath = 'd.jsonl'\n";

    fn recipe(text: &str, set: &[&str]) -> Result<Recipe, RecipeError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("r.toml");
        std::fs::write(&path, text).unwrap();
        read(&path, &set.iter().map(|&one| one.to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn what_is_printed_is_read_back_the_same() {
        let one = recipe(&format!("{LEAST}[adapter]\nrank = 8\n"), &[]).unwrap();
        let again: Recipe = toml::from_str(&text(&one)).unwrap();
        assert_eq!(one, again);
        assert!(text(&one).contains("alpha = 32.0"));
        let whole = whole_text(&one);
        assert_eq!(toml::from_str::<Recipe>(&whole).unwrap(), one);
        for word in [
            "# [[teacher]]\n",
            "# top = 32\n",
            "# servers = []\n",
            "# [on_policy]\n# share = 0.5\n",
            "# [objective.hidden]",
        ] {
            assert!(whole.contains(word), "{word}: {whole}");
        }
        assert!(!whole.contains("# [adapter]") && whole_text(&recipe(LEAST, &[]).unwrap()).contains("# rank = 16\n"));
    }

    #[test]
    fn keys_are_changed_on_the_command_line() {
        let set = ["optimiser.rate=1e-3", "data.source.0.path=other.jsonl", "student.path=/x/y", "adapter.rank=4"];
        let recipe = recipe(LEAST, &set).unwrap();
        assert_eq!(recipe.optimiser.rate, 1e-3);
        assert!(recipe.data.sources[0].path.ends_with("other.jsonl"));
        assert_eq!(recipe.student.path, Path::new("/x/y"));
        assert_eq!(recipe.adapter.unwrap().rank, 4);
    }

    #[test]
    fn the_recipes_that_come_with_the_program_are_recipes() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("assets/recipes");
        let mut names = Vec::new();
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|end| end == "toml") {
                // Recipes of other programs have another form, and another test.
                if std::fs::read_to_string(&path).unwrap().contains("[student]") {
                    read(&path, &[]).unwrap_or_else(|error| panic!("{error}"));
                    names.push(path.file_stem().unwrap().to_string_lossy().into_owned());
                }
            }
        }
        names.sort();
        let wanted = ["fastformula", "lora-nightly", "mini-dpo", "mini-fim", "mini-fusion", "mini-heal", "mini-lora"];
        let all = wanted.into_iter().chain(["reasoning-distill", "zord-coder-v1-students"]);
        assert_eq!(names, all.collect::<Vec<_>>());
    }

    #[test]
    fn what_cannot_be_is_refused_by_name() {
        for (text, set, word) in [
            ("[student]\npath = 's'\nlayer = 3\n", None, "layer"),
            (LEAST, Some("optimiser.speed=1"), "speed"),
            (LEAST, Some("optimiser.rate=-1"), "optimiser.rate"),
            (LEAST, Some("data.source.4.path=x"), "no entry 4"),
            (LEAST, Some("seed"), "no `=`"),
            (LEAST, Some("objective.kind=kd"), "teacher"),
            (LEAST, Some("data.context=1"), "data.context"),
            (LEAST, Some("threads=100000"), "`threads` is 100000, expected at most 1024"),
            (LEAST, Some("threads=4294967295"), "`threads` is 4294967295"),
            (LEAST, Some("tokens.add=['<a>', '<b>', '<a>']"), "`<a>` twice"),
        ] {
            let error = recipe(text, set.as_slice()).unwrap_err().to_string();
            assert!(error.contains(word), "{error}");
        }
    }
}
