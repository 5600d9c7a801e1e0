//! To be written: watch.
