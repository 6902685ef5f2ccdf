//! Networks without Rust: a TOML file that lists the layers.

use super::ModelOptions;
use crate::nn::{Layer, Layers, Network, Node, Norm, Whitening};
use crate::{Error, Result};
use serde::Deserialize;
use std::path::Path;

/// How such files end.
const ENDING: &str = "toml";
/// Largest file that is read, in bytes.
#[cfg(not(target_arch = "wasm32"))]
const MOST_BYTES: u64 = 1 << 20;

/// A network in a TOML file. Its layers are those of [`Layer`](crate::nn::Layer) under the same names; what it leaves out is taken
/// from the options and the data.
///
/// ```
/// use mexhat::models::{ModelOptions, NetworkFile};
/// let text = r#"
///     norm = "batch"
///     layers = [
///         { type = "conv", outputs = 16, kernel = 5 },
///         { type = "relu" },
///         { type = "max_pool", kernel = 2 },
///         { type = "flatten" },
///         { type = "linear", outputs = "classes" },
///     ]
/// "#;
/// let net = NetworkFile::parse("digits.toml", text)?.network(&ModelOptions::default())?;
/// assert_eq!((net.name.as_str(), net.input, net.nodes.len()), ("digits", [1, 28, 28], 5));
/// # Ok::<(), mexhat::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct NetworkFile {
    path: String,
    written: Written,
}

/// The file's keys. `input` is (C, H, W) of one image.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    name: Option<String>,
    input: Option<[usize; 3]>,
    norm: Option<Norm>,
    whitening: Option<Whitening>,
    block_fc: Option<usize>,
    num_groups: Option<usize>,
    layers: Layers,
}

impl NetworkFile {
    /// Whether `model` is the path of such a file rather than the name of a network.
    pub fn is_one(model: &str) -> bool {
        Path::new(model).extension().is_some_and(|ending| ending.eq_ignore_ascii_case(ENDING))
    }

    /// Reads the file.
    ///
    /// # Errors
    /// It cannot be read, or is not such a file: line and key are named.
    #[cfg(not(target_arch = "wasm32"))]
    pub fn read(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let text = String::from_utf8(crate::read::read_file(path, MOST_BYTES, "a list of layers")?)
            .map_err(|e| Error::input(path, format!("is no text: {e}; expected a list of layers")))?;
        Self::parse(&path.display().to_string(), &text)
    }

    /// The network in `text`, which errors say is in `path`.
    ///
    /// # Errors
    /// As [`NetworkFile::read`].
    pub fn parse(path: &str, text: &str) -> Result<Self> {
        let written: Written = toml::from_str(text)
            .map_err(|e| Error::input(path, format!("is no description of a network\n{}", e.to_string().trim_end())))?;
        Self::of(path, written)
    }

    /// As [`NetworkFile::parse`] of JSON with the same keys, as programs write it; errors name the layer by its place.
    ///
    /// ```
    /// use mexhat::models::{ModelOptions, NetworkFile};
    /// let text = r#"{ "layers": [{ "type": "flatten" }, { "type": "linear", "outputs": "classes" }] }"#;
    /// let net = NetworkFile::parse_json("the network", text)?.network(&ModelOptions::default())?;
    /// assert_eq!(net.nodes.len(), 2);
    /// let error = NetworkFile::parse_json("the network", r#"{ "layers": [{ "type": "flaten" }] }"#).unwrap_err();
    /// assert!(error.to_string().starts_with("the network: layers[0]: unknown variant `flaten`"));
    /// # Ok::<(), mexhat::Error>(())
    /// ```
    ///
    /// # Errors
    /// It is no description of a network.
    pub fn parse_json(path: &str, text: &str) -> Result<Self> {
        let written: Written = serde_json::from_str(text).map_err(|e| Error::input(path, fault(text, &e)))?;
        Self::of(path, written)
    }

    fn of(path: &str, written: Written) -> Result<Self> {
        if written.layers.is_empty() {
            return Err(Error::input(path, "has no layers; expected at least one"));
        }
        Ok(Self { path: path.into(), written })
    }

