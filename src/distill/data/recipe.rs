//! What a recipe says about data: sources, forms, what is left out.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::fim::FimRecipe;
use super::render::{Form, Learn};

/// Where texts come from and what is made of them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct DataRecipe {
    /// Tokens of a window.
    pub(crate) context: usize,
    /// The form that turns take.
    pub(crate) form: Form,
    /// What is learnt of an example.
    pub(crate) learn: Learn,
    /// What becomes of a document longer than a window.
    pub(crate) long: Long,
    /// The share of documents that is held out.
    pub(crate) validation: f64,
    /// Examples taken at most; 0 for all.
    pub(crate) examples: u64,
    /// Documents that are as similar to an earlier one are left out; 0 leaves out only repetitions.
    pub(crate) near_duplicates: f64,
    /// Lines that may be wrong before it is an error.
    pub(crate) malformed: u64,
    /// Documents with a hole.
    pub(crate) fim: FimRecipe,
    /// Files of JSON lines or Parquet, and folders of source code.
    #[serde(rename = "source")]
    pub(crate) sources: Vec<SourceRecipe>,
}

impl Default for DataRecipe {
    fn default() -> Self {
        Self {
            context: 1024,
            form: Form::Model,
            learn: Learn::Answers,
            long: Long::Split,
            validation: 0.02,
            examples: 0,
            near_duplicates: 0.0,
            malformed: 10,
            fim: FimRecipe::default(),
            sources: Vec::new(),
        }
    }
}

/// What becomes of a document longer than a window.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Long {
    /// Plain documents go on in the next window, and those with a hole become several; conversations are left out.
    Split,
    /// What fits is kept.
    Cut,
    /// It is left out.
    Drop,
}

/// One source.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SourceRecipe {
    /// A file of JSON lines or Parquet, or a folder.
    pub(crate) path: PathBuf,
    /// Extensions that count in a folder; none for the usual ones of source code.
    #[serde(default)]
    pub(crate) extensions: Vec<String>,
    /// Licences whose texts are left out, by their SPDX names; `GPL-3.0` means `-only` and `-or-later` too.
    #[serde(default)]
    pub(crate) without_licences: Vec<String>,
    /// Licences whose texts alone are taken; what names none is left out then.
    #[serde(default)]
    pub(crate) only_licences: Vec<String>,
}
