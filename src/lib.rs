//! Zord Coder: a coding assistant in a terminal, with the model on the device.
//!
//! The rooms. Each may use those below it and none above it, which `tests/rooms.rs` checks.
//!
//! | room | what it is for |
//! |---|---|
//! | `distill` | teaches small models from larger ones, and fine-tunes them (feature `train`) |
//! | `merge` | merges checkpoints, moves adapters and tokenizers between them (feature `lab`) |
//! | `quantize` | makes GGUF files out of checkpoints, smaller ones out of large ones, and measures them (feature `lab`) |
//! | `llama` | llama.cpp's insides for these three: a session of their own, in a process of its own (features `lab`, `engine`) |
//! | [`cli`] | one file a command of the `zord` program |
//! | [`run`] | the interface at work: the terminal's loop, and everything that waits for a disk, a model or a program |
//! | [`ui`] | draws the state; changes nothing |
//! | [`app`] | what the interface thinks: state and `update(Msg) -> Vec<Effect>`; pure |
//! | [`config`] | `config.toml`: every key, its default, and what is wrong with it |
//! | [`retention`] | how long the program's own files are kept: ages, caps, the sweep |
//! | [`engine`] | who talks to llama.cpp, here or in a process of its own, or to a server: a job in, events out |
//! | [`models`] | the catalogue, the store, downloads |
//! | [`chat`] | conversation tree, journal, templates, thinking, what stays when the context is full |
//! | [`edits`] | how an answer becomes a change of files: diffs, places, search/replace blocks, undo |
//! | [`budget`] | what fits in memory: the plan, and what to give back while running; pure |
//! | [`device`] | what this machine is: memory, cores and clusters, instruction sets, Termux |
//! | [`weights`] | model files: bounded readers shared by all programs |
//! | [`arch`] | model families, one file each: names, tensors, positions, configurations |
//! | [`fim`] | completing code: what to ask for, what to keep, what to show; pure but for its cache |
//! | [`sampling`] | the parameters by which the next token is chosen |
//! | [`term`] | the terminal's modes, and how they are restored |
//! | [`crash`] | what is done when native code crashes |
//! | [`program`] | the file that this process runs |
//! | [`paths`] | where files lie |
//! | `picture` | figures as SVG and PNG, for the tools (feature `lab`) |
//! | [`walk`] | the files of a folder without what `.gitignore` leaves out |
//! | [`size`] | sizes in bytes, as people write and read them |
//! | [`cancel`] | the flag that stops work |
//! | [`atomic`] | files that are whole or not there |
//! | [`error`] | how an error is told: message, hint, exit code |
//! | [`text`] | what is edited; pure |
//! | [`lang`] | programming languages, one table: names, files, comments, grammars |
//! | `hex` | bytes as text |
//! | [`small`] | reads small files whole, and only those |

pub mod app;
pub mod arch;
pub mod atomic;
pub mod budget;
pub mod cancel;
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
mod hex;
pub mod lang;
#[cfg(all(feature = "lab", feature = "engine"))]
pub mod llama;
#[cfg(feature = "lab")]
pub mod merge;
pub mod models;
pub mod paths;
#[cfg(feature = "lab")]
mod picture;
pub mod program;
#[cfg(feature = "lab")]
pub mod quantize;
pub mod retention;
pub mod run;
pub mod sampling;
pub mod size;
pub mod small;
pub mod term;
pub mod text;
pub mod ui;
pub mod walk;
pub mod weights;
