// The visitor's picture, which the chapters and kernels are about. It never leaves the computer.
import { ask } from "./study.js";

const $ = (id) => document.getElementById(id);
/** Longest side that is looked at, of a photo and of a frame of the camera. */
const [PHOTO, FRAME] = [320, 128];
const GENERATED = [256, 192];

let picture = null, stream = null, seed = 3, listeners = [];
/** There are recorded pictures alone. */
let recorded = false;
const NEEDS = "A drawing, a webcam or a photo of your own needs WebGPU, which computes what is said of it.";
/** Counts what was asked for: an older picture that comes late is not taken. */
let order = 0;

/** `{ pixels, width, height }`, RGBA; null before there is one. */
export const current = () => picture;
export const live = () => stream !== null;
export const onPicture = (listener) => listeners.push(listener);

/** Tells what is going on; of a camera, whose frames follow each other, only to the eye. */
export function note(text) {
  $("view-note").setAttribute("aria-live", stream ? "off" : "polite");
  $("view-note").textContent = text;
}

export function paint(canvas, { pixels, width, height }) {
  canvas.width = width;
  canvas.height = height;
  canvas.getContext("2d").putImageData(new ImageData(new Uint8ClampedArray(pixels), width, height), 0, 0);
}

function take(next, name) {
  picture = next;
  if (next) paint($("source-picture"), next);
  note(next && !stream ? `Now about ${name}, ${next.width} by ${next.height} pixels. ${recorded ? NEEDS : "It stays on this computer."}` : "");
  $("source-picture").setAttribute("aria-label", `The picture that the chapters are about: ${name}`);
  listeners.forEach((listener) => listener(picture));
}

const easel = document.createElement("canvas");

/** What can be drawn, no longer than `longest`. */
function scaled(source, width, height, longest) {
  const factor = Math.min(1, longest / Math.max(width, height));
  const [w, h] = [Math.max(8, Math.round(width * factor)), Math.max(8, Math.round(height * factor))];
  [easel.width, easel.height] = [w, h];
  const context = easel.getContext("2d", { willReadFrequently: true });
  // What is transparent, such as the pad, is black.
  context.fillRect(0, 0, w, h);
  context.drawImage(source, 0, 0, w, h);
  return { pixels: new Uint8Array(context.getImageData(0, 0, w, h).data.buffer), width: w, height: h };
}

async function made(name, ...args) {
  const mine = ++order;
  const { pixels, width, height } = await ask(...args);
  if (mine === order) take({ pixels: new Uint8Array(pixels.buffer.slice(0)), width, height }, name);
}

async function generated() {
  stopCamera();
  note("Drawing a picture of discs, whose statistics are those of photographs …");
  await made("a generated picture", "generate", seed++, ...GENERATED);
}

/** A picture to begin with, once somebody looks. */
export async function begin() {
  if (!picture && order === 0) await generated();
}

/** Does what may be refused, and says why it was. */
const tried = (work) => async (event) => {
  try {
    await work(event);
  } catch (error) {
    note(`There is no such picture: ${error.message}`);
  }
};

/** The next frame, when the last one has been looked at. */
export function frame() {
  const video = $("video");
  if (!stream) return;
  if (video.videoWidth) take(scaled(video, video.videoWidth, video.videoHeight, FRAME), "the webcam");
  else setTimeout(frame, 50);
}

export function stopCamera() {
  stream?.getTracks().forEach((track) => track.stop());
  stream = null;
  $("camera").textContent = "Webcam";
}

$("leaves").addEventListener("click", tried(generated));
$("digits").addEventListener("click", tried(async () => {
  stopCamera();
  await made("digits", "digits", seed++);
}));
$("mine").addEventListener("click", () => {
  stopCamera();
  order += 1;
  const pad = $("pad");
  take(scaled(pad, pad.width, pad.height, FRAME), "your drawing");
});
$("camera").addEventListener("click", tried(async () => {
  if (stream) {
    stopCamera();
    return note("The webcam is off; this was its last frame.");
  }
  order += 1;
  stream = await navigator.mediaDevices.getUserMedia({ video: { width: 320 } });
  $("camera").textContent = "Stop the webcam";
  $("video").srcObject = stream;
  await $("video").play();
  frame();
}));

/** Only what was recorded can be looked at from now on. */
export function onlyRecorded() {
  recorded = true;
  for (const id of ["mine", "camera", "photo"]) $(id).disabled = true;
}

/** Looks at an image file. */
export async function photo(file) {
  if (recorded) return note(NEEDS);
  stopCamera();
  const mine = ++order;
  try {
    const image = await createImageBitmap(file);
    if (mine === order) take(scaled(image, image.width, image.height, PHOTO), file.name);
  } catch {
    take(null, "none");
    note(`${file.name} is no picture that this browser can read; a PNG, JPEG or WebP file is.`);
  }
}

$("photo").addEventListener("change", ({ target }) => target.files[0] && photo(target.files[0]));
