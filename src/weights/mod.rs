//! To be written: weights.
