// The page: sends wishes to the worker and shows what it reports. No arithmetic on tensors happens here.
import * as settings from "./settings.js";
import * as charts from "./charts.js";
import * as failures from "./failures.js";
import * as layers from "./layers.js";
import * as judge from "./judge.js";
import * as check from "./check.js";
import * as pad from "./pad.js";
import * as inside from "./inside.js";
import * as runs from "./runs.js";
import * as preview from "./preview.js";
import * as article from "./article.js";
import * as cost from "./chapters/cost.js";
import { races, replay } from "./replay.js";
import * as giving from "./giving.js";
import * as own from "./own.js";
import { cut, fetchMnist } from "./data.js";

const $ = (id) => document.getElementById(id);
let NAMES = ["Batch norm", "Deconvolution"];
/** MNIST as fetched for so many images, and a network to begin with. */
let fetched = null, model = null;
/** The data that the page has been furnished for. */
let shown;

/** The visitor's own data, where that is chosen. */
const mine = () => (settings.current().data === "own" ? own.current() : null);
const DIGITS = [...Array(10).keys()].map(String);

let worker, state, lanes;

const options = () => ({ ...settings.options(), lr: rate(), ...(mine() && { input: mine().shape, classes: mine().classes.length }) });

/** Classes of the lanes that not every race has. */
const EXTRA = ["third", "fourth"];

/** Rows, boxes and buttons for so many networks: the page has those of two, and the others are made like the second. */
function furnish(count) {
  for (const lane of [2, 3]) {
    for (const kind of ["lane", "box", "save", "judge"]) {
      const there = $(kind + lane);
      if (lane >= count) there?.remove();
      else if (!there) {
        const copy = $(`${kind}1`).cloneNode(true);
        for (const one of [copy, ...copy.querySelectorAll("[id]")]) one.id = one.id.replace("1", lane);
        copy.querySelector(".key")?.classList.replace("deconv", EXTRA[lane - 2]);
        $(kind + (lane - 1)).after(copy);
      }
    }
  }
}

/** Names of the lanes, where those of the same norm are told apart by their place. */
function nameLanes(norms) {
  furnish(norms.length);
  const long = norms.map((norm) => settings.LONG[norm]);
  const places = norms.length === 2 ? ["left", "right"] : [1, 2, 3, 4];
  NAMES = long.map((name, i) => (long.indexOf(name) === long.lastIndexOf(name) ? name : `${name} (${places[i]})`));
  NAMES.forEach((name, i) => {
    $(`lane${i}`).querySelector(".name").textContent = $(`network${i}`).textContent = $(`judge${i}`).textContent = name;
    $(`save${i}`).textContent = `Save ${name.toLowerCase()}`;
  });
  $("here").textContent = lanes.recorded ? "in a recording" : "here, on your GPU";
  $("count").textContent = ["One network", "Two networks", "Three networks", "Four networks"][norms.length - 1];
  $("left-name").textContent = NAMES[0].toLowerCase();
  $("right-name").textContent = NAMES[1].toLowerCase();
  $("joint").textContent = norms.length > 2 ? "others" : "the other";
  $("others").replaceChildren(...NAMES.slice(2).flatMap((name, i) => [", ", Object.assign(document.createElement("b"), { className: EXTRA[i], textContent: name.toLowerCase() })]));
  $("kernels").hidden = whitened(norms) < 0;
  document.title = `mexhat: ${NAMES.join(" against ").toLowerCase()}, ${lanes.recorded ? "recorded" : "live"}`;
  $("claim").hidden = !(norms.includes("batch") && norms.includes("deconv"));
}

const able = (on) => lanes.forEach((_, i) => ($(`save${i}`).disabled = $(`judge${i}`).disabled = !on));

/** The learning rate as it was given, which the slider may not reach. */
let lr = settings.current().lr;
const rate = () => lr;

/** The slider's powers of ten. */
const POWERS = { min: -2.5, max: 0, step: 0.05 };

/** Shows the rate, at a place of the slider. */
function showRate(place = Math.log10(rate())) {
  $("rate-value").value = rate();
  $("rate").value = place;
  $("rate").setAttribute("aria-valuetext", String(rate()));
}

