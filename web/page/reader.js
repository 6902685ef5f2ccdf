// Reads a data set from files: loaded when the visitor gives some, and gone with its memory when they are read.
import init, { read } from "./mexhat_web_reader.js";

/** Milliseconds between two words about how far it is. */
const PAUSE = 100;

onmessage = async ({ data: { name, files, options } }) => {
  try {
    await init();
    let told = 0;
    const found = read(name, files, JSON.stringify(options), (done, all) => {
      if (performance.now() - told < PAUSE) return;
      told = performance.now();
      postMessage({ progress: Math.min(1, done / Math.min(all, options.limit_train + options.limit_test)) });
    });
    postMessage({ found }, [found.train, found.test].flatMap(({ images, labels }) => [images.buffer, labels.buffer]));
  } catch (error) {
    // What is no answer of the reader's is its end: mostly of its memory.
    postMessage({ failed: error?.kind ? error.message : `the reader broke (${error?.message ?? error}). If the data is large, take fewer training images in Settings, or smaller pictures` });
  }
};
