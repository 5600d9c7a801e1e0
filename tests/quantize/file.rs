//! What is in a GGUF file.

use std::path::Path;

use zord::weights::gguf::Header;

/// Every tensor: its name, its type and shape, its bytes.
pub(crate) fn tensors(path: &Path) -> Vec<(String, String, Vec<u8>)> {
    let header = Header::read(path).unwrap();
    let bytes = std::fs::read(path).unwrap();
    let mut all: Vec<_> = header
        .tensors
        .iter()
        .map(|tensor| {
            let at = (header.data_offset + tensor.offset) as usize;
            let kind = format!("{} {:?}", tensor.kind, tensor.dims);
            (tensor.name.clone(), kind, bytes[at..at + tensor.bytes as usize].to_vec())
        })
        .collect();
    all.sort();
    all
}
