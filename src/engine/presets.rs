//! To be written: presets.
