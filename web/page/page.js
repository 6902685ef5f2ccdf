// The page: sends wishes to the worker and shows what it reports. No arithmetic on tensors happens here.
const $ = (id) => document.getElementById(id);
const NAMES = ["Batch norm", "Deconvolution"];
const query = new URLSearchParams(location.search);

let worker, state, lanes, seconds, since, newest;
let charts = [];

/** Options of `mexhat train` from the page's address, such as ?seed=3&batch_size=32. */
function options() {
  const numbers = ["seed", "batch_size", "limit_train", "limit_test", "look_every", "momentum", "weight_decay", "epochs", "iterations", "first_iterations", "block", "block_fc", "eps"];
  // Small blocks: nearly all of a step's cost is Newton-Schulz on large ones, and digits are learnt as well without.
  const wanted = { lr: rate(), block: 4, block_fc: 64 };
  for (const name of numbers) if (query.has(name) && isFinite(query.get(name))) wanted[name] = Number(query.get(name));
  if (query.has("model")) wanted.model = query.get("model");
  return wanted;
}

const rate = () => Number((10 ** Number($("rate").value)).toPrecision(2));

function showRate() {
  $("rate-value").value = rate();
  $("rate").setAttribute("aria-valuetext", String(rate()));
}

// --- charts -------------------------------------------------------------------------------------------------------

const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

function chart(place, extra, format) {
  place.replaceChildren();
  const axis = { stroke: colour("--soft"), grid: { stroke: colour("--line"), width: 1 }, ticks: { stroke: colour("--line"), width: 1 } };
  return new uPlot(
    {
      width: place.clientWidth,
      height: place.clientHeight,
      cursor: { y: false },
      scales: { x: { time: false }, y: extra },
      axes: [axis, { ...axis, size: 56, values: format }],
      series: [
        {},
        { label: NAMES[0], stroke: colour("--batch"), width: 2, dash: [6, 4], spanGaps: true, points: { show: false } },
        { label: NAMES[1], stroke: colour("--deconv"), width: 2, spanGaps: true, points: { show: false } },
      ],
    },
    [[], [], []],
    place,
  );
}

function buildCharts() {
  charts = [
    chart($("loss"), { distr: 3 }, (_, ticks) => ticks.map((v) => (v === null ? null : String(v)))),
    chart($("accuracy"), { range: (_, low) => [Math.min(0.8, Math.floor((low ?? 0) * 10) / 10), 1] }, (_, ticks) => ticks.map((v) => `${Math.round(v * 100)} %`)),
  ];
  show();
}

let drawing = false;
function draw() {
  if (drawing) return;
  drawing = true;
  setTimeout(() => requestAnimationFrame(() => {
    drawing = false;
    show();
  }), 60);
}

function show() {
  const x = $("axis").value === "steps" ? "steps" : "seconds";
  charts[0].setData(uPlot.join(lanes.map((lane) => [lane.loss[x], lane.loss.values])));
  charts[1].setData(uPlot.join(lanes.map((lane) => [lane.accuracy[x], lane.accuracy.values])));
  lanes.forEach((lane, i) => lane.row.forEach((text, column) => ($(`lane${i}`).cells[column + 1].textContent = text)));
}

// --- events -------------------------------------------------------------------------------------------------------

const clock = () => seconds + (since === null ? 0 : (performance.now() - since) / 1000);

function add(series, step, value) {
  series.steps.push(step);
  series.seconds.push(clock());
  series.values.push(value);
}

function event(e) {
  const lane = lanes[e.lane];
  if (e.event === "step") {
    add(lane.loss, e.step, e.loss);
    lane.row[0] = String(e.step);
    lane.row[1] = e.loss.toPrecision(3);
    if (e.ms !== null) {
      lane.row[3] = e.ms.toFixed(e.ms < 10 ? 1 : 0);
      lane.row[4] = e.rate.toFixed(0);
    }
    if (newest) ask();
  } else if (e.event === "eval") {
    add(lane.accuracy, e.step, e.accuracy);
    lane.row[2] = `${(100 * e.accuracy).toFixed(1)} %`;
  } else if (e.event === "kernels") {
    kernels(e);
  } else if (e.event === "failed") {
    lane.row[1] = "diverged";
    status(`${NAMES[e.lane]} has diverged: ${e.message}`);
  }
}

let kernel = null;
function kernels(e) {
  kernel = e;
  lanes.kernels.push(Array.from(e.values));
  const side = e.kernel;
  const canvas = $("kernel");
  canvas.width = canvas.height = side;
  canvas.getContext("2d").putImageData(new ImageData(e.colours.slice(0, 4 * side * side), side, side), 0, 0);
  const middle = e.values[(side * side) >> 1];
  canvas.setAttribute("aria-label", `First layer's deconvolution kernel, ${side} by ${side}; its middle is ${middle.toFixed(2)}`);
}

