"""Holds `mexhat export` against ONNX Runtime: python check.py MEXHAT RUN [RUN ...]

Each RUN is a run folder. Its ONNX models (normalised outside and inside) have to pass ONNX's own checker, and to give
the probabilities that `mexhat predict` gives for random pictures, to 1e-4, and their logarithms to 1e-4 of how far
these are apart: all classes are nearly as likely to a network of a few steps, whatever it computes. Needs numpy, onnx,
onnxruntime, pillow and safetensors.
"""

import json
import pathlib
import subprocess
import sys
import tempfile

import numpy as np
import onnx
import onnxruntime
from PIL import Image

PICTURES = 6
TOLERANCE = 1e-4


def pixels(rng, shape):
    """Smooth random pictures (N,C,H,W) of 0 to 255: noise alone is what no network was trained on."""
    channels, height, width = shape
    small = rng.integers(0, 256, (PICTURES, max(height // 4, 1), max(width // 4, 1), channels), dtype=np.uint8)
    pictures = [np.asarray(Image.fromarray(p.squeeze()).resize((width, height), Image.BILINEAR)) for p in small]
    return np.stack(pictures).reshape(PICTURES, height, width, channels).transpose(0, 3, 1, 2)


def predicted(mexhat, run, pictures, folder):
    """Probabilities of all classes by `mexhat predict`, in the order of `class_names`."""
    names = []
    for i, picture in enumerate(pictures):
        name = folder / f"{i}.png"
        Image.fromarray(picture.transpose(1, 2, 0).squeeze()).save(name)
        names.append(str(name))
    command = [mexhat, "predict", str(run), *names, "--top", "1000000", "--json"]
    lines = subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()
    return [{share["class"]: share["share"] for share in json.loads(line)["shares"]} for line in lines]


def check(mexhat, run):
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        models = {}
        for name, options in [("outside", []), ("inside", ["--preprocess"])]:
            path = folder / f"{name}.onnx"
            subprocess.run([mexhat, "export", str(run), "--out", str(path), *options], check=True, capture_output=True)
            onnx.checker.check_model(onnx.load(path), full_check=True)
            models[name] = onnxruntime.InferenceSession(str(path))
        about = models["outside"].get_modelmeta().custom_metadata_map
        mean, std, classes = (json.loads(about[key]) for key in ("mean", "std", "class_names"))
        shape = models["inside"].get_inputs()[0].shape[1:]
        bytes_ = pixels(np.random.default_rng(0), shape)
        column = lambda values: np.array(values, np.float32).reshape(-1, 1, 1)
        normalized = ((bytes_.astype(np.float32) / 255 - column(mean)) / column(std)).astype(np.float32)
        found = {
            "inside": models["inside"].run(["probabilities"], {"images": bytes_})[0],
            "outside": models["outside"].run(["probabilities"], {"images": normalized})[0],
        }
        expected = predicted(mexhat, run, bytes_, folder)
        expected = np.array([[row[name] for name in classes] for row in expected])
        worst = max(float(np.abs(values - expected).max()) for values in found.values())
        likely = expected > 1e-6
        logs = np.log(expected[likely])
        spread = float(np.ptp(np.log(np.maximum(expected, 1e-6)), 1).max())
        off = max(float(np.abs(np.log(values[likely]) - logs).max()) for values in found.values()) / spread
        print(f"{run}: {len(classes)} classes, largest difference of a probability {worst:.1e}, of its logarithm {off:.1e} of their range")
        return worst <= TOLERANCE and off <= TOLERANCE


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    sys.exit(0 if all([check(sys.argv[1], pathlib.Path(run)) for run in sys.argv[2:]]) else 1)
