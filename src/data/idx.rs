//! IDX files, the format of MNIST: big-endian header, then bytes. Plain or gzipped, told apart by their first bytes.
//!
//! Header: two zero bytes, the element type (8 = unsigned byte), the rank, then one 32-bit size per dimension.

use std::io::Read;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::Dataset;
use crate::error::{Error, Result};
use crate::plural;

/// No published set comes near.
const MAX_BYTES: u64 = 1 << 31;
/// Labels take four bytes each in memory.
const MAX_LABELS: u32 = 1 << 28;
/// A file that unpacks to more than this must be large itself.
const FREE_BYTES: u64 = 64 << 20;

/// Most bytes that a gzipped file may unpack to, when it takes `packed` bytes of a disk or archive.
fn most(packed: u64) -> u64 {
    (FREE_BYTES + packed.saturating_mul(50)).min(MAX_BYTES)
}

/// One array of an IDX file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Idx {
    /// Sizes, outermost first; none is zero.
    pub dims: Vec<usize>,
    /// The elements in row-major order; as many as `dims` says.
    pub data: Vec<u8>,
}

/// Reads an array of `rank` dimensions from the bytes of an IDX file, gzipped or not;
/// `path` is for messages only.
///
/// # Errors
/// [`Error::Input`] when the bytes are not IDX of unsigned bytes with this rank, a size is zero, or the elements are
/// fewer or more than the header says. Nothing is allocated on the word of the header.
pub fn parse(path: impl AsRef<Path>, bytes: &[u8], rank: usize) -> Result<Idx> {
    parse_within(path.as_ref(), bytes, bytes.len() as u64, rank)
}

fn parse_within(path: &Path, bytes: &[u8], packed: u64, rank: usize) -> Result<Idx> {
    if bytes.starts_with(&[0x1f, 0x8b]) {
        read(path, flate2::read::MultiGzDecoder::new(bytes), most(packed), rank)
    } else {
        read(path, bytes, MAX_BYTES, rank)
    }
}

fn read(path: &Path, mut from: impl Read, most: u64, rank: usize) -> Result<Idx> {
    let fail = |what: String| Err(Error::input(path, what));
    let broken = |e: std::io::Error| Error::input(path, format!("cannot be unpacked ({e}); fetch the file again"));
    let mut head = Vec::new();
    from.by_ref().take(4 + 4 * rank as u64).read_to_end(&mut head).map_err(broken)?;
    let kind = if rank == 1 { "labels" } else { "images" };
    match head.as_slice() {
        [0, 0, 8, r, ..] if usize::from(*r) == rank => {}
        [0, 0, 8, r, ..] => {
            return fail(format!(
                "expected an IDX file of {kind} with {}, found {r}",
                plural::count(rank, "dimension")
            ));
        }
        [0, 0, t, _, ..] => {
            return fail(format!("expected IDX elements of type 0x08 (unsigned byte), found type {t:#04x}"));
        }
        _ => {
            let start: Vec<String> = head.iter().take(4).map(|b| format!("{b:02x}")).collect();
            return fail(format!(
                "expected an IDX file of {kind}, which starts with the bytes 00 00 08 {rank:02x}, found '{}'",
                start.join(" ")
            ));
        }
    }
    if head.len() < 4 + 4 * rank {
        return fail(format!("truncated: the header needs {} bytes, found {}", 4 + 4 * rank, head.len()));
    }
    let dims: Vec<u32> = head[4..].chunks_exact(4).map(|b| u32::from_be_bytes([b[0], b[1], b[2], b[3]])).collect();
    if dims.contains(&0) {
        return fail(format!("holds nothing: the header says {dims:?}; expected sizes of at least 1"));
    }
    let wanted = dims.iter().try_fold(1u64, |n, &d| n.checked_mul(u64::from(d))).filter(|&n| n <= most);
    let Some(wanted) = wanted.filter(|_| rank > 1 || dims[0] <= MAX_LABELS) else {
        return fail(format!(
            "the header says {dims:?}, which is over the {most} bytes that a file of its size may hold; it is damaged"
        ));
    };
    let mut data = Vec::new();
    from.by_ref().take(wanted).read_to_end(&mut data).map_err(broken)?;
    if (data.len() as u64) < wanted {
        return fail(format!(
            "truncated: the header says {dims:?}, expected {wanted} bytes after it, found {}; fetch the file again",
            data.len()
        ));
    }
    // Reading on to the end also checks the sum that closes a gzip stream.
    let more = std::io::copy(&mut from.take(most), &mut std::io::sink()).map_err(broken)?;
    if more > 0 {
        return fail(format!("{more} bytes too many: the header says {dims:?}, expected {wanted} bytes after it"));
    }
    Ok(Idx { dims: dims.into_iter().map(|d| d as usize).collect(), data })
}

/// A data set of grey images from the bytes of its two IDX files: images (N, H, W) and labels (N).
///
/// `classes` is the largest label plus one. Each file comes with its name, for messages.
///
/// # Errors
/// As [`parse`], and [`Error::Input`] when the two files differ in their number of items.
pub fn dataset(
    name: &str,
    (image_path, images): (impl AsRef<Path>, &[u8]),
    (label_path, labels): (impl AsRef<Path>, &[u8]),
) -> Result<Dataset> {
    let (images, labels) = (parse(&image_path, images, 3)?, parse(&label_path, labels, 1)?);
    join(name, (image_path.as_ref(), images), (label_path.as_ref(), labels))
}

