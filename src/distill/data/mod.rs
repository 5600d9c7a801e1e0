//! From texts to windows of tokens on disk.
//!
//! | file | what changes there |
//! |---|---|
//! | `source`, `table`, `parquet` | files of examples: JSON lines, a JSON list, tables |
//! | `pieces` | the values of a JSON list, one by one |
//! | `example` | forms of examples |
//! | `code` | which files of a folder count |
//! | `licence` | under which licence a text stands, and whether it is wanted |
//! | `render` | turns and answers as the model reads them; what is learnt of them |
//! | `fim` | documents with a hole |
//! | `tokenizer` | texts to tokens and back |
//! | `guard` | calls into libraries that panic over damaged files |
//! | `near` | documents that are nearly the same |
//! | `document` | one example's tokens, cut to windows |
//! | `recipe` | what a recipe says about data |
//! | `prepare`, `make`, `pack` | taking sources, splitting, packing |
//! | `corpus` | the file of windows |
//! | `order` | which window comes when |
//!
//! Texts are read once, a few megabytes at a time; training reads windows from disk. What this room refuses to do: hold a
//! corpus in memory, or let one document see another. What it keeps of every example is a fingerprint of eight bytes, and
//! half a kilobyte more where near duplicates are left out.

mod code;
pub(crate) mod corpus;
mod document;
mod example;
pub(crate) mod fim;
mod guard;
mod licence;
mod make;
mod near;
pub(crate) mod order;
mod pack;
mod parquet;
mod pieces;
pub(crate) mod prepare;
pub(crate) mod recipe;
mod render;
mod source;
pub(crate) mod table;
pub(crate) mod tokenizer;

pub use prepare::DataError;
