//! Feeds arbitrary bytes to the reader of safetensors headers: no panic, and no tensor outside the input.
#![no_main]

use std::path::Path;

use libfuzzer_sys::fuzz_target;
use zord::weights::safetensors::Header;

fuzz_target!(|data: &[u8]| {
    if let Ok(header) = Header::parse(Path::new("fuzz.safetensors"), &data, data.len() as u64) {
        let mut free = 0;
        for (_, tensor) in &header.tensors {
            let (begin, end) = tensor.data_offsets;
            assert!(begin >= free && end >= begin && header.data_offset + end <= data.len() as u64);
            free = end;
        }
    }
});
