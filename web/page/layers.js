// The deconvolution kernels of each layer: live, and over past steps.
import { paint } from "./picture.js";

const $ = (id) => document.getElementById(id);
/** Past pictures kept; when there are more, every second one goes. */
const MOST = 120;

let past = [];
let selected = "conv1";
let shown = null;
/** Whether what is shown is the kernel before any training. */
let waiting = false;
/** Row and column under the pointer or the keys. */
let at = [0, 0];

/** The kernel as it begins: the identity. */
export function begin(layers, lane) {
  if (past.length) return;
  add({ step: 0, layers, lane });
  waiting = true;
  $("scrub").disabled = $("covariance").disabled = true;
  $("layer-note").textContent = "The first layer's kernel waits as the identity: it changes nothing yet.";
}

export function reset() {
  [past, shown, waiting] = [[], null, false];
  $("scrub").disabled = $("covariance").disabled = true;
  $("scrub").max = $("scrub").value = 0;
  $("scrub-step").value = "live";
  $("maps").hidden = true;
  $("layer-tabs").replaceChildren();
}

const live = () => Number($("scrub").value) >= Number($("scrub").max);

/** A new picture of all layers. */
export function add(event) {
  if (waiting) past = [];
  waiting = false;
  const following = live();
  past.push(event);
  if (past.length > MOST) past = past.filter((_, i) => i % 2 === 1 || i === past.length - 1);
  $("scrub").disabled = $("covariance").disabled = false;
  $("scrub").max = past.length - 1;
  if (following) $("scrub").value = past.length - 1;
  // A network may have other layers than what waited before it.
  if ([...$("layer-tabs").children].map((tab) => tab.textContent).join() !== event.layers.map(({ name }) => name).join()) tabs(event.layers);
  draw();
}

export const history = () => (waiting ? [] : past);

function tabs(layers) {
  if (!layers.some((layer) => layer.name === selected)) selected = layers[0]?.name;
  $("layer-tabs").replaceChildren(...layers.map(({ name }) => {
    const button = Object.assign(document.createElement("button"), { type: "button", textContent: name });
    button.setAttribute("aria-pressed", String(name === selected));
    button.addEventListener("click", () => {
      selected = name;
      for (const other of $("layer-tabs").children) other.setAttribute("aria-pressed", String(other === button));
      $("maps").hidden = true;
      draw();
    });
    return button;
  }));
}

/** The middle row of a kernel as a line: the hat in profile. */
export function profile(canvas, values, side, scale) {
  const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const context = canvas.getContext("2d");
  const { width, height } = canvas;
  const row = values.slice(Math.floor(side / 2) * side, (Math.floor(side / 2) + 1) * side);
  const low = Math.min(0, ...row);
  const y = (v) => 8 + ((scale - v) / (scale - low || 1)) * (height - 16);
  const x = (i) => ((i + 0.5) / side) * width;
  context.clearRect(0, 0, width, height);
  context.strokeStyle = css("--line");
  context.lineWidth = 2;
  context.beginPath();
  context.moveTo(0, y(0));
  context.lineTo(width, y(0));
  context.stroke();
  context.strokeStyle = css("--deconv");
  context.lineWidth = 4;
  context.lineJoin = "round";
  context.beginPath();
  row.forEach((v, i) => (i ? context.lineTo(x(i), y(v)) : context.moveTo(x(i), y(v))));
  context.stroke();
}

