// Chapter 1: a pixel against its neighbour, as it is and whitened.
import { axes, colour, dot, pairs, path } from "../draw.js";

const $ = (id) => document.getElementById(id);
/** Dots that are drawn of those that are known. */
export const DOTS = 900;
/** Standard deviations that are shown. */
const REACH = 3.2;
let found = null;

export const place = "neighbours";
export const question = () => ["neighbours"];
export const connect = () => $("share").addEventListener("input", () => found && draw());

export function show(next) {
  found = next;
  draw();
}

export function draw() {
  const share = Number($("share").value);
  // The engine knows both ends; in between each dot is on its straight way.
  const way = (from, to) => pairs(from.map((v, i) => (1 - share) * v + share * to[i]));
  const ticks = [-3, -2, -1, 0, 1, 2, 3].map((v) => [v]);
  const range = [-REACH, REACH];
  const { context, x, y, inside } = axes($("scatter"), { x: range, y: range, names: ["a pixel", "the pixel to its right"], ticks: [ticks, ticks] });
  inside(() => {
    context.fillStyle = colour("--deconv");
    context.globalAlpha = 0.45;
    for (const [a, b] of way(found.before, found.after).slice(0, DOTS)) dot(context, x(a), y(b), 1.8);
    context.globalAlpha = 1;
    context.strokeStyle = colour("--batch");
    context.lineWidth = 2.5;
    path(context, way(...found.outlines).map(([a, b]) => [x(a), y(b)]));
  });
  const correlation = found.correlations[Math.round(share * (found.correlations.length - 1))];
  const said = correlation.toFixed(2).replace("-0.00", "0.00");
  $("share").setAttribute("aria-valuetext", `${Math.round(100 * share)} % of D, correlation ${said}`);
  $("share-value").value = `${Math.round(100 * share)} %`;
  $("agreement").textContent = `Correlation ${said}.`;
}
