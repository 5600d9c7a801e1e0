//! An adapter's folder: settings and tensors, sorted by module and held against each other.
//!
//! PEFT loads each tensor into a place that the settings made. What finds none there, or has another shape, is refused
//! here, also where PEFT would leave it out in silence.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use super::{CONFIG, Part, Settings, WEIGHTS, part};
use crate::error::Advise;
use crate::small;
use crate::weights::numbers;
use crate::weights::safetensors::{Folder, SafetensorsError, Tensor, printable};

/// The longest tensor, in bytes.
const LONGEST: u64 = 16 << 30;

/// Why a folder holds no adapter that can be read.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the words say it")]
pub enum PeftError {
    #[error("cannot read `{}`: {source}", path.display())]
    Io { path: PathBuf, source: io::Error },
    #[error("`{}` is not what it should be: {what}", path.display())]
    Json { path: PathBuf, what: String },
    #[error(transparent)]
    File(#[from] SafetensorsError),
    #[error("the adapter `{}`: {what}", folder.display())]
    Unfit { folder: PathBuf, what: String },
}

impl Advise for PeftError {
    fn hint(&self) -> Option<String> {
        match self {
            Self::Io { source, .. } if source.kind() == io::ErrorKind::NotFound => {
                Some(format!("PEFT saves an adapter as a folder with `{CONFIG}` and `{WEIGHTS}`"))
            }
            Self::Json { .. } => Some("fetch the file again".to_owned()),
            Self::File(error) => error.hint(),
            Self::Io { .. } | Self::Unfit { .. } => None,
        }
    }
}

/// The tensors of one module.
pub type Module<'a> = BTreeMap<Part, &'a Tensor>;

/// An adapter that is open: what it says, and where its tensors lie.
#[derive(Debug)]
pub struct Adapter {
    /// Its folder.
    pub path: PathBuf,
    /// What `adapter_config.json` says of the products.
    pub settings: Settings,
    /// Its file.
    pub file: Folder,
}

impl Adapter {
    /// Opens a folder.
    ///
    /// # Errors
    /// It holds no LoRA, or a damaged one.
    pub fn open(folder: &Path) -> Result<Self, PeftError> {
        let path = folder.join(CONFIG);
        let io = |source| PeftError::Io { path: path.clone(), source };
        let text = small::read(&path, small::TOKENIZER).map_err(io)?;
        let config: Result<Map<String, Value>, _> = serde_json::from_slice(&text);
        let config = config.map_err(|error| PeftError::Json { path: path.clone(), what: error.to_string() })?;
        let unfit = |what| PeftError::Unfit { folder: folder.to_owned(), what };
        let settings = Settings::of(&config).map_err(unfit)?;
        Ok(Self { path: folder.to_owned(), settings, file: Folder::open(&folder.join(WEIGHTS))? })
    }

    /// Its tensors by module: each product whole and of the rank that the settings say, with lengths of rows where they
    /// say so.
    ///
    /// # Errors
    /// A tensor has no place, or is not what the settings say.
    pub fn modules(&self) -> Result<BTreeMap<String, Module<'_>>, PeftError> {
        let mut modules: BTreeMap<String, Module<'_>> = BTreeMap::new();
        for tensor in &self.file.tensors {
            let name = printable(&tensor.name);
            let (module, part) =
                part(&tensor.name).ok_or_else(|| self.unfit(format!("no place is known for its tensor `{name}`")))?;
            if !numbers::is_float(tensor.dtype) || tensor.shape.len() > 2 || tensor.bytes > LONGEST {
                return Err(self.unfit(format!("its tensor `{name}` is no matrix of numbers")));
            }
            if let Some(other) = modules.entry(module).or_default().insert(part, tensor) {
                let other = printable(&other.name);
                return Err(self.unfit(format!("its tensors `{other}` and `{name}` are for the same place")));
            }
        }
        if modules.is_empty() {
            return Err(self.unfit("it changes nothing: there is no tensor in it".to_owned()));
        }
        for (name, module) in &modules {
            self.check(name, module).map_err(|what| self.unfit(what))?;
        }
        Ok(modules)
    }

