//! Which files of a folder count as source code: what `.gitignore` leaves, by extension, size and licence.

use std::path::Path;

use ignore::WalkBuilder;

/// The largest file read, in bytes.
const LARGEST: u64 = 1 << 20;

/// Extensions that count when none are named.
pub(crate) const EXTENSIONS: [&str; 22] = [
    "py", "js", "mjs", "jsx", "ts", "tsx", "c", "h", "cc", "cpp", "hpp", "rs", "go", "java", "kt", "sh", "bash", "lua",
    "rb", "swift", "scala", "md",
];

/// Hands every file's text to `each`, in a fixed order.
///
/// # Errors
/// In words: the folder cannot be read; or whatever `each` says.
pub(crate) fn files<E: From<std::io::Error>>(
    folder: &Path,
    extensions: &[String],
    mut each: impl FnMut(&Path, String) -> Result<(), E>,
) -> Result<(), E> {
    let wanted = |path: &Path| {
        let end = path.extension().and_then(|end| end.to_str()).unwrap_or_default();
        if extensions.is_empty() { EXTENSIONS.contains(&end) } else { extensions.iter().any(|wanted| wanted == end) }
    };
    let walk = WalkBuilder::new(folder).require_git(false).sort_by_file_name(Ord::cmp).build();
    for entry in walk {
        let entry = entry.map_err(|error| std::io::Error::other(error.to_string()))?;
        let path = entry.path();
        let small = entry.metadata().is_ok_and(|facts| facts.is_file() && facts.len() <= LARGEST);
        if !small || !wanted(path) {
            continue;
        }
        // What is no text is no source code, whatever it is called.
        if let Ok(text) = std::fs::read_to_string(path)
            && !text.contains('\0')
            && !text.trim().is_empty()
        {
            each(path, text)?;
        }
    }
    Ok(())
}

/// The licence a file or its folder names, as far as it is told by its first lines.
pub(crate) fn licence(text: &str) -> Option<String> {
    let line = text.lines().take(30).find_map(|line| line.split_once("SPDX-License-Identifier:"))?.1;
    let name = line.trim().trim_end_matches("*/").trim_end_matches("-->").trim();
    (!name.is_empty()).then(|| name.chars().take(80).collect())
}
