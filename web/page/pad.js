// The drawing pad: what is drawn is read by all networks, one question at a time, again whenever they have learnt.
const $ = (id) => document.getElementById(id);
const pad = $("pad");
const ink = pad.getContext("2d", { willReadFrequently: true });
ink.lineWidth = 22;
ink.lineCap = ink.lineJoin = "round";
ink.strokeStyle = ink.fillStyle = "#fff";

let ask = () => {};
/** Whether a question is on its way, whether the next waits, and which drawing it is of: answers about others are late. */
let [asking, again, drawing] = [false, false, 0];
let [drawn, trained, announce, last] = [false, false, false, null];

/** `send` takes `{ ink, width, id }` to the networks. */
export const connect = (send) => (ask = send);

function hint() {
  $("answer").textContent = trained ? "Draw a digit; the networks read it." : "Train a little, then draw.";
}

function clearAnswer() {
  drawing += 1;
  [asking, again] = [false, false];
  for (const span of $("bars").querySelectorAll("span")) span.style.width = "0";
  $("preview").getContext("2d").clearRect(0, 0, 28, 28);
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
export function show(id, read, names) {
  if (id !== drawing) return;
  asking = false;
  if (read) paint(read, names);
  if (again) question();
}

function paint({ picture, shares }, names) {
  const image = new ImageData(28, 28);
  picture.forEach((v, i) => image.data.set([v, v, v, 255], 4 * i));
  $("preview").getContext("2d").putImageData(image, 0, 0);
  for (const { lastChild: bars } of $("bars").children) {
    while (bars.children.length > shares.length) bars.lastChild.remove();
    while (bars.children.length < shares.length) bars.append(bar(bars.children.length));
  }
  shares.forEach((share, i) => share.forEach((p, digit) => ($("bars").children[digit].querySelectorAll("span")[i].style.width = `${100 * p}%`)));
  const best = shares.map((share) => share.indexOf(Math.max(...share)));
  const text = shares.map((share, i) => `${names[i]}: ${best[i]} (${(100 * share[best[i]]).toFixed(0)} %)`).join(", ");
  $("answer").textContent = text;
  // A screen reader hears the answer once for each drawing, not after every step.
  if (announce) $("said").textContent = text;
  announce = false;
}

/** The bar of a network. */
const bar = (lane) => Object.assign(document.createElement("span"), { className: ["batch", "deconv", "third", "fourth"][lane] });

$("bars").append(...Array.from({ length: 10 }, (_, digit) => {
  const [item, bars] = [document.createElement("li"), document.createElement("div")];
  bars.append(bar(0), bar(1));
  item.append(String(digit), bars);
  return item;
}));

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
