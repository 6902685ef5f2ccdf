//! The pickles of CIFAR's python version: dictionaries of byte arrays, numbers and texts.
//!
//! Nothing is executed: calls and globals are only remembered. Values are places in one list, so that no file, however
//! nested or self-referring, costs more memory than its length allows or runs over the stack; general readers of
//! pickles promise neither. Opcodes after Python's `Lib/pickletools.py`, protocols 1 to 5.

use std::collections::HashMap;
use std::ops::Range;

/// Values of one file; a batch of CIFAR has some 20,000.
const MAX_VALUES: usize = 1 << 21;

enum Node {
    Number(i64),
    /// Bytes or text, where they stand in the file.
    Bytes(Range<usize>),
    /// A list or tuple.
    List(Vec<usize>),
    Dict(Vec<(usize, usize)>),
    /// What a call was made with, and the state that was set on it.
    Object(Vec<usize>),
    /// None, a number that is no integer, a global.
    Other,
}

/// A dictionary from a pickle.
pub(super) struct Pickle<'a> {
    bytes: &'a [u8],
    nodes: Vec<Node>,
    root: usize,
}

/// The machine that reads opcodes.
struct Machine<'a> {
    bytes: &'a [u8],
    at: usize,
    nodes: Vec<Node>,
    stack: Vec<usize>,
    marks: Vec<usize>,
    memo: HashMap<usize, usize>,
}

impl<'a> Pickle<'a> {
    /// Reads a pickle whose value is a dictionary.
    pub(super) fn read(bytes: &'a [u8]) -> Result<Self, String> {
        let mut machine =
            Machine { bytes, at: 0, nodes: Vec::new(), stack: Vec::new(), marks: Vec::new(), memo: HashMap::new() };
        while machine.step()? {}
        let root = machine.pop()?;
        match machine.nodes[root] {
            Node::Dict(_) => Ok(Self { bytes, nodes: machine.nodes, root }),
            _ => Err("its value is no dictionary".into()),
        }
    }

    fn get(&self, key: &str) -> Result<&Node, String> {
        let Node::Dict(items) = &self.nodes[self.root] else { return Err("its value is no dictionary".into()) };
        let named = |&&(k, _): &&(usize, usize)| matches!(&self.nodes[k], Node::Bytes(r) if &self.bytes[r.clone()] == key.as_bytes());
        items.iter().find(named).map(|&(_, value)| &self.nodes[value]).ok_or_else(|| format!("it has no '{key}'"))
    }

    /// The data of an array of bytes, in one piece and in row order as NumPy pickles it.
    pub(super) fn array(&self, key: &str) -> Result<Vec<u8>, String> {
        let wrong = || format!("'{key}' is no array of bytes");
        let Node::Object(parts) = self.get(key)? else { return Err(wrong()) };
        // The state is (version, shape, type, column order, data).
        let state = parts.iter().rev().find_map(|&part| match &self.nodes[part] {
            Node::List(items) if items.len() == 5 => Some(items),
            _ => None,
        });
        let state = state.ok_or_else(wrong)?;
        let data = match &self.nodes[state[4]] {
            Node::Bytes(range) => self.bytes[range.clone()].to_vec(),
            // Protocol 2 of Python 3 has no bytes; it calls for text to be encoded as Latin-1.
            Node::Object(parts) => match parts.first().map(|&text| &self.nodes[text]) {
                Some(Node::Bytes(range)) => latin1(&self.bytes[range.clone()]).ok_or_else(wrong)?,
                _ => return Err(wrong()),
            },
            _ => return Err(wrong()),
        };
        let Node::List(shape) = &self.nodes[state[1]] else { return Err(wrong()) };
        let sizes =
            shape.iter().map(|&d| if let Node::Number(d) = self.nodes[d] { u64::try_from(d).ok() } else { None });
        let wanted = sizes.flatten().try_fold(1u64, u64::checked_mul);
        let rows = matches!(self.nodes[state[3]], Node::Number(0));
        if wanted != Some(data.len() as u64) || !rows {
            return Err(format!("'{key}' is not one byte for each element in row order"));
        }
        Ok(data)
    }

