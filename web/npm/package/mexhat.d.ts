/**
 * Train small convolutional networks with network deconvolution on the GPU of a browser, through WebGPU.
 *
 * @packageDocumentation
 */

/** What went wrong; messages say what was expected, what was found and what to do. */
export class MexhatError extends Error {
  readonly name: "MexhatError";
  /**
   * - `no-adapter`: no WebGPU, or no adapter behind it;
   * - `wasm`: the engine could not be loaded;
   * - `usage`: an argument, option or layer is not usable;
   * - `input`: bytes or a description do not hold what they should;
   * - `memory`: the adapter gives less than is needed;
   * - `diverged`: the loss is no longer a number;
   * - `device-lost`: the GPU went away; open another device and load what was saved;
   * - `gpu`: the GPU refused a command.
   */
  readonly kind: "no-adapter" | "wasm" | "usage" | "input" | "memory" | "diverged" | "device-lost" | "gpu";
  constructor(kind: MexhatError["kind"], message: string);
}

/** Images (N,C,H,W), row-major: floats as they are, or bytes, of which 255 becomes 1. */
export type Images = Float32Array | Uint8Array;

/** Images with the class of each, counted from 0. */
export interface Labelled {
  images: Images;
  labels: ArrayLike<number>;
}

/** Values with their shape, row-major. */
export interface Tensor {
  shape: number[];
  values: Float32Array;
}

/**
 * What keeps the statistics of layers in order: whitening of every layer's input, batch norm, group norm, layer norm (group norm of one
 * group), iterative norm, or nothing.
 */
export type Norm = "deconv" | "batch" | "group" | "layer" | "iterative" | "none";

/** How layers whiten their input. */
export interface Whitening {
  /** Blocks of the authors' code, or of the paper. */
  mode?: "reference" | "paper";
  /** Channels of a block, 64. */
  block?: number;
  /** Newton-Schulz iterations, 5; `"converge"` takes as many as reach the inverse root, which wants a larger `eps`. */
  iterations?: number | "converge";
  /** Added to the diagonal of the covariance, 1e-5. */
  eps?: number;
  /** Statistics use every n-th position in both directions, 3. */
  sampling_stride?: number;
  /** Share of the present step in running statistics, 0.1. */
  momentum?: number;
  /** Use running statistics most of the time. */
  freeze?: boolean;
}

/** Whitening of activations, without weights. */
export interface ChannelWhitening {
  /** Channels of a block, 64. */
  block?: number;
  /** Added to the diagonal of the second moment, 1e-2. */
  eps?: number;
  /** Newton-Schulz iterations, 5. */
  iterations?: number;
  /** Statistics use every n-th position in both directions, 3. */
  sampling_stride?: number;
  /** Share of the present step in running statistics, 0.1. */
  momentum?: number;
}

/**
 * A layer, as in the files of `mexhat train --model FILE`.
 *
 * Earlier names are read, too: `outputs` for `out_channels` and `out_features`, `swish` for `silu`, `resize` for `interpolate`.
 */
export type Layer = { name?: string } & (
  | { type: "conv"; out_channels: number | "classes"; kernel: number; stride?: number; padding?: number; dilation?: number; groups?: number; bias?: boolean; norm?: Norm; whitening?: Whitening }
  | { type: "linear"; out_features: number | "classes"; bias?: boolean; norm?: Norm; whitening?: Whitening }
  | { type: "batch_norm" | "group_norm" | "layer_norm" | "iter_norm" }
  | ({ type: "channel_deconv" } & ChannelWhitening)
  | { type: "relu" | "relu6" | "sigmoid" | "tanh" | "silu" | "global_avg_pool" | "flatten" }
  | { type: "leaky_relu"; slope: number }
  | { type: "max_pool"; kernel: number; stride?: number; padding?: number }
  | { type: "avg_pool"; kernel: number }
  | { type: "adaptive_avg_pool" | "interpolate"; size: [height: number, width: number] }
  | { type: "dropout"; probability: number }
  | { type: "residual"; body: Layer[]; shortcut?: Layer[] }
  | { type: "dual_path"; sum: number; body: Layer[]; shortcut?: Layer[] }
  | { type: "concat"; branches: Layer[][] }
  | { type: "gate"; gate: Layer[] }
  | { type: "sequence"; layers: Layer[] }
);

/** What all descriptions may have. */
export interface Common {
  /** (channels, height, width) of one image, [1, 28, 28]. */
  input?: [channels: number, height: number, width: number];
  /** Outputs of layers that have `"classes"` of them, 10. */
  classes?: number;
  /** Seed of the first values, 0. */
  seed?: number;
  /** Mean and standard deviation of each channel, which images are freed of before they reach the network, here and after loading. */
  normalize?: { mean: number[]; std: number[] };
}

/** A network by its layers. */
export interface LayersDescription extends Common {
  layers: Layer[];
  name?: string;
  norm?: Norm;
  whitening?: Whitening;
  /** Features of a block of whitening in linear layers, 512. */
  block_fc?: number;
  /** Groups of channels of group norm, 32; where they do not divide a layer's channels, the most below that do. */
  num_groups?: number;
}

/** A network as text of a file of `mexhat train --model FILE`. */
export interface TomlDescription extends Common {
  toml: string;
}

/** A network by its name. */
export interface NamedDescription extends Common {
  model: "lenet" | "small" | "deep" | "mlp" | "linear" | "yardstick" | "vgg11" | "vgg13" | "vgg16" | "vgg19" | "resnet18" | "preact18" | "senet18" | "densenet121" | "resnext29" | "mobilenetv2" | "dpn92" | "pnasnet-a" | "efficientnet-b0" | "vgg11-imagenet" | "resnet18-imagenet" | "resnet50-imagenet" | "densenet121-imagenet" | (string & {});
  /** Times the channels of the network, 1. */
  width?: number;
  norm?: Norm;
  /** `fast` costs little more than batch norm; the options below win over it. */
  whitening?: "paper" | "fast";
  mode?: "reference" | "paper";
  block?: number;
  block_fc?: number;
  num_groups?: number;
  iterations?: number | "converge";
  first_iterations?: number | "converge";
  eps?: number;
  sampling_stride?: number;
}

