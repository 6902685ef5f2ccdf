//! What a saved network says of itself: how it is built, and what its images and classes are.

use super::{NetOptions, Options};
use crate::data::{Augment, Dataset, FASHION, LoadOptions, Normalize, Splits, is_fashion};
use crate::models::{self, Model, ModelOptions};
use crate::nn::Network;
use crate::tape::State;
use crate::{Error, Result};
use serde::{Deserialize, Serialize};

/// Most values of one image of a saved network: 3 x 2048 x 2048 and a little.
const MOST_PIXELS: usize = 1 << 24;
/// Most classes of a saved network.
const MOST_CLASSES: usize = 1 << 16;

/// What is needed to build a saved network again, and to show it images as it was taught.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ModelSpec {
    /// Architecture and normalisation.
    #[serde(flatten)]
    pub net: NetOptions,
    /// (C, H, W) of one image.
    pub input: [usize; 3],
    /// Outputs.
    pub classes: usize,
    /// The name of each output.
    pub class_names: Vec<String>,
    /// What it was trained on.
    pub data: String,
    /// How that was loaded: seed, limits, splits.
    pub load: LoadOptions,
    /// How images are normalised.
    pub normalize: Normalize,
    /// How training images were changed.
    pub augment: Augment,
    /// Whether each pixel has a class, and not the image.
    #[serde(default, skip_serializing_if = "is_false")]
    pub masks: bool,
    /// The network itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network: Option<Network>,
}

/// Whether classes have no names but numbers.
fn is_numbered(names: &[String]) -> bool {
    names.iter().all(|name| name.parse::<u32>().is_ok())
}

fn is_false(value: &bool) -> bool {
    !value
}

impl ModelSpec {
    /// The network that `options` ask for on this data.
    pub fn new(options: &Options, splits: &Splits) -> Self {
        let (net, network) = match &options.network {
            Some(network) => (options.net.of(network), Some(network.clone().seed(0))),
            None => (options.net.clone(), None),
        };
        let spec = Self {
            net,
            network,
            input: splits.train.shape,
            classes: splits.train.classes(),
            class_names: splits.train.class_names.clone(),
            data: options.data.clone(),
            load: options.load(),
            normalize: splits.normalize.clone(),
            augment: splits.augment,
            masks: splits.train.is_masked(),
        };
        spec.described()
    }

    /// As [`ModelSpec::new`], for a run that goes on as `earlier`; its names of classes stay.
    pub(super) fn going_on(options: &Options, splits: &mut Splits, earlier: &Self) -> Self {
        let parts = [Some(&mut splits.train), splits.validation.as_mut(), Some(&mut splits.test)];
        parts.into_iter().flatten().for_each(|data| _ = earlier.keep_numbers(data));
        Self::new(options, splits)
    }

    /// That of `network`, trained on `data`; its classes are called by their numbers.
    pub(super) fn of(network: &Network, classes: usize, data: &str, normalize: Normalize) -> Self {
        Self {
            net: NetOptions::default().of(network),
            input: network.input,
            classes,
            class_names: (0..classes).map(|class| class.to_string()).collect(),
            data: data.into(),
            load: LoadOptions::default(),
            normalize,
            augment: Augment::NONE,
            masks: false,
            network: Some(network.clone().seed(0)),
        }
    }

    /// With another network for the same images and classes.
    #[cfg(not(target_arch = "wasm32"))]
    pub(crate) fn with_network(self, network: Network) -> Self {
        Self { net: self.net.of(&network), network: Some(network.seed(0)), ..self }
    }

    /// With the network of its architecture, unless it has one already or no such architecture is known.
    pub(super) fn described(mut self) -> Self {
        if self.network.is_none() {
            self.network = models::network(&self.net.model, &self.options(0)).ok();
        }
        self
    }

    fn options(&self, seed: u64) -> ModelOptions {
        self.net.model_options(self.input, self.classes, seed)
    }

    /// The network with fresh values.
    ///
    /// # Errors
    /// The network is unknown, or made for other images or classes than the data has.
    pub fn build(&self, seed: u64, state: &mut State) -> Result<Model> {
        let model = self.network(seed)?.build(state)?;
        self.check(&model)?;
        Ok(model)
    }

    /// The network, for fresh values of this seed.
    pub(super) fn network(&self, seed: u64) -> Result<Network> {
        match &self.network {
            Some(network) => Ok(network.clone().seed(seed)),
            None => models::network(&self.net.model, &self.options(seed)),
        }
    }

    /// Whether each pixel has a class; the page has no such data.
    fn is_masked(&self) -> bool {
        cfg!(not(target_arch = "wasm32")) && self.masks
    }

