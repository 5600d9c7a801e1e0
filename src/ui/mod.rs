//! To be written: ui.
