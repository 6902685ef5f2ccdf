//! The rooms of the house: no file is long, no comment wide, and rooms depend downwards, never in a circle.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Most lines of a file.
const LONGEST: usize = 500;
/// Most columns of a comment, and of a shader's lines: rustfmt breaks Rust's code, and nothing else by itself.
const WIDEST: usize = 120;
/// Endings of program text.
const PROGRAMS: [&str; 5] = ["rs", "wgsl", "js", "mjs", "py"];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn text(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Files below `folder` whose names have one of these endings; what is built or hidden is left out.
fn files(folder: &Path, endings: &[&str]) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display())) {
        let path = entry.expect("an entry of a folder").path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if path.is_dir() {
            if !name.starts_with('.') && !["target", "dist", "node_modules"].contains(&name.as_str()) {
                found.extend(files(&path, endings));
            }
        } else if path.extension().is_some_and(|ending| endings.iter().any(|known| ending == *known)) {
            found.push(path);
        }
    }
    found.sort();
    found
}

#[test]
fn no_file_is_long() {
    let all = files(root(), &PROGRAMS);
    assert!(all.len() > 500, "{} files", all.len());
    let lines = all.iter().map(|path| (text(path).lines().count(), path));
    let long: Vec<_> = lines.filter(|(lines, _)| *lines > LONGEST).collect();
    assert!(long.is_empty(), "more than {LONGEST} lines: {long:?}");
}

/// Numbers of the lines that have more than [`WIDEST`] columns and are comments, end in one, or stand in a shader.
fn wide(text: &str, ending: &str) -> Vec<usize> {
    let marks: &[&str] = if ending == "py" { &["#"] } else { &["//", "/*", "* "] };
    let behind = format!(" {} ", marks[0]);
    let mut quoted = false;
    let mut found = Vec::new();
    for (at, line) in text.lines().enumerate() {
        let inside = quoted;
        quoted ^= ending == "py" && line.matches("\"\"\"").count() % 2 == 1;
        let begins = marks.iter().any(|mark| line.trim_start().starts_with(mark));
        let says = inside || quoted || begins || line.contains(&behind) || line.contains("\"\"\"");
        if line.chars().count() > WIDEST && (says || ending == "wgsl") {
            found.push(at + 1);
        }
    }
    found
}

#[test]
fn no_comment_is_wide() {
    for path in files(root(), &PROGRAMS) {
        let lines = wide(&text(&path), &path.extension().unwrap_or_default().to_string_lossy());
        assert!(lines.is_empty(), "{}: more than {WIDEST} columns in lines {lines:?}", path.display());
    }
}

#[test]
fn wide_comments_are_found() {
    let [word, code] = ["x".repeat(WIDEST + 1), format!("f({})", "x, ".repeat(WIDEST))];
    let rust = format!("/// {word}\n{code}\n{code} // {word}\n// x\n\"https://{word}\"\n");
    assert_eq!(wide(&rust, "rs"), [1, 3]);
    assert_eq!(wide(&code, "wgsl"), [1]);
    assert_eq!(wide(&format!("/**\n * {word}\n */\n{code}\n"), "js"), [2]);
    let python = format!("\"\"\"{word}\n{word}\nx\"\"\"\n{code}\n{code}  # x\n# {word}\n");
    assert_eq!(wide(&python, "py"), [1, 2, 5, 6]);
}

/// The program text of a file: without comments and without its tests, which may look at everything.
fn code(path: &Path) -> String {
    let text = text(path);
    let text = text.split("mod tests {").next().unwrap_or_default();
    text.lines().map(|line| line.split("//").next().unwrap_or_default()).collect::<Vec<_>>().join("\n")
}

/// Appends every path of the tree of names that `rest` begins with, such as `a::{b, c::d}`, behind `path`; returns what
/// follows it.
fn tree<'a>(mut rest: &'a str, mut path: Vec<&'a str>, found: &mut Vec<Vec<&'a str>>) -> &'a str {
    loop {
        rest = rest.trim_start();
        if let Some(inside) = rest.strip_prefix('{') {
            rest = inside.trim_start();
            while !rest.is_empty() && !rest.starts_with('}') {
                rest = tree(rest, path.clone(), found);
                // What a name is called here does not matter.
                rest = &rest[rest.find([',', '}']).unwrap_or(rest.len())..];
                rest = rest.strip_prefix(',').unwrap_or(rest).trim_start();
            }
            return rest.strip_prefix('}').unwrap_or(rest);
        }
        let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
        path.push(&rest[..end]);
        rest = &rest[end..];
        let Some(more) = rest.strip_prefix("::") else {
            found.push(path);
            return rest;
        };
        rest = more;
    }
}

/// All paths in `code` that begin with one of `starts`, as a word.
fn paths<'a>(code: &'a str, starts: &[&str]) -> Vec<Vec<&'a str>> {
    let mut found = Vec::new();
    for start in starts {
        for (at, _) in code.match_indices(start) {
            if !code[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == ':') {
                tree(&code[at..], Vec::new(), &mut found);
            }
        }
    }
    found
}

