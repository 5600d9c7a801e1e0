use super::*;
use crate::error::Advise;

fn gguf(fill: u8, length: usize) -> Vec<u8> {
    let mut bytes = b"GGUF\x03\0\0\0".to_vec();
    bytes.resize(24, 0);
    bytes.resize(length.max(24), fill);
    bytes
}

struct Place {
    folder: tempfile::TempDir,
    store: Store,
}

impl Place {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::new(folder.path().join("home/models"));
        Self { folder, store }
    }

    fn file(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.folder.path().join(name);
        fs::write(&path, bytes).unwrap();
        path
    }

    fn add(&self, path: &Path) -> Result<Stored, StoreError> {
        self.store.add(path, &mut |_| (), &Cancel::new())
    }

    fn verdict(&self, name: &str) -> Verdict {
        self.store.verify(name, &mut |_| (), &Cancel::new()).unwrap().remove(0).1
    }
}

#[test]
fn an_added_file_is_listed_found_and_verified() {
    let place = Place::new();
    assert!(place.store.list().unwrap().is_empty());
    let file = place.file("My-Model.gguf", &gguf(1, 5000));
    let stored = place.add(&file).unwrap();
    assert_eq!((stored.name.as_str(), stored.size, stored.kind), ("My-Model.gguf", 5000, Kind::Gguf));
    for name in ["My-Model.gguf", "my-model", "MY-MODEL.GGUF"] {
        assert_eq!(place.store.resolve(name).unwrap(), stored.path, "{name}");
    }
    assert_eq!(place.verdict("my-model"), Verdict::Good);
    assert!(file.exists());
    // Twice is once.
    place.add(&file).unwrap();
    assert_eq!(place.store.list().unwrap().len(), 1);
}

#[test]
fn a_file_without_the_ending_gets_it() {
    let place = Place::new();
    let file = place.file("blob", &gguf(1, 100));
    assert_eq!(place.add(&file).unwrap().name, "blob.gguf");
}

#[test]
fn what_is_no_gguf_stays_out() {
    let place = Place::new();
    for (name, bytes) in [("empty.gguf", &b""[..]), ("page.gguf", b"<html></html>"), ("short.gguf", b"GGUF\x03\0\0\0")]
    {
        let file = place.file(name, bytes);
        assert!(matches!(place.add(&file), Err(StoreError::NotGguf { .. })), "{name}");
    }
    assert!(matches!(place.add(Path::new("/no/such/file.gguf")), Err(StoreError::NoFile(_))));
    assert!(place.store.list().unwrap().is_empty());
}

#[test]
fn another_content_under_a_taken_name_is_refused_and_the_old_one_kept() {
    let place = Place::new();
    place.add(&place.file("a.gguf", &gguf(1, 100))).unwrap();
    fs::create_dir(place.folder.path().join("other")).unwrap();
    let other = place.file("other/a.gguf", &gguf(2, 100));
    assert!(matches!(place.add(&other), Err(StoreError::Taken(_))));
    let clash = place.file("other/A.gguf", &gguf(1, 100));
    assert!(matches!(place.add(&clash), Err(StoreError::Taken(name)) if name == "a.gguf"));
    assert_eq!(fs::read(place.store.resolve("a").unwrap()).unwrap(), gguf(1, 100));
    let same = place.file("other/a.gguf", &gguf(1, 100));
    place.add(&same).unwrap();
}

#[test]
fn damage_is_found_and_named() {
    let place = Place::new();
    let stored = place.add(&place.file("a.gguf", &gguf(1, 100))).unwrap();
    fs::remove_file(&stored.path).unwrap();
    fs::write(&stored.path, gguf(2, 100)).unwrap();
    assert!(matches!(place.verdict("a"), Verdict::Hash { .. }));
    fs::write(&stored.path, gguf(1, 99)).unwrap();
    assert_eq!(place.verdict("a"), Verdict::Size { want: 100, got: 99 });
    fs::write(place.store.root().join("b.gguf"), gguf(1, 30)).unwrap();
    assert!(matches!(place.store.verify("b", &mut |_| (), &Cancel::new()), Err(StoreError::Unrecorded(_))));
    let cancelled = Cancel::new();
    cancelled.cancel();
    fs::write(&stored.path, gguf(1, 100)).unwrap();
    assert!(matches!(place.store.verify("a", &mut |_| (), &cancelled), Err(StoreError::Cancelled)));
}

