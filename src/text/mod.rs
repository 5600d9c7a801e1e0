//! To be written: text.