    /// The network for these images and classes.
    ///
    /// # Errors
    /// The file is for images of another shape, or no layer has as many outputs as there are classes.
    pub fn network(&self, options: &ModelOptions) -> Result<Network> {
        let Written { name, input, norm, whitening, block_fc, num_groups, layers } = self.written.clone();
        if let Some(input) = input.filter(|input| *input != options.input) {
            let found = options.input;
            let what = format!("is for images of {input:?} (channels, height, width), but the data has {found:?}");
            return Err(Error::input(&self.path, format!("{what}; change or leave out 'input'")));
        }
        let stem = Path::new(&self.path).file_stem().map(|stem| stem.to_string_lossy().into_owned());
        let mut network = Network {
            name: name.or(stem).unwrap_or_else(|| "custom".into()),
            block_fc: block_fc.unwrap_or(options.block_fc),
            num_groups: num_groups.unwrap_or(options.num_groups),
            layers,
            ..Network::new(options.input)
                .norm(norm.unwrap_or(options.norm))
                .whitening(whitening.unwrap_or(options.whitening))
                .seed(options.seed)
        };
        fill_classes(&mut network.layers, options.classes);
        Ok(network)
    }

    /// (C, H, W) of one image, where the file says so.
    pub fn input(&self) -> Option<[usize; 3]> {
        self.written.input
    }

    /// The options of a command line that the file has settled, so that none of them may stand beside it.
    pub fn settles(&self) -> Vec<&'static str> {
        let Written { norm, whitening, block_fc, num_groups, .. } = &self.written;
        let mut settled = vec!["first_iterations", "width"];
        settled.extend(norm.is_some().then_some("norm"));
        settled.extend(block_fc.is_some().then_some("block_fc"));
        settled.extend(num_groups.is_some().then_some("num_groups"));
        if whitening.is_some() {
            settled.extend(["whitening", "mode", "block", "iterations", "eps", "sampling_stride"]);
        }
        settled
    }
}

/// What is wrong with `text`, without places in it: nobody has seen a text that a program wrote. The first layer at fault is named instead.
fn fault(text: &str, error: &serde_json::Error) -> String {
    #[derive(Deserialize)]
    struct Loose {
        layers: Vec<serde_json::Value>,
    }
    let plain = |error: &serde_json::Error| {
        let text = error.to_string();
        text.rsplit_once(" at line ").map_or(text.clone(), |(what, _)| what.to_owned())
    };
    let layers = serde_json::from_str(text).map_or(Vec::new(), |loose: Loose| loose.layers);
    let faulty = |(place, layer)| {
        let error = serde_json::from_value::<Node>(layer).err()?;
        Some(format!("layers[{place}]: {}", plain(&error)))
    };
    layers.into_iter().enumerate().find_map(faulty).unwrap_or_else(|| plain(error))
}

