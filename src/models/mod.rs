//! Models on disk: which ones are known, which are here, and how they get here.
//!
//! | file | what it is for |
//! |---|---|
//! | [`catalogue`] | the models known by name, and which one to recommend |
//! | [`names`] | what a model may be called, and what `hf:…` means |
//! | [`store`] | the folder of models: list, resolve, add, remove |
//! | [`record`] | what is known of a stored model, and whether its bytes are still those |
//! | [`net`], [`dns`] | the HTTP client, its certificates and its name resolution |
//! | [`hub`] | one request to a hub: who is asked, who gets the token, what the answer says |
//! | [`download`] | one file, resumed and checked |
//! | [`mod@headers`] | what a checkpoint on a hub looks like, without its weights |
//! | [`mod@pull`] | a model or a whole checkpoint folder, from the hub into the store |
//!
//! What this room refuses to do: load a model, read more of a GGUF than its header, or trust a name or a length that came
//! from outside.

pub mod catalogue;
pub mod checkpoint;
pub mod dns;
pub mod download;
pub mod fault;
pub mod headers;
pub mod hub;
pub mod names;
pub mod net;
pub mod pull;
pub mod record;
pub mod store;

pub use catalogue::{Catalogue, Entry};
pub use download::{Progress, Retry};
pub use fault::PullError;
pub use headers::headers;
pub use hub::Hub;
pub use names::Source;
pub use pull::{Pulled, Request, pull};
pub use store::{Store, StoreError, Stored};
