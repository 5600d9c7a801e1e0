//! To be written: template.
