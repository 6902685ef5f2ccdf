// Pictures of bars for the tests of the npm package, and a network that learns them.
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";

const [SIDE, CLASSES] = [16, 4];

/** Bars under noise, the same ones whenever they are asked for: bytes (N,1,16,16), and one of four directions. */
export function bars(count, seed) {
  let state = seed;
  const random = () => (state = (Math.imul(state, 1664525) + 1013904223) >>> 0) / 2 ** 32;
  const [images, labels] = [new Uint8Array(count * SIDE * SIDE), new Uint8Array(count)];
  for (let i = 0; i < count; i++) {
    const label = (labels[i] = i % CLASSES);
    const [angle, shift] = [(label * Math.PI) / CLASSES, 8 * random() - 4];
    for (let j = 0; j < SIDE * SIDE; j++) {
      const away = ((j % SIDE) - 7.5) * Math.cos(angle) + (Math.floor(j / SIDE) - 7.5) * Math.sin(angle) - shift;
      images[i * SIDE * SIDE + j] = Math.max(0, Math.min(255, 200 * Math.exp(-away * away) + 190 * random() - 40));
    }
  }
  return { images, labels };
}

/** As MNIST's files, which the program reads. */
export function idx({ images, labels }, folder, name) {
  const head = (magic, ...sizes) => {
    const bytes = Buffer.alloc(4 + 4 * sizes.length);
    [magic, ...sizes].forEach((value, i) => bytes.writeUInt32BE(value, 4 * i));
    return bytes;
  };
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, `${name}-images-idx3-ubyte`), Buffer.concat([head(2051, labels.length, SIDE, SIDE), images]));
  writeFileSync(join(folder, `${name}-labels-idx1-ubyte`), Buffer.concat([head(2049, labels.length), labels]));
}

/** A network of each kind of layer that the tests look into. */
export const LAYERS = [{ type: "conv", out_channels: 8, kernel: 5 }, { type: "relu" }, { type: "max_pool", kernel: 2 }, { type: "residual", body: [{ type: "conv", out_channels: 8, kernel: 3 }, { type: "relu" }] }, { type: "flatten" }, { type: "linear", out_features: "classes" }];
