use super::*;
use write::HeaderWriter;

fn parse(bytes: &[u8]) -> Result<Header, GgufError> {
    parse_len(bytes, bytes.len() as u64)
}

fn parse_len(bytes: &[u8], len: u64) -> Result<Header, GgufError> {
    Header::parse(Path::new("m.gguf"), &bytes, len)
}

fn small() -> HeaderWriter {
    HeaderWriter::new()
        .str("general.architecture", "llama")
        .u32("llama.block_count", 2)
        .f32("llama.rope.freq_base", 1e5)
        .bool("tokenizer.ggml.add_bos_token", true)
        .u32s("llama.attention.head_count_kv", &[3, 1])
        .strs("tokenizer.ggml.tokens", &["a", "b", "né"])
        .tensor("token_embd.weight", &[64, 3], GgmlType::Q8_0)
        .tensor("blk.0.attn_q.weight", &[64, 64], GgmlType::Q4_0)
}

/// The header of `writer` with zeros for its weights.
fn whole(writer: &HeaderWriter) -> Vec<u8> {
    let (mut head, data) = writer.bytes().unwrap();
    head.resize(head.len() + data as usize, 0);
    head
}

fn message(result: Result<Header, GgufError>) -> String {
    result.unwrap_err().to_string()
}

#[test]
fn what_was_written_is_read() {
    let bytes = whole(&small());
    let header = parse(&bytes).unwrap();
    assert_eq!(header.version, 3);
    assert_eq!(header.str("general.architecture"), Some("llama"));
    assert_eq!(header.u32("llama.block_count"), Some(2));
    assert_eq!(header.f32("llama.rope.freq_base"), Some(1e5));
    assert_eq!(header.bool("tokenizer.ggml.add_bos_token"), Some(true));
    assert_eq!(header.array_len("tokenizer.ggml.tokens"), Some(3));
    let items = header.array("llama.attention.head_count_kv").unwrap().items.as_deref();
    assert_eq!(items, Some(&[Value::U32(3), Value::U32(1)][..]));
    assert_eq!(header.strings_from("tokenizer.ggml.tokens", &bytes.as_slice()).unwrap(), ["a", "b", "né"]);
    let places: Vec<_> = header.tensors.iter().map(|tensor| (tensor.offset, tensor.bytes)).collect();
    assert_eq!(places, [(0, 3 * 68), (224, 64 * 36)]);
    assert_eq!(header.data_offset + 224 + 64 * 36, header.file_len);
}

#[test]
fn a_getter_of_another_type_finds_nothing() {
    let header = parse(&whole(&small())).unwrap();
    assert_eq!(header.u32("general.architecture"), None);
    assert_eq!(header.str("llama.block_count"), None);
    assert_eq!(header.str("absent"), None);
    let error = header.need_u32("general.architecture").unwrap_err().to_string();
    assert_eq!(error, "`m.gguf` should have a whole number under `general.architecture` and has a value of type text");
    assert!(header.strings_from("llama.block_count", &[0u8; 0].as_slice()).is_err());
}

#[test]
fn an_empty_file_is_said_to_be_empty() {
    assert_eq!(message(parse(b"")), "`m.gguf` is empty");
}

#[test]
fn other_formats_are_recognised() {
    let cases: [(&[u8], &str, &str); 6] = [
        (b"<!DOCTYPE html><html>", "a web page", "download link"),
        (b"version https://git-lfs.github.com/spec/v1\n", "a git-lfs pointer", "git lfs pull"),
        (b"\x40\0\0\0\0\0\0\0{\"a\":1}", "a safetensors header", "zord-quantize convert"),
        (b"PK\x03\x04 and so on", "a zip archive (a PyTorch checkpoint?)", "zord-quantize convert"),
        (b"ggml....", "`ggml`", "GGUF format"),
        (b"\x1b[2J", "`\\x1b[2J`", "GGUF format"),
    ];
    for (start, found, hint) in cases {
        let error = parse(start).unwrap_err();
        assert_eq!(error.to_string(), format!("`m.gguf` is not a GGUF file: it begins with {found}"));
        let said = crate::error::Advise::hint(&error).unwrap();
        assert!(said.contains(hint), "{said}");
    }
}

