// Chapter 5: the middle row of D as a kernel, and the picture through it.
import { profile } from "../layers.js";
import { axes, colour, decades, even, path } from "../draw.js";
import { paint } from "../picture.js";

const $ = (id) => document.getElementById(id);
let found = null, looks = 0;

export const place = "hat";
export const state = () => ({ looks, note: $("hat-note").textContent });

function settings() {
  return { k: Number($("view-k").value), iterations: Number($("view-t").value), eps: 10 ** Number($("view-eps").value), grey: $("view-colours").value === "grey" };
}

export function question() {
  return ["look", settings()];
}

export function connect(again) {
  for (const id of ["view-k", "view-t", "view-eps", "view-colours"]) {
    $(id).addEventListener("input", () => {
      $("view-t").nextElementSibling.value = $("view-t").value;
      $("view-eps").nextElementSibling.value = settings().eps < 1 ? settings().eps.toExponential(0) : "1";
      again();
    });
  }
}

const plain = (v) => (v < 1000 ? v.toPrecision(2) : v.toExponential(1));

export function show(next, picture) {
  found = { ...next, picture };
  looks += 1;
  draw();
  $("hat-note").textContent = `${next.patches.toLocaleString("en")} patches${next.ms ? ` in ${next.ms.toFixed(0)} ms` : ""}. Condition number of their covariance ${plain(next.conditions[0])} before, ${plain(next.conditions[1])} after; kurtosis ${next.kurtoses[0].toFixed(1)} before, ${next.kurtoses[1].toFixed(1)} after.`;
}

export function draw() {
  const { picture } = found;
  $("views").hidden = false;
  // Together with what was made of it: a camera has moved on in the meantime.
  paint($("view-original"), picture);
  for (const [id, pixels] of [["view-deconvolved", found.deconvolved], ["view-sparse", found.sparse]]) paint($(id), { ...picture, pixels });
  kernels(found);
  histogram(found);
}

function kernels({ kernel: k, channels, colours, values, scale }) {
  const middle = channels === 3 ? 4 : 0;
  profile($("view-profile"), values.subarray(middle * k * k, (middle + 1) * k * k), k, scale);
  $("view-profile-name").textContent = `the hat: middle row of the kernel${channels === 3 ? " from green to green" : ""}`;
  $("view-kernel-name").textContent = channels === 3 ? "kernels: rows red, green, blue out; columns in" : "the kernel: red adds, blue takes away";
  $("view-low").textContent = `−${scale.toPrecision(2)}`;
  $("view-high").textContent = scale.toPrecision(2);
  const canvas = $("view-kernel");
  canvas.width = canvas.height = channels * (k + 1) - 1;
  const context = canvas.getContext("2d");
  for (let i = 0; i < channels * channels; i++) {
    const tile = new ImageData(colours.slice(4 * i * k * k, 4 * (i + 1) * k * k), k, k);
    context.putImageData(tile, (i % channels) * (k + 1), Math.floor(i / channels) * (k + 1));
  }
}

function histogram({ before, after }) {
  const least = 1e-4;
  const { context, x, y, inside } = axes($("view-histogram"), { x: [-4, 4], y: [least, 2], log: true, names: ["standard deviations", "density"], ticks: [even(-4, 4), decades(-4, 0)] });
  inside(() => [[before, "--batch", [6, 4]], [after, "--deconv", []]].forEach(([bars, name, dash]) => {
    context.strokeStyle = colour(name);
    context.lineWidth = 2;
    context.setLineDash(dash);
    path(context, bars.map((v, i) => [x(-4 + (8 * (i + 0.5)) / bars.length), y(Math.max(v, least / 10))]));
  }));
}
