//! To be written: app.