    fn check(&self, name: &str, module: &Module<'_>) -> Result<(), String> {
        let shown = printable(name);
        let lengths = module.contains_key(&Part::Magnitude);
        let halves: Vec<_> = module.iter().filter(|(part, _)| part.is_half()).collect();
        let (a, b) = match (product(module), halves.as_slice()) {
            (Some(both), [_, _]) => both,
            (_, [(_, half), ..]) => return Err(format!("its tensor `{}` has no second half", printable(&half.name))),
            (_, []) if lengths => return Err(format!("it has row lengths and no product for `{shown}`")),
            (_, []) => return Ok(()),
        };
        let &[rows, _] = a.shape.as_slice() else { return Err(format!("`{}` is no matrix", printable(&a.name))) };
        let &[_, columns] = b.shape.as_slice() else { return Err(format!("`{}` is no matrix", printable(&b.name))) };
        if rows != columns {
            return Err(format!("the ranks of `{shown}` differ: {rows} and {columns}"));
        }
        let rank = self.settings.rank(name);
        if rows != rank as u64 {
            return Err(format!("its settings say rank {rank} for `{shown}`, which has {rows}"));
        }
        match (self.settings.dora, lengths) {
            (true, false) => Err(format!("it has `use_dora` and no row lengths for `{shown}`")),
            (false, true) => Err(format!("it has row lengths for `{shown}` without `use_dora`")),
            _ => Ok(()),
        }
    }

    /// All numbers of one of its tensors.
    ///
    /// # Errors
    /// The file cannot be read, or there are numbers that are none.
    pub fn numbers(&self, tensor: &Tensor) -> Result<Vec<f32>, PeftError> {
        let read = numbers::read(tensor)?;
        let fault = || self.unfit(format!("its tensor `{}` holds NaN or infinite numbers", printable(&tensor.name)));
        if numbers::all_finite(&read) { Ok(read) } else { Err(fault()) }
    }

    fn unfit(&self, what: String) -> PeftError {
        PeftError::Unfit { folder: self.path.clone(), what }
    }
}

