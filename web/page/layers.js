// The deconvolution kernels of each layer: live, and over past steps.
const $ = (id) => document.getElementById(id);
/** Past pictures kept; when there are more, every second one goes. */
const MOST = 120;

let past = [];
let selected = "conv1";
let shown = null;

export function reset() {
  [past, shown] = [[], null];
  $("scrub").disabled = $("covariance").disabled = true;
  $("scrub").max = $("scrub").value = 0;
  $("scrub-step").value = "live";
  $("maps").hidden = true;
  $("layer-tabs").replaceChildren();
}

const live = () => Number($("scrub").value) >= Number($("scrub").max);

/** A new picture of all layers. */
export function add(event) {
  const following = live();
  past.push(event);
  if (past.length > MOST) past = past.filter((_, i) => i % 2 === 1 || i === past.length - 1);
  $("scrub").disabled = $("covariance").disabled = false;
  $("scrub").max = past.length - 1;
  if (following) $("scrub").value = past.length - 1;
  if ($("layer-tabs").childElementCount !== event.layers.length) tabs(event.layers);
  draw();
}

export const history = () => past;

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

function draw() {
  const event = past[Number($("scrub").value)] ?? past.at(-1);
  const layer = event?.layers.find((one) => one.name === selected);
  if (!layer) return;
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
  $("layer-note").textContent = side === d
    ? `${name} mixes ${d} features${blocks}: its whole matrix D, ${d} by ${d}.`
    : channels === 1
      ? `${name}'s kernel, live: a centre (red) against its surround (blue), as in the eye's retina. It starts as the identity and is found from the data alone.`
      : `${name}${blocks}: ${channels} channels; row: channel out, column: channel in, each ${side} by ${side}.`;
}

/** The value under a place (0..1, 0..1) of the picture. */
function tap(x, y) {
  if (!shown) return;
  const { channels, kernel: side, values } = shown;
  const size = channels * side + (channels - 1);
  const [column, row] = [x, y].map((at) => Math.min(size - 1, Math.max(0, Math.floor(at * size))));
  const [c, r] = [column % (side + 1), row % (side + 1)];
  if (c === side || r === side) return;
  const tile = Math.floor(row / (side + 1)) * channels + Math.floor(column / (side + 1));
  $("tap").value = `row ${r + 1}, column ${c + 1}${channels > 1 ? ` of tile ${tile + 1}` : ""}: ${values[(tile * side + r) * side + c].toFixed(3)}`;
}

$("kernel").addEventListener("pointermove", (pointer) => {
  const box = $("kernel").getBoundingClientRect();
  tap((pointer.clientX - box.left) / box.width, (pointer.clientY - box.top) / box.height);
});
$("kernel").addEventListener("focus", () => tap(0.5, 0.5));
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