/** How to train. */
export interface FitOptions {
  /** Passes over the images, 1. */
  epochs?: number;
  /** Images of a step, 128. */
  batchSize?: number;
  /** Learning rate, 0.1, or 0.001 of `adam` and `adamw`. */
  lr?: number;
  /** How the learning rate changes over the run, `constant`. */
  schedule?: "constant" | "cosine" | "multistep" | "onecycle";
  /** `sgd`. Moments go on from one training to the next while all but the learning rate stays. */
  optimizer?: "sgd" | "adam" | "adamw";
  /** Of `sgd`, 0.9. */
  momentum?: number;
  nesterov?: boolean;
  /** 0. */
  weightDecay?: number;
  /** Largest norm of all gradients together. */
  clipGradNorm?: number;
  /** Batches whose gradients a step adds up, 1. */
  accumulate?: number;
  /** Judge, predict and save with averages of the weights, of which each step keeps this share, such as 0.999. */
  average?: number;
  /** Another order in every epoch, true. */
  shuffle?: boolean;
  /** Seed of the order and of dropout, 0. */
  seed?: number;
  /** Images to judge by at the end of every epoch. */
  test?: Labelled;
  /** What classes are called; files keep it. */
  classNames?: string[];
}

/** What happens in a training. */
export type FitEvent =
  | { event: "step"; /** From 1. */ step: number; /** From 0. */ epoch: number; /** Mean over the batch, before its update. */ loss: number; lr: number; /** Share of the batch that was right, 0 to 1. */ accuracy: number }
  | { event: "eval"; step: number; /** Whole epochs. */ epoch: number; split: "test"; loss: number; accuracy: number }
  | { event: "device_lost"; step: number; /** Where training goes on, on a new device; otherwise an error follows. */ from: number | null; reason: string };

/** A GPU that is open. */
export class Device {
  private constructor();
  /**
   * Loads the engine and opens the GPU.
   *
   * `wasm` is where `mexhat_npm_bg.wasm` is, when it is not beside `mexhat.js`, or what is in it.
   */
  static open(options?: { wasm?: string | URL | Request | Response | BufferSource | WebAssembly.Module }): Promise<Device>;
  /** What the browser tells of it. On a software adapter the CPU computes, slowly. */
  readonly adapter: { name: string; software: boolean };
  /** A network with fresh values. */
  network(description: LayersDescription | TomlDescription | NamedDescription): Promise<Network>;
  /** A network from the bytes of a `.safetensors` file that {@link Network.save}, `mexhat train` or the page wrote. */
  load(bytes: ArrayBuffer | Uint8Array): Promise<Network>;
  /** Frees all its networks and gives the GPU back. */
  close(): Promise<void>;
}

/**
 * A network on a device.
 *
 * Whatever is asked of it is done in the order in which it was asked for; during a training, between two of its events.
 */
export class Network {
  private constructor();
  readonly name: string;
  readonly input: [channels: number, height: number, width: number];
  /** Number of trained values. */
  readonly parameters: number;
  /** Names of what {@link Network.tensor} reads. */
  readonly tensors: string[];
  /** Its layers with everything filled in. */
  readonly description: LayersDescription;
  /**
   * Trains, one event after the other; nothing is computed while the loop is at work. Leaving the loop ends the training, and the network
   * stays as it is then.
   *
   * @example
   * for await (const event of network.fit({ images, labels }, { epochs: 5, lr: 0.05 })) {
   *   if (event.event === "step") console.log(event.step, event.loss);
   * }
   */
  fit(examples: Labelled, options?: FitOptions): AsyncGenerator<FitEvent, void, void>;
  /** {@link Network.fit} without a loop: tells `onEvent`, which may return false to end; returns the last step. */
  train(examples: Labelled, options?: FitOptions & { onEvent?: (event: FitEvent) => unknown }): Promise<Extract<FitEvent, { event: "step" }> | null>;
  /** The probability of each class for each image, (N, classes). */
  predict(images: Images): Promise<Tensor>;
  /** What the network puts out, before the softmax. */
  outputs(images: Images): Promise<Tensor>;
  /** Mean loss and share of right answers. */
  evaluate(test: Labelled): Promise<{ loss: number; accuracy: number; images: number }>;
  /** A tensor by its name: kernels are `conv1.weight` (O,C,k,k), the whitening D of a layer is `conv1.running_deconv` (S,d,d), where S is 1 in the mode `reference` and the number of blocks in `paper`. */
  tensor(name: string): Promise<Tensor>;
  /** The output of a layer, such as `conv1` or `relu1`. */
  activations(images: Images, layer: string): Promise<Tensor>;
  /** Steps made, bytes on the GPU, and what classes are called, where that is known. */
  about(): Promise<{ steps: number; bytes: number; classNames: string[] }>;
  /** Changes the learning rate of a training that runs. */
  setLr(lr: number): Promise<void>;
  /** Leaves the parameters of these layers as they are: `conv1`, or a block such as `layer1.0`. */
  freeze(...layers: string[]): Promise<void>;
  unfreeze(...layers: string[]): Promise<void>;
  /** The bytes of a `.safetensors` file, which {@link Device.load}, `mexhat eval`, the page and Python read. */
  save(): Promise<Uint8Array>;
  /** Ends a training and gives the memory back. */
  free(): Promise<void>;
}