/// The rooms directly below the module `house` (empty for the crate), each with the rooms that it uses and a file that
/// does.
fn uses(house: &[&str]) -> BTreeMap<String, BTreeMap<String, String>> {
    let folder = house.iter().fold(root().join("src"), |folder, name| folder.join(name));
    let door = if house.is_empty() { folder.join("lib.rs") } else { folder.join("mod.rs") };
    let stem = |path: &Path| path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let entries = fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let rooms: BTreeSet<String> = entries.map(|entry| stem(&entry.expect("an entry").path())).collect();
    // What the house shows of its rooms belongs to them.
    let code_of_door = code(&door);
    let mut shown = BTreeMap::new();
    for statement in code_of_door.split(';').filter_map(|statement| statement.split("use ").nth(1)) {
        let mut found = Vec::new();
        tree(statement, Vec::new(), &mut found);
        let inner = found.iter().filter(|path| path.len() > 1 && rooms.contains(path[0]));
        shown.extend(inner.map(|path| (path[path.len() - 1].to_owned(), path[0].to_owned())));
    }
    let mut uses: BTreeMap<String, BTreeMap<String, String>> = BTreeMap::new();
    for file in files(&folder, &["rs"]).into_iter().filter(|file| *file != door) {
        let below = file.strip_prefix(root().join("src")).expect("a file of the crate").with_extension("");
        let mut module: Vec<String> = below.iter().map(|part| part.to_string_lossy().into_owned()).collect();
        module.pop_if(|last| last == "mod");
        let Some(room) = module.get(house.len()).filter(|room| *room != "main") else { continue };
        let code = code(&file);
        for path in paths(&code, &["crate::", "super::"]) {
            let up = path.iter().take_while(|part| **part == "super").count();
            let base = if path[0] == "crate" { &[][..] } else { &module[..module.len().saturating_sub(up)] };
            let whole: Vec<&str> = base.iter().map(String::as_str).chain(path[up.max(1)..].iter().copied()).collect();
            let Some(name) = whole.strip_prefix(house).and_then(|inner| inner.first()) else { continue };
            let used = if rooms.contains(*name) { Some(*name) } else { shown.get(*name).map(String::as_str) };
            if let Some(used) = used.filter(|used| used != room) {
                let file = below.to_string_lossy().replace('\\', "/");
                uses.entry(room.clone()).or_default().entry(used.to_owned()).or_insert(file);
            }
        }
    }
    uses
}

/// A way from `from` back to it, as the rooms on it.
fn circle(uses: &BTreeMap<String, BTreeMap<String, String>>, from: &str) -> Option<Vec<String>> {
    let mut ways = vec![vec![from.to_owned()]];
    let mut seen = BTreeSet::new();
    while let Some(way) = ways.pop() {
        for (next, file) in uses.get(&way[way.len() - 1]).into_iter().flatten() {
            let mut way = way.clone();
            way.push(format!("{next} (by {file})"));
            if next == from {
                return Some(way);
            }
            if seen.insert(next.clone()) {
                *way.last_mut().expect("a room") = next.clone();
                ways.push(way);
            }
        }
    }
    None
}

fn has_no_circles(house: &[&str], least: usize) {
    let uses = uses(house);
    assert!(uses.len() >= least, "{house:?}: {} rooms use others", uses.len());
    let circles: Vec<_> = uses.keys().filter_map(|room| circle(&uses, room)).collect();
    assert!(circles.is_empty(), "rooms of {house:?} use each other in circles: {circles:#?}");
}

#[test]
fn rooms_of_the_crate_depend_downwards() {
    has_no_circles(&[], 15);
}

#[test]
fn rooms_of_the_operations_depend_downwards() {
    has_no_circles(&["ops"], 8);
}

#[test]
fn files_of_the_data_depend_downwards() {
    has_no_circles(&["data"], 15);
}

/// Words of comments and of texts, without code in them: what stands between backticks or braces.
fn prose(text: &str) -> Vec<String> {
    let mut prose = String::new();
    for line in text.lines() {
        let (code, comment) = line.split_once("//").unwrap_or((line, ""));
        // Single words are keys and names.
        let texts = code.split('"').skip(1).step_by(2).filter(|text| text.contains(' '));
        for text in texts.chain([comment]) {
            let named = text.split('`').step_by(2).collect::<String>();
            prose.extend(named.split('{').filter_map(|part| part.rsplit('}').next()));
            prose.push(' ');
        }
    }
    prose.split(|c: char| !c.is_alphabetic() && !"-_".contains(c)).map(str::to_lowercase).collect()
}

#[test]
fn prose_is_spelt_one_way() {
    let others = ["color", "colors", "colored", "center", "centers", "centered", "center-surround", "gray", "behavior"];
    for path in files(&root().join("src"), &["rs"]) {
        let words = prose(&text(&path));
        let other = words.iter().find(|word| others.contains(&word.as_str()));
        assert_eq!(other, None, "{}: elsewhere it is colour, centre, grey and behaviour", path.display());
    }
    let found = prose("let a = format!(\"the center {color} is\", \"color\"); // a `center` of Colors");
    assert_eq!(found.iter().filter(|word| others.contains(&word.as_str())).collect::<Vec<_>>(), ["center", "colors"]);
}

#[test]
fn circles_and_trees_are_found() {
    let found = paths("use crate::{a::{b, c as d}, e::f};\nlet x = super::g(1); xcrate::h", &["crate::", "super::"]);
    assert_eq!(found, [&["crate", "a", "b"][..], &["crate", "a", "c"], &["crate", "e", "f"], &["super", "g"]]);
    let edge = |to: &str| BTreeMap::from([(to.to_owned(), "file".to_owned())]);
    let mut uses: BTreeMap<_, _> = ["ab", "bc", "cd"].map(|way| (way[..1].to_owned(), edge(&way[1..]))).into();
    assert_eq!(circle(&uses, "a"), None);
    uses.insert("d".into(), edge("b"));
    assert!(circle(&uses, "b").is_some() && circle(&uses, "a").is_none());
}
