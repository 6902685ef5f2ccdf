// MNIST: from data/ beside the page, or from files that the visitor gives. Unpacked here by the browser, read in wasm.
export const FILES = ["train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"];
const CACHE = "mexhat-data";

/** The name among FILES that a file goes by, whatever its ending. */
export const known = (name) => FILES.find((file) => name.replaceAll(".", "-").startsWith(file));

async function unpack(bytes) {
  if (bytes[0] !== 0x1f || bytes[1] !== 0x8b) return bytes;
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

async function response(url) {
  const cache = globalThis.caches ? await caches.open(CACHE).catch(() => null) : null;
  const kept = await cache?.match(url);
  if (kept) return kept;
  const fresh = await fetch(url);
  if (!fresh.ok) throw new Error(`${url}: ${fresh.status} ${fresh.statusText}`);
  await cache?.put(url, fresh.clone()).catch(() => {});
  return fresh;
}

/** Fetches all four files; `progress` is told the bytes so far and of how many. */
export async function fetchMnist(progress) {
  const files = {};
  let [done, total] = [0, 0];
  for (const name of FILES) {
    const found = await response(`data/${name}.gz`);
    total += Number(found.headers.get("content-length") ?? 0);
    const parts = [];
    for await (const part of found.body) {
      parts.push(part);
      done += part.length;
      progress(done, Math.max(total, done));
    }
    files[name] = await unpack(new Uint8Array(await new Blob(parts).arrayBuffer()));
  }
  return files;
}

/** The files of MNIST among `list`, unpacked. */
export async function readGiven(list) {
  const files = {};
  for (const file of list) {
    const name = known(file.name);
    if (name) files[name] = await unpack(new Uint8Array(await file.arrayBuffer()));
  }
  return files;
}
