// Kernels of the visitor's pictures. The numbers are made in a worker of its own; the pictures never leave the computer.
import { profile } from "./layers.js";

const $ = (id) => document.getElementById(id);
/** Longest side that is looked at, of a photo and of a frame of the camera. */
const [PHOTO, FRAME] = [320, 128];

let worker = null, busy = false, again = false, picture = null, asked = null, stream = null, chart = null, latest = null, looks = 0;

/** Tells what is going on; of a camera, whose frames follow each other, only to the eye. */
function note(text, live = !stream) {
  $("view-note").setAttribute("aria-live", live ? "polite" : "off");
  $("view-note").textContent = text;
}

/** Says that a picture is being worked on. */
function work(on) {
  $("view-busy").hidden = !on || stream !== null;
  $("views").setAttribute("aria-busy", String(on));
}
export const state = () => ({ looks, camera: stream !== null, note: $("view-note").textContent });

function show(id, pixels, width, height) {
  const canvas = $(id);
  canvas.width = width;
  canvas.height = height;
  canvas.getContext("2d").putImageData(new ImageData(pixels, width, height), 0, 0);
}

const plain = (v) => (v < 1000 ? v.toPrecision(2) : v.toExponential(1));

/** What was seen of another picture would stand beside a refusal. */
function nothing() {
  work(false);
  $("views").hidden = true;
}

function settings() {
  return { k: Number($("view-k").value), iterations: Number($("view-t").value), eps: 10 ** Number($("view-eps").value) };
}

function look() {
  if (!picture) return;
  if (busy) {
    again = true;
    return;
  }
  [busy, again] = [true, false];
  work(true);
  const { pixels, width, height } = picture;
  asked = picture;
  worker.postMessage({ type: "view", pixels, width, height, ...settings() });
}

function kernels({ kernel: k, colours, values, scale }) {
  profile($("view-profile"), values.subarray(4 * k * k, 5 * k * k), k, scale);
  const size = 3 * k + 2;
  const canvas = $("view-kernel");
  canvas.width = canvas.height = size;
  const context = canvas.getContext("2d");
  for (let i = 0; i < 9; i++) {
    const tile = new ImageData(colours.slice(4 * i * k * k, 4 * (i + 1) * k * k), k, k);
    context.putImageData(tile, (i % 3) * (k + 1), Math.floor(i / 3) * (k + 1));
  }
}

function histogram({ before, after }) {
  latest = { before, after };
  const x = before.map((_, i) => -4 + (8 * (i + 0.5)) / before.length);
  // A logarithmic axis has no place for nothing.
  const some = (list) => list.map((v) => (v > 0 ? v : null));
  const data = [x, some(before), some(after)];
  if (chart) return chart.setData(data);
  const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const axis = { stroke: css("--soft"), grid: { stroke: css("--line"), width: 1 } };
  const place = $("view-histogram");
  chart = new uPlot({
    width: place.clientWidth, height: place.clientHeight, cursor: { show: false }, legend: { show: false },
    scales: { x: { time: false }, y: { distr: 3 } },
    axes: [axis, { ...axis, size: 64, values: (_, ticks) => ticks.map((v) => (v === null ? null : String(v))) }],
    series: [{}, { stroke: css("--batch"), width: 2, dash: [6, 4], points: { show: false } }, { stroke: css("--deconv"), width: 2, points: { show: false } }],
  }, data, place);
  chart.root.setAttribute("aria-hidden", "true");
}

addEventListener("resize", () => chart?.setSize({ width: $("view-histogram").clientWidth, height: $("view-histogram").clientHeight }));
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
  chart?.destroy();
  chart = null;
  if (latest) histogram(latest);
});

