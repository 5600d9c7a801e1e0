//! Zord Coder: a coding assistant in a terminal, with the model on the device.
//!
//! The rooms, and which way they may look (`bin → cli, run → {ui, engine, app} → {text, fim, chat, budget}`):
//!
//! | room | what it is for |
//! |---|---|
//! | [`app`] | what the program thinks: state and `update(Msg) -> Vec<Effect>`; pure |
//! | [`text`] | what is edited; pure |
//! | [`fim`] | completing code: what to ask for, what to keep, what to show; pure but for its cache |
//! | [`chat`] | conversation tree, journal, templates, thinking, what stays when the context is full |
//! | [`budget`] | what fits in memory: the plan (pure) and the probe of the machine |
//! | [`edits`] | how an answer becomes a change of files: diffs, places, search/replace blocks, undo |
//! | [`engine`] | who talks to llama.cpp, or to a server: one thread, a job in, events out |
//! | [`models`] | the catalogue, the store, downloads |
//! | [`device`] | what this machine is: cores and clusters, instruction sets, Termux |
//! | [`small`] | reads small files whole, and only those |
//! | [`walk`] | the files of a folder without what `.gitignore` leaves out |
//! | [`crash`] | what is done when native code crashes |
//! | [`program`] | the file that this process runs |
//! | [`weights`] | model files: bounded readers shared by all programs |
//! | `quantize` | makes GGUF files out of checkpoints, smaller ones out of large ones, and measures them (feature `lab`) |
//! | `merge` | merges checkpoints, moves adapters and tokenizers between them (feature `lab`) |
//! | `picture` | figures as SVG and PNG, for the tools (feature `lab`) |
//! | `distill` | teaches small models from larger ones, and fine-tunes them (feature `train`) |
//! | [`ui`] | draws the state; changes nothing |
//! | [`cli`] | one file a command of the `zord` program |

pub mod app;
pub mod atomic;
pub mod budget;
pub mod chat;
pub mod cli;
pub mod config;
pub mod crash;
pub mod device;
#[cfg(feature = "train")]
pub mod distill;
pub mod edits;
pub mod engine;
pub mod error;
pub mod fim;
#[cfg(feature = "lab")]
pub mod merge;
pub mod models;
pub mod paths;
#[cfg(feature = "lab")]
mod picture;
pub mod program;
#[cfg(feature = "lab")]
pub mod quantize;
pub mod run;
pub mod small;
pub mod term;
pub mod text;
pub mod ui;
pub mod walk;
pub mod weights;
