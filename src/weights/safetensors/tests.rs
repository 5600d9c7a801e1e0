use std::path::Path;

use super::*;

fn file(header: &str, data: usize) -> Vec<u8> {
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend(header.as_bytes());
    bytes.resize(bytes.len() + data, 0);
    bytes
}

fn parse(bytes: &[u8]) -> Result<Header, SafetensorsError> {
    Header::parse(Path::new("m.safetensors"), &bytes, bytes.len() as u64)
}

const TWO: &str = r#"{"__metadata__":{"format":"pt"},
    "b":{"dtype":"BF16","shape":[2,3],"data_offsets":[4,16]},"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}"#;

#[test]
fn tensors_come_in_the_order_of_their_places() {
    let header = parse(&file(TWO, 16)).unwrap();
    let names: Vec<&str> = header.tensors.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["a", "b"]);
    assert_eq!(header.tensors[1].1.shape, [2, 3]);
    assert_eq!(header.notes["format"], "pt");
    assert_eq!(header.data_offset, 8 + TWO.len() as u64);
}

#[test]
fn what_contradicts_itself_is_refused_by_name() {
    let one = |entry: &str| format!(r#"{{"w":{entry}}}"#);
    let cases = [
        (one(r#"{"dtype":"F32","shape":[2],"data_offsets":[0,4]}"#), "`w` of shape [2] in F32 cannot take 4 bytes"),
        (one(r#"{"dtype":"F32","shape":[2],"data_offsets":[8,0]}"#), "`w` lies nowhere"),
        (one(r#"{"dtype":"Q4","shape":[2],"data_offsets":[0,8]}"#), "tensor `w`: unknown variant `Q4`"),
        (one(r#"{"dtype":"F32","shape":[-2],"data_offsets":[0,8]}"#), "tensor `w`: invalid value"),
        (one(r#"{"dtype":"F64","shape":[4611686018427387904,4],"data_offsets":[0,8]}"#), "cannot take"),
        (
            r#"{"w":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},"x":{"dtype":"U8","shape":[4],"data_offsets":[2,6]}}"#
                .to_owned(),
            "`x` overlaps",
        ),
        (
            r#"{"w":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},"w":{"dtype":"U8","shape":[4],"data_offsets":[4,8]}}"#
                .to_owned(),
            "`w` is there twice",
        ),
    ];
    for (header, want) in cases {
        let error = parse(&file(&header, 64)).unwrap_err().to_string();
        assert!(error.contains(want), "{error}");
    }
    assert!(matches!(parse(&file(TWO, 15)), Err(SafetensorsError::Truncated { .. })));
    assert!(matches!(parse(&file(TWO, 16)[..40]), Err(SafetensorsError::Truncated { .. })));
    assert!(matches!(parse(b"\xff\xff\xff\xff\xff\xff\xff\xff{}"), Err(SafetensorsError::NotSafetensors { .. })));
    assert!(matches!(
        parse(b"version https://git-lfs.github.com/spec/v1\n"),
        Err(SafetensorsError::NotSafetensors { .. })
    ));
    assert!(matches!(parse(b""), Err(SafetensorsError::Truncated { .. })));
}

#[test]
fn no_byte_out_of_place_makes_it_panic() {
    let whole = file(TWO, 16);
    let mut state = 7u32;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as usize
    };
    let mut refused = 0;
    for _ in 0..20_000 {
        let mut bytes = whole.clone();
        for _ in 0..1 + next() % 3 {
            let at = next() % bytes.len();
            bytes[at] = next() as u8;
        }
        bytes.truncate(next() % (2 * bytes.len()));
        match parse(&bytes) {
            Ok(header) => assert!(header.tensors.iter().all(|(_, t)| t.data_offsets.1 <= bytes.len() as u64)),
            Err(_) => refused += 1,
        }
    }
    assert!(refused > 1000 && refused < 20_000, "{refused}");
}

#[test]
fn folders_and_their_index_must_agree() {
    let folder = tempfile::tempdir().unwrap();
    let one = |name: &str| format!(r#"{{"{name}":{{"dtype":"U8","shape":[4],"data_offsets":[0,4]}}}}"#);
    let write = |name: &str, bytes: &[u8]| std::fs::write(folder.path().join(name), bytes).unwrap();
    let error = || Folder::open(folder.path()).unwrap_err().to_string();
    assert!(error().contains("no safetensors"));
    write("pytorch_model.bin", b"PK");
    assert!(error().contains("only PyTorch's own files"));
    write("model-00001-of-00002.safetensors", &file(&one("a"), 4));
    assert!(error().contains("lacks the file `model-00002-of-00002.safetensors`"));
    let index = |a: &str, b: &str| {
        format!(r#"{{"weight_map":{{"a":"model-00001-of-00002.safetensors","{a}":"{b}"}}}}"#).into_bytes()
    };
    write("model.safetensors.index.json", &index("b", "model-00002-of-00002.safetensors"));
    assert!(error().contains("`model-00002-of-00002.safetensors`, which is missing (1 tensors"));
    write("model-00002-of-00002.safetensors", &file(&one("b"), 4));
    let all = Folder::open(folder.path()).unwrap();
    assert_eq!(all.tensors.iter().map(|tensor| tensor.name.as_str()).collect::<Vec<_>>(), ["a", "b"]);
    write("model.safetensors.index.json", &index("c", "model-00002-of-00002.safetensors"));
    assert!(error().contains("places `c` in"));
    write("model.safetensors.index.json", &index("a2", "../etc/passwd"));
    assert!(error().contains("no file of this folder"));
    write("model-00002-of-00002.safetensors", &file(&one("a"), 4));
    write("model.safetensors.index.json", &index("b", "model-00002-of-00002.safetensors"));
    assert!(error().contains("is in two files"));
    write("model-00002-of-00002.safetensors", &file(TWO, 16));
    std::fs::write(folder.path().join("model-00001-of-00002.safetensors"), file(&one("z"), 4)).unwrap();
    assert!(error().contains("places `a`"), "{}", error());
}

#[test]
fn a_whole_file_counts_before_an_older_index() {
    let folder = tempfile::tempdir().unwrap();
    let one = |name: &str| format!(r#"{{"{name}":{{"dtype":"U8","shape":[4],"data_offsets":[0,4]}}}}"#);
    let write = |name: &str, bytes: &[u8]| std::fs::write(folder.path().join(name), bytes).unwrap();
    let names = |all: &Folder| all.tensors.iter().map(|tensor| tensor.name.clone()).collect::<Vec<_>>();
    write("model-00001-of-00001.safetensors", &file(&one("old"), 4));
    write("model.safetensors.index.json", br#"{"weight_map":{"old":"model-00001-of-00001.safetensors"}}"#);
    let all = Folder::open(folder.path()).unwrap();
    assert_eq!((names(&all), all.notice), (vec!["old".to_owned()], None));
    write("model.safetensors", &file(&one("new"), 4));
    let all = Folder::open(folder.path()).unwrap();
    assert_eq!(names(&all), ["new"]);
    assert!(all.notice.unwrap().contains("`model.safetensors.index.json` names other files"));
    // An index that has the file among its parts says more than the file alone.
    let both = br#"{"weight_map":{"old":"model-00001-of-00001.safetensors","new":"model.safetensors"}}"#;
    write("model.safetensors.index.json", both);
    let all = Folder::open(folder.path()).unwrap();
    assert_eq!((names(&all).len(), all.notice), (2, None));
}
