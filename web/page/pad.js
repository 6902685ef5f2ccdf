// The drawing pad: what is drawn is read by all networks, one question at a time, again whenever they have learnt. Of
// pictures that nobody draws, the one that is pointed at is read instead.
import { canvasOf } from "./pixels.js";

const $ = (id) => document.getElementById(id);
const pad = $("pad");
const ink = pad.getContext("2d", { willReadFrequently: true });
ink.lineWidth = 22;
ink.lineCap = ink.lineJoin = "round";
ink.strokeStyle = ink.fillStyle = "#fff";

let ask = () => {};
/** Whether a question is on its way, whether the next waits, and of which drawing: answers about others are late. */
let [asking, again, drawing] = [false, false, 0];
let [drawn, trained, announce, last] = [false, false, false, null];
/** Names of the classes, the shape of a picture, whether it can be drawn, and how many bars there are. */
let [names, shape, drawable] = [[], [1, 28, 28], true];
const MOST = 10;

/** `send` takes `{ ink, width, id }` to the networks. */
export const connect = (send) => (ask = send);

/** Of other data: its classes, and the shape of its pictures. */
export function of(classes, size, digits) {
  [names, shape, drawable] = [classes, size, size.join() === "1,28,28"];
  $("pad-title").textContent = digits ? "Draw a digit" : drawable ? "Draw something" : "What the networks say";
  $("pad").hidden = $("clear").hidden = !drawable;
  $("bars").setAttribute("aria-label", `Probability of each ${digits ? "digit" : "class"}`);
  $("bars").replaceChildren(...names.slice(0, MOST).map(() => {
    const item = document.createElement("li");
    item.append(document.createElement("span"), document.createElement("div"));
    return item;
  }));
  label(names.slice(0, MOST).map((_, i) => i));
  clear();
}

/** Whether what is pointed at is to be read, for it cannot be drawn. */
export const points = () => !drawable;

/** Names the bars after these classes. */
function label(classes) {
  classes.forEach((place, i) => {
    const [name] = $("bars").children[i].children;
    [name.textContent, name.title] = [names[place], names[place]];
  });
}

function hint() {
  const draws = trained ? "Draw a digit; the networks read it." : "Train a little, then draw.";
  const looks = trained ? "Point at one of the pictures below." : "Train a little, then point at one of the pictures below.";
  $("answer").textContent = drawable ? draws : looks;
}

function clearAnswer() {
  drawing += 1;
  [asking, again] = [false, false];
  for (const span of $("bars").querySelectorAll(":scope div span")) span.style.width = "0";
  $("preview").getContext("2d").clearRect(0, 0, $("preview").width, $("preview").height);
  $("said").textContent = "";
  hint();
}

export function clear() {
  ink.clearRect(0, 0, pad.width, pad.height);
  drawn = false;
  clearAnswer();
}

/** Another race: nobody has read anything yet. */
export function reset() {
  trained = false;
  clear();
}

/** The networks have learnt. */
export function learnt() {
  if (!trained) {
    trained = true;
    if (!drawn) hint();
  }
  if (drawn) question();
}

function question() {
  if (!trained) return;
  if (asking) {
    again = true;
    return;
  }
  [asking, again] = [true, false];
  const { data } = ink.getImageData(0, 0, pad.width, pad.height);
  const bytes = new Uint8Array(pad.width * pad.height);
  for (let i = 0; i < bytes.length; i++) bytes[i] = data[4 * i + 3];
  ask({ ink: bytes, width: pad.width, id: drawing });
}

/** The answer to a question. */
export function show(id, read, lanes) {
  if (id !== drawing) return;
  asking = false;
  if (read) paint(canvasOf(read.picture, [1, 28, 28]), read.shares, lanes);
  if (again) question();
}

/** What the networks say to a picture that was pointed at. */
export function pointed(pixels, shares, lanes) {
  announce = true;
  paint(canvasOf(pixels, shape), shares, lanes);
}

function paint(picture, shares, lanes) {
  const preview = $("preview");
  [preview.width, preview.height] = [picture.width, picture.height];
  preview.getContext("2d").drawImage(picture, 0, 0);
  // Of many classes the likeliest.
  const likely = (place) => Math.max(...shares.map((share) => share[place]));
  const all = names.map((_, place) => place);
  const shown = names.length > MOST ? all.sort((a, b) => likely(b) - likely(a)).slice(0, MOST) : all;
  label(shown);
  shown.forEach((place, i) => {
    const bars = $("bars").children[i].lastChild;
    while (bars.children.length > shares.length) bars.lastChild.remove();
    while (bars.children.length < shares.length) bars.append(bar(bars.children.length));
    shares.forEach((share, lane) => (bars.children[lane].style.width = `${100 * share[place]}%`));
  });
  const best = shares.map((share) => share.indexOf(Math.max(...share)));
  const text = shares.map((share, i) => `${lanes[i]}: ${names[best[i]]} (${(100 * share[best[i]]).toFixed(0)} %)`).join(", ");
  $("answer").textContent = text;
  // A screen reader hears the answer once for each drawing, not after every step.
  if (announce) $("said").textContent = text;
  announce = false;
}

/** The bar of a network. */
const bar = (lane) => Object.assign(document.createElement("span"), { className: ["batch", "deconv", "third", "fourth"][lane] });

const spot = (pointer) => {
  const box = pad.getBoundingClientRect();
  return [((pointer.clientX - box.left) / box.width) * pad.width, ((pointer.clientY - box.top) / box.height) * pad.height];
};

function changed(done) {
  drawn = true;
  announce ||= done;
  question();
}

pad.addEventListener("pointerdown", (pointer) => {
  pad.setPointerCapture(pointer.pointerId);
  last = spot(pointer);
  ink.beginPath();
  ink.arc(...last, ink.lineWidth / 2, 0, 2 * Math.PI);
  ink.fill();
  changed(false);
});
pad.addEventListener("pointermove", (pointer) => {
  if (!last) return;
  const next = spot(pointer);
  ink.beginPath();
  ink.moveTo(...last);
  ink.lineTo(...next);
  ink.stroke();
  last = next;
  changed(false);
});
for (const end of ["pointerup", "pointercancel"]) {
  pad.addEventListener(end, () => {
    if (last) changed(true);
    last = null;
  });
}
pad.addEventListener("keydown", (key) => {
  if (!/^[0-9]$/.test(key.key)) return;
  clear();
  ink.font = "220px sans-serif";
  ink.textAlign = "center";
  ink.textBaseline = "middle";
  ink.fillText(key.key, 140, 150);
  changed(true);
});
$("clear").addEventListener("click", clear);