$("kernel").addEventListener("pointermove", (pointer) => {
  if (!kernel) return;
  const box = $("kernel").getBoundingClientRect();
  const place = (at, size) => Math.min(kernel.kernel - 1, Math.max(0, Math.floor((at / size) * kernel.kernel)));
  const [row, column] = [place(pointer.clientY - box.top, box.height), place(pointer.clientX - box.left, box.width)];
  $("tap").value = `row ${row + 1}, column ${column + 1}: ${kernel.values[row * kernel.kernel + column].toFixed(3)}`;
});

// --- worker -------------------------------------------------------------------------------------------------------

const status = (text) => ($("status").textContent = text);
const send = (type, rest = {}) => worker.postMessage({ type, ...rest });

function become(next) {
  state = next;
  const running = next === "running" || next === "building";
  if (next === "running") since ??= performance.now();
  else if (since !== null && next !== "running") {
    seconds = clock();
    since = null;
  }
  $("start").textContent = running ? "Pause" : lanes[0].loss.steps.length ? "Go on" : "Start the race";
  $("step").disabled = running;
  $("reset").disabled = next === "fresh";
  document.documentElement.dataset.state = next;
}

const answers = {
  ready() {},
  building: () => status("Drawing digits and building both networks …"),
  built({ about }) {
    $("device").textContent = `Adapter: ${about.device}. ${about.networks.map((n, i) => `${NAMES[i]}: ${n.parameters.toLocaleString("en")} parameters, ${(n.bytes / 2 ** 20).toFixed(0)} MiB`).join("; ")}.`;
    $("low").textContent = `−${about.kernelScale}`;
    $("high").textContent = String(about.kernelScale);
    const soft = about.software ? " This adapter is software: the CPU plays GPU, so expect it to be slow." : "";
    status(`Training ${about.model} on ${about.images} drawn digits, tested on ${about.tests} others, ${about.batch} a step.${soft}`);
    if (state === "building") become("running");
  },
  events({ events }) {
    events.forEach(event);
    draw();
  },
  paused: () => become("paused"),
  over: () => become("paused"),
  read({ read }) {
    asking = false;
    if (read) showRead(read);
    if (again) ask();
  },
  checked({ checked }) {
    lanes.checked = checked;
  },
  lost: () => status("The GPU went away. Opening it again …"),
  recovered({ steps }) {
    lanes.forEach((lane, i) => {
      for (const series of [lane.loss, lane.accuracy]) {
        const keep = series.steps.filter((step) => step <= steps[i]).length;
        for (const values of Object.values(series)) values.length = keep;
      }
      lane.row[0] = String(steps[i]);
    });
    lanes.recovered = steps;
    asking = false;
    status(`The GPU went away and is back: a driver reset, sleep, or another program. Both networks go on from the last snapshot, step ${Math.min(...steps)}.`);
    draw();
  },
  failed: ({ kind, message }) => failure(kind, message),
};

function fresh() {
  worker?.terminate();
  lanes = [0, 1].map(() => {
    const series = () => ({ steps: [], seconds: [], values: [] });
    return { loss: series(), accuracy: series(), row: ["0", "–", "–", "–", "–"] };
  });
  lanes.kernels = [];
  lanes.checked = null;
  lanes.recovered = null;
  [seconds, since, newest, asking, again] = [0, null, null, false, false];
  globalThis.mexhat = { lanes, send, state: () => state };
  $("failure").hidden = true;
  worker = new Worker("worker.js", { type: "module" });
  worker.onmessage = ({ data }) => answers[data.type](data);
  worker.onerror = (error) => failure("wasm", error.message ?? "the worker could not be loaded");
  become("fresh");
  if (charts.length) draw();
}

const FAILURES = {
  "no-webgpu": ["This browser offers no WebGPU", "The networks train on the GPU through WebGPU, which is missing or off here. It needs https or localhost.", [
    "Chrome and Edge 113 or later: on by default; on Linux switch on chrome://flags/#enable-unsafe-webgpu.",
    "Firefox: 141 or later on Windows, 145 or later on Apple silicon; elsewhere set dom.webgpu.enabled in about:config.",
    "Safari 26 or later: on by default.",
  ]],
  "no-adapter": ["The browser found no GPU", "WebGPU is there, but no adapter for it.", [
    "Switch on hardware acceleration in the browser's settings and start it again.",
    "chrome://gpu or about:support says why an adapter is refused; a newer driver often helps.",
  ]],
  "device-lost": ["The GPU went away", "It did so several times: a driver reset, sleep, or another program. Training has stopped.", ["Try again starts a new race."]],
  usage: ["These settings do not work", "Change the page's address and load it again.", []],
  error: ["The GPU reported an error", "Training has stopped.", ["Try again starts a new race."]],
  wasm: ["Something in the page broke", "This is a fault of the page, not yours.", ["Load the page again; if it stays, please report the text below."]],
};

