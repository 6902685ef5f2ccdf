//! What a visitor downloads of the page's scripts.

use crate::Result;
use std::fs;
use std::path::Path;

/// Leaves out of every script in `folder` and below what no browser needs.
///
/// # Errors
/// A script cannot be read or written.
pub fn scripts(folder: &Path) -> Result {
    let failed = |error: std::io::Error| format!("{}: {error}", folder.display());
    for entry in fs::read_dir(folder).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        if path.is_dir() {
            scripts(&path)?;
        } else if path.extension().is_some_and(|ending| ending == "js") {
            let text = fs::read_to_string(&path).map_err(failed)?;
            fs::write(&path, lean(&text)).map_err(failed)?;
        }
    }
    Ok(())
}

/// A script without comments that have lines of their own, empty lines and indentation. No text in it may go over
/// several lines.
fn lean(script: &str) -> String {
    let (mut kept, mut within) = (String::new(), false);
    for line in script.lines().map(str::trim) {
        let comment = within || line.starts_with("//") || line.starts_with("/*");
        within = if line.starts_with("/*") || within { !line.ends_with("*/") } else { false };
        if !comment && !line.is_empty() {
            kept.extend([line, "\n"]);
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_and_indentation_go_and_code_stays() {
        let script =
            "// why\n/** What. */\nconst a = 1; // b\n\n/**\n * More.\n */\nfunction f() {\n  return `x // ${a}`;\n}\n";
        assert_eq!(lean(script), "const a = 1; // b\nfunction f() {\nreturn `x // ${a}`;\n}\n");
    }

    /// What [`lean`] relies on.
    #[test]
    fn no_text_of_the_page_goes_over_several_lines() {
        let mut folders = vec![crate::command::root().join("web/page")];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                } else if path.extension().is_some_and(|ending| ending == "js") {
                    let text = fs::read_to_string(&path).unwrap();
                    let odd = text.lines().find(|line| line.matches('`').count() % 2 == 1 || line.contains("*/ "));
                    assert_eq!(odd, None, "{}", path.display());
                }
            }
        }
    }
}
