//! What is edited. Pure: no file, no terminal.
//!
//! | file | what it is for |
//! |---|---|
//! | [`document`] | a file, or what is typed into a field: a rope with a selection, edits that can be undone, what is remembered of its bytes |
//! | [`change`], [`undo`] | an edit as a value with an inverse; the edits that were made |
//! | [`graphemes`], [`rows`] | what the cursor steps over; where long lines break on the screen |
//! | [`search`], [`brackets`] | finding a text; finding the other bracket |
//! | [`indent`] | leading blanks and comments |
//! | `fence` | where blocks of code in Markdown begin and end |
//! | [`wrap`] | where the rows of a small text break |
//! | [`history`] | what was sent |
//! | [`clean`] | foreign text made harmless |

pub mod brackets;
pub mod change;
pub mod clean;
pub mod document;
pub(crate) mod fence;
pub mod graphemes;
pub mod history;
pub mod indent;
pub mod rows;
pub mod search;
pub mod undo;
pub mod wrap;