#[test]
fn removing_takes_the_record_too_and_nothing_else() {
    let place = Place::new();
    place.add(&place.file("a.gguf", &gguf(1, 100))).unwrap();
    place.add(&place.file("b.gguf", &gguf(2, 100))).unwrap();
    assert_eq!(place.store.remove("a").unwrap(), 100);
    let left: Vec<String> = place.store.names().unwrap();
    assert!(left.iter().all(|name| name.starts_with("b.gguf")), "{left:?}");
    assert!(place.store.remove("a").is_err());
    // A path is a name for resolving, never for removing.
    let outside = place.file("outside.gguf", &gguf(1, 30));
    assert!(place.store.remove(outside.to_str().unwrap()).is_err());
    assert!(place.store.remove("../../outside.gguf").is_err());
    assert!(outside.exists());
}

#[test]
fn an_unknown_name_shows_its_neighbours_and_a_known_one_what_to_pull() {
    let place = Place::new();
    match place.store.resolve("smollm2-135m-instrct").unwrap_err() {
        StoreError::Unknown { near, .. } => assert_eq!(near.first().map(String::as_str), Some("smollm2-135m-instruct")),
        other => panic!("{other}"),
    }
    let here = place.store.resolve("qwen2.5-coder").unwrap_err();
    assert_eq!(here.hint().unwrap(), "`zord models pull qwen2.5-coder-1.5b-instruct` downloads it");
    assert!(matches!(place.store.resolve("phi-4"), Err(StoreError::NotHere { pull: None, .. })));
    assert!(matches!(place.store.resolve("./none.gguf"), Err(StoreError::NoFile(_))));
    assert!(matches!(place.store.resolve("hf:a/b/c.gguf"), Err(StoreError::NotHere { .. })));
    assert!(matches!(place.store.resolve("hf:a"), Err(StoreError::Name(_))));
}

#[test]
fn a_catalogue_name_finds_its_file_and_a_path_is_itself() {
    let place = Place::new();
    let file = place.file("SmolLM2-135M-Instruct.Q4_1.gguf", &gguf(1, 100));
    let stored = place.add(&file).unwrap();
    for name in ["smollm2", "smollm2-135m-instruct", "SmolLM2-135M-Instruct.Q4_1"] {
        assert_eq!(place.store.resolve(name).unwrap(), stored.path, "{name}");
    }
    let stored = place.add(&place.file("qwen2.5-coder-0.5b-instruct-q4_k_m.gguf", &gguf(1, 100))).unwrap();
    for name in ["default", "qwen2.5-coder-0.5b-instruct"] {
        assert_eq!(place.store.resolve(name).unwrap(), stored.path, "{name}");
    }
    assert_eq!(place.store.resolve(file.to_str().unwrap()).unwrap(), file);
}

#[test]
fn foreign_things_in_the_folder_are_no_models() {
    let place = Place::new();
    fs::create_dir_all(place.store.root().join("folder")).unwrap();
    for name in ["notes.txt", ".hidden.gguf", "x.gguf.part", "y.gguf.toml"] {
        fs::write(place.store.root().join(name), "x").unwrap();
    }
    assert!(place.store.list().unwrap().is_empty());
    let partials = place.store.partials().unwrap();
    assert_eq!(partials, [Partial { name: "x.gguf".into(), size: 1, source: None }]);
    assert_eq!(place.store.remove_partial("x.gguf").unwrap(), 1);
    assert!(place.store.remove_partial("x.gguf").is_err());
    assert!(place.store.remove_partial("../x").is_err());
}

#[test]
fn a_store_that_cannot_be_made_says_why() {
    let place = Place::new();
    let file = place.file("a.gguf", &gguf(1, 100));
    let store = Store::new(file.join("below"));
    assert!(matches!(store.add(&file, &mut |_| (), &Cancel::new()), Err(StoreError::Io { .. })));
    assert!(matches!(store.room("a", u64::MAX / 2), Err(StoreError::Space { .. })));
}
