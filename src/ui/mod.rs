//! Draws the state; changes nothing.

pub mod theme;
