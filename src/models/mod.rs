//! To be written: models.
