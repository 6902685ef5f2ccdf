// Chapter 4: the spectrum step by step, and the residual.
import { axes, colour, decades, dot, path } from "../draw.js";

const $ = (id) => document.getElementById(id);
let found = null;
const steps = () => Number($("ns-steps").value);

export const place = "newton";
export const question = () => ["newtonSchulz"];
export const connect = () => $("ns-steps").addEventListener("input", () => found && draw());

export function show(next) {
  found = next;
  draw();
}

const spectrum = (t) => found.eigenvalues.subarray(t * found.d, (t + 1) * found.d);

function eigenvalues(t) {
  const { d } = found;
  const least = Math.floor(Math.log10(Math.max(1e-6, spectrum(0)[0])));
  const { context, x, y, inside } = axes($("spectrum"), {
    x: [0, d + 1], y: [10 ** least, 10], log: true, names: ["direction, from flat to long", "variance after D"],
    ticks: [[1, Math.ceil(d / 2), d].map((v) => [v]), decades(least, 1)],
  });
  inside(() => {
    context.strokeStyle = colour("--batch");
    context.lineWidth = 2;
    context.setLineDash([6, 4]);
    path(context, [[x(0), y(1)], [x(d + 1), y(1)]]);
    context.setLineDash([]);
    const stalks = (values, alpha) => values.forEach((v, i) => {
      context.globalAlpha = alpha;
      dot(context, x(i + 1), y(Math.max(v, 10 ** least)), 4);
    });
    context.fillStyle = colour("--soft");
    stalks(spectrum(0), 0.35);
    context.fillStyle = colour("--deconv");
    stalks(spectrum(t), 1);
  });
}

function residual(t) {
  const last = found.coupled.length - 1;
  const { context, x, y, inside } = axes($("residual"), {
    x: [0, last], y: [1e-6, 1e3], log: true, names: ["steps T", "distance from white"], ticks: [[0, 5, 10, 15].map((v) => [v]), decades(-6, 3, 3)],
  });
  inside(() => {
    context.strokeStyle = colour("--line");
    context.lineWidth = 6;
    path(context, [[x(t), y(1e-6)], [x(t), y(1e3)]]);
    const line = (values, name, dash) => {
      context.strokeStyle = context.fillStyle = colour(name);
      context.lineWidth = 2.5;
      context.setLineDash(dash);
      path(context, values.map((v, i) => [x(i), y(v)]));
      context.setLineDash([]);
      if (Number.isFinite(values[t])) dot(context, x(t), y(values[t]), 5);
    };
    line(found.uncoupled, "--batch", [6, 4]);
    line(found.coupled, "--deconv", []);
  });
}

const plain = (v) => (!Number.isFinite(v) ? "overflowed" : v < 1e-3 || v >= 1e4 ? v.toExponential(1) : v.toPrecision(2));

export function draw() {
  const t = steps();
  eigenvalues(t);
  residual(t);
  const near = spectrum(t).filter((v) => Math.abs(v - 1) < 0.1).length;
  $("ns-value").value = String(t);
  $("ns-steps").setAttribute("aria-valuetext", `${t} ${t === 1 ? "step" : "steps"}, ${near} of ${found.d} directions white`);
  $("ns-note").textContent = `After ${t} ${t === 1 ? "step" : "steps"} ${near} of ${found.d} directions have a variance within a tenth of 1. ` +
    `Distance from white: coupled ${plain(found.coupled[t])}, uncoupled ${plain(found.uncoupled[t])}. ` +
    `D amplifies nothing more than ${plain(Math.min(found.gains[t], found.wanted))} times; a true inverse root would go up to ${plain(found.wanted)}.`;
}
