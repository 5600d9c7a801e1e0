//! From a tree to a recipe: every key is known, every value is of the kind that its key wants.

use std::path::Path;

use super::node::{Fault, Kind, Node};
use super::setting::{Filtered, Scalar, Setting, Settings};
use super::{Layers, Model, Part, Recipe, Reference, Row, RowSource, Slice, Tokens, Vocabulary};
use crate::merge::method::{self, Method};
use crate::weights::numbers::FLOATS;
use crate::weights::safetensors::{Dtype, printable};

type Read<T> = Result<T, Fault>;

/// Keys of a recipe that tell people something.
const ABOUT: [&str; 8] = ["name", "description", "author", "license", "tags", "notes", "metadata", "version"];
/// Keys that stand under `parameters` in recipes that mergekit takes, where they mean nothing to it; with what they could
/// have meant.
const ELSEWHERE: [(&str, &str); 6] = [
    ("embed_slerp", "mergekit's older versions merged embeddings by it; they are merged like other tensors"),
    ("dtype", "it counts beside `parameters`, not in them"),
    ("out_dtype", "it counts beside `parameters`, not in them"),
    ("tokenizer_source", "it counts beside `parameters`, not in them"),
    ("merge_method", "it counts beside `parameters`, not in them"),
    ("random_seed", "`seed` beside `parameters` is what counts"),
];

fn fault<T>(node: &Node, what: impl Into<String>) -> Read<T> {
    Err(Fault { line: node.line, what: what.into() })
}

/// A map whose keys are taken one by one; what is left over is an error.
struct Fields<'a> {
    place: &'a str,
    line: usize,
    left: Vec<(&'a str, &'a Node)>,
    asked: Vec<&'static str>,
}

impl<'a> Fields<'a> {
    fn of(node: &'a Node, place: &'a str) -> Read<Self> {
        match &node.kind {
            Kind::Map(fields) => {
                let left = fields.iter().map(|(key, value)| (key.as_str(), value)).collect();
                Ok(Self { place, line: node.line, left, asked: Vec::new() })
            }
            _ => fault(node, format!("{place} must be a map, and is {}", node.kind_name())),
        }
    }

    /// What stands under a key; nothing for a key that is empty.
    fn take(&mut self, key: &'static str) -> Option<&'a Node> {
        self.asked.push(key);
        let at = self.left.iter().position(|(name, _)| *name == key)?;
        let (_, node) = self.left.swap_remove(at);
        (!matches!(node.kind, Kind::Null)).then_some(node)
    }

    fn need(&mut self, key: &'static str) -> Read<&'a Node> {
        let (line, place) = (self.line, self.place);
        self.take(key).ok_or_else(|| Fault { line, what: format!("{place} has no `{key}`") })
    }

    /// Keys that are about the recipe, and those that only hold what other places take in by its anchor.
    fn take_asides(&mut self) -> Vec<String> {
        let is_aside = |key: &str, node: &Node| ABOUT.contains(&key) || key.starts_with("x-") || node.anchored;
        let (asides, left) = std::mem::take(&mut self.left).into_iter().partition(|(key, node)| is_aside(key, node));
        self.left = left;
        let asides: Vec<(&str, &Node)> = asides;
        asides.into_iter().map(|(key, _)| format!("`{}` says nothing about the merge", printable(key))).collect()
    }

    fn end(mut self) -> Read<()> {
        self.left.sort_by_key(|(_, node)| node.line);
        match self.left.first() {
            None => Ok(()),
            Some((key, node)) => {
                let known: Vec<String> = self.asked.iter().map(|key| format!("`{key}`")).collect();
                let (key, known) = (printable(key), known.join(", "));
                fault(node, format!("{} has the unknown key `{key}`; known are {known}", self.place))
            }
        }
    }
}

pub(super) fn recipe(path: &Path, text: &str, tree: &Node) -> Read<Recipe> {
    let mut fields = Fields::of(tree, "the recipe")?;
    let named = fields.need("merge_method")?;
    let name = string(named, "`merge_method`")?;
    let method = Method::named(&name).ok_or_else(|| {
        let all: Vec<&str> = Method::ALL.iter().map(|method| method.name()).collect();
        Fault {
            line: named.line,
            what: format!("there is no method `{}`; there are {}", printable(&name), all.join(", ")),
        }
    })?;
    let mut ignored = Vec::new();
    let mut settings = |node: Option<&Node>| parameters(node, method, &mut ignored);
    let shared = settings(fields.take("parameters"))?;
    let (models, slices, modules) = (fields.take("models"), fields.take("slices"), fields.take("modules"));
    let (layers, module) = match (models, slices, modules) {
        (Some(node), None, None) => (whole(node, &mut settings)?, Settings::new()),
        (None, Some(node), None) => (sliced(node, &mut settings)?, Settings::new()),
        (None, None, Some(node)) => one_module(node, &mut settings)?,
        _ => return fault(tree, "a recipe has either `models`, or `slices`, or `modules`"),
    };
    let base = fields.take("base_model").map(reference).transpose()?;
    let dtype = fields.take("dtype").map(dtype).transpose()?;
    let out_dtype = fields.take("out_dtype").map(self::dtype).transpose()?;
    let tokenizer = match (fields.take("tokenizer"), fields.take("tokenizer_source")) {
        (Some(_), Some(node)) => return fault(node, "`tokenizer_source` and `tokenizer` exclude each other"),
        (Some(node), None) => Some(tokens(node)?),
        (None, Some(node)) => Some(Tokens { source: vocabulary(node)?, tokens: Vec::new(), multiple: None }),
        (None, None) => None,
    };
    let chat_template = fields.take("chat_template").map(|node| string(node, "`chat_template`")).transpose()?;
    let seed = fields.take("seed").map(|node| whole_number(node, "`seed`")).transpose()?;
    ignored.extend(fields.take_asides());
    fields.end()?;
    ignored.sort();
    ignored.dedup();
    Ok(Recipe {
        path: path.to_owned(),
        text: text.to_owned(),
        method,
        slices: layers,
        base,
        dtype,
        out_dtype,
        tokenizer,
        chat_template,
        parameters: shared,
        module,
        seed,
        ignored,
    })
}

type Reader<'a> = dyn FnMut(Option<&Node>) -> Read<Settings> + 'a;

fn list<'a>(node: &'a Node, place: &str) -> Read<&'a [Node]> {
    match &node.kind {
        Kind::List(items) if !items.is_empty() => Ok(items),
        Kind::List(_) => fault(node, format!("{place} is empty")),
        _ => fault(node, format!("{place} must be a list, and is {}", node.kind_name())),
    }
}

