//! Writes out the short loops of a kernel: a body for each value of the index.
//!
//! Register tiles live in private arrays. Compilers that optimise keep them in registers by themselves; a quick one
//! keeps an array in memory as long as anything but a constant indexes it, and loads it lane by lane. DirectX's
//! compiler takes minutes over such an index. What is written out here has none.
//!
//! A loop is written out when it reads `for (var i = 0u; i < BOUND; i++) {` on a line of its own, BOUND is a constant
//! of at most [`MOST`], or of what the shader's constant `MOST_ROUNDS` says, and no `break` or `continue` is inside.

use std::collections::HashMap;

/// Loops of more rounds stay loops.
const MOST: u32 = 32;

/// `text` with its short loops written out.
pub(super) fn unroll(text: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    let mut out = String::with_capacity(2 * text.len());
    write_out(&lines, &constants(&lines), &mut out);
    out
}

type Constants<'a> = HashMap<&'a str, u32>;

/// Values of the module's constants; `//` remarks behind them do not matter.
fn constants<'a>(lines: &[&'a str]) -> Constants<'a> {
    let mut known = Constants::new();
    // A constant may stand before those it is made of.
    for _ in 0..3 {
        for line in lines {
            let parsed = line.strip_prefix("const ").and_then(|rest| {
                let (name, value) = rest.split_once(": u32 = ")?;
                Some((name, evaluate(value.split_once(';')?.0, &known)?))
            });
            known.extend(parsed);
        }
    }
    known
}

/// A number, a constant, or products and quotients of such.
fn evaluate(expression: &str, known: &Constants<'_>) -> Option<u32> {
    let mut words = expression.split_whitespace();
    let operand = |word: &str| known.get(word).copied().or_else(|| word.strip_suffix('u')?.parse().ok());
    let mut value = operand(words.next()?)?;
    while let Some(operator) = words.next() {
        let right = operand(words.next()?)?;
        value = match operator {
            "*" => value.checked_mul(right)?,
            "/" => value.checked_div(right)?,
            _ => return None,
        };
    }
    Some(value)
}

fn write_out(lines: &[&str], known: &Constants<'_>, out: &mut String) {
    let mut at = 0;
    while at < lines.len() {
        let found = head(lines[at], known).and_then(|(index, rounds)| Some((index, rounds, length(&lines[at..])?)));
        let Some((index, rounds, length)) = found else {
            out.push_str(lines[at]);
            out.push('\n');
            at += 1;
            continue;
        };
        let body = &lines[at + 1..at + length - 1];
        for round in 0..rounds {
            let value = format!("{round}u");
            let body: Vec<String> = body.iter().map(|line| replaced(line, index, &value)).collect();
            out.push_str("{\n");
            write_out(&body.iter().map(String::as_str).collect::<Vec<_>>(), known, out);
            out.push_str("}\n");
        }
        at += length;
    }
}

/// Index and rounds, when `line` begins a loop that is to be written out.
fn head<'a>(line: &'a str, known: &Constants<'_>) -> Option<(&'a str, u32)> {
    let (index, rest) = line.trim().strip_prefix("for (var ")?.split_once(" = 0u; ")?;
    let bound = rest.strip_prefix(index)?.strip_prefix(" < ")?.strip_suffix("++) {")?;
    let rounds = evaluate(bound.strip_suffix(index)?.strip_suffix("; ")?, known)?;
    (rounds <= known.get("MOST_ROUNDS").copied().unwrap_or(MOST)).then_some((index, rounds))
}

/// Lines from the head of a loop to its closing brace; nothing when it is left or cut short inside.
fn length(lines: &[&str]) -> Option<usize> {
    let mut depth = 0;
    for (i, line) in lines.iter().enumerate() {
        let code = line.split("//").next().unwrap_or_default();
        if code.contains("break;") || code.contains("continue;") {
            return None;
        }
        depth += code.matches('{').count();
        depth = depth.checked_sub(code.matches('}').count())?;
        if depth == 0 {
            return Some(i + 1);
        }
    }
    None
}

/// `line` with `value` where the variable `name` stands; a member `.name` is none.
fn replaced(line: &str, name: &str, value: &str) -> String {
    let part = |c: char| c.is_alphanumeric() || c == '_';
    let mut out = String::with_capacity(line.len());
    let mut rest = line;
    while let Some(at) = rest.find(name) {
        let (before, after) = (&rest[..at], &rest[at + name.len()..]);
        let previous = before.chars().last().or(out.chars().last());
        out.push_str(before);
        let whole = !previous.is_some_and(|c| part(c) || c == '.') && !after.starts_with(part);
        out.push_str(if whole { value } else { name });
        rest = after;
    }
    out + rest
}

#[cfg(test)]
mod tests {
    use super::unroll;

    #[test]
    fn loops_over_constants_are_written_out() {
        let text = "const OWN: u32 = TM / LX;\nconst TM: u32 = 8u;\nconst LX: u32 = 4u;\n\
                    for (var i = 0u; i < OWN; i++) { // rows\n    x[i] = mix.i + pi;\n\
                    \x20   if i > 0u {\n        y(i);\n    }\n}\n";
        let (_, body) = unroll(text).split_once("4u;\n").map(|(a, b)| (a.to_owned(), b.to_owned())).unwrap_or_default();
        let one =
            |i: u32| format!("{{\n    x[{i}u] = mix.i + pi;\n    if {i}u > 0u {{\n        y({i}u);\n    }}\n}}\n");
        assert_eq!(
            body,
            text.split_once("4u;\n").map(|(_, b)| b).unwrap_or_default(),
            "a remark behind the head keeps the loop"
        );
        let text = text.replace(" // rows", "");
        assert!(unroll(&text).ends_with(&(one(0) + &one(1))), "{}", unroll(&text));
    }

    #[test]
    fn nested_loops_have_their_own_index() {
        let text = "for (var i = 0u; i < 2u; i++) {\nfor (var j = 0u; j < 2u; j++) {\na[i][j]\n}\n}\n";
        let flat: Vec<String> = unroll(text).lines().filter(|line| line.starts_with('a')).map(str::to_owned).collect();
        assert_eq!(flat, ["a[0u][0u]", "a[0u][1u]", "a[1u][0u]", "a[1u][1u]"]);
    }

    #[test]
    fn other_loops_stay() {
        for text in [
            "for (var i = 0u; i < params.n; i++) {\nf(i);\n}\n",
            "for (var i = 0u; i < 33u; i++) {\nf(i);\n}\n",
            "for (var i = 0u; i < 4u; i++) {\nif g(i) {\ncontinue;\n}\n}\n",
            "for (var i = 1u; i < 4u; i++) {\nf(i);\n}\n",
        ] {
            assert_eq!(unroll(text), text);
        }
    }

    #[test]
    fn a_shader_has_its_own_limit() {
        let text =
            |most: u32| format!("const MOST_ROUNDS: u32 = {most}u;\nfor (var i = 0u; i < 40u; i++) {{\nf(i);\n}}\n");
        assert_eq!(unroll(&text(40)).matches("f(").count(), 40);
        assert_eq!(unroll(&text(39)), text(39));
    }
}
