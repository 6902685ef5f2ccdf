// The npm package mexhat: networks with network deconvolution, trained on the GPU through WebGPU. What it does is in
// mexhat_npm_bg.wasm; here are names, promises and turns. Types and their comments are in mexhat.d.ts.
import load, { Device as Engine } from "./mexhat_npm.js";

export class MexhatError extends Error {
  constructor(kind, message) {
    super(message);
    this.name = "MexhatError";
    this.kind = kind;
  }
}

const usage = (message) => new MexhatError("usage", message);
/** The engine's errors are plain objects. */
const raised = (error) => (error?.kind && !(error instanceof Error) ? new MexhatError(error.kind, error.message) : error);

let loaded = null;

/** Node.js does not fetch files. Asked for in this way, it is nothing that a bundler for browsers would look for. */
const files = () => globalThis.process?.getBuiltinModule?.("node:fs/promises");

async function begin(wasm) {
  const own = new URL("mexhat_npm_bg.wasm", import.meta.url);
  const given = wasm ?? (own.protocol === "file:" ? await files()?.readFile(own) : undefined);
  return load(given && { module_or_path: given });
}

/** Loads the wasm once; a failure is tried again at the next call. */
async function ready(wasm) {
  try {
    await (loaded ??= begin(wasm));
  } catch (error) {
    loaded = null;
    throw new MexhatError("wasm", `the engine could not be loaded: ${error?.message ?? error}; mexhat_npm_bg.wasm must be served beside mexhat.js, or given as 'wasm'`);
  }
}

/** What the browser tells of the adapter that it gives. */
async function adapter() {
  const found = await navigator.gpu.requestAdapter().catch(() => null);
  const { vendor = "", architecture = "", device = "", description = "", isFallbackAdapter = false } = found?.info ?? {};
  const name = description || [vendor, architecture, device].filter(Boolean).join(" ");
  return { name, software: isFallbackAdapter || /swiftshader|llvmpipe|lavapipe|basic render/i.test(`${name} ${architecture}`) };
}

export class Device {
  #engine;
  #networks = new Set();

  constructor(engine, found) {
    if (!(engine instanceof Engine)) throw usage("a device is opened by 'await Device.open()'");
    this.#engine = engine;
    this.adapter = found;
  }

  static async open({ wasm } = {}) {
    if (!globalThis.navigator?.gpu) {
      throw new MexhatError("no-adapter", "there is no WebGPU here; expected a browser that has it (Chrome, Edge, Safari 26, Firefox 141 on Windows), and a page that came over https or from this machine; or Deno with --unstable-webgpu; or Node.js where navigator.gpu is that of npm's package 'webgpu'");
    }
    await ready(wasm);
    const found = await adapter();
    return new Device(await Engine.open().catch((error) => Promise.reject(raised(error))), found);
  }

  async network(description) {
    return this.#made(() => this.#open().network(JSON.stringify(description) ?? "null"));
  }

  async load(bytes) {
    const whole = bytes instanceof ArrayBuffer ? new Uint8Array(bytes) : bytes;
    if (!(whole instanceof Uint8Array)) throw usage("load: expected an ArrayBuffer or a Uint8Array with the bytes of a .safetensors file");
    return this.#made(() => this.#open().load(whole));
  }

