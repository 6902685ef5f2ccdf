//! Training as a stream of events.
//!
//! [`Options`] say what to do; a [`Trainer`] does it and hands out [`Event`]s, one by one, to whoever shows or keeps
//! them: the progress bar, the `RunFolder`, a web page. Nothing here prints, and nothing blocks but the device.
//!
//! ```no_run
//! # use mexhat::{data, gpu::Gpu, train::{Event, Options, Trainer}};
//! # async fn run() -> mexhat::Result<()> {
//! let options = Options { epochs: Some(1), ..Default::default() };
//! let gpu = Gpu::open_async(None).await?;
//! let mut trainer = Trainer::new(&gpu, &options, data::load(&options.data, &options.load())?)?;
//! while let Some(event) = trainer.next().await? {
//!     if let Event::Eval { accuracy, .. } = event {
//!         println!("{:.1} %", 100.0 * accuracy);
//!     }
//! }
//! # Ok(())
//! # }
//! ```
//!
//! # TensorBoard
//!
//! No kept crate writes its files; PyTorch does, from a run's `metrics.jsonl`:
//!
//! ```text
//! import json
//! from torch.utils.tensorboard import SummaryWriter
//!
//! with SummaryWriter("RUN") as writer:
//!     for event in map(json.loads, open("RUN/metrics.jsonl")):
//!         if event["event"] in ("step", "eval"):
//!             writer.add_scalar("loss/" + event.get("split", "train"), event["loss"], event["step"])
//! ```

mod bench;
mod checkpoint;
mod checkpoint_every;
mod checksum;
mod class_weights;
pub(crate) mod clock;
#[cfg(not(target_arch = "wasm32"))]
mod compare;
mod confusion;
#[cfg(not(target_arch = "wasm32"))]
mod earlier;
mod evaluate;
mod event;
#[cfg(not(target_arch = "wasm32"))]
mod files;
#[cfg(not(target_arch = "wasm32"))]
mod folder;
mod learner;
mod look;
mod memory;
mod net_options;
mod network_summary;
mod options;
mod pictures;
mod plan;
mod sheet;
mod sites;
mod spec;
#[cfg(not(target_arch = "wasm32"))]
mod state_dict;
#[cfg(not(target_arch = "wasm32"))]
mod stranger;
mod trainer;

#[doc(inline)]
pub use crate::optim::{Optimizer, Schedule};
#[doc(inline)]
pub use crate::tape::Precision;
#[doc(hidden)]
pub use bench::{BenchOptions, StepBench, bench_step};
#[cfg(all(feature = "cli", not(target_arch = "wasm32")))]
pub(crate) use checkpoint::model_bytes;
#[doc(hidden)]
pub use checkpoint::{DataMark, Progress, Saved, SavedRun, Snapshot};
pub use checkpoint_every::CheckpointEvery;
#[doc(hidden)]
pub use checksum::checksum;
pub use class_weights::ClassWeights;
#[cfg(not(target_arch = "wasm32"))]
#[doc(hidden)]
pub use compare::{Comparison, Group, Spread, compare};
pub use confusion::{Confusion, best};
#[cfg(not(target_arch = "wasm32"))]
#[doc(hidden)]
pub use earlier::EarlierRun;
#[cfg(feature = "cli")]
pub(crate) use earlier::FREE;
pub use evaluate::Evaluation;
#[doc(hidden)]
pub use evaluate::evaluate;
pub use event::{Best, Event, Split, Started, Summary};
#[cfg(all(feature = "cli", not(target_arch = "wasm32")))]
pub(crate) use files::write_whole;
#[cfg(not(target_arch = "wasm32"))]
#[doc(hidden)]
pub use folder::{RunFolder, read_model};
pub use learner::{
    Adam, Batch, Batches, Data, Examples, Fit, Fitting, Learner, Loss, Order, Pixels, Sgd, Step, Stream, Targets,
    Tensor, Update,
};
#[doc(hidden)]
pub use look::{Guess, LayerDeconv};
pub use net_options::{NetOptions, WhiteningPreset};
pub(crate) use network_summary::check_fits;
#[doc(hidden)]
pub use network_summary::{LayerSummary, MemorySummary, NetworkSummary, summarize};
pub use options::{OptimizerKind, Options, ScheduleKind};
#[doc(hidden)]
pub use plan::RunPlan;
pub use sites::CovariancePair;
#[doc(hidden)]
pub use sites::covariances;
#[cfg(not(target_arch = "wasm32"))]
pub(crate) use sites::{Site, sites};
#[doc(hidden)]
pub use spec::ModelSpec;
#[cfg(not(target_arch = "wasm32"))]
pub use state_dict::Loaded;
pub use trainer::Trainer;
