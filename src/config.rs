//! To be written: config.
