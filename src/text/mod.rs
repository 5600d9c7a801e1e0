//! What is edited: [`buffer`] holds a text and a cursor, [`wrap`] tells where its rows break, [`history`] remembers what
//! was sent, [`clean`] makes foreign text harmless. Pure: no file, no terminal.

pub mod buffer;
pub mod clean;
pub mod history;
pub mod wrap;
