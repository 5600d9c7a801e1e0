//! To be written: device.
