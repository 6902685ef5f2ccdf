"""Holds two exported networks against ours on all test images of MNIST: python mnist.py FOLDER

FOLDER has outside.onnx (whose images are normalised), inside.onnx (whose images are bytes), pixels, labels and our
logits. At most two of 10,000 predictions may be others, and so many more or fewer be right. Needs numpy and
onnxruntime.
"""

import json
import pathlib
import sys

import numpy as np
import onnxruntime

MOST = 2
BATCH = 500


def main(folder):
    read = lambda name, kind: np.fromfile(folder / name, kind)
    pixels = read("pixels", np.uint8).reshape(-1, 1, 28, 28)
    labels, ours = read("labels", np.uint32), read("logits", np.float32).reshape(-1, 10)
    assert len(pixels) == len(labels) == len(ours) == 10_000
    failed = False
    for name in ("outside", "inside"):
        model = onnxruntime.InferenceSession(folder / f"{name}.onnx")
        about = model.get_modelmeta().custom_metadata_map
        mean, std = (np.float32(json.loads(about[key])[0]) for key in ("mean", "std"))
        images = pixels if name == "inside" else (pixels / np.float32(255) - mean) / std
        found = np.concatenate([model.run(["logits"], {"images": images[i : i + BATCH]})[0] for i in range(0, len(images), BATCH)])
        others = int((found.argmax(1) != ours.argmax(1)).sum())
        right, here = (int((logits.argmax(1) == labels).sum()) for logits in (found, ours))
        worst = float(np.abs(found - ours).max())
        print(f"normalised {name}: {others} of 10,000 predictions are others; {right} are right, here {here}; logits {worst:.1e} apart", flush=True)
        failed |= others > MOST or abs(right - here) > others or worst > 1e-4 * float(np.abs(ours).max())
    return failed


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    sys.exit(main(pathlib.Path(sys.argv[1])))