fn whole(node: &Node, settings: &mut Reader<'_>) -> Read<Layers> {
    let models = list(node, "`models`")?.iter().map(|item| {
        let mut fields = Fields::of(item, "a model")?;
        let model = reference(fields.need("model")?)?;
        let parameters = settings(fields.take("parameters"))?;
        fields.end()?;
        Ok(Model { model, parameters })
    });
    Ok(Layers::Whole(models.collect::<Read<_>>()?))
}

fn sliced(node: &Node, settings: &mut Reader<'_>) -> Read<Layers> {
    let slices = list(node, "`slices`")?.iter().map(|item| {
        let mut fields = Fields::of(item, "a slice")?;
        let sources = fields.need("sources")?;
        let sources = list(sources, "`sources`")?.iter().map(|item| part(item, settings)).collect::<Read<_>>()?;
        let base = fields.take("base_model").map(reference).transpose()?;
        // mergekit reads it and does nothing with it.
        if let Some(node) = fields.take("residual_weight") {
            number(node, "`residual_weight`")?;
        }
        let parameters = settings(fields.take("parameters"))?;
        fields.end()?;
        Ok(Slice { sources, base, parameters })
    });
    Ok(Layers::Sliced(slices.collect::<Read<_>>()?))
}

fn part(item: &Node, settings: &mut Reader<'_>) -> Read<Part> {
    let mut fields = Fields::of(item, "a source")?;
    let model = reference(fields.need("model")?)?;
    let range = fields.need("layer_range")?;
    let ends = list(range, "`layer_range`")?;
    let ends = ends.iter().map(|end| whole_number(end, "a layer")).collect::<Read<Vec<u64>>>()?;
    let layers = match ends[..] {
        [from, to] if from < to && to <= 100_000 => (from as u32, to as u32),
        _ => return fault(range, "`layer_range` is two numbers, the first layer and the one after the last"),
    };
    let parameters = settings(fields.take("parameters"))?;
    fields.end()?;
    Ok(Part { model, layers, parameters })
}

fn one_module(node: &Node, settings: &mut Reader<'_>) -> Read<(Layers, Settings)> {
    let Kind::Map(modules) = &node.kind else {
        return fault(node, format!("`modules` must be a map, and is {}", node.kind_name()));
    };
    let [(_, module)] = &modules[..] else {
        let names: Vec<String> = modules.iter().map(|(name, _)| format!("`{}`", printable(name))).collect();
        return fault(node, format!("only models of one module can be merged, and there are {}", names.join(", ")));
    };
    let mut fields = Fields::of(module, "a module")?;
    let layers = match (fields.take("models"), fields.take("slices")) {
        (Some(node), None) => whole(node, settings)?,
        (None, Some(node)) => sliced(node, settings)?,
        _ => return fault(module, "a module has either `models` or `slices`"),
    };
    let parameters = settings(fields.take("parameters"))?;
    fields.end()?;
    Ok((layers, parameters))
}