/** Draws what is shown once more, in the colours of the scheme that has come. */
export function draw() {
  const event = past[Number($("scrub").value)] ?? past.at(-1);
  const layer = event?.layers.find((one) => one.name === selected);
  if (!layer) return;
  // The first kernel of each layer also stands where it is applied; all wait as the identity, of which there is one
  // picture.
  document.querySelectorAll(`#chain${event.lane} canvas`).forEach((small, i) => {
    const { kernel: side, colours } = event.layers[i] ?? event.layers[0];
    paint(small, { pixels: colours.subarray(0, 4 * side * side), width: side, height: side });
  });
  $("scrub-step").value = live() ? "live" : `step ${event.step}`;
  shown = layer;
  const { channels, kernel: side, colours, name, d, statistics } = layer;
  const size = channels * side + (channels - 1);
  const canvas = $("kernel");
  canvas.width = canvas.height = size;
  const context = canvas.getContext("2d");
  for (let i = 0; i < channels * channels; i++) {
    const tile = new ImageData(colours.slice(4 * i * side * side, 4 * (i + 1) * side * side), side, side);
    context.putImageData(tile, (i % channels) * (side + 1), Math.floor(i / channels) * (side + 1));
  }
  const blocks = statistics > 1 ? `, the first of ${statistics} blocks` : "";
  canvas.setAttribute("aria-label", `Deconvolution of ${name}${blocks}`);
  $("low").textContent = `−${layer.scale.toPrecision(2)}`;
  $("high").textContent = layer.scale.toPrecision(2);
  profile($("profile"), layer.values.subarray(0, side * side), side, layer.scale);
  $("layer-note").textContent = side === d
    ? `${name} mixes ${d} features${blocks}: its whole matrix D, ${d} by ${d}.`
    : channels === 1
      ? `${name}'s kernel, live: a centre (red) against its surround (blue), as in the eye's retina, found from the data alone. Colours follow the root of each value; the line is its middle row.`
      : `${name}${blocks}: ${channels} channels; row: channel out, column: channel in, each ${side} by ${side}.`;
}

/** Side of the picture in pixels of its own. */
const sides = ({ channels, kernel: side }) => channels * side + (channels - 1);

/** Tells the value at a row and column of the picture; those between two tiles have none. */
function tap(column, row, live) {
  if (!shown) return;
  const { channels, kernel: side, values } = shown;
  const [c, r] = [column % (side + 1), row % (side + 1)];
  if (c === side || r === side) return;
  at = [column, row];
  const tile = Math.floor(row / (side + 1)) * channels + Math.floor(column / (side + 1));
  // A screen reader is told what its keys reach, not what a pointer passes.
  $("tap").setAttribute("aria-live", live ? "polite" : "off");
  $("tap").value = `row ${r + 1}, column ${c + 1}${channels > 1 ? ` of tile ${tile + 1}` : ""}: ${values[(tile * side + r) * side + c].toFixed(3)}`;
}

// A finger comes down where it points, and need not move.
for (const kind of ["pointermove", "pointerdown"]) $("kernel").addEventListener(kind, (pointer) => {
  if (!shown) return;
  const box = $("kernel").getBoundingClientRect();
  const shares = [(pointer.clientX - box.left) / box.width, (pointer.clientY - box.top) / box.height];
  tap(...shares.map((share) => Math.min(sides(shown) - 1, Math.max(0, Math.floor(share * sides(shown))))), false);
});
// A pointer that focuses has pointed already.
$("kernel").addEventListener("focus", () => shown && $("kernel").matches(":focus-visible") && tap(...[0, 0].map(() => Math.floor(shown.kernel / 2)), true));
$("kernel").addEventListener("keydown", (key) => {
  const by = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[key.key];
  if (!by || !shown) return;
  key.preventDefault();
  const step = (place, by) => {
    const next = place + by;
    const over = next % (shown.kernel + 1) === shown.kernel ? next + by : next;
    return over >= 0 && over < sides(shown) ? over : place;
  };
  tap(step(at[0], by[0]), step(at[1], by[1]), true);
});
$("scrub").addEventListener("input", draw);

/** Shows the covariances of the selected layer. */
export function maps(pairs) {
  const pair = pairs.find((one) => one.name === selected);
  if (!pair) return;
  $("maps").hidden = false;
  for (const [id, scale] of [["before", pair.scale], ["after", 1]]) {
    const canvas = $(id);
    canvas.width = canvas.height = pair.d;
    canvas.getContext("2d").putImageData(new ImageData(pair[id], pair.d, pair.d), 0, 0);
    const text = `covariance of ${pair.name}'s input ${id} deconvolution, ±${scale.toPrecision(2)}`;
    canvas.setAttribute("aria-label", text);
    canvas.nextElementSibling.textContent = text;
  }
}
