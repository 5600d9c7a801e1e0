//! To be written: run.