const answers = {
  ready() {},
  generated({ pixels, width, height }) {
    picture = { pixels: new Uint8Array(pixels.buffer.slice(0)), width, height };
    look();
  },
  viewed({ seen, width, height }) {
    busy = false;
    looks += 1;
    work(again || stream !== null);
    $("views").hidden = false;
    // Together with what was made of it: a camera has moved on in the meantime.
    show("view-original", new Uint8ClampedArray(asked.pixels), width, height);
    show("view-deconvolved", seen.deconvolved, width, height);
    show("view-sparse", seen.sparse, width, height);
    kernels(seen);
    histogram(seen);
    note(`${seen.patches.toLocaleString("en")} patches in ${seen.ms.toFixed(0)} ms. Condition number of their covariance ${plain(seen.conditions[0])} before, ${plain(seen.conditions[1])} after; kurtosis ${seen.kurtoses[0].toFixed(1)} before, ${seen.kurtoses[1].toFixed(1)} after. Colours of the kernels follow the root of each value, full at ±${seen.scale.toPrecision(2)}.`);
    if (stream) frame();
    else if (again) look();
  },
  refused({ message }) {
    busy = false;
    nothing();
    note(message);
    if (stream) setTimeout(frame, 300);
    else if (again) look();
  },
  failed({ message }) {
    busy = false;
    nothing();
    stopCamera();
    worker = null;
    note(`The pictures cannot be looked at: ${message || "this browser offers no WebGPU"}`);
  },
};

function start() {
  if (worker) return;
  worker = new Worker("worker.js", { type: "module" });
  worker.onmessage = ({ data }) => answers[data.type]?.(data);
  worker.onerror = (error) => answers.failed({ message: error.message });
}

const easel = document.createElement("canvas");

function take(source, width, height, longest) {
  const factor = Math.min(1, longest / Math.max(width, height));
  const [w, h] = [Math.max(8, Math.round(width * factor)), Math.max(8, Math.round(height * factor))];
  easel.width = w;
  easel.height = h;
  const context = easel.getContext("2d", { willReadFrequently: true });
  context.drawImage(source, 0, 0, w, h);
  picture = { pixels: new Uint8Array(context.getImageData(0, 0, w, h).data.buffer), width: w, height: h };
}

function frame() {
  const video = $("video");
  if (!stream) return;
  if (video.videoWidth) {
    take(video, video.videoWidth, video.videoHeight, FRAME);
    look();
  } else {
    setTimeout(frame, 50);
  }
}

function stopCamera() {
  stream?.getTracks().forEach((track) => track.stop());
  stream = null;
  $("camera").textContent = "Webcam";
}

$("leaves").addEventListener("click", () => {
  start();
  stopCamera();
  note("Drawing a picture of discs, whose statistics are those of photographs …");
  work(true);
  worker.postMessage({ type: "generate", seed: Math.floor(Math.random() * 1e6), width: 256, height: 192 });
});

$("camera").addEventListener("click", async () => {
  if (stream) return stopCamera();
  start();
  try {
    stream = await navigator.mediaDevices.getUserMedia({ video: { width: 320 } });
    $("camera").textContent = "Stop the webcam";
    $("video").srcObject = stream;
    await $("video").play();
    frame();
  } catch (error) {
    stopCamera();
    note(`There is no picture from a webcam: ${error.message}`);
  }
});

/** Looks at an image file. */
export async function photo(file) {
  start();
  stopCamera();
  try {
    const image = await createImageBitmap(file);
    take(image, image.width, image.height, PHOTO);
    look();
  } catch {
    nothing();
    picture = null;
    note(`${file.name} is no picture that this browser can read; a PNG, JPEG or WebP file is.`);
  }
}

$("photo").addEventListener("change", ({ target }) => target.files[0] && photo(target.files[0]));
for (const id of ["view-k", "view-t", "view-eps"]) {
  $(id).addEventListener("input", () => {
    $("view-t").nextElementSibling.value = $("view-t").value;
    $("view-eps").nextElementSibling.value = settings().eps.toExponential(0);
    look();
  });
}
