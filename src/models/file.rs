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

/// A network in a TOML file. Its layers are those of [`Layer`](crate::nn::Layer) under the same names; what it leaves
/// out is taken from the options and the data.
///
/// ```
/// use mexhat::models::{ModelOptions, NetworkFile};
/// let text = r#"
///     norm = "batch"
///     layers = [
///         { type = "conv", out_channels = 16, kernel = 5 },
///         { type = "relu" },
///         { type = "max_pool", kernel = 2 },
///         { type = "flatten" },
///         { type = "linear", out_features = "classes" },
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
    /// Of a file of TOML.
    #[cfg(not(target_arch = "wasm32"))]
    places: Vec<super::mistakes::Place>,
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
        // A page tells what it is told: it downloads every line.
        #[cfg(target_arch = "wasm32")]
        let mistake = |e: toml::de::Error| e.to_string();
        #[cfg(not(target_arch = "wasm32"))]
        let mistake = |e: toml::de::Error| super::mistakes::mistake::<Written>(text, &e);
        let written: Written = toml::from_str(text)
            .map_err(|e| Error::input(path, format!("is no description of a network\n{}", mistake(e).trim_end())))?;
        #[cfg(not(target_arch = "wasm32"))]
        let places = super::mistakes::places(text, &written.layers);
        let file = Self::of(path, written)?;
        #[cfg(not(target_arch = "wasm32"))]
        let file = Self { places, ..file };
        Ok(file)
    }

    /// An error of [`Network::build`] with the line of the layer or the key that it names; others as they are.
    ///
    /// ```
    /// use mexhat::models::{ModelOptions, NetworkFile};
    /// let text = "layers = [\n  { type = \"flatten\" },\n  { type = \"conv\", out_channels = 8, kernel = 3 },\n]";
    /// let file = NetworkFile::parse("net.toml", text)?;
    /// let error = file.network(&ModelOptions::default())?.build(&mut mexhat::nn::State::new()).unwrap_err();
    /// assert!(file.locate(error).to_string().starts_with("net.toml: line 3: layer 'conv1'"));
    /// # Ok::<(), mexhat::Error>(())
    /// ```
    #[cfg(not(target_arch = "wasm32"))]
    pub fn locate(&self, error: Error) -> Error {
        let Error::Usage(what) = &error else { return error };
        match super::mistakes::line(what, &self.places) {
            Some(line) => Error::input(&self.path, format!("line {line}: {what}")),
            None => error,
        }
    }

    /// As [`NetworkFile::parse`] of JSON with the same keys, as programs write it; errors name the layer by its place.
    ///
    /// ```
    /// use mexhat::models::{ModelOptions, NetworkFile};
    /// let text = r#"{ "layers": [{ "type": "flatten" }, { "type": "linear", "out_features": "classes" }] }"#;
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
        Ok(Self {
            path: path.into(),
            written,
            #[cfg(not(target_arch = "wasm32"))]
            places: Vec::new(),
        })
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

