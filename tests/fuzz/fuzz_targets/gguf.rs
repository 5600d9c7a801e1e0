//! Feeds arbitrary bytes to the reader of GGUF headers: no panic, and nothing kept that the input does not bear out.
#![no_main]

use std::path::Path;

use libfuzzer_sys::fuzz_target;
use zord::budget::Shape;
use zord::weights::gguf::Header;

fuzz_target!(|data: &[u8]| {
    if let Ok(header) = Header::parse(Path::new("fuzz.gguf"), &data, data.len() as u64) {
        let names: usize = header.tensors.iter().map(|tensor| tensor.name.len()).sum();
        // A byte that is not UTF-8 becomes a replacement character of three.
        assert!(names <= 3 * data.len());
        for (key, _) in &header.metadata {
            let _ = header.strings_from(key, &data);
        }
        let _ = Shape::from_header(&header);
    }
});
