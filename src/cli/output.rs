//! Lines to stdout and stderr. A full disk is remembered and fails the program at its end, after all work is kept; a
//! reader that has gone away (a closed pipe, a terminal that was shut) ends the printing and nothing else.

use crate::{Error, Result};
use std::borrow::Cow;
use std::io::{ErrorKind, IsTerminal, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

/// The first failed write to stdout.
static FAILED: Mutex<Option<std::io::Error>> = Mutex::new(None);

/// What a terminal that was shut answers.
#[cfg(unix)]
const HUNG_UP: Option<i32> = Some(libc::EIO);
#[cfg(not(unix))]
const HUNG_UP: Option<i32> = None;

fn reader_gone(error: &std::io::Error) -> bool {
    error.kind() == ErrorKind::BrokenPipe || HUNG_UP.is_some_and(|code| error.raw_os_error() == Some(code))
}

/// Whether nothing is printed but what [`tell`] is given.
static QUIET: AtomicBool = AtomicBool::new(false);

/// From now on only [`tell`] prints: another process does the talking.
pub(super) fn keep_quiet() {
    QUIET.store(true, Ordering::Relaxed);
}

/// Prints one line to stdout.
pub(super) fn say(line: &str) {
    say_painted(&printable(line));
}

/// As [`say`] of a line that this program has coloured itself.
pub(super) fn say_painted(line: &str) {
    if !QUIET.load(Ordering::Relaxed) {
        remember(writeln!(std::io::stdout(), "{}", with_flags(line)));
    }
}

/// `text` with the fields that the library names in backticks, such as `batch_size`, as the flags that set them:
/// --batch-size.
fn with_flags(text: &str) -> Cow<'_, str> {
    // Quotes stand in pairs: every other part is inside.
    if !text.contains('`') {
        return Cow::Borrowed(text);
    }
    let parts: Vec<&str> = text.split('`').collect();
    let mut out = String::with_capacity(text.len() + 8);
    for (i, part) in parts.iter().enumerate() {
        match i % 2 {
            0 => out.push_str(part),
            _ if i + 1 < parts.len() && super::flags().contains(*part) => {
                out.push_str("--");
                out.push_str(&part.replace('_', "-"));
            }
            _ => {
                out.push('`');
                out.push_str(part);
                out.push_str(if i + 1 < parts.len() { "`" } else { "" });
            }
        }
    }
    Cow::Owned(out)
}

/// `text` with what would steer a terminal made visible: names come from files, too.
fn printable(text: &str) -> Cow<'_, str> {
    let steers = |c: char| c.is_control() && c != '\n' && c != '\t';
    if !text.contains(steers) {
        return Cow::Borrowed(text);
    }
    let shown = |c: char| if steers(c) { c.escape_default().to_string() } else { c.to_string() };
    Cow::Owned(text.chars().map(shown).collect())
}

/// Keeps the first error of a write to stdout.
pub(super) fn remember(written: std::io::Result<()>) {
    if let Err(error) = written {
        FAILED.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
    }
}

/// On which side of their columns the cells behind the first one stand.
#[derive(Clone, Copy)]
pub(super) enum Side {
    Left,
    Right,
}

/// Prints rows to stdout, each column as wide as its widest cell, the first one to the left.
pub(super) fn say_table<'a>(rows: impl Iterator<Item = &'a Vec<String>> + Clone, side: Side) {
    let width = |column: usize| {
        rows.clone().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    for row in rows.clone() {
        let cells = row.iter().enumerate().map(|(i, cell)| match (i, side) {
            (1.., Side::Right) => format!("{cell:>w$}", w = width(i)),
            _ => format!("{cell:<w$}", w = width(i)),
        });
        say(cells.collect::<Vec<_>>().join("  ").trim_end());
    }
}

/// Prints one JSON object as a line.
pub(super) fn say_json(value: &impl serde::Serialize) -> Result<()> {
    say(&serde_json::to_string(value).map_err(|e| Error::Run(format!("a result could not be written as JSON: {e}")))?);
    Ok(())
}

/// Prints text to stderr as it is; where that cannot be written there is nobody to tell.
pub(super) fn mutter(text: &str) {
    if !QUIET.load(Ordering::Relaxed) {
        print(text);
    }
}

/// Prints one line to stderr, whoever else talks.
pub(super) fn tell(line: &str) {
    print(&format!("{}\n", with_flags(line)));
}

fn print(text: &str) {
    let mut stderr = std::io::stderr();
    stderr.write_all(text.as_bytes()).and_then(|()| stderr.flush()).ok();
}

/// Prints one line to stderr.
pub(super) fn note(line: &str) {
    mutter(&format!("{}\n", printable(&with_flags(line))));
}

/// As [`note`], bold at a terminal.
pub(super) fn warn(line: &str) {
    let [on, off] = if std::io::stderr().is_terminal() { ["\x1b[1m", "\x1b[0m"] } else { [""; 2] };
    mutter(&format!("{on}warning: {}{off}\n", printable(&with_flags(line))));
}

/// Tells at the program's end whether all of stdout arrived where it should.
///
/// # Errors
/// [`Error::Run`] when it did not, although somebody wanted it.
pub(super) fn finish() -> Result<()> {
    remember(std::io::stdout().flush());
    match FAILED.lock().unwrap_or_else(PoisonError::into_inner).take() {
        Some(error) if !reader_gone(&error) => Err(Error::Run(format!(
            "standard output could not be written ({error}), so that lines of it are missing; all files are kept. \
             Make room where it goes, or send it elsewhere"
        ))),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::with_flags;

    #[test]
    fn fields_become_flags_and_everything_else_stays() {
        assert_eq!(with_flags("`batch_size` is 0; `norm` none"), "--batch-size is 0; --norm none");
        for text in ["no fields", "a file of `mexhat train`", "`no_such_field` is 1", "one ` alone", "`lr", ""] {
            assert_eq!(with_flags(text), text);
        }
        assert_eq!(with_flags("`a` `eps` `"), "`a` --eps `");
    }
}
