//! Where a shader loads from an array that it binds, for passes over its text.

/// `text` without remarks, which might hold half a bracket.
pub(crate) fn code(line: &str) -> &str {
    line.split("//").next().unwrap_or_default()
}

/// `text` with what `load` makes of the index in place of each `name[index]`.
pub(crate) fn with_loads(text: &str, name: &str, load: &dyn Fn(&str) -> String) -> String {
    let part = |c: char| c.is_alphanumeric() || c == '_' || c == '.';
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(name) {
        let (before, after) = (&rest[..at], &rest[at + name.len()..]);
        let whole = !before.chars().last().or(out.chars().last()).is_some_and(part);
        out.push_str(before);
        match bracketed(after).filter(|_| whole) {
            Some(index) => {
                // The index may itself hold loads.
                out.push_str(&load(&with_loads(index, name, load)));
                rest = &after[index.len() + 2..];
            }
            None => {
                out.push_str(name);
                rest = after;
            }
        }
    }
    out + rest
}

/// What stands between the bracket that `text` begins with and its partner.
pub(crate) fn bracketed(text: &str) -> Option<&str> {
    let mut depth = 0;
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            b'[' => depth += 1,
            b']' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return if at > 0 { Some(&text[1..at]) } else { None };
        }
    }
    None
}