    /// Refuses a network that is made for other images or classes.
    pub(super) fn check(&self, model: &Model) -> Result<()> {
        if (model.input, model.classes) != (self.input, self.classes) {
            return Err(Error::Usage(format!(
                "the network '{}' takes images of {:?} (channels, height, width) and tells {} classes apart, but the data \
                 has {:?} in {}; change its input and its last layer",
                model.name, model.input, model.classes, self.input, self.classes
            )));
        }
        let map = [self.classes, self.input[1], self.input[2]];
        if self.is_masked() && model.output != map {
            return Err(Error::Usage(format!(
                "the network '{}' puts out {:?} for an image, but each pixel has a class; expected {map:?} (classes, height, width): end it \
                 with a convolution of as many outputs as there are classes, and where that is smaller than the image with interpolate",
                model.name, model.output
            )));
        }
        if !self.is_masked() && model.output.len() != 1 {
            return Err(Error::Usage(format!(
                "the network '{}' puts out {:?} for an image, but an image has one label; end it with flatten and a linear layer of as \
                 many outputs as there are classes",
                model.name, model.output
            )));
        }
        Ok(())
    }

    /// Calls the classes of Fashion-MNIST by their numbers, where the network comes from a version that did so. Says
    /// whether they were.
    fn keep_numbers(&self, dataset: &mut Dataset) -> bool {
        let named = dataset.class_names == FASHION && is_numbered(&self.class_names);
        let keeps = named && self.class_names.len() == FASHION.len() && is_fashion(&self.data);
        if keeps {
            dataset.class_names.clone_from(&self.class_names);
        }
        keeps
    }

    /// What the network was trained on, in a sentence: arrays from a program have no name.
    fn origin(&self) -> String {
        if self.data.is_empty() { "data without a name".into() } else { format!("'{}'", self.data) }
    }

    /// Brings `dataset` to what the network takes: classes by their names, grey or colour by its channels. Says what
    /// was changed, and where names are but numbers, that nothing was compared.
    ///
    /// # Errors
    /// A class of the data is unknown to the network, or its images are of another size.
    pub fn adapt(&self, dataset: &mut Dataset) -> Result<Vec<String>> {
        let mut changes = Vec::new();
        let [channels, height, width] = self.input;
        if dataset.is_masked() != self.is_masked() {
            let kinds = |masks| if masks { "a class for each pixel" } else { "one class for each image" };
            return Err(Error::Usage(format!(
                "the network was trained on {}, but '{}' has {}; choose data like that it was trained on ({})",
                kinds(self.masks),
                dataset.name,
                kinds(dataset.is_masked()),
                self.origin()
            )));
        }
        if dataset.shape[1..] != [height, width] {
            return Err(Error::Usage(format!(
                "the network takes images of {height} x {width} (height x width), but those of '{}' are {} x {}; choose the data \
                 it was trained on ({}) or like it, or scale them with `size` {height},{width}",
                dataset.name,
                dataset.shape[1],
                dataset.shape[2],
                self.origin()
            )));
        }
        let others = dataset.name != self.data && is_numbered(&self.class_names);
        if self.keep_numbers(dataset) {
            changes.push(format!(
                "the network knows the classes of Fashion-MNIST by their numbers, from an earlier version: 0 is {}, {} is {}",
                FASHION[0],
                FASHION.len() - 1,
                FASHION[FASHION.len() - 1]
            ));
        } else if others && is_numbered(&dataset.class_names) {
            changes.push(format!(
                "the classes of '{}' and of {}, which the network was trained on, are called by numbers, so nothing tells that they are the \
                 same; if they are not, the accuracy means nothing",
                dataset.name,
                self.origin()
            ));
        }
        if self.class_names == FASHION && is_numbered(&dataset.class_names) {
            return Err(Error::Usage(format!(
                "the network tells the classes of Fashion-MNIST apart, and '{}' calls its own by numbers; if it is Fashion-MNIST, call its \
                 folder fashion-mnist, otherwise choose data with the same classes",
                dataset.name
            )));
        }
        if dataset.class_names != self.class_names {
            let before = dataset.class_names.len();
            dataset.map_classes(&self.class_names)?;
            changes.push(format!(
                "classes are matched by name: {before} of the data to the {} of the network",
                self.class_names.len()
            ));
        }
        let from = dataset.shape[0];
        if from != channels {
            dataset.to_channels(channels)?;
            let kind = |n: usize| if n == 1 { "grey" } else { "colour" };
            changes.push(format!(
                "images are turned from {} to {}, which the network takes",
                kind(from),
                kind(channels)
            ));
        }
        Ok(changes)
    }

