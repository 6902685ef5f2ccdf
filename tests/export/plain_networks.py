"""Holds `mexhat export --out FILE.safetensors` against PyTorch: python plain_networks.py NET FOLDER

FOLDER has plain.safetensors (the network NET of the golden vectors' networks.py, without deconvolution), images and
expected (its logits here), both as little-endian float32. PyTorch's logits have to be the same to 1e-4 of the largest.
Needs numpy, safetensors and torch.
"""

import pathlib
import sys

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import load_file

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent / "golden"))
import networks  # noqa: E402


class Plain:
    """The layers of networks.py as a file has them: a convolution, its bias and its batch norm where there are such."""

    def __init__(self, tensors):
        self.tensors, self.used = tensors, set()
        self.relu, self.norm = F.relu, "plain"

    def tensor(self, name):
        self.used.add(name)
        return self.tensors.get(name)

    def conv(self, name, x, _, k=3, stride=1, groups=1, bn=True, dilation=1, **__):
        weight = self.tensor(name + ".weight")
        y = F.conv2d(x, weight, self.tensor(name + ".bias"), stride, k // 2 * dilation, dilation, groups)
        return self.bn(name + "_bn", y) if bn else y

    plain = conv

    def bn(self, name, x):
        kept = [self.tensor(f"{name}.{key}") for key in ("running_mean", "running_var", "weight", "bias")]
        return x if kept[0] is None else F.batch_norm(x, *kept)

    def max_pool(self, x, k, stride, padding):
        return F.max_pool2d(x, k, stride, padding)

    def linear(self, name, x, _, **__):
        return F.linear(x, self.tensor(name + ".weight"), self.tensor(name + ".bias"))


def main():
    name, folder = sys.argv[1], pathlib.Path(sys.argv[2])
    net = Plain(load_file(folder / "plain.safetensors"))
    read = lambda file, *shape: torch.from_numpy(np.fromfile(folder / file, np.float32).reshape(shape))
    expected = read("expected", 16, -1)
    networks.CLASSES = expected.shape[1]
    side = round((read("images", -1).numel() / 48) ** 0.5)
    with torch.no_grad():
        found = networks.NETWORKS[name](net, read("images", 16, 3, side, side))
    unused = [key for key in net.tensors if key not in net.used and not key.endswith("num_batches_tracked")]
    assert not unused, f"{name}: {unused} are in the file, and no layer took them"
    worst, size = (found - expected).abs().max().item(), expected.abs().max().item()
    print(f"{name}: largest difference {worst:.1e} beside {size:.1e}", flush=True)
    assert worst <= 1e-4 * max(1, size)


main()
