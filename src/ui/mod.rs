//! Draws the state; changes nothing.

pub mod highlight;
pub mod markdown;
pub mod sanitise;
pub mod theme;
pub mod wrap;
