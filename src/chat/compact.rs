//! To be written: compact.