/// Both halves of a module's product, where it has one.
pub fn product<'a>(module: &Module<'a>) -> Option<(&'a Tensor, &'a Tensor)> {
    let of = |part: Part| module.get(&part).copied();
    of(Part::A).zip(of(Part::B)).or_else(|| of(Part::EmbeddingA).zip(of(Part::EmbeddingB)))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::weights::safetensors::Dtype;
    use crate::weights::safetensors::write::{NewTensor, PYTORCH, Writer};

    /// A folder with these tensors (half of them ones), of rank 2.
    fn adapter(folder: &Path, config: Value, tensors: &[(&str, &[u64])], number: f32) -> Result<Adapter, PeftError> {
        let mut all = json!({"peft_type": "LORA", "r": 2, "lora_alpha": 2});
        all.as_object_mut().unwrap().extend(config.as_object().unwrap().clone());
        std::fs::write(folder.join(CONFIG), all.to_string()).unwrap();
        let spec = |(name, shape): &(&str, &[u64])| NewTensor {
            name: (*name).to_owned(),
            dtype: Dtype::F64,
            shape: shape.to_vec(),
        };
        let specs: Vec<NewTensor> = tensors.iter().map(spec).collect();
        let mut file = Writer::create(&folder.join(WEIGHTS), &specs, PYTORCH).unwrap();
        for spec in &specs {
            file.numbers(spec.dtype, &vec![number; spec.bytes() as usize / 8]).unwrap();
        }
        file.finish().unwrap();
        Adapter::open(folder)
    }

    const A: (&str, &[u64]) = ("base_model.model.m.q_proj.lora_A.weight", &[2, 8]);
    const B: (&str, &[u64]) = ("base_model.model.m.q_proj.lora_B.weight", &[4, 2]);
    const LENGTHS: (&str, &[u64]) = ("base_model.model.m.q_proj.lora_magnitude_vector", &[4]);

    #[test]
    fn tensors_are_sorted_by_module_and_read_in_every_type() {
        let folder = tempfile::tempdir().unwrap();
        let table: [(&str, &[u64]); 4] = [
            ("base_model.model.embed.base_layer.weight", &[9, 4]),
            ("base_model.model.embed.lora_embedding_A", &[2, 9]),
            ("base_model.model.embed.lora_embedding_B", &[4, 2]),
            ("base_model.model.norm.weight", &[4]),
        ];
        let adapter = adapter(folder.path(), json!({}), &[&[A, B][..], &table].concat(), 0.5).unwrap();
        let modules = adapter.modules().unwrap();
        let names: Vec<(&str, Vec<Part>)> =
            modules.iter().map(|(name, module)| (name.as_str(), module.keys().copied().collect())).collect();
        assert_eq!(
            names,
            [
                ("embed", vec![Part::EmbeddingA, Part::EmbeddingB, Part::Whole]),
                ("m.q_proj", vec![Part::A, Part::B]),
                ("norm", vec![Part::Whole]),
            ]
        );
        let (a, _) = product(&modules["m.q_proj"]).unwrap();
        assert_eq!(adapter.numbers(a).unwrap(), [0.5; 16]);
        assert!(product(&modules["norm"]).is_none());
    }

    #[test]
    fn what_the_settings_have_no_place_for_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let bias: (&str, &[u64]) = ("base_model.model.m.q_proj.lora_B.bias", &[4]);
        let again: (&str, &[u64]) = ("base_model.model.m.q_proj.lora_A.default.weight", &[2, 8]);
        let table: (&str, &[u64]) = ("base_model.model.m.q_proj.lora_embedding_B", &[4, 2]);
        let other: (&str, &[u64]) = (B.0, &[4, 3]);
        let row: (&str, &[u64]) = (A.0, &[16]);
        for (config, tensors, word) in [
            (json!({}), vec![], "no tensor in it"),
            (json!({}), vec![A], "has no second half"),
            (json!({}), vec![A, table], "has no second half"),
            (json!({}), vec![A, B, table], "has no second half"),
            (json!({}), vec![A, B, bias], "no place is known"),
            (json!({}), vec![A, B, again], "for the same place"),
            (json!({}), vec![row, B], "is no matrix"),
            (json!({}), vec![A, other], "the ranks of `m.q_proj` differ: 2 and 3"),
            (json!({"r": 4}), vec![A, B], "rank 4 for `m.q_proj`, which has 2"),
            (json!({"rank_pattern": {"q_proj": 3}}), vec![A, B], "rank 3"),
            (json!({"use_dora": true}), vec![A, B], "no row lengths for `m.q_proj`"),
            (json!({}), vec![A, B, LENGTHS], "without `use_dora`"),
            (json!({"use_dora": true}), vec![LENGTHS], "no product"),
        ] {
            let adapter = adapter(folder.path(), config.clone(), &tensors, 1.0).unwrap();
            let error = adapter.modules().unwrap_err().to_string();
            assert!(error.contains(word), "{config} {tensors:?}: {error}");
        }
        let dora = adapter(folder.path(), json!({"use_dora": true}), &[A, B, LENGTHS], 1.0).unwrap();
        assert_eq!(dora.modules().unwrap()["m.q_proj"].len(), 3);
        let odd = adapter(folder.path(), json!({}), &[A, B], f32::NAN).unwrap();
        assert!(odd.numbers(&odd.file.tensors[0]).unwrap_err().to_string().contains("NaN"));
        let kind = adapter(folder.path(), json!({"peft_type": "IA3"}), &[A, B], 1.0).unwrap_err();
        assert!(kind.to_string().contains("`IA3`"));
        std::fs::write(folder.path().join(CONFIG), "[]").unwrap();
        assert!(matches!(Adapter::open(folder.path()), Err(PeftError::Json { .. })));
        std::fs::remove_file(folder.path().join(CONFIG)).unwrap();
        assert!(Adapter::open(folder.path()).unwrap_err().hint().unwrap().contains(WEIGHTS));
    }
}
