//! stub
pub mod catalogue;
pub mod dns;
pub mod names;
pub mod net;
pub use names::Source;