#[test]
fn versions_that_are_not_known_are_named() {
    let with = |version: u32| {
        let mut bytes = whole(&small());
        bytes[4..8].copy_from_slice(&version.to_le_bytes());
        message(parse(&bytes))
    };
    assert_eq!(with(4), "`m.gguf` is GGUF version 4; versions 2 and 3 can be read");
    assert_eq!(with(1), "`m.gguf` is GGUF version 1; versions 2 and 3 can be read");
    assert_eq!(with(3u32.swap_bytes()), "`m.gguf` is GGUF for big-endian machines");
    let mut bytes = whole(&small());
    bytes[4] = 2;
    assert_eq!(parse(&bytes).unwrap().version, 2);
}

#[test]
fn every_truncation_is_an_error() {
    let bytes = whole(&small());
    for len in 1..bytes.len() - 31 {
        let error = parse(&bytes[..len]).unwrap_err();
        assert!(matches!(error, GgufError::Truncated { .. } | GgufError::TooMany { .. }), "{len}: {error}");
    }
}

#[test]
fn missing_weights_are_counted() {
    let bytes = whole(&small());
    let len = bytes.len() as u64 - 1000;
    let found = message(parse_len(&bytes, len));
    assert_eq!(found, format!("`m.gguf` is truncated: it should have at least {} bytes and has {len}", bytes.len()));
}

#[test]
fn a_file_that_shrinks_while_it_is_read_is_truncated() {
    let bytes = whole(&small());
    assert!(matches!(parse_len(&bytes[..60], bytes.len() as u64), Err(GgufError::Truncated { .. })));
}

#[test]
fn absurd_counts_are_refused_before_memory_is_taken() {
    for at in [8, 16] {
        let mut bytes = whole(&small());
        bytes[at..at + 8].copy_from_slice(&u64::MAX.to_le_bytes());
        assert!(message(parse(&bytes)).contains("18446744073709551615"));
    }
    // A key whose length is absurd: the first one's length stands right after the counts.
    let mut bytes = whole(&small());
    bytes[24..32].copy_from_slice(&(u64::MAX - 7).to_le_bytes());
    assert!(matches!(parse(&bytes), Err(GgufError::Truncated { .. })));
}

#[test]
fn nested_arrays_end_somewhere() {
    let mut bytes = HeaderWriter::new().u32("k", 1).bytes().unwrap().0;
    bytes.truncate(24 + 8 + 1);
    bytes.extend((ValueKind::Array as u32).to_le_bytes());
    for _ in 0..1000 {
        bytes.extend((ValueKind::Array as u32).to_le_bytes());
        bytes.extend(1u64.to_le_bytes());
    }
    assert_eq!(message(parse(&bytes)), "`m.gguf` is corrupt: arrays are nested too deeply");
}

#[test]
fn names_are_unique() {
    let keys = small().u32("llama.block_count", 3);
    assert_eq!(message(parse(&whole(&keys))), "`m.gguf` is corrupt: the key `llama.block_count` is there twice");
    let tensors = small().tensor("token_embd.weight", &[32], GgmlType::F32);
    assert_eq!(message(parse(&whole(&tensors))), "`m.gguf` is corrupt: the tensor `token_embd.weight` is there twice");
}

/// Finds `needle` and overwrites what follows it.
fn patched(writer: &HeaderWriter, needle: &str, skip: usize, with: &[u8]) -> Vec<u8> {
    let mut bytes = whole(writer);
    let at = bytes.windows(needle.len()).position(|window| window == needle.as_bytes()).unwrap() + needle.len() + skip;
    bytes[at..at + with.len()].copy_from_slice(with);
    bytes
}

#[test]
fn tensors_must_make_sense() {
    let name = "blk.0.attn_q.weight";
    let after_dims = 4 + 16;
    let cases: [(usize, Vec<u8>, &str); 9] = [
        (0, 9u32.to_le_bytes().to_vec(), "has 9 dimensions"),
        (0, 0u32.to_le_bytes().to_vec(), "has 0 dimensions"),
        (4, 33u64.to_le_bytes().to_vec(), "cannot have the shape [33, 64] in q4_0"),
        (12, u64::MAX.to_le_bytes().to_vec(), "cannot have the shape"),
        (after_dims, 77u32.to_le_bytes().to_vec(), "has the unknown type `77`"),
        (after_dims, 33u32.to_le_bytes().to_vec(), "which llama.cpp no longer reads"),
        (after_dims + 4, 226u64.to_le_bytes().to_vec(), "out of alignment"),
        (after_dims + 4, 192u64.to_le_bytes().to_vec(), "overlaps"),
        (after_dims + 4, (u64::MAX - 31).to_le_bytes().to_vec(), "lies nowhere"),
    ];
    for (skip, with, expected) in cases {
        let found = message(parse(&patched(&small(), name, skip, &with)));
        assert!(found.contains(expected), "{found}");
    }
}

