"""The layers of the networks as shipped, with weights that are made up and need no file."""
import math
import zlib

import numpy as np
import torch
import torch.nn.functional as F

from deconv import Layout, NDState, nd_forward


def mixed(seed, count):
    """`count` 64-bit words: splitmix64 at the positions seed * 2^32 + i."""
    with np.errstate(over="ignore"):
        z = (np.uint64(seed) << np.uint64(32)) + np.arange(count, dtype=np.uint64)
        z = z * np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return z ^ (z >> np.uint64(31))


def made_weight(seed, shape, bound):
    """Uniform values within +-bound that need no file: 24 bits of `mixed`, scaled in float32."""
    unit = (mixed(seed, int(np.prod(shape))) >> np.uint64(40)).astype(np.float32) / np.float32(1 << 23) - np.float32(1)
    return (unit * np.float32(bound)).reshape(shape)


def apart(shape, distance):
    """Biases of +-`distance`, with one sign for a channel wherever it goes: what a ReLU meets is far from its kink,
    also in sums."""
    return (((mixed(7, int(np.prod(shape))) & np.uint64(1)).astype(np.float32) * 2 - 1) * np.float32(distance)).reshape(shape)


class Shipped:
    """The layers of shipped networks (networks.py) by their names, with `batch`, `deconv` or nothing (`none`) in
    their joints."""

    def __init__(self, norm, mode, dtype, apart=None, eps=1e-5, width=1):
        self.norm, self.mode, self.dtype, self.apart, self.eps, self.width = norm, mode, dtype, apart, eps, width
        self.params, self.made, self.buffers = {}, [], {}
        self.kinks = []     # distances to where a function's slope jumps

    def param(self, name, shape, fan_in=None):
        if name not in self.params:
            if fan_in:
                bound = float(np.float32(1 / math.sqrt(fan_in)))
                seed = zlib.crc32(name.encode())
                self.made.append(dict(name=name, seed=seed, bound=bound))
                value = torch.tensor(made_weight(seed, shape, bound))
            else:
                value = torch.ones(shape) if name.endswith("weight") else torch.zeros(shape)
            if self.apart and name.endswith("bias") and name != "fc.bias":
                value = torch.tensor(apart(shape, self.apart))
            self.params[name] = torch.nn.Parameter(value.to(self.dtype))
        return self.params[name]

    def wide(self, channels):
        return round(channels * self.width)

    def relu(self, x):
        self.kinks.append(torch.where(x == 0, 1, x).detach())    # 0 has come through a ReLU before: no gradient passes
        return F.relu(x)

    def max_pool(self, x, k, stride, padding):
        """Of values that are never negative: where all are 0, no gradient goes on to ReLU's input."""
        windows = F.unfold(x.detach(), k, padding=padding, stride=stride).reshape(len(x), x.shape[1], k * k, -1)
        first, second = windows.topk(2, 2).values.unbind(2)
        self.kinks.append(torch.where(first > 0, first - second, 1))
        return F.max_pool2d(x, k, stride, padding)

    def deconv(self, name, x, w, b, kind, block, iterations, stride=1, groups=1, dilation=1, sampling=3):
        k = w.shape[-1] if kind == "conv" else 1
        lay = Layout(self.mode, x.shape[1], k * k, groups, block, kind)
        state = NDState(lay, self.dtype)
        cfg = dict(eps=self.eps, n_iter=iterations, momentum=0.1, sampling=sampling, k=k, stride=stride,
                   padding=k // 2 * dilation, dilation=dilation, groups=groups)
        y, _ = nd_forward(x, w, b, lay, cfg, state, True, kind)
        self.buffers[name + ".running_mean"], self.buffers[name + ".running_deconv"] = state.mean, state.deconv
        return y

    def conv(self, name, x, out, k=3, stride=1, groups=1, iterations=5, block=64, bias=False, bn=True, dilation=1, sampling=3):
        if self.norm != "deconv":
            return self.plain(name, x, out, k, stride, groups, bias, bn, dilation)
        fan_in = x.shape[1] // groups * k * k
        w = self.param(name + ".weight", (out, x.shape[1] // groups, k, k), fan_in)
        b = self.param(name + ".bias", (out,), fan_in)
        return self.deconv(name, x, w, b, "conv", block, iterations, stride, groups, dilation, sampling)

    def plain(self, name, x, out, k=3, stride=1, groups=1, bias=False, bn=True, dilation=1):
        if self.norm == "none":
            bias, bn = True, False
        fan_in = x.shape[1] // groups * k * k
        w = self.param(name + ".weight", (out, x.shape[1] // groups, k, k), fan_in)
        b = self.param(name + ".bias", (out,), fan_in) if bias else None
        y = F.conv2d(x, w, b, stride, k // 2 * dilation, dilation, groups)
        return self.batch_norm(name + "_bn", y) if bn else y

    def bn(self, name, x):
        return self.batch_norm(name, x) if self.norm == "batch" else x

    def batch_norm(self, name, x):
        c = x.shape[1]
        mean, var = torch.zeros(c, dtype=self.dtype), torch.ones(c, dtype=self.dtype)
        y = F.batch_norm(x, mean, var, self.param(name + ".weight", (c,)), self.param(name + ".bias", (c,)), True, 0.1, 1e-5)
        self.buffers[name + ".running_mean"], self.buffers[name + ".running_var"] = mean, var
        return y

    def linear(self, name, x, out, block=512):
        w, b = self.param(name + ".weight", (out, x.shape[1]), x.shape[1]), self.param(name + ".bias", (out,), x.shape[1])
        return self.deconv(name, x, w, b, "linear", block, 5) if self.norm == "deconv" else F.linear(x, w, b)
