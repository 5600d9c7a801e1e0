//! To be written: thinking.
