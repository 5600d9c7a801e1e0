//! To be written: term.