#[test]
fn the_alignment_is_a_power_of_two() {
    for bad in [0, 3, 48, u32::MAX] {
        let found = message(parse(&whole(&small().u32("general.alignment", bad))));
        assert!(found.contains(&format!("the alignment is `{bad}`")), "{found}");
    }
    assert!(parse(&whole(&small().u32("general.alignment", 32))).is_ok());
}

#[test]
fn names_in_errors_carry_no_escape_sequences() {
    let bytes =
        whole(&HeaderWriter::new().tensor("\x1b[2J", &[1], GgmlType::F32).tensor("\x1b[2J", &[1], GgmlType::F32));
    assert!(!message(parse(&bytes)).contains('\x1b'));
}

#[test]
fn long_arrays_are_not_kept_and_can_be_asked_for() {
    let tokens: Vec<String> = (0..5000).map(|n| format!("token{n}")).collect();
    let bytes = whole(&HeaderWriter::new().strs("t", &tokens).u32s("n", &[7; 5000]).u32("after", 9));
    let header = parse(&bytes).unwrap();
    assert_eq!(header.u32("after"), Some(9));
    assert!(header.array("t").unwrap().items.is_none());
    assert!(header.array("n").unwrap().items.is_none());
    assert_eq!(header.array("n").unwrap().bytes, 20_000);
    assert_eq!(header.strings_from("t", &bytes.as_slice()).unwrap(), tokens);
}

#[test]
fn a_folder_is_not_a_model() {
    let folder = tempfile::tempdir().unwrap();
    assert!(matches!(Header::read(folder.path()), Err(GgufError::NotAFile { .. })));
    assert!(matches!(Header::read(&folder.path().join("absent")), Err(GgufError::Io { .. })));
}

#[test]
fn every_type_knows_its_number() {
    for &kind in GgmlType::ALL {
        assert_eq!(GgmlType::from_id(kind.id()), Some(kind));
        assert_eq!(kind.row_bytes(kind.block()), Some(kind.block_bytes()));
        assert!(!GgmlType::was_removed(kind.id()));
    }
}

/// A short fuzz run with a fixed seed: mutated headers never panic, and what is kept stays within the file's size.
#[test]
fn mutated_headers_never_panic() {
    let seed = whole(&small().str("tokenizer.chat_template", &"{{ messages }}".repeat(20)));
    let head = seed.len() - 64 * 36;
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = move |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state % below.max(1) as u64) as usize
    };
    let edges = [0u64, 1, 31, 0x7fff_ffff, 0xffff_ffff, 1 << 40, u64::MAX / 2, u64::MAX - 7, u64::MAX];
    let (mut good, mut bad) = (0, 0);
    for _ in 0..20_000 {
        let mut bytes = seed.clone();
        for _ in 0..1 + next(3) {
            match next(5) {
                0 => bytes[next(head)] ^= 1 << next(8),
                1 => bytes[next(head)] = next(256) as u8,
                2 => {
                    let at = next(head - 8);
                    bytes[at..at + 8].copy_from_slice(&edges[next(edges.len())].to_le_bytes());
                }
                3 => {
                    let at = next(head);
                    let drop = next(16).min(bytes.len() - at);
                    bytes.drain(at..at + drop);
                }
                _ => {
                    let (from, at, len) = (next(head - 64), next(head - 64), next(64));
                    bytes.copy_within(from..from + len, at);
                }
            }
        }
        match parse(&bytes) {
            Ok(header) => {
                good += 1;
                let names: usize = header.tensors.iter().map(|tensor| tensor.name.len()).sum();
                assert!(names <= bytes.len() && header.metadata.len() <= bytes.len() / 13);
                for (key, _) in &header.metadata {
                    let _ = header.strings_from(key, &bytes.as_slice());
                }
            }
            Err(error) => {
                bad += 1;
                assert!(!error.to_string().chars().any(char::is_control));
            }
        }
    }
    assert!(good > 100 && bad > 10_000, "{good} {bad}");
}

#[test]
fn a_pipe_is_no_model_and_is_not_waited_for() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("m.gguf");
    assert!(std::process::Command::new("mkfifo").arg(&path).status().unwrap().success());
    assert!(matches!(Header::read(&path), Err(GgufError::NotAFile { .. })));
    assert!(crate::weights::safetensors::Folder::open(&path).is_err());
}
