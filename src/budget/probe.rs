//! To be written: probe.
