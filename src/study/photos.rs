//! Named photographs: files, pictures in memory, or generated ones.

use std::cell::RefCell;
use std::path::PathBuf;
use std::rc::Rc;

use crate::viz::{Photo, dead_leaves};
use crate::{Error, Result};

/// Where a photograph comes from.
#[derive(Clone, Debug)]
pub enum Source {
    /// An image file.
    File(PathBuf),
    /// Already decoded.
    Memory(Rc<Photo>),
    /// A generated "dead leaves" picture.
    Leaves {
        /// Seed of the picture.
        seed: u64,
        /// Pixels in a row, and rows.
        side: usize,
    },
}

impl Source {
    fn load(&self) -> Result<Rc<Photo>> {
        match self {
            #[cfg(not(target_arch = "wasm32"))]
            Self::File(path) => crate::viz::load_photo(path).map(Rc::new),
            #[cfg(target_arch = "wasm32")]
            Self::File(path) => {
                Err(Error::input(path, "a browser has no files; decode the image and pass it as Memory"))
            }
            Self::Memory(photo) => Ok(Rc::clone(photo)),
            Self::Leaves { seed, side } => {
                let image = dead_leaves(*seed, *side, *side).to_image();
                Photo::from_rgb8(*side, *side, image.into_raw()).map(Rc::new)
            }
        }
    }
}

/// Decoded photographs are kept while they take no more than this together; beyond it each is decoded again for every
/// pass.
const MOST_KEPT: usize = 192 << 20;

/// Photographs with names that differ.
#[derive(Debug)]
pub struct PhotoSet {
    items: Vec<(String, Source)>,
    kept: RefCell<Vec<Option<Rc<Photo>>>>,
}

impl PhotoSet {
    /// Photographs under the given names; a name that is there already gets a number.
    pub fn new(items: Vec<(String, Source)>) -> Self {
        let mut named: Vec<(String, Source)> = Vec::with_capacity(items.len());
        for (wish, source) in items {
            let taken = |name: &str| named.iter().any(|(known, _)| known == name);
            let free = (2..).map(|n| format!("{wish}-{n}")).find(|name| !taken(name));
            let name = if taken(&wish) { free.unwrap_or_default() } else { wish };
            named.push((name, source));
        }
        let kept = RefCell::new(vec![None; named.len()]);
        Self { items: named, kept }
    }

    /// Image files, named after themselves without folder and ending.
    pub fn files(paths: &[PathBuf]) -> Self {
        let stem =
            |path: &PathBuf| path.file_stem().map_or_else(|| "image".into(), |s| s.to_string_lossy().into_owned());
        Self::new(paths.iter().map(|path| (stem(path), Source::File(path.clone()))).collect())
    }

    /// Generated pictures `leaves-1` to `leaves-COUNT` of `side` x `side` pixels.
    pub fn leaves(seed: u64, count: usize, side: usize) -> Self {
        let item = |i: usize| (format!("leaves-{}", i + 1), Source::Leaves { seed: seed + i as u64, side });
        Self::new((0..count).map(item).collect())
    }

    /// Number of photographs.
    pub fn len(&self) -> usize {
        self.items.len()
    }

    /// True without photographs.
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// Name of a photograph.
    pub fn name(&self, index: usize) -> &str {
        &self.items[index].0
    }

    /// Path of a photograph, or its name, for messages.
    pub(super) fn place(&self, index: usize) -> PathBuf {
        match &self.items[index] {
            (_, Source::File(path)) => path.clone(),
            (name, _) => name.into(),
        }
    }

    /// The photograph, decoded.
    ///
    /// # Errors
    /// The file cannot be read or is no image; the photograph has no `least` x `least` pixels.
    pub fn load(&self, index: usize, least: usize) -> Result<Rc<Photo>> {
        if let Some(photo) = &self.kept.borrow()[index] {
            return Ok(Rc::clone(photo));
        }
        let photo = self.items[index].1.load()?;
        let (width, height) = (photo.width(), photo.height());
        if width.min(height) < least {
            let what = format!(
                "expected an image of at least {least} x {least} pixels, the size of one kernel, found {height} x {width} (height x width); \
                 use a larger image or a smaller `kernel_size`"
            );
            return Err(Error::input(self.place(index), what));
        }
        let mut kept = self.kept.borrow_mut();
        if kept.iter().flatten().map(|p| p.bytes()).sum::<usize>() + photo.bytes() <= MOST_KEPT {
            kept[index] = Some(Rc::clone(&photo));
        }
        Ok(photo)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_differ() {
        let set = PhotoSet::files(&["a/x.png".into(), "b/x.jpg".into(), "x-2.webp".into()]);
        let names: Vec<&str> = (0..set.len()).map(|i| set.name(i)).collect();
        assert_eq!(names, ["x", "x-2", "x-2-2"]);
    }

    #[test]
    fn a_photograph_smaller_than_the_kernel_is_refused() {
        let one = Rc::new(Photo::from_rgb8(1, 1, vec![1, 2, 3]).unwrap());
        let set = PhotoSet::new(vec![("dot".into(), Source::Memory(one))]);
        let message = set.load(0, 5).unwrap_err().to_string();
        assert!(message.contains("5 x 5") && message.contains("1 x 1"), "{message}");
    }
}
