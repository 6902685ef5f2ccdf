// Chapter 2: gradient descent on the ellipse and on the disc.
import { colour, dot, pairs, path, percent, surface } from "../draw.js";

const $ = (id) => document.getElementById(id);
/** Levels of the loss that are drawn, as shares of the distance at the start; and how far one sees, in the same. */
const [LEVELS, REACH] = [[1, 0.75, 0.5, 0.25], 1.45];
let found = null;
const rate = () => Number($("descent-rate").value);

export const place = "slow";
export const question = () => ["descent", rate()];

export function connect(again) {
  const changed = () => {
    $("descent-rate-value").value = rate().toFixed(2);
    again();
  };
  $("descent-rate").addEventListener("input", changed);
  $("rate-one").addEventListener("click", () => {
    $("descent-rate").value = 1;
    changed();
  });
}

export function show(next) {
  found = next;
  draw();
}

function valley(canvas, { path: way, level }, name) {
  const { context, width, height } = surface(canvas);
  const scale = Math.min(width, height) / (2 * REACH);
  const at = ([a, b]) => [width / 2 + a * scale, height / 2 - b * scale];
  context.lineWidth = 1.5;
  context.strokeStyle = colour("--soft");
  for (const share of LEVELS) path(context, pairs(level).map(([a, b]) => at([share * a, share * b])));
  context.fillStyle = colour("--soft");
  dot(context, ...at([0, 0]), 3);
  const steps = pairs(way).map(at);
  context.strokeStyle = context.fillStyle = colour(`--${name}`);
  context.lineWidth = 2;
  path(context, steps);
  for (const [px, py] of steps) if (Number.isFinite(px)) dot(context, px, py, 3);
  dot(context, ...steps[0], 6);
}

/** What a path comes to, in words. */
function told({ excess, limit }) {
  if (!(excess.at(-1) <= 1)) return `leaves the valley: the rate is above ${limit.toFixed(2)}`;
  const done = excess.findIndex((share) => share < 0.01);
  const after = done < 0 ? `after ${excess.length - 1} steps ${percent(excess.at(-1))} is left` : `below 1 % after ${done} ${done === 1 ? "step" : "steps"}`;
  return `after one step ${percent(excess[1])} of the error is left, ${after}. Largest stable rate ${limit.toFixed(2)}`;
}

export function draw() {
  valley($("valley-raw"), found.raw, "batch");
  valley($("valley-white"), found.white, "deconv");
  $("told-raw").textContent = `Pixels as they are (correlation ${found.correlation.toFixed(2)}): ${told(found.raw)}.`;
  $("told-white").textContent = `Whitened: ${told(found.white)}.`;
}