/// Gives layers whose outputs are "classes" their number.
fn fill_classes(layers: &mut Layers, classes: usize) {
    for node in &mut layers.nodes {
        match &mut node.layer {
            Layer::Conv(conv) if conv.outputs == crate::nn::CLASSES => conv.outputs = classes,
            Layer::Linear(linear) if linear.outputs == crate::nn::CLASSES => linear.outputs = classes,
            layer => layer.inner_mut().into_iter().for_each(|inner| fill_classes(inner, classes)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::models;

    const LENET: &str = r#"
        layers = [
            { type = "conv", outputs = 16, kernel = 5, whitening = { iterations = 15 } },
            { type = "relu" },
            { type = "max_pool", kernel = 2 },
            { type = "conv", outputs = 32, kernel = 5 },
            { type = "relu" },
            { type = "max_pool", kernel = 2 },
            { type = "flatten" },
            { type = "linear", outputs = 128 },
            { type = "relu" },
            { type = "linear", outputs = "classes" },
        ]"#;

    #[test]
    fn lenet_in_a_file_is_lenet() -> Result<()> {
        let options = ModelOptions { classes: 7, ..Default::default() };
        let found = NetworkFile::parse("lenet.toml", LENET)?.network(&options)?;
        assert_eq!(found, models::network("lenet", &options)?);
        Ok(())
    }

    #[test]
    fn blocks_nest() -> Result<()> {
        let text = r#"
            name = "blocks"
            norm = "none"
            [[layers]]
            type = "conv"
            outputs = 8
            kernel = 3
            [[layers]]
            type = "residual"
            body = [{ type = "conv", outputs = 8, kernel = 3 }, { type = "relu" }]
            [[layers]]
            type = "concat"
            branches = [[], [{ type = "avg_pool", kernel = 1 }]]
            [[layers]]
            type = "global_avg_pool"
            [[layers]]
            type = "flatten"
            [[layers]]
            type = "linear"
            name = "head"
            outputs = "classes"
        "#;
        let net = NetworkFile::parse("x.toml", text)?.network(&ModelOptions::default())?;
        let mut state = crate::tape::State::new();
        assert_eq!((net.name.as_str(), net.build(&mut state)?.classes), ("blocks", 10));
        assert!(state.iter().any(|(_, t)| t.name == "head.weight" && t.ty.shape == [10, 16]));
        Ok(())
    }

    #[test]
    fn mistakes_name_line_and_key() {
        let error = |text: &str| NetworkFile::parse("net.toml", text).unwrap_err().to_string();
        let line = |layer: &str| format!("layers = [\n  {{ type = \"relu\" }},\n  {layer},\n]\n");
        for (layer, expected) in [
            ("{ type = \"conv\", outputs = 8, kernal = 3 }", "kernal"),
            ("{ type = \"conv\", outputs = 8 }", "kernel"),
            ("{ type = \"conv\", outputs = \"many\", kernel = 3 }", "classes"),
            ("{ type = \"convolution\", outputs = 8, kernel = 3 }", "convolution"),
            ("{ type = \"relu\", slope = 0.1 }", "slope"),
            ("{ outputs = 8, kernel = 3 }", "type"),
            ("{ type = \"residual\", body = [{ type = \"conv\", outputs = 8, kernal = 3 }] }", "kernal"),
        ] {
            let found = error(&line(layer));
            assert!(found.contains("line 3") && found.contains(expected), "{layer}: {found}");
        }
        assert!(error("layers = []").contains("no layers"));
        assert!(error("layer = []").contains("line 1"));
        assert!(error("norm = \"bach\"\nlayers = [{ type = \"relu\" }]").contains("line 1"));
    }

    #[test]
    fn mistakes_in_json_name_the_layer_and_the_key() {
        let error = |text: &str| NetworkFile::parse_json("net", text).unwrap_err().to_string();
        let found = error(r#"{ "layers": [{ "type": "relu" }, { "type": "conv", "outputs": 8, "kernal": 3 }] }"#);
        assert!(
            found.starts_with("net: layers[1]: ") && found.contains("kernal") && !found.contains("line"),
            "{found}"
        );
        let found = error(r#"{ "norm": "bach", "layers": [{ "type": "relu" }] }"#);
        assert!(found.contains("bach") && found.contains("deconv") && !found.contains("layers["), "{found}");
        assert!(error(r#"{ "layers": [] }"#).contains("no layers") && error("[]").starts_with("net: "));
        let json = r#"{ "layers": [{ "type": "linear", "outputs": "classes" }] }"#;
        let toml = "layers = [{ type = \"linear\", outputs = \"classes\" }]";
        let net = |file: Result<NetworkFile>| file.and_then(|file| file.network(&ModelOptions::default()));
        assert_eq!(net(NetworkFile::parse_json("net", json)).ok(), net(NetworkFile::parse("net", toml)).ok());
    }

    #[test]
    fn the_files_own_input_is_held_to() -> Result<()> {
        let file = NetworkFile::parse("net.toml", "input = [3, 32, 32]\nlayers = [{ type = \"relu\" }]")?;
        let found = file.network(&ModelOptions::default()).unwrap_err().to_string();
        assert!(found.contains("[3, 32, 32]") && found.contains("[1, 28, 28]"), "{found}");
        Ok(())
    }
}
