//! `zord-distill`: teaches a small model from larger ones, and fine-tunes it.
//!
//! | room | what changes there |
//! |---|---|
//! | [`recipe`] | what a person may ask for, and its defaults |
//! | [`data`] | from texts to windows of tokens on disk |
//! | [`model`] | the decoder, forward and backward, and its files |
//! | `kernel` | the arithmetic under it |
//! | `gpu` | the same on graphics cards (feature `gpu`) |
//! | [`objective`] | what is to become smaller |
//! | [`teacher`] | what larger models say, and the store it is kept in |
//! | `compare` | training's arithmetic against llama.cpp's (feature `engine`) |
//! | [`run`] | steps, checkpoints, what happens when something goes wrong |
//! | [`cli`] | one file a command |
//!
//! Everything random follows from the recipe's seed and a place, so that a run that goes on is the run that was not
//! interrupted. What this room refuses to do: change a checkpoint it was given, or leave half of one.

pub mod cli;
#[cfg(feature = "engine")]
pub mod compare;
pub mod data;
mod gpu;
mod kernel;
pub mod model;
pub mod objective;
pub mod recipe;
pub mod run;
pub mod teacher;