/// What is wrong with `text`, without places in it: nobody has seen a text that a program wrote. The first layer at
/// fault is named instead.
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
            Layer::Conv(conv) if conv.out_channels == crate::nn::CLASSES => conv.out_channels = classes,
            Layer::Linear(linear) if linear.out_features == crate::nn::CLASSES => linear.out_features = classes,
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
            { type = "conv", out_channels = 16, kernel = 5, whitening = { iterations = 15 } },
            { type = "relu" },
            { type = "max_pool", kernel = 2 },
            { type = "conv", out_channels = 32, kernel = 5 },
            { type = "relu" },
            { type = "max_pool", kernel = 2 },
            { type = "flatten" },
            { type = "linear", out_features = 128 },
            { type = "relu" },
            { type = "linear", out_features = "classes" },
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
            out_channels = 8
            kernel = 3
            [[layers]]
            type = "residual"
            body = [{ type = "conv", out_channels = 8, kernel = 3 }, { type = "relu" }]
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
            out_features = "classes"
        "#;
        let net = NetworkFile::parse("x.toml", text)?.network(&ModelOptions::default())?;
        let mut state = crate::tape::State::new();
        assert_eq!((net.name.as_str(), net.build(&mut state)?.classes), ("blocks", 10));
        assert!(state.iter().any(|(_, t)| t.name == "head.weight" && t.ty.shape == [10, 16]));
        Ok(())
    }

    /// Files and saved networks from before layers were called as in PyTorch.
    #[test]
    fn earlier_names_are_read() -> Result<()> {
        let now = r#"layers = [
            { type = "conv", out_channels = 8, kernel = 3 },
            { type = "silu" },
            { type = "residual", body = [{ type = "conv", out_channels = 8, kernel = 1 }, { type = "silu" }] },
            { type = "interpolate", size = [5, 6] },
            { type = "flatten" },
            { type = "linear", out_features = "classes" },
        ]"#;
        let earlier = now.replace("out_channels", "outputs").replace("out_features", "outputs");
        let earlier = earlier.replace("silu", "swish").replace("interpolate", "resize");
        assert_eq!(earlier.matches("outputs").count() + earlier.matches("swish").count(), 5);
        let of = |text: &str| NetworkFile::parse("x.toml", text)?.network(&ModelOptions::default());
        let net = of(now)?;
        assert_eq!(of(&earlier)?, net);
        let saved = serde_json::to_string(&net).expect("plain data");
        assert!(["outputs", "swish", "resize"].iter().all(|name| !saved.contains(name)), "{saved}");
        let earlier = saved.replace("out_channels", "outputs").replace("out_features", "outputs");
        let earlier = earlier.replace("silu", "swish").replace("interpolate", "resize");
        assert_eq!(serde_json::from_str::<Network>(&earlier).expect("a network"), net);
        let layers = serde_json::from_str::<serde_json::Value>(&earlier).expect("JSON")["layers"].take();
        let described = serde_json::json!({ "name": "x", "layers": layers }).to_string();
        assert_eq!(NetworkFile::parse_json("x", &described)?.network(&ModelOptions::default())?, net);
        let twice = of(&now.replace("out_channels = 8", "out_channels = 8, outputs = 8")).unwrap_err().to_string();
        assert!(twice.contains("line 2") && twice.contains("unknown field 'outputs'"), "{twice}");
        Ok(())
    }

    #[test]
    fn mistakes_name_line_and_key() {
        let error = |text: &str| NetworkFile::parse("net.toml", text).unwrap_err().to_string();
        let line = |layer: &str| format!("layers = [\n  {{ type = \"relu\" }},\n  {layer},\n]\n");
        for (layer, expected) in [
            ("{ type = \"conv\", out_channels = 8, kernal = 3 }", "kernal"),
            ("{ type = \"conv\", out_channels = 8 }", "kernel"),
            ("{ type = \"conv\", out_channels = \"many\", kernel = 3 }", "classes"),
            ("{ type = \"convolution\", out_channels = 8, kernel = 3 }", "convolution"),
            ("{ type = \"relu\", slope = 0.1 }", "slope"),
            ("{ out_channels = 8, kernel = 3 }", "type"),
            ("{ type = \"residual\", body = [{ type = \"conv\", out_channels = 8, kernal = 3 }] }", "kernal"),
            ("{ type = \"conv\", out_channels = 8, kernel = \"three\" }", "'kernel': invalid type: string \"three\""),
            ("{ type = \"conv\", out_channels = \"8\", kernel = \"3\" }", "'kernel': invalid type"),
            ("{ type = \"conv\", out_channels = 8.5, kernel = 3 }", "'out_channels': expected a number"),
            ("{ type = \"conv\", out_channels = 8, kernel = 3, whitening = { eps = \"a\" } }", "'eps': invalid type"),
            ("{ type = \"conv\", out_channels = 8, kernel = 3, whitening = { epss = 1 } }", "unknown field 'epss'"),
            ("{ type = \"conv\", out_channels = 8, kernel = 3, whitning = { eps = 1 } }", "unknown field 'whitning'"),
            ("{ type = \"dropout\", probability = \"half\" }", "'probability': invalid type"),
            ("{ type = \"dropout\", probability = nan }", "'probability': no finite number, expected f32"),
            ("{ type = \"dual_path\", sum = \"a\", body = [] }", "'sum': invalid type"),
            ("{ type = \"residual\", body = [], shortcut = 3 }", "'shortcut': invalid type"),
            ("{ type = \"residual\", body = [1] }", "'body': invalid type"),
            ("{ type = 3 }", "'type': invalid type"),
            ("{ type = \"relu\", name = 3 }", "'name': invalid type"),
        ] {
            let found = error(&line(layer));
            assert!(found.contains("line 3, column") && found.contains(expected), "{layer}: {found}");
            assert!(found.contains(&format!("3 |   {layer},")) && !found.contains('`'), "{layer}: {found}");
        }
        // Of a file in one line only what stands around the mistake is shown, with the mark under it.
        let relus = "{ type = \"relu\" }, ".repeat(500);
        let found = error(&format!("layers = [{relus}{{ type = \"cnov\" }}, {relus}]"));
        let [mark, shown] = [0, 1].map(|line| found.lines().rev().nth(line).unwrap_or_default());
        assert!(found.len() < 1000 && shown.contains("cnov") && shown.ends_with("..."), "{found}");
        assert_eq!(shown.chars().nth(mark.chars().count() - 1), Some('t'), "{found}");
        assert!(error("layers = []").contains("no layers"));
        assert!(error("layer = []").contains("line 1"));
        let found = error("norm = \"bach\"\nlayers = [{ type = \"relu\" }]");
        assert!(found.contains("line 1, column 1: 'norm': unknown norm 'bach'"), "{found}");
        let found = error("layers = [{ type = \"relu\" }]\nblock_fc = \"many\"\n[whitening]\niterations = 3\neps = 1");
        assert!(found.contains("line 2, column 1: 'block_fc': invalid type"), "{found}");
        let found = error("layers = [{ type = \"relu\" }]\n[whitening]\niterations = 3\n  block = [1]");
        assert!(found.contains("line 4, column 3: 'block': invalid type"), "{found}");
        let found = error("layers = [\n  { type = \"relu\" \n");
        assert!(found.contains("line ") && !found.contains('`'), "{found}");
        assert!(error("layers = 3").contains("line 1, column 1: 'layers': invalid type"));
    }

    /// Each stands on a line of its own, within blocks that begin above it.
    #[test]
    fn mistakes_within_blocks_name_their_own_line() {
        for (block, end) in [
            ("{ type = \"residual\", body = [", "] }"),
            ("{ type = \"residual\", body = [], shortcut = [", "] }"),
            ("{ type = \"concat\", branches = [[], [", "]] }"),
            ("{ type = \"gate\", gate = [", "] }"),
            ("{ type = \"sequence\", layers = [{ type = \"dual_path\", sum = 4, body = [", "] }] }"),
        ] {
            for (layer, expected) in [
                ("{ type = \"conv\", out_channels = 8, kernal = 3 }", "unknown field 'kernal'"),
                ("{ type = \"conv\", out_channels = 8, kernel = \"3\" }", "'kernel': invalid type"),
                ("{ type = \"conv\", out_channels = 8 }", "missing field 'kernel'"),
                ("{ type = \"cnov\" }", "unknown variant 'cnov'"),
            ] {
                let text = format!("layers = [\n{block}\n  {{ type = \"relu\" }},\n  {layer},\n{end}\n]");
                let found = NetworkFile::parse("net.toml", &text).unwrap_err().to_string();
                assert!(found.contains("line 4, column") && found.contains(expected), "{text}: {found}");
            }
        }
        let text = "[[layers]]\ntype = \"residual\"\n[[layers.body]]\ntype = \"conv\"\nout_channels = 8\nkernel = true";
        let found = NetworkFile::parse("net.toml", text).unwrap_err().to_string();
        assert!(found.contains("line 6, column 1: 'kernel': invalid type: boolean"), "{found}");
    }

    #[test]
    fn layers_that_do_not_fit_name_their_line() -> Result<()> {
        let error = |text: &str| -> Result<String> {
            let file = NetworkFile::parse("net.toml", text)?;
            let network = file.network(&ModelOptions::default())?;
            let error = network.build(&mut crate::tape::State::new()).expect_err("a refusal");
            Ok(file.locate(error).to_string())
        };
        for (layer, expected) in [
            ("{ type = \"linear\", out_features = 8 }", "layer 'LINEAR'"),
            ("{ type = \"conv\", out_channels = 8,\n kernel = 0 }", "kernel is 0"),
            ("{ type = \"conv\", out_channels = 8, kernel = 3,\n groups = 5 }", "groups"),
            (
                "{ type = \"conv\", out_channels = 8, kernel = 3,\n whitening = { eps = 0 } }",
                "eps is 0; expected a number above 0",
            ),
            (
                "{ type = \"conv\", out_channels = 8, kernel = 3,\n whitening = { sampling_stride = 0 } }",
                "sampling_stride is 0",
            ),
            ("{ type = \"channel_deconv\",\n block = 100 }", "block is 100"),
            ("{ type = \"conv\", name = \"twice\", out_channels = 8, kernel = 3 }", "two layers are called"),
        ] {
            let key = if layer.contains('\n') { 5 } else { 4 };
            for (prefix, block, end) in [
                ("block1.", "{ type = \"residual\", body = [", "] }"),
                ("block1.shortcut_", "{ type = \"residual\", body = [], shortcut = [", "] }"),
                ("concat1.1.", "{ type = \"concat\", branches = [[], [", "]] }"),
                ("gate1.", "{ type = \"gate\", gate = [", "] }"),
                ("block1.", "{ type = \"sequence\", layers = [", "] }"),
            ] {
                // The first of two of one name is fine.
                let first = if layer.contains("twice") { layer } else { "{ type = \"relu\" }" };
                let text = format!("layers = [\n{block}\n  {first},\n  {layer},\n{end}\n]");
                let (found, expected) = (error(&text)?, expected.replace("LINEAR", &format!("{prefix}fc1")));
                assert!(
                    found.starts_with(&format!("net.toml: line {key}: ")) && found.contains(&expected),
                    "{text}: {found}"
                );
            }
        }
        let shared = error("layers = [\n{ type = \"conv\", out_channels = 8, kernel = 3 }]\n[whitening]\neps = -1")?;
        assert!(shared.starts_with("net.toml: line 4: layer 'conv1'") && shared.contains("eps is -1"), "{shared}");
        Ok(())
    }

    #[test]
    fn mistakes_in_json_name_the_layer_and_the_key() {
        let error = |text: &str| NetworkFile::parse_json("net", text).unwrap_err().to_string();
        let found = error(r#"{ "layers": [{ "type": "relu" }, { "type": "conv", "out_channels": 8, "kernal": 3 }] }"#);
        assert!(
            found.starts_with("net: layers[1]: ") && found.contains("kernal") && !found.contains("line"),
            "{found}"
        );
        let found = error(r#"{ "norm": "bach", "layers": [{ "type": "relu" }] }"#);
        assert!(found.contains("bach") && found.contains("deconv") && !found.contains("layers["), "{found}");
        assert!(error(r#"{ "layers": [] }"#).contains("no layers") && error("[]").starts_with("net: "));
        let json = r#"{ "layers": [{ "type": "linear", "out_features": "classes" }] }"#;
        let toml = "layers = [{ type = \"linear\", out_features = \"classes\" }]";
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