fn reference(node: &Node) -> Read<Reference> {
    let lora = |node: &Node| -> Read<String> { Ok(path(node)?.0) };
    match &node.kind {
        Kind::Map(_) => {
            let mut fields = Fields::of(node, "a model's name")?;
            let (path, revision) = path(fields.need("model")?)?;
            let lora = fields.take("lora").map(lora).transpose()?;
            // Tells mergekit how to name tensors; here they are read from the files.
            fields.take("override_architecture");
            fields.end()?;
            Ok(Reference { path, revision, lora })
        }
        _ => {
            let text = string(node, "a model's name")?;
            Reference::parse(&text).map_or_else(|| fault(node, format!("`{}` names no model", printable(&text))), Ok)
        }
    }
}

impl Reference {
    /// `PATH`, `PATH@REVISION`, either with `+ADAPTER` behind it; a path that exists is taken as it is.
    pub fn parse(text: &str) -> Option<Self> {
        let plain = |path: &str| Self { path: path.to_owned(), revision: None, lora: None };
        if Path::new(text).exists() {
            return Some(plain(text));
        }
        let (model, lora) = text.split_once('+').map_or((text, None), |(model, lora)| (model, Some(lora)));
        let (path, revision) =
            model.split_once('@').map_or((model, None), |(path, revision)| (path, Some(revision.to_owned())));
        let whole = !path.is_empty() && lora != Some("") && revision.as_deref() != Some("");
        whole.then(|| Self { revision, lora: lora.map(str::to_owned), ..plain(path) })
    }
}

fn path(node: &Node) -> Read<(String, Option<String>)> {
    if let Kind::Map(_) = node.kind {
        let mut fields = Fields::of(node, "a path")?;
        let path = string(fields.need("path")?, "`path`")?;
        let revision = fields.take("revision").map(|node| string(node, "`revision`")).transpose()?;
        fields.end()?;
        return Ok((path, revision));
    }
    let text = string(node, "a path")?;
    Ok(text.split_once('@').map_or((text.clone(), None), |(path, tag)| (path.to_owned(), Some(tag.to_owned()))))
}

fn parameters(node: Option<&Node>, method: Method, ignored: &mut Vec<String>) -> Read<Settings> {
    let mut settings = Settings::new();
    let Some(node) = node else { return Ok(settings) };
    let Kind::Map(fields) = &node.kind else {
        return fault(node, format!("`parameters` must be a map, and is {}", node.kind_name()));
    };
    let known = method.parameters();
    for (name, value) in fields {
        let Some(parameter) = known.iter().find(|known| known.name == name) else {
            if let Some((_, why)) = ELSEWHERE.iter().find(|(known, _)| known == name) {
                ignored.push(format!("`{name}` under `parameters` means nothing: {why}"));
                continue;
            }
            if Method::any_has(name) {
                ignored.push(format!("`{name}` means nothing to the method `{}`", method.name()));
                continue;
            }
            let names: Vec<String> = known.iter().map(|known| format!("`{}`", known.name)).collect();
            let (name, names, method) = (printable(name), names.join(", "), method.name());
            return fault(value, format!("`{name}` is no parameter of `{method}`, which has {names}"));
        };
        if let Some(setting) = setting(value, name)? {
            for scalar in setting.all() {
                method::check(parameter, scalar).or_else(|what| fault(value, what))?;
            }
            settings.insert(name.clone(), setting);
        }
    }
    Ok(settings)
}

fn setting(node: &Node, name: &str) -> Read<Option<Setting>> {
    let one = |node: &Node| -> Read<Filtered> {
        let mut fields = Fields::of(node, "a filtered value")?;
        let filter = fields.take("filter").map(|node| string(node, "`filter`")).transpose()?;
        let values = values(fields.need("value")?, name)?;
        fields.end()?;
        Ok(Filtered { filter, values })
    };
    Ok(Some(match &node.kind {
        Kind::Null => return Ok(None),
        Kind::Map(_) => Setting::Filtered(vec![one(node)?]),
        Kind::List(items) if items.iter().any(|item| matches!(item.kind, Kind::Map(_))) => {
            Setting::Filtered(items.iter().map(one).collect::<Read<_>>()?)
        }
        _ => Setting::Values(values(node, name)?),
    }))
}