    /// Whether a run with this network may go on with `other`: wherever the data lies, it is the same network.
    pub(super) fn goes_on_as(&self, other: &Self) -> bool {
        Self { data: other.data.clone(), ..self.clone() } == *other
    }

    /// Refuses what no run could have written. What the network needs is checked as it is built, in
    /// [`Saved::state`](super::Saved::state).
    ///
    /// # Errors
    /// [`Error::Usage`] that names the field, its value and its limit.
    pub(super) fn check_claims(&self) -> Result<()> {
        let refuse = |what: String| Err(Error::Usage(what));
        self.net.numbers()?;
        let [channels, height, width] = self.input;
        let pixels = self.input.iter().try_fold(1usize, |n, &d| n.checked_mul(d));
        if !pixels.is_some_and(|n| (1..=MOST_PIXELS).contains(&n)) {
            return refuse(format!(
                "its images are of {channels} x {height} x {width} (channels, height, width); expected 1 to {MOST_PIXELS} values"
            ));
        }
        if !(1..=MOST_CLASSES).contains(&self.classes) || self.class_names.len() != self.classes {
            return refuse(format!(
                "it has {} classes and {} names of classes; expected as many of both, 1 to {MOST_CLASSES}",
                self.classes,
                self.class_names.len()
            ));
        }
        self.normalize.check(channels)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn data(name: &str, names: &[&str]) -> Dataset {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let labels: Vec<u32> = (0..names.len() as u32).collect();
        let data = Dataset::new(name, names.len(), [1, 28, 28], vec![0; 784 * names.len()], labels);
        data.and_then(|data| data.with_class_names(&names)).expect("a data set")
    }

    /// Digits and clothes have ten classes each, and their files call both by numbers.
    #[test]
    fn classes_without_names_are_never_taken_for_each_other_in_silence() {
        const DIGITS: [&str; 10] = ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"];
        let network = Network::new([1, 28, 28]);
        let of = |data: &str| ModelSpec::of(&network, 10, data, Normalize::none(1));
        let (digits, early) = (of("mnist"), of("data/fashion-mnist"));
        let fashion = ModelSpec { class_names: FASHION.map(String::from).to_vec(), ..early.clone() };
        let adapt = |spec: &ModelSpec, name: &str, names: &[&str]| {
            let mut data = data(name, names);
            let notes = spec.adapt(&mut data).map_err(|e| e.to_string())?;
            assert_eq!(data.class_names, spec.class_names);
            assert_eq!(data.labels, (0..names.len() as u32).collect::<Vec<_>>());
            Ok::<_, String>(notes.join("\n"))
        };
        assert_eq!(adapt(&digits, "mnist", &DIGITS), Ok(String::new()), "its own");
        assert_eq!(adapt(&fashion, "elsewhere/fashion-mnist", &FASHION), Ok(String::new()), "the same names");
        let noted = adapt(&digits, "glyphs", &DIGITS).expect("a note");
        assert!(noted.contains("'glyphs'") && noted.contains("'mnist'") && noted.contains("nothing tells"), "{noted}");
        let noted = adapt(&of(""), "glyphs", &DIGITS).expect("a note");
        assert!(noted.contains("'glyphs'") && noted.contains("of data without a name, which"), "{noted}");
        assert!(adapt(&digits, "glyphs", &DIGITS[..3]).expect("a note").contains("nothing tells"), "fewer of them");
        let refused = adapt(&digits, "fashion-mnist", &FASHION).expect_err("a refusal");
        assert!(refused.contains("no class 'T-shirt/top'"), "{refused}");
        let refused = adapt(&fashion, "digits", &DIGITS).expect_err("a refusal");
        assert!(refused.contains("Fashion-MNIST") && refused.contains("'digits'"), "{refused}");
        for place in ["data/fashion-mnist", "elsewhere/fashion-mnist"] {
            let noted = adapt(&early, place, &FASHION).expect("a note");
            assert!(noted.contains("earlier version: 0 is T-shirt/top, 9 is Ankle boot"), "{noted}");
        }
        let options = Options { data: early.data.clone(), ..Options::default() };
        let clothes = || data("data/fashion-mnist", &FASHION);
        let splits = || Splits::new(clothes(), clothes(), Normalize::none(1), Augment::NONE);
        let names = |earlier: &ModelSpec| {
            let mut splits = splits();
            let found = ModelSpec::going_on(&options, &mut splits, earlier);
            assert_eq!((&found.class_names, &splits.test.class_names), (&splits.train.class_names, &found.class_names));
            found.class_names
        };
        assert_eq!((names(&early), names(&fashion)), (early.class_names.clone(), fashion.class_names.clone()));
    }
}