// --- events -------------------------------------------------------------------------------------------------------

const draw = () => charts.draw(lanes, () => {
  lanes.forEach((lane, i) => lane.row.forEach((text, column) => {
    const cell = $(`lane${i}`).cells[column + 1];
    if (cell.textContent !== text) cell.textContent = text;
  }));
  if (!lanes.recorded) cost.race(lanes, NAMES);
});

function event(e) {
  const lane = lanes[e.lane];
  if (e.event === "step") {
    lane.step = e.step;
    charts.add(lane.loss, e.step, e.seconds, e.loss);
    lane.row[0] = String(e.step);
    lane.row[1] = e.loss.toPrecision(3);
    if (e.ms !== null) {
      lane.row[3] = e.ms.toFixed(e.ms < 10 ? 1 : 0);
      lane.row[4] = e.rate.toFixed(0);
      lane.ms = e.ms;
      speed();
    }
    if (!e.recorded) [pad.learnt(), inside.changed()];
  } else if (e.event === "eval") {
    charts.add(lane.accuracy, e.step, e.seconds, e.accuracy);
    lane.row[2] = `${e.quick ? "≈ " : ""}${(100 * e.accuracy).toFixed(e.quick ? 0 : 1)} %`;
    $("quick").hidden = !e.quick;
    if (e.quick) $("quick").textContent = `≈ an estimate from the first ${e.images} test images`;
    // Once there is something to see, and the networks are looked at anyway.
    if (!e.quick && !e.recorded && e.lane === lanes.whitened && !lanes.mapped) maps();
  } else if (e.event === "layers") {
    if (e.lane === lanes.whitened) layers.add(e);
  } else if (e.event === "failed") {
    lane.diverged = e.step;
    lane.row[1] = `diverged at step ${e.step}`;
    const rest = lanes.map((one, i) => (i === e.lane ? "" : ` ${NAMES[i]} ${one.diverged ? `did at step ${one.diverged}` : "goes on"}.`)).join("");
    status(`${NAMES[e.lane]} diverged at step ${e.step}: its loss is no longer a number, at a learning rate of ${rate()}.${rest}`);
  }
}

/** Steps in a second, where a visitor looks. */
function speed() {
  if (!lanes.every((lane) => lane.ms)) return;
  const each = lanes.map((lane, i) => `${NAMES[i]} ${(1000 / lane.ms).toPrecision(2)}`);
  $("speed").textContent = `Steps/s on this adapter: ${each.join(", ")}.`;
}

// --- worker -------------------------------------------------------------------------------------------------------