function failure(kind, message) {
  const [title, text, cures] = FAILURES[kind] ?? FAILURES.wasm;
  const box = $("failure");
  box.querySelector("h2").textContent = title;
  box.querySelector("p").textContent = text;
  box.querySelector("ul").replaceChildren(...cures.map((cure) => Object.assign(document.createElement("li"), { textContent: cure })));
  box.querySelector("pre").textContent = message;
  box.querySelector("pre").hidden = !message;
  box.dataset.kind = kind;
  box.hidden = false;
  become("failed");
  $("step").disabled = true;
  status("");
}

$("start").addEventListener("click", () => {
  if (state === "running" || state === "building") {
    send("pause");
  } else if (state === "failed") {
    fresh();
  } else {
    become(lanes[0].loss.steps.length ? "running" : "building");
    send("start", { options: options() });
  }
});
$("step").addEventListener("click", () => {
  become("building");
  send("step", { options: options() });
});
$("reset").addEventListener("click", () => {
  fresh();
  status("Ready.");
  $("start").focus();
});
$("again").addEventListener("click", fresh);
$("rate").addEventListener("input", () => {
  showRate();
  send("rate", { lr: rate() });
});
$("axis").addEventListener("change", draw);

// --- drawing ------------------------------------------------------------------------------------------------------

const pad = $("pad");
const ink = pad.getContext("2d", { willReadFrequently: true });
ink.lineWidth = 22;
ink.lineCap = ink.lineJoin = "round";
ink.strokeStyle = "#fff";
let asking = false, again = false, last = null;

/** Has what is drawn read, one question at a time. */
function ask() {
  if (asking) {
    again = true;
    return;
  }
  again = false;
  const { data } = ink.getImageData(0, 0, pad.width, pad.height);
  newest = new Uint8Array(pad.width * pad.height);
  for (let i = 0; i < newest.length; i++) newest[i] = data[4 * i + 3];
  asking = true;
  send("read", { ink: newest, width: pad.width });
}

function showRead({ picture, shares }) {
  const image = new ImageData(28, 28);
  picture.forEach((v, i) => image.data.set([v, v, v, 255], 4 * i));
  $("preview").getContext("2d").putImageData(image, 0, 0);
  shares.forEach((share, i) => share.forEach((p, digit) => ($("bars").children[digit].querySelectorAll("span")[i].style.width = `${100 * p}%`)));
  const best = shares.map((share) => share.indexOf(Math.max(...share)));
  const text = shares.map((share, i) => `${NAMES[i]}: ${best[i]} (${(100 * share[best[i]]).toFixed(0)} %)`).join(", ");
  if ($("answer").textContent !== text) $("answer").textContent = text;
}

$("bars").append(...Array.from({ length: 10 }, (_, digit) => {
  const item = document.createElement("li");
  item.innerHTML = `${digit}<div><span class="batch"></span><span></span></div>`;
  return item;
}));

const spot = (pointer) => {
  const box = pad.getBoundingClientRect();
  return [((pointer.clientX - box.left) / box.width) * pad.width, ((pointer.clientY - box.top) / box.height) * pad.height];
};
pad.addEventListener("pointerdown", (pointer) => {
  pad.setPointerCapture(pointer.pointerId);
  last = spot(pointer);
});
pad.addEventListener("pointermove", (pointer) => {
  if (!last) return;
  const next = spot(pointer);
  ink.beginPath();
  ink.moveTo(...last);
  ink.lineTo(...next);
  ink.stroke();
  last = next;
  ask();
});
pad.addEventListener("pointerup", () => {
  last = null;
  ask();
});
function clear() {
  ink.clearRect(0, 0, pad.width, pad.height);
  newest = null;
  $("answer").textContent = "Train a little, then draw.";
  for (const span of $("bars").querySelectorAll("span")) span.style.width = "0";
  $("preview").getContext("2d").clearRect(0, 0, 28, 28);
}
$("clear").addEventListener("click", clear);
pad.addEventListener("keydown", (key) => {
  if (!/^[0-9]$/.test(key.key)) return;
  clear();
  ink.font = "220px sans-serif";
  ink.textAlign = "center";
  ink.textBaseline = "middle";
  ink.fillStyle = "#fff";
  ink.fillText(key.key, 140, 150);
  ask();
});

// --- start --------------------------------------------------------------------------------------------------------

if (query.has("lr") && Number(query.get("lr")) > 0) $("rate").value = Math.log10(Number(query.get("lr")));
showRate();
fresh();
buildCharts();
addEventListener("resize", () => charts.forEach((chart) => {
  const place = chart.root.parentElement;
  chart.setSize({ width: place.clientWidth, height: place.clientHeight });
}));
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", buildCharts);
