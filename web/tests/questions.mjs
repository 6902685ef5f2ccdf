// What the chapters ask of the engine, as far as it is recorded for browsers without WebGPU.

/** The pictures: a name, and what asks for them. */
export const PICTURES = { generate: ["generate", 3, 256, 192], digits: ["digits", 4] };

/** Settings that are recorded: least, most and step of a slider, or the choices of a list. */
export const CONTROLS = {
  "descent-rate": [0.1, 2.1, 0.1],
  "view-k": ["5"],
  "view-t": [2, 12, 10],
  "view-eps": [-2, 0, 2],
  "view-colours": ["grey", "all"],
};

const places = ([low, high, step]) => Array.from({ length: Math.round((high - low) / step) + 1 }, (_, i) => Number((low + i * step).toFixed(6)));

/** What an answer is filed under; powers differ in their last digits between browsers. */
export const key = (question) => JSON.stringify(question, (_, v) => (typeof v === "number" ? Number(v.toPrecision(6)) : v));

/** Every question about a picture: its name, and what follows pixels and size. */
export function questions() {
  const looks = places(CONTROLS["view-t"]).flatMap((iterations) => places(CONTROLS["view-eps"]).flatMap((power) => CONTROLS["view-colours"].map((which) => ["look", { k: 5, iterations, eps: 10 ** power, grey: which === "grey" }])));
  return [["neighbours"], ...places(CONTROLS["descent-rate"]).map((rate) => ["descent", rate]), ["covariance", 3, 15], ["newtonSchulz"], ...looks];
}
