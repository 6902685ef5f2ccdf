// The page: sends wishes to the worker and shows what it reports. No arithmetic on tensors happens here.
import * as settings from "./settings.js";
import * as layers from "./layers.js";
import * as judge from "./judge.js";
import * as viewer from "./viewer.js";
import { cut, fetchMnist, known, readGiven } from "./data.js";

const $ = (id) => document.getElementById(id);
let NAMES = ["Batch norm", "Deconvolution"];
/** MNIST as given, as fetched for so many images, and a network to begin with. */
let files = null, fetched = null, model = null;

let worker, state, lanes, seconds, since, newest;
let charts = [];

const options = () => ({ ...settings.options(), lr: rate() });

/** Names of both lanes from the settings. */
function nameLanes() {
  NAMES = [settings.current().left, settings.current().right].map((norm) => settings.LONG[norm]);
  NAMES.forEach((name, i) => ($(`lane${i}`).querySelector(".name").textContent = name));
}

const rate = () => Number((10 ** Number($("rate").value)).toPrecision(2));

function showRate() {
  $("rate-value").value = rate();
  $("rate").setAttribute("aria-valuetext", String(rate()));
}

// --- charts -------------------------------------------------------------------------------------------------------

const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

function chart(place, extra, format, points) {
  place.replaceChildren();
  const axis = { stroke: colour("--soft"), grid: { stroke: colour("--line"), width: 1 }, ticks: { stroke: colour("--line"), width: 1 } };
  const made = new uPlot(
    {
      width: place.clientWidth,
      height: place.clientHeight,
      cursor: { y: false },
      scales: { x: { time: false }, y: extra },
      axes: [axis, { ...axis, size: 56, values: format }],
      series: [
        {},
        { label: NAMES[0], stroke: colour("--batch"), width: 2, dash: [6, 4], spanGaps: true, points },
        { label: NAMES[1], stroke: colour("--deconv"), width: 2, spanGaps: true, points },
      ],
    },
    [[], [], []],
    place,
  );
  // The element around it has the name.
  made.root.setAttribute("aria-hidden", "true");
  return made;
}