  async close() {
    const engine = this.#engine;
    this.#engine = null;
    await Promise.all([...this.#networks].map((network) => network.free()));
    engine?.close();
    engine?.free();
  }

  #open() {
    if (!this.#engine) throw usage("the device is closed; open another one");
    return this.#engine;
  }

  #made(make) {
    try {
      const network = new Network(make(), (freed) => this.#networks.delete(freed));
      this.#networks.add(network);
      return network;
    } catch (error) {
      throw raised(error);
    }
  }
}

/** Images with labels as the engine takes them. */
function labelled(given, classNames) {
  const { images, labels } = given ?? {};
  if (!labels || typeof labels.length !== "number") throw usage("expected { images, labels }, with the number of a class for each image");
  const whole = Uint32Array.from(labels);
  const wrong = whole.findIndex((label, i) => label !== Number(labels[i]));
  if (wrong >= 0) throw usage(`label ${wrong} is ${labels[wrong]}; expected a whole number from 0 on`);
  return [images, whole, classNames ?? []];
}

const tensor = ([shape, values]) => ({ shape, values });

export class Network {
  #engine;
  #forget;
  /** What waits for its turn: `[what, args, resolve, reject]`. */
  #wishes = [];
  /** The training that runs. */
  #training = null;
  /** Settles when nothing is being done; null when nothing is. */
  #busy = null;

  constructor(engine, forget) {
    this.#engine = engine;
    this.#forget = forget;
    const { name, input, parameters, tensors, description } = JSON.parse(engine.about());
    Object.assign(this, { name, input, parameters, tensors, description });
  }

  async *fit(examples, { test, classNames, ...options } = {}) {
    const engine = this.#alive();
    if (this.#training) throw usage("the network is being trained; a training ends with its last event, or when its loop is left");
    const given = [labelled(examples, classNames), test && labelled(test), JSON.stringify(options)];
    const training = (this.#training = { hear: null, wake: null, stopped: false });
    const next = (text) => this.#between(training, text);
    const run = this.#turn(() => engine.fit(...given, next));
    // What goes wrong is told to whoever waits for the next event, or else here.
    let [failure, ended] = [null, false];
    const over = run.catch((error) => (failure = raised(error))).then(() => {
      ended = true;
      training.hear?.(null);
    });
    try {
      for (;;) {
        const event = ended ? null : await new Promise((hear) => {
          training.hear = hear;
          training.wake?.();
        });
        if (failure) throw failure;
        if (!event) return;
        yield event;
      }
    } finally {
      training.stopped = true;
      training.wake?.();
      await over;
      this.#training = null;
      this.#serve();
    }
  }

  async train(examples, { onEvent, ...options } = {}) {
    let last = null;
    for await (const event of this.fit(examples, options)) {
      if (event.event === "step") last = event;
      if (onEvent?.(event) === false) break;
    }
    return last;
  }

  async predict(images) {
    return tensor(await this.#ask("predict", images));
  }

  async outputs(images) {
    return tensor(await this.#ask("outputs", images));
  }

  async evaluate(test) {
    return JSON.parse(await this.#ask("evaluate", labelled(test)));
  }

  async tensor(name) {
    return tensor(await this.#ask("tensor", name));
  }

  async activations(images, layer) {
    return tensor(await this.#ask("activations", images, layer));
  }

  async about() {
    const { classNames, steps, bytes } = JSON.parse(await this.#ask("about"));
    return { classNames, steps, bytes };
  }

  setLr(lr) {
    return this.#ask("rate", lr);
  }

  freeze(...layers) {
    return this.#ask("freeze", layers);
  }

  unfreeze(...layers) {
    return this.#ask("unfreeze", layers);
  }

  save() {
    return this.#ask("save");
  }

  async free() {
    const engine = this.#engine;
    if (!engine) return;
    this.#engine = null;
    if (this.#training) {
      this.#training.stopped = true;
      this.#training.wake?.();
    }
    while (this.#busy) await this.#busy;
    engine.free();
    this.#forget(this);
  }

  #alive() {
    if (!this.#engine) throw usage("the network is freed; make or load another one");
    return this.#engine;
  }

  async #ask(what, ...args) {
    this.#alive();
    return new Promise((resolve, reject) => {
      this.#wishes.push([what, args, resolve, (error) => reject(raised(error))]);
      if (this.#training?.wake) this.#training.wake();
      else this.#serve();
    });
  }

  /** Does `work`, during which nothing else is done. */
  async #turn(work) {
    while (this.#busy) await this.#busy;
    const done = work();
    const settled = done.then(() => {}, () => {});
    this.#busy = settled;
    settled.then(() => (this.#busy = null));
    return done;
  }

  /** Does what waits, one after the other, unless a training will do it between two of its events. */
  #serve() {
    if (this.#busy || this.#training || this.#wishes.length === 0) return;
    const [what, args, resolve, reject] = this.#wishes.shift();
    const done = this.#turn(() => this.#engine ? this.#engine.ask(what, args) : Promise.reject(usage("the network is freed")));
    done.then(resolve, reject).finally(() => this.#serve());
  }

  /** What the engine is to do between two events: what was asked for, or the next step once it is wanted. */
  #between(training, text) {
    if (text !== undefined) {
      const { hear } = training;
      training.hear = null;
      hear(JSON.parse(text));
    }
    return new Promise((resolve) => {
      const wish = () => {
        const found = this.#wishes.shift();
        if (!found && !training.stopped && !training.hear) return void (training.wake = wish);
        training.wake = null;
        resolve(found ?? (training.stopped ? null : undefined));
      };
      wish();
    });
  }
}
