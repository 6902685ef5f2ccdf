"""Holds exported networks against ONNX Runtime and PyTorch: python exported.py FOLDER [FOLDER ...]

Each FOLDER has case.json (name; shapes of an image and of what the network makes of it), model.onnx, plain.safetensors,
images and expected (our outputs), both as little-endian float32, and labels as uint32. ONNX Runtime's outputs and those
of PyTorch's layers with the plain tensors have to be the same to 1e-4 of the largest, and as many of them right. Needs
numpy, onnx, onnxruntime, safetensors and torch.
"""

import json
import pathlib
import sys

import numpy as np
import onnx
import onnxruntime
import torch
import torch.nn.functional as F
from safetensors import safe_open

TOLERANCE = 1e-4
EPS = 1e-5


class Plain:
    """The network that a file of plain tensors describes, of PyTorch's own operations."""

    def __init__(self, path):
        with safe_open(path, "pt") as file:
            self.network = json.loads(file.metadata()["mexhat"])["spec"]["network"]
            self.tensors = {name: file.get_tensor(name) for name in file.keys()}
        self.used = set()

    def __call__(self, x):
        x = self.layers(self.network["layers"], "", x)
        unused = set(self.tensors) - self.used
        assert not unused, f"{sorted(unused)} are in the file, and no layer took them"
        return x

    def layers(self, nodes, prefix, x):
        for node in nodes:
            x = self.layer(node["type"], node, prefix + node["name"], x)
        return x

    def tensor(self, name):
        self.used.add(name)
        return self.tensors.get(name)

    def norm(self, kind, name, x):
        weight, bias = self.tensor(name + ".weight"), self.tensor(name + ".bias")
        if kind == "batch":
            return F.batch_norm(x, self.tensor(name + ".running_mean"), self.tensor(name + ".running_var"), weight, bias, eps=EPS)
        most = 1 if kind == "layer" else self.network.get("num_groups", 32)
        groups = max(groups for groups in range(1, min(most, x.shape[1]) + 1) if x.shape[1] % groups == 0)
        return F.group_norm(x, groups, weight, bias, EPS)

    def conv(self, node, name, x):
        step, dilation = node.get("stride", 1), node.get("dilation", 1)
        padding = node.get("padding", node["kernel"] // 2 * dilation)
        weight, bias = self.tensor(name + ".weight"), self.tensor(name + ".bias")
        x = F.conv2d(x, weight, bias, step, padding, dilation, node.get("groups", 1))
        behind = {"batch": "_bn", "group": "_gn", "layer": "_ln", "none": None}[node["norm"]]
        return self.norm(node["norm"], name + behind, x) if behind else x

    def paths(self, node, name, x):
        return [self.layers(node.get(path, []), name + ".", x) for path in ("body", "shortcut")]

    def layer(self, kind, node, name, x):
        if kind == "conv":
            return self.conv(node, name, x)
        if kind == "linear":
            return F.linear(x, self.tensor(name + ".weight"), self.tensor(name + ".bias"))
        if kind in ("batch_norm", "group_norm", "layer_norm"):
            return self.norm(kind.removesuffix("_norm"), name, x)
        if kind == "max_pool":
            return F.max_pool2d(x, node["kernel"], node["stride"], node["padding"])
        if kind == "avg_pool":
            return F.avg_pool2d(x, node["kernel"])
        if kind == "adaptive_avg_pool":
            return F.adaptive_avg_pool2d(x, node["size"])
        if kind == "interpolate":
            return F.interpolate(x, node["size"], mode="bilinear", align_corners=False)
        if kind == "leaky_relu":
            return F.leaky_relu(x, node["slope"])
        if kind == "residual":
            y, cut = self.paths(node, name, x)
            return y + cut
        if kind == "dual_path":
            (y, cut), n = self.paths(node, name, x), node["sum"]
            return F.relu(torch.cat([y[:, :n] + cut[:, :n], cut[:, n:], y[:, n:]], 1))
        if kind == "concat":
            return torch.cat([self.layers(branch, f"{name}.{i}.", x) for i, branch in enumerate(node["branches"])], 1)
        if kind == "gate":
            return x * self.layers(node["gate"], name + ".", x)
        if kind == "sequence":
            return self.layers(node["layers"], name + ".", x)
        if kind == "auxiliary":
            # A head that learns along puts out nothing afterwards.
            self.used.update(key for key in self.tensors if key.startswith(name + "."))
            return x
        simple = {
            "relu": F.relu, "relu6": F.relu6, "sigmoid": torch.sigmoid, "tanh": torch.tanh, "silu": F.silu, "dropout": lambda x: x,
            "global_avg_pool": lambda x: x.mean((2, 3), keepdim=True), "flatten": lambda x: x.flatten(1),
        }
        return simple[kind](x)


def compare(what, found, expected, labels):
    """Says how far apart they are; whether they are equal to the tolerance, and as often right."""
    size, worst = max(1, float(np.abs(expected).max())), float(np.abs(found - expected).max())
    best, others = found.argmax(1), np.sort(expected, 1)
    # Two outputs that differ by less than what is allowed may change places.
    clear = others[:, -1] - others[:, -2] > 2 * TOLERANCE * size if expected.shape[1] > 1 else True
    same = bool(((best == expected.argmax(1)) | ~np.asarray(clear)).all())
    right = [int((values.argmax(1) == labels).sum()) for values in (expected, found)]
    hits = abs(right[1] - right[0]) <= int((~np.asarray(clear)).sum())
    print(f"{what}: largest difference {worst:.1e} beside {size:.1e}, {right[1]} of {labels.size} right where here {right[0]} are", flush=True)
    return found.shape == expected.shape and worst <= TOLERANCE * size and same and hits


def check(folder):
    case = json.loads((folder / "case.json").read_text())
    read = lambda name, shape, kind=np.float32: np.fromfile(folder / name, kind).reshape(-1, *shape)
    images, expected = read("images", case["input"]), read("expected", case["output"])
    if not np.isfinite(expected).all():
        print(f"{case['name']} makes something else than numbers")
        return [case["name"]]
    labels = read("labels", case["output"][1:], np.uint32)
    onnx.checker.check_model(onnx.load(folder / "model.onnx"), full_check=True)
    # A map of classes comes without probabilities.
    logits, *shares = onnxruntime.InferenceSession(folder / "model.onnx").run(None, {"images": images})
    assert len(shares) == (len(case["output"]) == 1)
    assert all(np.abs(each.sum(1) - 1).max() < 1e-5 for each in shares), f"{case['name']}: probabilities that do not add up to 1"
    with torch.no_grad():
        plain = Plain(folder / "plain.safetensors")(torch.from_numpy(images)).numpy()
    name = case["name"]
    held = [compare(f"{name}, ONNX Runtime", logits, expected, labels), compare(f"{name}, PyTorch", plain, expected, labels)]
    return [] if all(held) else [name]


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    failed = [name for folder in sys.argv[1:] for name in check(pathlib.Path(folder))]
    sys.exit(f"not equal: {', '.join(failed)}" if failed else 0)
