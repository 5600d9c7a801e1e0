//! To be written: store.
