//! From texts to windows of tokens on disk.
//!
//! | file | what changes there |
//! |---|---|
//! | `source`, `parquet` | forms of examples, in JSON lines and in tables |
//! | `code` | which files of a folder count |
//! | `render` | turns and answers as the model reads them; what is learnt of them |
//! | `fim` | documents with a hole |
//! | `tokenizer` | texts to tokens and back |
//! | `near` | documents that are nearly the same |
//! | `prepare`, `pack` | splitting, packing |
//! | `corpus` | the file of windows |
//! | `order` | which window comes when |
//!
//! Texts are read once, one at a time; training reads windows from disk. What this room refuses to do: hold a corpus in
//! memory, or let one document see another.

pub(crate) mod code;
pub(crate) mod corpus;
pub(crate) mod fim;
mod near;
pub(crate) mod order;
mod pack;
mod parquet;
pub(crate) mod prepare;
mod render;
mod source;
pub(crate) mod tokenizer;

pub use prepare::DataError;