/// As [`dataset`], of files (path, contents, packed bytes) in an archive or folder.
pub(super) fn dataset_within(
    name: &str,
    (image_path, images, packed_images): &(PathBuf, Vec<u8>, u64),
    (label_path, labels, packed_labels): &(PathBuf, Vec<u8>, u64),
) -> Result<Dataset> {
    let images = parse_within(image_path, images, *packed_images, 3)?;
    let labels = parse_within(label_path, labels, *packed_labels, 1)?;
    join(name, (image_path, images), (label_path, labels))
}

fn join(name: &str, (image_path, images): (&Path, Idx), (label_path, labels): (&Path, Idx)) -> Result<Dataset> {
    if images.dims[0] != labels.dims[0] {
        return Err(Error::input(
            label_path,
            format!(
                "expected {} labels, one for each image of {}, found {}; fetch both files again",
                images.dims[0],
                image_path.display(),
                labels.dims[0]
            ),
        ));
    }
    let classes = labels.data.iter().max().map_or(0, |&l| usize::from(l) + 1);
    let shape = [1, images.dims[1], images.dims[2]];
    Dataset::new(name, classes, shape, images.data, labels.data.into_iter().map(u32::from).collect())
}

/// SHA-256 of MNIST's training images, the unpacked file.
pub(super) const MNIST_IMAGES: &str = "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db";

/// Whether these are MNIST's 60,000 training images, by their published checksum.
pub(super) fn is_mnist(images: &[u8]) -> bool {
    let mut hash = Sha256::new();
    hash.update(encode(&[60_000, 28, 28], &[]));
    hash.update(images);
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect::<String>() == MNIST_IMAGES
}

/// The bytes of an IDX file that holds `data`, not gzipped; what [`parse`] reads.
pub fn encode(dims: &[usize], data: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0, 0, 8, dims.len() as u8];
    dims.iter().for_each(|&d| bytes.extend((d as u32).to_be_bytes()));
    bytes.extend_from_slice(data);
    bytes
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn gz(bytes: &[u8]) -> Vec<u8> {
        let mut to = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        to.write_all(bytes).unwrap();
        to.finish().unwrap()
    }

    fn complaint(bytes: &[u8], rank: usize) -> String {
        let error = parse("some-file", bytes, rank).unwrap_err();
        assert!(matches!(error, Error::Input { .. }));
        error.to_string()
    }

    #[test]
    fn good_files_are_read_plain_and_gzipped() {
        let plain = encode(&[2, 1, 3], &[1, 2, 3, 4, 5, 6]);
        let wanted = Idx { dims: vec![2, 1, 3], data: vec![1, 2, 3, 4, 5, 6] };
        assert_eq!(parse("f", &plain, 3).unwrap(), wanted);
        assert_eq!(parse("f", &gz(&plain), 3).unwrap(), wanted);
        let data = dataset("x", ("i", plain.as_slice()), ("l", &gz(&encode(&[2], &[0, 4])))).unwrap();
        assert_eq!((data.shape, data.classes(), data.labels.as_slice()), ([1, 1, 3], 5, &[0, 4][..]));
        assert_eq!(data.image(1), [4, 5, 6]);
    }

    #[test]
    fn bad_files_are_named_with_expected_and_found() {
        let good = encode(&[2, 1, 3], &[1, 2, 3, 4, 5, 6]);
        assert!(complaint(b"PNG!....", 3).contains("some-file: expected an IDX file of images"));
        assert!(complaint(&[], 3).contains("found ''"));
        assert!(complaint(&[0, 0, 13, 3], 3).contains("found type 0x0d"));
        assert!(complaint(&good, 1).contains("1 dimension, found 3"));
        assert!(complaint(&good[..9], 3).contains("header needs 16 bytes, found 9"));
        assert!(complaint(&good[..20], 3).contains("expected 6 bytes after it, found 4"));
        assert!(complaint(&[&good[..], &[9, 9]].concat(), 3).contains("2 bytes too many"));
        assert!(complaint(&encode(&[0], &[]), 1).contains("holds nothing"));
        assert!(complaint(&encode(&[5, 0, 28], &[]), 3).contains("holds nothing"));
    }

    #[test]
    fn a_lying_header_allocates_nothing() {
        let huge = u32::MAX as usize;
        assert!(complaint(&encode(&[huge, huge, huge], &[1]), 3).contains("damaged"));
        assert!(complaint(&encode(&[1 << 31], &[1]), 1).contains("damaged"));
        assert!(complaint(&encode(&[1 << 20], &[1]), 1).contains("found 1;"));
    }

    #[test]
    fn a_cut_or_damaged_gzip_is_refused() {
        let noise: Vec<u8> = (0..3000u32).map(|i| crate::rng::pcg(i) as u8).collect();
        let whole = gz(&encode(&[3000], &noise));
        for cut in [3, 12, 100, whole.len() / 2, whole.len() - 1] {
            assert!(parse("f", &whole[..cut], 1).is_err(), "cut at {cut} of {}", whole.len());
        }
        let mut damaged = whole.clone();
        let sum = damaged.len() - 6;
        damaged[sum] ^= 1;
        assert!(complaint(&damaged, 1).contains("fetch the file again"));
    }

    #[test]
    fn counts_must_agree() {
        let images = encode(&[2, 1, 1], &[1, 2]);
        let labels = encode(&[3], &[0, 1, 2]);
        let text = dataset("x", ("pics", &images[..]), ("tags", &labels[..])).unwrap_err().to_string();
        assert!(text.contains("tags: expected 2 labels") && text.contains("pics, found 3"), "{text}");
    }
}
