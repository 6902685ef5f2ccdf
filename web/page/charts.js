// The two charts of the race, and the series that they draw.
import * as runs from "./runs.js";
import { LANES, axes, between, colour, dot, even, path } from "./draw.js";

const $ = (id) => document.getElementById(id);
/** Points of one line at most: from twice as many on, two become one. */
const MOST = 2000;
/** A loss this many times that of the beginning is off the chart, so that a network that diverges leaves the other
 * readable. */
const CLIP = 4;

/** A line: values at steps, and at seconds of the network's own turns. Each point is the mean of `every` steps. */
export function series() {
  return { steps: [], seconds: [], values: [], every: 1, sum: 0, count: 0 };
}

export function add(line, step, seconds, value) {
  line.sum += value;
  if (++line.count < line.every) return;
  line.steps.push(step);
  line.seconds.push(seconds);
  line.values.push(line.sum / line.count);
  [line.sum, line.count] = [0, 0];
  if (line.steps.length < 2 * MOST) return;
  line.values = line.values.filter((_, i) => i % 2).map((value, i) => (value + line.values[2 * i]) / 2);
  [line.steps, line.seconds] = [line.steps, line.seconds].map((list) => list.filter((_, i) => i % 2));
  line.every *= 2;
}

let [lanes, names] = [[], []];

/** The lines of this race and of those before it. */
const everything = () => [...runs.all().flatMap((run) => run.lanes), ...lanes];

/** Lowest and highest loss that the chart shows. A single batch without a mistake has a loss of next to nothing, which
 * takes no room from the others; whoever is still in the race is in the chart, however badly it learns. */
export function losses() {
  const known = everything().map(({ loss, diverged }) => {
    const sorted = Float64Array.from(loss.values.filter((v) => v > 0 && isFinite(v))).sort();
    const at = (share) => sorted[Math.floor(share * sorted.length)];
    return { low: Math.max(sorted[0], at(0.05) / 3), high: sorted.at(-1), top: Math.max(CLIP * loss.values[0], diverged ? 0 : 1.5 * at(0.5)) };
  }).filter(({ high }) => high);
  if (!known.length) return [0.1, 3];
  const low = Math.min(...known.map((one) => one.low));
  const high = Math.min(...["high", "top"].map((name) => Math.max(...known.map((one) => one[name]))));
  return [0.8 * low, Math.max(2 * low, 1.2 * high)];
}

function chart(canvas, key, y, log, ticks, dots) {
  const x = $("axis").value === "steps" ? "steps" : "seconds";
  const most = Math.max(...everything().map((lane) => Math.max(lane.loss[x].at(-1) ?? 0, lane.accuracy[x].at(-1) ?? 0))) || 10;
  const name = x === "steps" ? "steps" : "each network's own seconds";
  const { context, x: across, y: up, inside } = axes(canvas, { x: [0, most], y, log, names: [name, key], ticks: [even(0, most), ticks] });
  if (!everything().some((lane) => lane[key].steps.length)) {
    context.fillStyle = colour("--soft");
    context.textAlign = "center";
    context.fillText(key === "loss" ? "Start the race: each step leaves a point here." : "How many test images each network reads appears here.", across(most / 2), up(log ? Math.sqrt(y[0] * y[1]) : (y[0] + y[1]) / 2));
  }
  const draw = (lane, i, number) => {
    const line = lane[key];
    const [tint, dashes] = LANES[i];
    context.strokeStyle = context.fillStyle = colour(tint);
    context.globalAlpha = number ? 0.4 : 1;
    context.lineWidth = number ? 1.25 : 2;
    context.setLineDash(dashes);
    const points = line[x].map((at, n) => [across(at), up(line.values[n])]);
    path(context, points);
    context.setLineDash([]);
    if (dots && !number) points.forEach(([px, py]) => dot(context, px, py, 2.5));
    context.globalAlpha = 1;
    // Its number in the list stands at its end.
    if (number && points.length) context.fillText(number, points.at(-1)[0] - 8, points.at(-1)[1] + (i ? 14 : -6));
  };
  inside(() => {
    runs.all().forEach((run) => run.lanes.forEach((lane, i) => draw(lane, i, run.number)));
    lanes.forEach((lane, i) => draw(lane, i, 0));
  });
}

export function build(called, of) {
  [names, lanes] = [called, of];
  show();
}

function show() {
  const [low, high] = losses();
  chart($("loss"), "loss", [low, high], true, between(low, high), false);
  const least = Math.min(0.8, ...everything().flatMap((lane) => lane.accuracy.values).map((v) => Math.floor(v * 10) / 10));
  chart($("accuracy"), "accuracy", [least, 1], false, even(least, 1).map(([v]) => [v, `${Math.round(100 * v)} %`]), true);
}

let drawing = false;

/** Draws soon, and not more often than a screen shows. */
export function draw(of, after = () => {}) {
  lanes = of;
  if (drawing) return;
  drawing = true;
  setTimeout(() => requestAnimationFrame(() => {
    drawing = false;
    show();
    after();
  }), 60);
}

addEventListener("resize", show);

/** Every point of the race and of those before it, a line each: network, what, step, seconds of its own, value, and
 * what was special about the race. */
export function csv(names, of, label) {
  const race = (names, of, label) => of.flatMap((lane, i) => ["loss", "accuracy"].flatMap((what) => lane[what].steps.map((step, at) => [`"${names[i]}"`, what, step, lane[what].seconds[at].toFixed(4), lane[what].values[at], `"${label}"`].join())));
  return ["network,what,step,seconds,value,race", ...runs.all().flatMap((run) => race(run.names, run.lanes, `${run.number}: ${run.label}`)), ...race(names, of, label), ""].join("\n");
}

/** Both charts as one picture with their names. */
export function picture() {
  const charts = [$("loss"), $("accuracy")];
  const ratio = devicePixelRatio || 1;
  const [head, gap] = [30 * ratio, 16 * ratio];
  const whole = document.createElement("canvas");
  [whole.width, whole.height] = [charts.reduce((sum, one) => sum + one.width + gap, gap), charts[0].height + head];
  const context = whole.getContext("2d");
  context.fillStyle = colour("--card");
  context.fillRect(0, 0, whole.width, whole.height);
  context.font = `${14 * ratio}px system-ui, sans-serif`;
  names.reduce((x, name, i) => {
    context.fillStyle = colour(LANES[i][0]);
    context.fillText(name, x, 20 * ratio);
    return x + context.measureText(name).width + 2 * gap;
  }, gap);
  charts.reduce((x, one) => {
    context.drawImage(one, x, head);
    return x + one.width + gap;
  }, gap);
  return new Promise((resolve) => whole.toBlob(resolve));
}
