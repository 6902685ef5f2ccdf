// Owns the wasm and the GPU, so that the page never waits. One thing at a time: what the page asks for, else the next
// step.
import init, { Race, Viewer, examineModel, preview } from "./mexhat_web.js";
import { together } from "./pipelines.js";

async function load() {
  const url = new URL("mexhat_web_bg.wasm", import.meta.url);
  const found = await fetch(url);
  if (!found.ok) throw new Error(`${url}: ${found.status} ${found.statusText}`);
  return init({ module_or_path: found });
}

const ready = load();
/** Times that a GPU may go away before it is left alone. */
const MOST_LOSSES = 3;
const queue = [];
let wake = () => {};
let race = null;
let viewer = null;
let running = false;

// Lets messages in between two steps, without the delay of a timer.
const channel = new MessageChannel();
let turned = () => {};
channel.port1.onmessage = () => turned();
const turn = () => new Promise((resolve) => {
  turned = resolve;
  channel.port2.postMessage(0);
});

const say = (type, rest = {}) => postMessage({ type, ...rest });
const tell = (events) => events.length && say("events", { events });

const actions = {
  async start({ options, data = null, model = new Uint8Array() }) {
    if (!race) {
      say("building");
      race = await together(() => Race.create(JSON.stringify(options), data, model));
      say("built", { about: race.about() });
      if (options.lr) race.setRate(options.lr);
    }
    running = true;
    say("running");
  },
  async pause() {
    running = false;
    if (race) tell(await race.settle());
    // Some may have been judged at this step already, and all are to be compared.
    while (race?.due) tell(await race.advance());
    say("paused");
  },
  async step(wanted) {
    await actions.start(wanted);
    running = false;
    tell(await race.stepOnce());
    say("paused");
  },
  async look() {
    if (race) tell(await race.look());
  },
  async rate({ lr }) {
    race?.setRate(lr);
  },
  async preview({ options }) {
    say("preview", { preview: preview(JSON.stringify(options)) });
  },
  async read({ ink, width, id }) {
    say("read", { read: race ? await race.read(ink, width) : null, id });
  },
  async activations({ pixels }) {
    if (race) say("activations", { networks: await race.activations(pixels) });
  },
  async guess({ pixels }) {
    if (race) say("guessed", { shares: await race.guess(pixels) });
  },
  async examine({ name, bytes }) {
    try {
      examineModel(bytes);
      say("examined", { name, bytes });
    } catch (error) {
      // A file of no use is no reason to stop a race.
      say("examined", { name, message: error?.message ?? String(error) });
    }
  },
  async save({ lane }) {
    if (race) say("saved", { lane, bytes: await race.save(lane) });
  },
  async judge({ lane }) {
    if (race) say("judged", { judged: await race.judge(lane) });
  },
  async testImage({ index }) {
    if (race) say("testImage", { index, pixels: race.testImage(index) });
  },
  async covariances({ lane }) {
    if (race) say("covariances", { pairs: await race.covariances(lane) });
  },
  async call({ name, args, id }) {
    viewer ??= await Viewer.open();
    // Options are JSON for the engine.
    const given = args.map((one) => (one?.constructor === Object ? JSON.stringify(one) : one));
    try {
      say("told", { id, value: await viewer[name](...given) });
    } catch (error) {
      // A picture without patches or with nothing to see is no fault of the page.
      if (error?.kind === "device-lost") viewer = null;
      say("told", { id, message: error?.message ?? String(error) });
    }
  },
  async health() {
    const { memory } = await ready;
    say("health", { health: race && { ...race.counters(), memory: memory.buffer.byteLength } });
  },
  async lose() {
    race?.loseDevice();
  },
};

function fail(error) {
  running = false;
  const known = error && error.kind;
  say("failed", { kind: known ? error.kind : "wasm", message: known ? error.message : String(error?.message ?? error) });
}

onmessage = ({ data }) => {
  queue.push(data);
  wake();
};

let losses = 0;

/** After a lost device: the race goes on where it was, unless the device keeps going away. */
async function recover(error) {
  if (!race || error?.kind !== "device-lost" || ++losses > MOST_LOSSES) throw error;
  say("lost", { message: error.message });
  try {
    const steps = await together(() => race.reopen());
    await race.catchUp();
    say("recovered", { steps: Array.from(steps) });
  } catch (again) {
    await recover(again);
  }
}

/** What the browser tells of the adapter that it will give, and whether that is software. */
async function adapter() {
  const found = await navigator.gpu.requestAdapter();
  const { vendor = "", architecture = "", device = "", description = "", isFallbackAdapter = false } = found?.info ?? {};
  const name = description || [vendor, architecture, device].filter(Boolean).join(" ");
  return { name, software: isFallbackAdapter || /swiftshader|llvmpipe|lavapipe|basic render/i.test(`${name} ${architecture}`) };
}

async function work() {
  const [found] = await Promise.all([adapter().catch(() => ({ name: "", software: false })), ready]);
  say("ready", found);
  for (;;) {
    try {
      await turnOnce();
    } catch (error) {
      await recover(error);
    }
  }
}

async function turnOnce() {
  if (queue.length) {
    // What a lost device interrupts is done once more.
    await actions[queue[0].type](queue[0]);
    queue.shift();
  } else if (running) {
    const events = await race.advance();
    if (events) {
      tell(events);
    } else {
      running = false;
      say("over");
    }
    await turn();
  } else {
    await new Promise((resolve) => (wake = resolve));
  }
}

if (!navigator.gpu) {
  say("failed", { kind: "no-webgpu", message: "" });
  // What there is to see before a race takes no GPU.
  onmessage = ({ data }) => data.type === "preview" && ready.then(() => actions.preview(data)).catch(() => {});
  ready.catch(() => {});
} else {
  work().catch(fail);
}
