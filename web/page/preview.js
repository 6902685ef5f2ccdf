// What there is to see at once: training pictures that stream by, and the networks, drawn from their own description.
import * as inside from "./inside.js";
import { canvasOf, pixelsOf } from "./pixels.js";

const $ = (id) => document.getElementById(id);
const SIDE = 28;
/** Pictures that stream by, and from which one can be chosen to look into. */
const [STREAMING, OFFERED] = [48, 10];
/** Pixels of the strip between two digits, and by which it moves in a second. */
const [GAP, SPEED] = [10, 40];

let digits = [], offset = 0, before = 0, running = 0;

function paint() {
  const canvas = $("stream");
  const context = canvas.getContext("2d");
  const step = SIDE + GAP;
  const width = Math.max(1, Math.round(canvas.clientWidth / 2));
  if (canvas.width !== width) canvas.width = width;
  context.clearRect(0, 0, canvas.width, canvas.height);
  for (let i = 0, x = -(offset % step); x < canvas.width; i++, x += step) {
    context.drawImage(digits[(Math.floor(offset / step) + i) % digits.length], Math.round(x), 0, SIDE, SIDE);
  }
}

function move(now) {
  // The first frame may have begun before it was asked for.
  offset += (SPEED * Math.min(100, Math.max(0, now - before))) / 1000;
  before = now;
  paint();
  running = requestAnimationFrame(move);
}

function stream(list, shape) {
  digits = list.map((pixels) => canvasOf(pixels, shape));
  cancelAnimationFrame(running);
  before = performance.now();
  if (matchMedia("(prefers-reduced-motion: reduce)").matches) paint();
  else running = requestAnimationFrame(move);
}

/** Stands still while the networks train: the GPU has better things to do. */
export function still() {
  if (digits.length) paint();
  cancelAnimationFrame(running);
}

/** Height or width after a window of `kernel` at every `stride`, with a border of `padding`. */
const windowed = (size, kernel, stride, padding) => Math.floor((size + 2 * padding - kernel) / stride) + 1;

const JOINTS = { batch_norm: "batch norm", group_norm: "group norm", layer_norm: "layer norm", iter_norm: "iterative norm", channel_deconv: "whiten" };

/** The layers of a network: what each is, what comes out of it, and whether the network's norm belongs to it. */
function layers({ input: [channels, height], layers }) {
  let [c, side] = [channels, height];
  const made = [];
  for (const layer of layers) {
    if (layer.type === "conv") {
      side = windowed(side, layer.kernel, layer.stride, layer.padding ?? (layer.kernel - 1) / 2);
      c = layer.out_channels;
      made.push({ normed: layer.norm !== "none", what: `${layer.kernel}×${layer.kernel} convolution`, out: `${c}×${side}×${side}` });
    } else if (layer.type === "max_pool") {
      side = windowed(side, layer.kernel, layer.stride, layer.padding);
      made.push({ what: "max-pool", out: `${c}×${side}×${side}` });
    } else if (layer.type === "linear") {
      made.push({ normed: layer.norm !== "none", what: "linear", out: String(layer.out_features) });
    } else if (JOINTS[layer.type]) {
      made.push({ what: JOINTS[layer.type], joint: true });
    }
  }
  return made;
}

function chain(text, what) {
  const network = JSON.parse(text);
  const before = network.norm === "deconv" ? "whiten" : null;
  const after = ["deconv", "none"].includes(network.norm) ? null : `${network.norm} norm`;
  const box = (what, out, kind) => {
    const item = Object.assign(document.createElement("li"), { className: kind, textContent: what });
    if (out) item.append(Object.assign(document.createElement("small"), { textContent: out }));
    return item;
  };
  const items = [box(what, network.input.join("×"), "layer")];
  const all = layers(network);
  all.forEach(({ normed, joint, what, out }, i) => {
    if (normed && before) {
      items.push(box(before, "", "joint"));
      // For its kernel.
      items.at(-1).append(document.createElement("canvas"));
    }
    items.push(box(what, out, joint ? "joint" : "layer"));
    // The last layer's outputs are the answer, which stays as it is.
    if (normed && after && i + 1 < all.length) items.push(box(after, "", "joint"));
  });
  return items;
}

/** One picture of each class, of the first classes, by their names. */
function each({ labels }, classes, pixels) {
  const found = classes.map((name, label) => ({ name, index: labels.indexOf(label) }));
  return found.filter(({ index }) => index >= 0).slice(0, OFFERED).map(({ name, index }) => ({ name, pixels: pixels(index) }));
}

/** Shows the networks, and drawn digits or `data` of the visitor's. */
export function show({ digits, networks }, data) {
  if (data) {
    const { shape, train, test } = data;
    const [count, wanted] = [train.labels.length, Math.min(STREAMING, train.labels.length)];
    // From all over the data, which may be in the order of its classes.
    stream(Array.from({ length: wanted }, (_, i) => pixelsOf(train, Math.floor((i * count) / wanted), shape)), shape);
    inside.offer(each(test, data.classes, (index) => pixelsOf(test, index, shape)), shape, "picture");
  } else {
    const shape = [1, SIDE, SIDE];
    stream(digits.map(({ pixels }) => pixels), shape);
    const labels = digits.map(({ label }) => label);
    inside.offer(each({ labels }, [...Array(OFFERED).keys()].map(String), (index) => digits[index].pixels), shape, "digit");
  }
  networks.forEach((text, i) => $(`chain${i}`)?.replaceChildren(...chain(text, data ? "picture" : "digit")));
}
