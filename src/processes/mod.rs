//! Training on several machines, or on several GPUs of one.
//!
//! `n` processes with batches of `b` train as one with batches of `n b`. Each takes its share of every batch.
//! Gradients, the statistics of deconvolution (with their gradients) and those of batch norm are averaged over all,
//! added in the order of the processes, so that all hold the same network, bit for bit. A last batch that is shorter is
//! left out. [`mixup`](crate::train::Options::mixup) is an exception: each process mixes the images of its own share
//! with each other, where one process with a batch of `n b` would mix any two of them. One process a GPU; the first one
//! alone prints and writes.
//!
//! # With MPI
//!
//! The feature `mpi` needs an implementation of MPI and libclang to build (Debian:
//! `openmpi-bin libopenmpi-dev libclang-dev`):
//!
//! ```text
//! cargo install --path . --features mpi
//! mpirun -n 4 mexhat train --model resnet18 --data ~/cifar10 --batch-size 32
//! ```
//!
//! trains with batches of 128. The processes of a machine take its GPUs one after the other; `--device` sets one for
//! all. A process that fails says why and ends all; the run's folder keeps its last checkpoint, from which as many
//! processes go on with `--resume`. A GPU that goes away ends the run, too. At its end the run says how many bytes a
//! step sent, and the share of the time that averaging took, some of it while the GPU computed.
//!
//! # With Slurm
//!
//! One task a GPU; the run's folder and the data lie where all nodes see them:
//!
//! ```text
//! #!/bin/bash
//! #SBATCH --nodes=2
//! #SBATCH --ntasks-per-node=4
//! #SBATCH --gpus-per-node=4
//! #SBATCH --cpus-per-task=8
//! srun --mpi=pmix mexhat train --model resnet18 --data "$HOME/cifar10" --out "$HOME/runs/resnet18"
//! ```
//!
//! Where Slurm knows no PMIx (`srun --mpi=list`), `mpirun mexhat train …` inside the same script does the same.
//!
//! # With something else
//!
//! Any [`Processes`] will do: [`Gpu::join`](crate::Gpu::join) has what is trained on a device trained along with the
//! others. A [`Trainer`](crate::train::Trainer) takes its share of the data by itself; each
//! [`Learner`](crate::train::Learner) is given its own images, and all make as many steps.
//!
//! # What it costs
//!
//! A step waits for the others twice for each normalised layer in the forward pass and twice in the backward pass
//! (batch norm: once each). Gradients are averaged in equal parts while the GPU computes those of earlier layers: at
//! these waits, or behind each layer's where there are none. What is left then, parts below 256 KiB, and the loss are
//! waited for at the end of the backward pass. Each process sends `2 (n - 1) / n` times the averaged values.
//!
//! ResNet-18 averages 89.4 MB a step with deconvolution and 44.8 MB with batch norm, as two processes on one machine
//! have told. On paper, 8 cards of 30 TFLOP/s with 25 Gbit/s each and 128 images a card send 156 and 78 MB, which takes
//! 50 and 25 ms, 25 ms of either for gradients; a step computes for at least 28 and 17 ms (`benches/roofline.md`).
//! Waiting for everything, 8 cards train 2.9 and 3.2 times as fast as one. If the backward pass is two thirds of the
//! computing, and all of it passes while gradients are sent, that is 3.8 and 4.4 times. Larger batches a card, or
//! faster links, are what helps.
//!
//! On one core of a quiet machine without a GPU, with 8 images, ResNet-18 of half the width and a network that only
//! takes time, six tenths of a step: 79 % of that are hidden without norm, 75 % with batch norm and 43 % with
//! deconvolution (`LP_NUM_THREADS=1 cargo test --release --test processes how_much -- --ignored --nocapture`; two runs,
//! within a point of each other). Averaged at the end of the backward pass alone (`LEAST` of `gpu/schedule.rs` at
//! `u64::MAX`, in turn with these) nothing is hidden. Where the network takes no time, the cuts cost deconvolution's
//! step of 1.0 s about 5 %, the other two nothing.
//!
//! Losses agree with those of one process within 1e-4 over 30 steps where steps are small and `eps` is 0.1
//! (`--test mpi`). With the paper's `eps` whitening amplifies rounding, and losses come 2e-3 apart within ten steps;
//! with other kernels on the same adapter they come 1e-3 apart.

#[cfg(all(feature = "mpi", not(target_arch = "wasm32")))]
mod mpi;

pub use crate::gpu::Processes;
#[cfg(all(feature = "mpi", not(target_arch = "wasm32")))]
pub use mpi::Mpi;