/** Gives the visitor a file. */
function save(name, blob) {
  const link = Object.assign(document.createElement("a"), { download: `mexhat-${name}`, href: URL.createObjectURL(blob) });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

const status = (text) => ($("status").textContent = text);
const send = (type, rest = {}) => worker.postMessage({ type, ...rest });

function maps() {
  if (lanes.whitened < 0) return;
  lanes.mapped = true;
  send("covariances", { lane: lanes.whitened });
}

/** The network whose deconvolutions are shown: the right one, or else the left. */
const whitened = (norms) => norms.lastIndexOf("deconv");

function become(next) {
  state = next;
  const running = next === "running" || next === "building";
  if (running) check.yieldTo("the race");
  $("start").textContent = next === "running" ? "Pause" : next === "building" ? "Building …" : lanes.built ? "Continue" : "Start the race";
  $("start").disabled = next === "building";
  $("step").disabled = running || next === "failed";
  $("reset").disabled = next === "fresh";
  document.documentElement.dataset.state = next;
}

const answers = {
  ready({ name, software }) {
    lanes.ready = true;
    lanes.adapter = name;
    lanes.software = software;
    // A network that was loaded has its own size.
    const smaller = software && !model && settings.shrink();
    if (state === "fresh") {
      lr = settings.current().lr;
      showRate();
      if (smaller) status("This adapter is software: the CPU plays GPU. So the race is between smaller networks, at a rate that suits both; Settings has the larger one.");
    }
    send("preview", { options: options() });
  },
  preview({ preview: seen }) {
    preview.show(seen, mine());
    if (state !== "fresh") preview.still();
    // The drawing has pushed down what a click had brought in sight.
    if (state === "building" || state === "running") intoSight();
    if (lanes.whitened >= 0) layers.begin(seen.layers, lanes.whitened);
  },
  building: () => status("Drawing digits and building the networks …"),
  built({ about }) {
    lanes.built = true;
    if (model) settings.adopt(about.options);
    lanes.race = { label: settings.label(rate(), mine()?.name), link: mine() ? null : settings.link(rate()) };
    const norms = about.networks.map(({ norm }) => norm);
    nameLanes(norms);
    charts.build(NAMES, lanes);
    lanes.whitened = whitened(norms);
    able(true);
    const device = lanes.adapter || about.device;
    $("device").textContent = `Adapter: ${device}. ${about.networks.map((n, i) => `${NAMES[i]}: ${n.parameters.toLocaleString("en")} parameters, ${(n.bytes / 2 ** 20).toFixed(0)} MiB`).join("; ")}.`;
    const soft = about.software ? " This adapter is software: the CPU plays GPU, so expect it to be slow." : "";
    const what = about.data === "glyphs" ? "drawn digits" : about.data === "mnist" ? "images of MNIST" : `images of ${about.data}`;
    status(`${lanes.notice ?? ""}Training ${about.model} on ${about.images} ${what}, tested on ${about.tests} others, ${about.batch} a step.${soft}`);
  },
  running() {
    preview.still();
    if (state === "building") become("running");
  },
  events({ events }) {
    events.forEach(event);
    draw();
  },
  paused() {
    become("paused");
    if (lanes.every((lane) => lane.step > 0)) maps();
  },
  over() {
    become("paused");
    $("start").disabled = $("step").disabled = true;
  },
  saved({ lane, bytes }) {
    const name = `${NAMES[lane].toLowerCase().replace(/[^a-z0-9]+/g, "-").replace(/-$/, "")}.safetensors`;
    save(name, new Blob([bytes]));
    lanes.saved = bytes;
    status(`${NAMES[lane]} is saved as mexhat-${name}; \`mexhat eval mexhat-${name}\` reads it.`);
  },
  judged({ judged }) {
    lanes.judged = judged;
    judge.show(NAMES[judged.lane], judged, (index) => send("testImage", { index }));
  },
  testImage: ({ index, pixels }) => judge.picture(index, pixels),
  covariances: ({ pairs }) => layers.maps(pairs),
  health: ({ health }) => (lanes.health = health),
  read({ read, id }) {
    pad.show(id, read, NAMES);
    if (read) inside.drawn(read.picture);
  },
  activations: ({ networks }) => inside.show(networks, NAMES),
  guessed: ({ shares }) => pad.points() && pad.pointed(inside.of(), shares, NAMES),
  examined({ name, bytes, message }) {
    // Files are chosen further down.
    $("status").scrollIntoView({ block: "nearest" });
    if (message) return status(`${name} cannot be used: ${message}`);
    model = bytes;
    fresh();
    status(`${name} is read when the race starts.`);
  },
  lost: () => status("The GPU went away. Opening it again …"),
  recovered({ steps }) {
    lanes.recovered = steps;
    status(`The GPU went away and is back: a driver reset, sleep, or another program. The networks have made the steps since ${Math.min(...steps)} again and go on where they were.`);
  },
  failed: ({ kind, message }) => failure(kind, message),
};

/** A network that has not trained. */
const blank = () => ({ loss: charts.series(), accuracy: charts.series(), step: 0, row: ["0", "–", "–", "–", "–"] });

function fresh() {
  endRecording();
  delete document.documentElement.dataset.recorded;
  Object.assign($("rate"), POWERS);
  showRate();
  worker?.terminate();
  if (lanes?.race) runs.keep(lanes, NAMES, lanes.race);
  lanes = settings.norms().map(blank);
  lanes.whitened = whitened(settings.norms());
  furnishFor(mine());
  layers.reset();
  judge.reset();
  pad.reset();
  inside.reset();
  lanes.recovered = null;
  globalThis.mexhat = { lanes, send, state: () => state, pictures: layers.history, viewer: article.viewer, article: article.state };
  nameLanes(settings.norms());
  able(false);
  $("failure").hidden = true;
  $("speed").textContent = "";
  $("quick").hidden = true;
  worker = new Worker("worker.js", { type: "module" });
  worker.onmessage = ({ data }) => answers[data.type](data);
  worker.onerror = (error) => failure("wasm", error.message ?? "the worker could not be loaded");
  become("fresh");
  charts.build(NAMES, lanes);
  draw();
  if (settings.problems()) failure("usage", settings.problems());
}

/** What of the page depends on the data. */
function furnishFor(data) {
  if (data === shown) return;
  shown = data;
  const [classes, shape] = data ? [data.classes, data.shape] : [DIGITS, [1, 28, 28]];
  $("subject").textContent = data ? "pictures" : "digits";
  $("own-back").hidden = $("own-details").hidden = !data;
  pad.of(classes, shape, !data);
  judge.of(classes, shape);
  inside.forget();
}

function failure(kind, message) {
  // What was given may be what fails.
  if (kind === "usage" || kind === "input" || kind === "error") model = null;
  failures.show(kind, message);
  become("failed");
  $("start").disabled = true;
  status("");
  if (failures.RECORDED.includes(kind)) play();
}

/** Ends a recording that is played. */
let endRecording = () => {};

/** Plays the recorded race of that number, or the one whose rate is next to what was chosen. */
async function play(number) {
  const now = lanes;
  const recorded = await races();
  if (now !== lanes || !recorded.length) return;
  endRecording();
  const far = recorded.map((one) => Math.abs(Math.log(one.rate / rate())));
  const at = number ?? far.indexOf(Math.min(...far));
  if (!lanes.recorded) {
    lanes.recorded = true;
    document.documentElement.dataset.recorded = "";
    $("failure").querySelector("p").append(" Below is a recording, not your computer.");
    Object.assign($("rate"), { min: 0, max: recorded.length - 1, step: 1 });
    const norms = ["batch", "deconv"];
    lanes.length = 2;
    nameLanes(norms);
    // The recorded networks are drawn, whatever was chosen.
    send("preview", { options: { ...options(), norms, model: "small" } });
  }
  lr = recorded[at].rate;
  showRate(at);
  lanes.forEach((one) => Object.assign(one, blank()));
  charts.build(NAMES, lanes);
  status(`Below is a recording, not your computer: ${recorded[at].title.replace("recorded: ", "")}.`);
  $("start").textContent = "Play it again";
  $("start").disabled = false;
  endRecording = replay(recorded[at], (events) => now === lanes && answers.events({ events }));
}

/** Where figures, on a phone also the first chart, are below the fold, the button that was pressed goes to the top and
 * they come in sight. */
function intoSight() {
  const last = matchMedia("(max-width: 46rem)").matches ? $("loss") : $("lane1");
  if (last.getBoundingClientRect().bottom <= innerHeight) return;
  const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
  document.querySelector(".controls").scrollIntoView({ behavior: still ? "instant" : "smooth" });
}

/** Starts or goes on, after fetching or reading what the settings ask for. */
async function begin(how) {
  if (state === "running" || state === "building") return;
  const first = !lanes.built;
  become("building");
  intoSight();
  let data = null;
  const race = lanes;
  if (first && settings.current().data === "mnist") {
    const { limit_train: train, limit_test: test } = settings.current();
    try {
      if (fetched?.train !== train) fetched = { train, files: await download(train) };
      data = await own.read("mnist", cut(fetched.files, train, test), { limit_train: train, limit_test: test });
    } catch (error) {
      lanes.notice = `MNIST could not be fetched (${error.message}), so the page draws digits itself. Put the four files into data/ beside it, or drop them here. `;
    }
    $("progress").hidden = true;
  } else if (first && mine()) {
    try {
      data = await own.ready(options(), giving.progress);
    } catch (error) {
      if (race === lanes) become("fresh");
      return giving.refused(error);
    }
    giving.progress(null);
    if (data !== shown) {
      furnishFor(data);
      send("preview", { options: options() });
    }
  }
  // Reset in the meantime.
  if (race !== lanes) return;
  if (first && !lanes.ready) status("Loading the engine …");
  send(how, { options: options(), data, model: model ?? new Uint8Array() });
}

function download(train) {
  $("progress").hidden = false;
  status("Fetching MNIST …");
  // The bar has the numbers: a status that changes with each of them would be read aloud without end.
  return fetchMnist(train, (done, total) => ($("progress").value = done / total));
}

/** A saved network is looked at before it takes the place of a race. */
async function network(name, file) {
  const bytes = new Uint8Array(await file.arrayBuffer());
  if (state === "failed") fresh();
  send("examine", { name, bytes });
}

giving.connect({ options, fresh, mine, network, status });
addEventListener("click", ({ target }) => {
  const [, what, lane] = target.id?.match(/^(save|judge)(\d)$/) ?? [];
  if (what) send(what, { lane: Number(lane) });
});
$("covariance").addEventListener("click", maps);
document.querySelector("#settings form").addEventListener("chosen", () => {
  if (state === "fresh") {
    // Another number of networks, or other data, is another race.
    if (lanes.length !== settings.norms().length || mine() !== shown) return fresh();
    nameLanes(settings.norms());
    lanes.whitened = whitened(settings.norms());
    layers.reset();
    if (lanes.ready) send("preview", { options: options() });
  }
  else status("The settings hold from the next race on: press Reset.");
});

$("start").addEventListener("click", () => {
  if (lanes.recorded) play(Number($("rate").value)).then(intoSight);
  else if (state === "running") send("pause");
  else begin("start");
});
$("step").addEventListener("click", () => begin("step"));
$("reset").addEventListener("click", () => {
  fresh();
  status(model ? "Ready; the loaded network is where it begins." : "Ready.");
  $("start").focus();
});
function again() {
  settings.forget();
  fresh();
}
$("again").addEventListener("click", again);
$("copy").addEventListener("click", async () => {
  const link = settings.link(rate());
  try {
    await navigator.clipboard.writeText(link);
    status(`The link to this race, with its settings and seed, is copied.${mine() ? ` It cannot carry your data: whoever opens it races on drawn digits, until ${mine().name} is dropped there, too.` : ""}`);
  } catch {
    status(`The browser does not let the page copy; the link is ${link}`);
  }
});
$("rate").addEventListener("input", () => {
  if (lanes.recorded) return play(Number($("rate").value)).then(() => settings.choose("lr", rate()));
  lr = Number((10 ** Number($("rate").value)).toPrecision(2));
  showRate();
  settings.choose("lr", rate());
  send("rate", { lr: rate() });
});
$("axis").addEventListener("change", draw);
$("csv").addEventListener("click", () => save("curves.csv", new Blob([charts.csv(NAMES, lanes, lanes.race?.label ?? "")], { type: "text/csv" })));
$("png").addEventListener("click", async () => save("charts.png", await charts.picture()));

check.connect(() => state === "running" || state === "building", () => lanes.adapter, save);
pad.connect((question) => send("read", question));
inside.connect((question) => {
  send("activations", question);
  if (pad.points()) send("guess", question);
});
$("forget").addEventListener("click", () => {
  runs.forget();
  draw();
});
for (const link of document.querySelectorAll("#lesson a")) {
  link.addEventListener("click", (event) => {
    // A new tab is a new race, too.
    if (event.metaKey || event.ctrlKey || event.shiftKey) return;
    event.preventDefault();
    settings.take(link.search);
    lr = settings.current().lr;
    model = null;
    showRate();
    fresh();
    begin("start");
  });
}

// --- start --------------------------------------------------------------------------------------------------------

// A page at GitHub knows from its own address where it comes from.
const [, owner] = location.hostname.match(/^([^.]+)\.github\.io$/) ?? [];
if (owner) {
  $("repository").href = `https://github.com/${owner}/${location.pathname.split("/")[1]}`;
  $("repository").parentElement.hidden = false;
}
showRate();
runs.restore();
fresh();
addEventListener("pagehide", () => runs.store(lanes, NAMES, lanes.race));
if (settings.unknown.length) status(`The address has ${settings.unknown.join(", ")}, which is no setting of this page and does nothing.`);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
  charts.build(NAMES, lanes);
  layers.draw();
});
