//! Completing code: what to ask a model for at a cursor, what to keep of its answer, what to show. Pure but for the
//! cache's file; it neither runs a model nor draws.
//!
//! A [`Site`] is the text around a cursor. [`form`] knows how a model is asked to fill it, [`ring`] remembers what else
//! was looked at, [`prompt`] puts both together within a budget of tokens; [`stop`] watches an answer grow, [`trim`]
//! and [`syntax`] judge it, [`cache`] keeps it, and [`pace`] says when to ask at all.

pub(crate) mod balance;
mod blocks;
pub mod cache;
pub mod form;
pub mod pace;
pub mod prompt;
pub mod ring;
mod scan;
mod site;
pub mod stop;
pub mod syntax;
pub mod trim;

pub use site::Site;