fn values(node: &Node, name: &str) -> Read<Vec<Scalar>> {
    let one = |node: &Node| match &node.kind {
        Kind::Bool(value) => Ok(Scalar::Bool(*value)),
        Kind::Number(value) => Ok(Scalar::Number(*value)),
        Kind::Text(text) => Ok(Scalar::Text(text.clone())),
        _ => fault(node, format!("`{name}` must be a number, a word or a truth value, and is {}", node.kind_name())),
    };
    match &node.kind {
        Kind::List(items) => items.iter().map(one).collect(),
        _ => Ok(vec![one(node)?]),
    }
}

fn tokens(node: &Node) -> Read<Tokens> {
    let mut fields = Fields::of(node, "`tokenizer`")?;
    let source = fields.take("source").map_or(Ok(Vocabulary::Union), vocabulary)?;
    let multiple =
        fields.take("pad_to_multiple_of").map(|node| whole_number(node, "`pad_to_multiple_of`")).transpose()?;
    let mut tokens = Vec::new();
    if let Some(node) = fields.take("tokens") {
        let Kind::Map(named) = &node.kind else {
            return fault(node, format!("`tokens` must be a map, and is {}", node.kind_name()));
        };
        for (token, node) in named {
            tokens.push((token.clone(), row(node)?));
        }
    }
    fields.end()?;
    let multiple = multiple.filter(|&multiple| multiple > 0);
    Ok(Tokens { source, tokens, multiple })
}

fn vocabulary(node: &Node) -> Read<Vocabulary> {
    match &node.kind {
        Kind::Text(text) if text == "union" => Ok(Vocabulary::Union),
        Kind::Text(text) if text == "bpe_union" => Ok(Vocabulary::BpeUnion),
        Kind::Text(text) if text == "base" => Ok(Vocabulary::Base),
        _ => Ok(Vocabulary::Of(reference(node)?)),
    }
}

fn row(node: &Node) -> Read<Row> {
    let mut fields = Fields::of(node, "a token")?;
    let force = match fields.take("force") {
        None => false,
        Some(Node { kind: Kind::Bool(force), .. }) => *force,
        Some(node) => return fault(node, "`force` is `true` or `false`"),
    };
    let source = fields.take("source").map(row_source).transpose()?;
    fields.end()?;
    Ok(Row { source, force })
}

fn row_source(node: &Node) -> Read<RowSource> {
    let kind = match &node.kind {
        Kind::Map(fields) => fields.iter().find(|(key, _)| key == "kind").map(|(_, kind)| kind),
        _ => None,
    };
    let Some(kind) = kind else { return Ok(RowSource::Model(reference(node)?)) };
    let mut fields = Fields::of(node, "a token's source")?;
    fields.take("kind");
    let source = match string(kind, "`kind`")?.as_str() {
        "zero" => RowSource::Zero,
        "model_token" => {
            let model = reference(fields.need("model")?)?;
            match (fields.take("token_id"), fields.take("token")) {
                (Some(node), None) => RowSource::Number(model, whole_number(node, "`token_id`")?),
                (None, Some(node)) => RowSource::Token(model, string(node, "`token`")?),
                _ => return fault(node, "a `model_token` has either `token_id` or `token`"),
            }
        }
        other => return fault(kind, format!("`{}` is neither `zero` nor `model_token`", printable(other))),
    };
    fields.end()?;
    Ok(source)
}

fn string(node: &Node, place: &str) -> Read<String> {
    match &node.kind {
        Kind::Text(text) => Ok(text.clone()),
        // `model: 7` and the like; a name may look like a number.
        Kind::Number(number) => Ok(number.to_string()),
        Kind::Bool(value) => Ok(value.to_string()),
        _ => fault(node, format!("{place} must be a text, and is {}", node.kind_name())),
    }
}

fn number(node: &Node, place: &str) -> Read<f64> {
    match node.kind {
        Kind::Number(number) => Ok(number),
        _ => fault(node, format!("{place} must be a number, and is {}", node.kind_name())),
    }
}

fn whole_number(node: &Node, place: &str) -> Read<u64> {
    let number = number(node, place)?;
    if number.fract() != 0.0 || !(0.0..9e15).contains(&number) {
        return fault(node, format!("{place} must be a whole number from 0 on, and is {number}"));
    }
    Ok(number as u64)
}

fn dtype(node: &Node) -> Read<Dtype> {
    let name = string(node, "a dtype")?;
    let wanted = name.strip_prefix("torch.").unwrap_or(&name);
    let same = |dtype: &Dtype| dtype.torch() == Some(wanted) || dtype.name().to_ascii_lowercase() == wanted;
    FLOATS.into_iter().find(same).map_or_else(
        || {
            let known = "`bfloat16`, `float16`, `float32` and `float64`";
            fault(node, format!("`{}` is no dtype; there are {known}", printable(&name)))
        },
        Ok,
    )
}