    /// A list of numbers.
    pub(super) fn numbers(&self, key: &str) -> Result<Vec<i64>, String> {
        let wrong = || format!("'{key}' is no list of whole numbers");
        let Node::List(items) = self.get(key)? else { return Err(wrong()) };
        items.iter().map(|&i| if let Node::Number(n) = self.nodes[i] { Ok(n) } else { Err(wrong()) }).collect()
    }

    /// A list of texts.
    pub(super) fn texts(&self, key: &str) -> Result<Vec<String>, String> {
        let wrong = || format!("'{key}' is no list of texts");
        let Node::List(items) = self.get(key)? else { return Err(wrong()) };
        let text = |&i: &usize| match &self.nodes[i] {
            Node::Bytes(range) => Ok(String::from_utf8_lossy(&self.bytes[range.clone()]).into_owned()),
            _ => Err(wrong()),
        };
        items.iter().map(text).collect()
    }
}

/// Bytes of text whose characters are all below 256.
fn latin1(text: &[u8]) -> Option<Vec<u8>> {
    std::str::from_utf8(text).ok()?.chars().map(|c| u8::try_from(u32::from(c)).ok()).collect()
}

impl Machine<'_> {
    fn take(&mut self, n: usize) -> Result<&[u8], String> {
        let range = self.range(n)?;
        Ok(&self.bytes[range])
    }

    fn range(&mut self, n: usize) -> Result<Range<usize>, String> {
        let end = self.at.checked_add(n).filter(|&end| end <= self.bytes.len()).ok_or("it ends too early")?;
        let range = self.at..end;
        self.at = end;
        Ok(range)
    }

    /// A little-endian number of `n` bytes, up to 8.
    fn uint(&mut self, n: usize) -> Result<u64, String> {
        Ok(self.take(n)?.iter().rev().fold(0, |value, &b| value << 8 | u64::from(b)))
    }

    fn len(&mut self, n: usize) -> Result<usize, String> {
        usize::try_from(self.uint(n)?).map_err(|_| "it ends too early".into())
    }

    fn line(&mut self) -> Result<(), String> {
        let end = self.bytes[self.at..].iter().position(|&b| b == b'\n').ok_or("it ends too early")?;
        self.at += end + 1;
        Ok(())
    }

    fn push(&mut self, node: Node) -> Result<(), String> {
        if self.nodes.len() >= MAX_VALUES {
            return Err(format!("it has more than {MAX_VALUES} values"));
        }
        self.stack.push(self.nodes.len());
        self.nodes.push(node);
        Ok(())
    }

    fn pop(&mut self) -> Result<usize, String> {
        let floor = self.marks.last().copied().unwrap_or(0);
        (self.stack.len() > floor).then(|| self.stack.pop()).flatten().ok_or_else(|| "its stack is empty".into())
    }

    /// What was pushed since the last mark.
    fn marked(&mut self) -> Result<Vec<usize>, String> {
        let mark = self.marks.pop().ok_or("it has no mark")?;
        Ok(self.stack.split_off(mark))
    }

    fn top(&self) -> Result<usize, String> {
        self.stack.last().copied().ok_or_else(|| "its stack is empty".into())
    }

    fn append(&mut self, items: Vec<usize>) -> Result<(), String> {
        let top = self.top()?;
        match &mut self.nodes[top] {
            Node::List(list) => list.extend(items),
            _ => return Err("it appends to what is no list".into()),
        }
        Ok(())
    }

    fn set(&mut self, items: &[usize]) -> Result<(), String> {
        let top = self.top()?;
        match &mut self.nodes[top] {
            Node::Dict(dict) => dict.extend(items.chunks_exact(2).map(|pair| (pair[0], pair[1]))),
            _ => return Err("it sets items of what is no dictionary".into()),
        }
        Ok(())
    }

    fn tuple(&mut self, n: usize) -> Result<(), String> {
        let mut items = (0..n).map(|_| self.pop()).collect::<Result<Vec<_>, _>>()?;
        items.reverse();
        self.push(Node::List(items))
    }

    fn bytes(&mut self, length: usize) -> Result<(), String> {
        let n = self.len(length)?;
        let range = self.range(n)?;
        self.push(Node::Bytes(range))
    }

    /// One opcode; false at the end.
    fn step(&mut self) -> Result<bool, String> {
        let op = self.take(1)?[0];
        match op {
            b'.' => return Ok(false),
            0x80 => _ = self.take(1)?,
            0x95 => _ = self.take(8)?,
            b'(' => {
                if self.marks.len() >= MAX_VALUES {
                    return Err(format!("it has more than {MAX_VALUES} marks"));
                }
                self.marks.push(self.stack.len());
            }
            b'N' | 0x88 => self.push(Node::Other)?,
            0x89 => self.push(Node::Number(0))?,
            b'G' => {
                self.take(8)?;
                self.push(Node::Other)?;
            }
            b'K' => self.number(1)?,
            b'M' => self.number(2)?,
            b'J' => {
                let value = self.uint(4)? as u32 as i32;
                self.push(Node::Number(value.into()))?;
            }
            0x8a => {
                let n = self.len(1)?;
                if n > 8 {
                    return Err("it has a number of more than 64 bits".into());
                }
                let value = self.uint(n)?;
                let shift = 64 - 8 * n as u32;
                self.push(Node::Number(if n == 0 { 0 } else { (value << shift) as i64 >> shift }))?;
            }
            b'U' | b'C' | 0x8c => self.bytes(1)?,
            b'T' | b'X' | b'B' => self.bytes(4)?,
            0x8d | 0x8e | 0x96 => self.bytes(8)?,
            b']' | b')' | 0x8f => self.push(Node::List(Vec::new()))?,
            b'}' => self.push(Node::Dict(Vec::new()))?,
            b't' | b'l' => {
                let items = self.marked()?;
                self.push(Node::List(items))?;
            }
            b'd' => {
                let items = self.marked()?;
                self.push(Node::Dict(items.chunks_exact(2).map(|pair| (pair[0], pair[1])).collect()))?;
            }
            0x85..=0x87 => self.tuple(usize::from(op - 0x84))?,
            b'a' => {
                let item = self.pop()?;
                self.append(vec![item])?;
            }
            b'e' => {
                let items = self.marked()?;
                self.append(items)?;
            }
            b's' => {
                let (value, key) = (self.pop()?, self.pop()?);
                self.set(&[key, value])?;
            }
            b'u' => {
                let items = self.marked()?;
                self.set(&items)?;
            }
            b'q' => self.remember(1)?,
            b'r' => self.remember(4)?,
            0x94 => {
                let (place, top) = (self.memo.len(), self.top()?);
                self.memo.insert(place, top);
            }
            b'h' => self.recall(1)?,
            b'j' => self.recall(4)?,
            b'c' => {
                self.line()?;
                self.line()?;
                self.push(Node::Other)?;
            }
            0x93 => {
                self.pop()?;
                self.pop()?;
                self.push(Node::Other)?;
            }
            // A call: its arguments are kept, the function is not.
            b'R' | 0x81 => {
                let (arguments, _function) = (self.pop()?, self.pop()?);
                let parts = match &self.nodes[arguments] {
                    Node::List(items) if items.len() <= 8 => items.clone(),
                    _ => vec![arguments],
                };
                self.push(Node::Object(parts))?;
            }
            b'b' => {
                let (state, top) = (self.pop()?, self.top()?);
                if let Node::Object(parts) = &mut self.nodes[top] {
                    parts.push(state);
                }
            }
            b'0' => _ = self.pop()?,
            _ => return Err(format!("it has the opcode {op:#04x}, which no batch of CIFAR has")),
        }
        Ok(true)
    }

    fn number(&mut self, n: usize) -> Result<(), String> {
        let value = self.uint(n)?;
        self.push(Node::Number(value as i64))
    }

    fn remember(&mut self, n: usize) -> Result<(), String> {
        let (place, top) = (self.len(n)?, self.top()?);
        self.memo.insert(place, top);
        Ok(())
    }

    fn recall(&mut self, n: usize) -> Result<(), String> {
        if self.stack.len() >= MAX_VALUES {
            return Err(format!("it has more than {MAX_VALUES} values"));
        }
        let place = self.len(n)?;
        let value = *self.memo.get(&place).ok_or("it recalls what it has not kept")?;
        self.stack.push(value);
        Ok(())
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    fn text(s: &str) -> Vec<u8> {
        [&[b'U', s.len() as u8][..], s.as_bytes()].concat()
    }

    /// A batch as Python 2 and NumPy pickled it, protocol 2: images of 3072 bytes under `data`, and labels.
    pub(crate) fn batch(key: &str, labels: &[u8], images: &[u8]) -> Vec<u8> {
        let number = |n: usize| [&[b'J'][..], &(n as u32).to_le_bytes()].concat();
        let mut out = b"\x80\x02}q\x01(".to_vec();
        out.extend([text(key), b"]q\x02(".to_vec()].concat());
        labels.iter().for_each(|&label| out.extend([b'K', label]));
        out.push(b'e');
        out.extend(
            [text("data"), b"cnumpy.core.multiarray\n_reconstruct\nq\x03cnumpy\nndarray\nq\x04".to_vec()].concat(),
        );
        out.extend([&b"K\x00\x85"[..], &text("b"), b"\x87Rq\x05(K\x01"].concat());
        out.extend([number(labels.len()), number(images.len() / labels.len().max(1)), b"\x86".to_vec()].concat());
        out.extend(
            [
                &b"cnumpy\ndtype\n"[..],
                &text("u1"),
                b"K\x00K\x01\x87R(K\x03",
                &text("|"),
                b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89T",
            ]
            .concat(),
        );
        out.extend([&(images.len() as u32).to_le_bytes()[..], images, b"tbu."].concat());
        out
    }

    #[test]
    fn a_batch_is_read() {
        let images: Vec<u8> = (0..6144).map(|i| (i % 251) as u8).collect();
        let bytes = batch("labels", &[7, 3], &images);
        let pickle = Pickle::read(&bytes).unwrap();
        assert_eq!((pickle.numbers("labels").unwrap(), pickle.array("data").unwrap()), (vec![7, 3], images));
        assert!(
            pickle.array("labels").is_err()
                && pickle.numbers("data").is_err()
                && pickle.numbers("fine_labels").is_err()
        );
    }

    #[test]
    fn hostile_files_are_refused_or_cheap() {
        let whole = batch("labels", &[1], &[9; 3072]);
        for cut in 0..whole.len() {
            assert!(Pickle::read(&whole[..cut]).is_err(), "cut at {cut}");
        }
        // Nested too deep for any stack, a list in itself, endless marks, a text longer than the file.
        let deep = [&b"\x80\x02"[..], &b"]".repeat(1 << 20), &b"a".repeat((1 << 20) - 1), b"."].concat();
        assert!(Pickle::read(&deep).is_err());
        assert!(Pickle::read(b"]q\x00h\x00a.").is_err());
        assert!(Pickle::read(&b"(".repeat(1 << 22)).is_err());
        assert!(Pickle::read(b"T\xff\xff\xff\x7fabc").is_err());
        assert!(Pickle::read(&b"N".repeat(1 << 22)).is_err());
        assert!(Pickle::read(b"cos\nsystem\nU\x02ls\x85R.").is_err(), "a call is not made");
    }
}
