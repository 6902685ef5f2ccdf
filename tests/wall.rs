//! The wall around software adapters: what exists only because a CPU computes is in `src/software` and
//! `shaders/software`, and no other room names it.

use std::path::Path;

/// Names of that room's own choices, and of the adapters.
const WORDS: [&str; 8] =
    ["Family", "Loads", "IN_SUBGROUPS", "Mesa", "llvmpipe", "lavapipe", "SwiftShader", "profile.software"];

/// The list of adapters, which knows some by their names, what to install for them, and what is known to be wrong with
/// some.
const MAY: [&str; 2] = ["src/gpu/adapter.rs", "src/gpu/known.rs"];

/// Whether `word` stands in `line` as a word, in any case but for the two that are words of their own in other cases.
fn names(line: &str, word: &str) -> bool {
    let whole = |line: &str, word: &str| {
        line.match_indices(word).any(|(at, _)| {
            let part = |c: char| c.is_alphanumeric() || c == '_';
            !line[..at].ends_with(part) && !line[at + word.len()..].starts_with(part)
        })
    };
    match word {
        "Family" | "Loads" => whole(line, word) && !line.trim_start().starts_with("//"),
        _ => whole(&line.to_lowercase(), &word.to_lowercase()),
    }
}

/// `file:line: text` for each line of the files below `folder`, outside of the room, that names a word.
fn offences(root: &Path, folder: &Path, seen: &mut usize, found: &mut Vec<String>) {
    for entry in std::fs::read_dir(folder).expect("a folder of the crate") {
        let path = entry.expect("an entry of a folder").path();
        let name = path.strip_prefix(root).expect("a path below the crate").to_string_lossy().replace('\\', "/");
        if path.is_dir() {
            if !name.ends_with("/software") {
                offences(root, &path, seen, found);
            }
            continue;
        }
        if MAY.contains(&name.as_str()) {
            continue;
        }
        *seen += 1;
        let text = std::fs::read_to_string(&path).expect("a text");
        for (number, line) in (1..).zip(text.lines()) {
            if WORDS.iter().any(|word| names(line, word)) {
                found.push(format!("{name}:{number}: {}", line.trim()));
            }
        }
    }
}

#[test]
fn no_other_room_names_software_adapters() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let (mut seen, mut found) = (0, Vec::new());
    for folder in ["src", "shaders"] {
        offences(root, &root.join(folder), &mut seen, &mut found);
    }
    assert!(seen > 200, "{seen} files");
    assert!(found.is_empty(), "these belong into src/software or shaders/software:\n{}", found.join("\n"));
}

#[test]
fn words_are_found_as_words() {
    assert!(names("use crate::software::Family;", "Family") && names("// on mesa's", "Mesa"));
    assert!(
        names("if launch.profile.software {", "profile.software") && !names("profile.software_of", "profile.software")
    );
    assert!(!names("font-family", "Family") && !names("Overloads", "Loads") && !names("/// Loads a file", "Loads"));
}
