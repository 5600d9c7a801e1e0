//! The loop: terminal events, engine events and finished I/O come in through one channel, effects go out.

pub mod services;
pub mod start;