function buildCharts() {
  charts = [
    chart($("loss"), { distr: 3 }, (_, ticks) => ticks.map((v) => (v === null ? null : String(v))), { show: false }),
    chart($("accuracy"), { range: (_, low) => [Math.min(0.8, Math.floor((low ?? 0) * 10) / 10), 1] }, (_, ticks) => ticks.map((v) => `${Math.round(v * 100)} %`), { show: true, size: 5 }),
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
  } else if (e.event === "layers") {
    if (e.lane === 1 || settings.current().right !== "deconv") layers.add(e);
  } else if (e.event === "failed") {
    lane.row[1] = "diverged";
    status(`${NAMES[e.lane]} has diverged: ${e.message}`);
  }
}

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
  ready: () => (lanes.ready = true),
  building: () => status("Drawing digits and building both networks …"),
  built({ about }) {
    if (model) settings.adopt(about.options);
    about.networks.forEach(({ norm }, i) => (NAMES[i] = settings.LONG[norm]));
    NAMES.forEach((name, i) => ($(`lane${i}`).querySelector(".name").textContent = name));
    for (const id of ["save0", "save1", "judge0", "judge1"]) $(id).disabled = false;
    $("device").textContent = `Adapter: ${about.device}. ${about.networks.map((n, i) => `${NAMES[i]}: ${n.parameters.toLocaleString("en")} parameters, ${(n.bytes / 2 ** 20).toFixed(0)} MiB`).join("; ")}.`;
    $("low").textContent = `−${about.kernelScale}`;
    $("high").textContent = String(about.kernelScale);
    const soft = about.software ? " This adapter is software: the CPU plays GPU, so expect it to be slow." : "";
    status(`${lanes.notice ?? ""}Training ${about.model} on ${about.images} ${about.data === "glyphs" ? "drawn" : "MNIST"} digits, tested on ${about.tests} others, ${about.batch} a step.${soft}`);
    if (state === "building") become("running");
  },
  events({ events }) {
    events.forEach(event);
    draw();
  },
  paused: () => become("paused"),
  over: () => become("paused"),
  saved({ lane, bytes }) {
    const link = Object.assign(document.createElement("a"), { download: `mexhat-${NAMES[lane].toLowerCase().replace(" ", "-")}.safetensors` });
    link.href = URL.createObjectURL(new Blob([bytes]));
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
    lanes.saved = bytes;
    status(`${NAMES[lane]} is saved as ${link.download}; \`mexhat eval ${link.download}\` reads it.`);
  },
  judged({ judged }) {
    lanes.judged = judged;
    judge.show(NAMES[judged.lane], judged, (index) => send("testImage", { index }));
  },
  testImage: ({ index, pixels }) => judge.picture(index, pixels),
  covariances: ({ pairs }) => layers.maps(pairs),
  health: ({ health }) => (lanes.health = health),
  read({ read }) {
    asking = false;
    if (read) showRead(read);
    if (again) ask();
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
  layers.reset();
  judge.reset();
  for (const id of ["save0", "save1", "judge0", "judge1"]) $(id).disabled = true;
  lanes.recovered = null;
  [seconds, since, newest, asking, again] = [0, null, null, false, false];
  globalThis.mexhat = { lanes, send, state: () => state, pictures: layers.history, viewer: viewer.state };
  nameLanes();
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
  // What was given may be what fails.
  if (kind === "usage" || kind === "error") [files, model] = [null, null];
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

/** Starts or goes on, after fetching what the settings ask for. */
async function begin(how) {
  const first = lanes[0].loss.steps.length === 0;
  become(first ? "building" : "running");
  if (how === "step") become("building");
  let data = null;
  if (first && settings.current().data === "mnist") {
    const mine = lanes;
    const [train, test] = [settings.current().limit_train, settings.current().limit_test];
    try {
      if (!files && fetched?.train !== train) fetched = { train, files: await download(train) };
      data = cut(files ?? fetched.files, train, test);
    } catch (error) {
      lanes.notice = `MNIST could not be fetched (${error.message}), so the page draws digits itself. Put the four files into data/ beside it, or drop them here. `;
    }
    $("progress").hidden = true;
    // Reset in the meantime.
    if (mine !== lanes) return;
  }
  if (first && !lanes.ready) status("Loading the engine …");
  send(how, { options: options(), files: data, model: model ?? new Uint8Array() });
}

function download(train) {
  $("progress").hidden = false;
  return fetchMnist(train, (done, total) => {
    $("progress").value = done / total;
    status(`Fetching MNIST: ${(done / 1e6).toFixed(1)} of ${(total / 1e6).toFixed(1)} MB …`);
  });
}

/** Files that were chosen or dropped, by what they are. */
async function given(list) {
  const image = list.find((file) => file.type.startsWith("image/"));
  const network = list.find((file) => file.name.endsWith(".safetensors"));
  if (network) {
    model = new Uint8Array(await network.arrayBuffer());
    fresh();
    status(`${network.name} is read when the race starts.`);
  } else if (list.some((file) => known(file.name))) {
    try {
      files = { ...files, ...(await readGiven(list)) };
      settings.choose("data", "mnist");
      document.querySelector("#settings form").elements.data.value = "mnist";
      fresh();
      status(`${Object.keys(files).length} of 4 files of MNIST are here.`);
    } catch (error) {
      status(`These files could not be unpacked: ${error.message}`);
    }
  } else if (image) {
    viewer.photo(image);
    $("viewer").scrollIntoView();
  } else {
    status(`${list[0]?.name ?? "This"} is neither a .safetensors file, nor one of MNIST's, nor a picture.`);
  }
}

$("load").addEventListener("change", ({ target }) => {
  given([...target.files]);
  target.value = "";
});
addEventListener("dragover", (event) => event.preventDefault());
addEventListener("drop", (event) => {
  event.preventDefault();
  if (event.dataTransfer.files.length) given([...event.dataTransfer.files]);
});
for (const lane of [0, 1]) {
  $(`save${lane}`).addEventListener("click", () => send("save", { lane }));
  $(`judge${lane}`).addEventListener("click", () => send("judge", { lane }));
}
$("covariance").addEventListener("click", () => send("covariances", { lane: NAMES[1] === "Deconvolution" ? 1 : 0 }));
document.querySelector("#settings form").addEventListener("chosen", () => {
  if (state === "fresh") nameLanes();
  else status("The settings hold from the next race on: press Reset.");
});

$("start").addEventListener("click", () => {
  if (state === "running" || state === "building") {
    send("pause");
  } else if (state === "failed") {
    fresh();
  } else {
    begin("start");
  }
});
$("step").addEventListener("click", () => {
  begin("step");
});
$("reset").addEventListener("click", () => {
  fresh();
  status(model ? "Ready; the loaded network is where it begins." : "Ready.");
  $("start").focus();
});
$("again").addEventListener("click", fresh);
$("rate").addEventListener("input", () => {
  showRate();
  settings.choose("lr", rate());
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

if (settings.current().lr > 0) $("rate").value = Math.log10(settings.current().lr);
showRate();
fresh();
buildCharts();
addEventListener("resize", () => charts.forEach((chart) => {
  const place = chart.root.parentElement;
  chart.setSize({ width: place.clientWidth, height: place.clientHeight });
}));
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", buildCharts);
