//! The binary versions of CIFAR-10 and CIFAR-100: records of label byte(s) and a 32x32 image, channel after channel.

use std::path::Path;

use crate::error::{Error, Result};

/// Shape of every image.
pub const SHAPE: [usize; 3] = [3, 32, 32];
const PIXELS: usize = 3 * 32 * 32;

/// Which of the two sets; they differ in the bytes before each image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// One label byte, 10 classes.
    Cifar10,
    /// A coarse label byte, then the fine one that is used, 100 classes.
    Cifar100,
}

impl Kind {
    /// Number of classes.
    pub const fn classes(self) -> usize {
        match self {
            Self::Cifar10 => 10,
            Self::Cifar100 => 100,
        }
    }

    const fn label_bytes(self) -> usize {
        match self {
            Self::Cifar10 => 1,
            Self::Cifar100 => 2,
        }
    }
}

/// Appends the records in `bytes` to `images` (N, 3, 32, 32) and `labels`, at most until `limit` images are there.
///
/// # Errors
/// [`Error::Input`] when the file is empty, does not end with a whole record, or has a label that is no class.
pub fn parse(
    path: impl AsRef<Path>,
    bytes: &[u8],
    kind: Kind,
    limit: usize,
    images: &mut Vec<u8>,
    labels: &mut Vec<u32>,
) -> Result<()> {
    let record = kind.label_bytes() + PIXELS;
    if bytes.is_empty() || !bytes.len().is_multiple_of(record) {
        let what = format!(
            "expected whole records of {record} bytes ({} label, {PIXELS} pixels), found {} bytes, which is {} records \
             and {} bytes; fetch the file again",
            kind.label_bytes(),
            bytes.len(),
            bytes.len() / record,
            bytes.len() % record
        );
        return Err(Error::input(path, what));
    }
    for (i, item) in bytes.chunks_exact(record).enumerate() {
        if labels.len() >= limit {
            break;
        }
        let (head, pixels) = item.split_at(kind.label_bytes());
        let label = head[head.len() - 1];
        if usize::from(label) >= kind.classes() {
            let what = format!("record {i} has label {label}, expected a label below {}", kind.classes());
            return Err(Error::input(path, what));
        }
        images.extend_from_slice(pixels);
        labels.push(u32::from(label));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(bytes: &[u8], kind: Kind, limit: usize) -> Result<(Vec<u8>, Vec<u32>), String> {
        let (mut images, mut labels) = (Vec::new(), Vec::new());
        parse("batch.bin", bytes, kind, limit, &mut images, &mut labels).map_err(|e| e.to_string())?;
        Ok((images, labels))
    }

    #[test]
    fn records_of_both_kinds() {
        let ten = [vec![7], vec![1; PIXELS], vec![9], vec![2; PIXELS]].concat();
        let (images, labels) = run(&ten, Kind::Cifar10, 10).unwrap();
        assert_eq!((labels, images[PIXELS - 1], images[PIXELS]), (vec![7, 9], 1, 2));
        assert_eq!(run(&ten, Kind::Cifar10, 1).unwrap().1, [7]);
        let hundred = [vec![3, 99], vec![5; PIXELS]].concat();
        assert_eq!(run(&hundred, Kind::Cifar100, 10).unwrap(), (vec![5; PIXELS], vec![99]));
    }

    #[test]
    fn bad_records_are_refused() {
        assert!(run(&[], Kind::Cifar10, 9).unwrap_err().contains("found 0 bytes"));
        assert!(run(&vec![0; PIXELS + 3], Kind::Cifar10, 9).unwrap_err().contains("1 records and 2 bytes"));
        let label = [vec![10], vec![0; PIXELS]].concat();
        assert!(run(&label, Kind::Cifar10, 9).unwrap_err().contains("record 0 has label 10"));
    }
}
