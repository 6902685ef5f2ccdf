#!/usr/bin/env python3
"""Golden vectors for a network-deconvolution training engine.

Independent PyTorch implementation of the operator described in src/method.md, in two modes:

  paper      one mean / covariance / whitening matrix per contiguous channel block
  reference  the statistics the published code computes (interleaved blocks, one
             pooled matrix for ungrouped layers)

Everything is computed in float64 from inputs that are exactly representable in
float32, then stored as float32.  Every case is also run in float32 with torch;
the resulting error is stored next to the tolerance so a user can judge what is
achievable in single precision.

usage: generate.py --out DIR [--seed S] [--profile dev|held] [--only PART]
needs: torch numpy safetensors

This folder holds a part of the cases of `--seed 1 --profile dev`, chosen for their size. With --only (basic, losses, linalg, nd,
means, norms, optim, traces, models, more or maps) the cases of that part replace those of the same files in DIR, and its others stay:

    tests/golden/generate.py --out tests/golden --only models

`MEXHAT_GOLDEN=DIR cargo test --release --test golden` runs any folder that this writes.
"""
import argparse
import json
import math
import os
import zlib

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.numpy import save_file

from networks import NETWORKS

torch.set_num_threads(1)
F64, F32 = torch.float64, torch.float32


# --------------------------------------------------------------------------
# network deconvolution, own implementation
# --------------------------------------------------------------------------
def block_size(channels, block):
    """Channels per block: the request if it divides, else the gcd."""
    if block > channels:
        return channels
    return block if channels % block == 0 else math.gcd(block, channels)


class Layout:
    """How the flat features (c,kh,kw) of a layer are cut into blocks.

    index[j, i]  flat feature that is entry i of block j     (nb x d)
    pooled       True: the nb blocks share one mean and one D, rows concatenated
    S            number of independent statistics (1 if pooled, else nb)
    """

    def __init__(self, mode, channels, k2, groups, block, kind="conv"):
        assert mode in ("paper", "reference")
        nfeat = channels * k2
        flat = torch.arange(nfeat)
        if kind == "linear":
            self.B = block_size(channels, block)
            nb = channels // self.B
            self.index = flat.reshape(nb, self.B)
            self.pooled = mode == "reference"
        elif groups > 1:
            per_group = channels // groups
            self.B = per_group if mode == "reference" else block_size(per_group, block)
            nb = channels // self.B
            self.index = flat.reshape(nb, self.B * k2)
            self.pooled = False
        else:
            self.B = block_size(channels, block)
            nb = channels // self.B
            if mode == "reference":      # entry i of block j is feature i*nb + j
                self.index = flat.reshape(self.B * k2, nb).t().contiguous()
                self.pooled = True
            else:
                self.index = flat.reshape(nb, self.B * k2)
                self.pooled = False
        self.nb, self.d = self.index.shape
        self.S = 1 if self.pooled else self.nb
        self.groups = groups
        self.inverse = torch.argsort(self.index.reshape(-1))

    def gather_rows(self, rows):
        """(M, nfeat) -> (S, R, d), R = M or M*nb."""
        blocks = rows[:, self.index].permute(1, 0, 2)
        return blocks.reshape(1, -1, self.d) if self.pooled else blocks

    def scatter_rows(self, blocks):
        """adjoint (= inverse) of gather_rows."""
        b = blocks.reshape(self.nb, -1, self.d).permute(1, 0, 2)
        return b.reshape(b.shape[0], -1)[:, self.inverse]

    def expand(self, stat):
        """(S, ...) -> (groups, nb/groups, ...)."""
        full = stat.expand(self.nb, *stat.shape[1:]) if self.pooled else stat
        return full.reshape(self.groups, self.nb // self.groups, *stat.shape[1:])

    def reduce(self, full):
        """adjoint of expand."""
        full = full.reshape(self.nb, *full.shape[2:])
        return full.sum(0, keepdim=True) if self.pooled else full

    def split_weight(self, w):
        """weight (Cout, ...) -> (groups, Cout/groups, nb/groups, d)."""
        g, nbg = self.groups, self.nb // self.groups
        w = w.reshape(g, w.shape[0] // g, -1)
        if g == 1:
            w = w[:, :, self.index.reshape(-1)]
        return w.reshape(g, w.shape[1], nbg, self.d)

    def merge_weight(self, w, shape):
        w = w.reshape(self.groups, w.shape[1], -1)
        if self.groups == 1:
            w = w[:, :, self.inverse]
        return w.reshape(shape)


def im2col_blocks(x, k, padding, dilation, sampling):
    """Patch matrix used for the statistics, one row per sampled position."""
    if k > 1:
        cols = F.unfold(x, k, dilation=dilation, padding=padding, stride=sampling)
        return cols.permute(0, 2, 1).reshape(-1, cols.shape[1])
    n, c = x.shape[:2]
    return x.movedim(1, -1).reshape(-1, c)[:: sampling ** 2]


def frob(a):
    return (a * a).sum((-2, -1), keepdim=True).sqrt()


def ns_coupled(cov, n_iter, every=None):
    """Inverse square root by the coupled Newton-Schulz iteration."""
    s = frob(cov)
    eye = torch.eye(cov.shape[-1], dtype=cov.dtype).expand_as(cov)
    y, z = cov / s, eye
    for _ in range(n_iter):
        t = 1.5 * eye - 0.5 * (z @ y)
        y, z = y @ t, t @ z
        if every is not None:
            every(z / s.sqrt())
    return z / s.sqrt()


def ns_uncoupled(cov, n_iter, every=None):
    """Textbook iteration that is known to lose its accuracy; kept for Fig. 7."""
    s = frob(cov)
    a = cov / s
    p = torch.eye(cov.shape[-1], dtype=cov.dtype).expand_as(cov)
    for _ in range(n_iter):
        p = 1.5 * p - 0.5 * (p @ p @ p @ a)
        if every is not None:
            every(p / s.sqrt())
    return p / s.sqrt()


def ns_coupled_backward(cov, n_iter, g):
    """Closed-form reverse sweep of ns_coupled (no autograd)."""
    s = frob(cov)
    eye = torch.eye(cov.shape[-1], dtype=cov.dtype).expand_as(cov)
    y, z, tape = cov / s, eye, []
    for _ in range(n_iter):
        t = 1.5 * eye - 0.5 * (z @ y)
        tape.append((y, z, t))
        y, z = y @ t, t @ z
    gs = -0.5 * s ** -1.5 * (g * z).sum((-2, -1), keepdim=True)
    gz, gy = g / s.sqrt(), torch.zeros_like(g)
    for y, z, t in reversed(tape):
        gt = y.mT @ gy + gz @ z.mT
        gy = gy @ t.mT - 0.5 * (z.mT @ gt)
        gz = t.mT @ gz - 0.5 * (gt @ y.mT)
    gs = gs - (gy * cov).sum((-2, -1), keepdim=True) / s ** 2
    return gy / s + gs * cov / s


def statistics(rows, layout, eps, n_iter):
    xb = layout.gather_rows(rows)
    mean = xb.mean(1)
    xc = xb - mean[:, None]
    cov = xc.mT @ xc / xc.shape[1] + eps * torch.eye(layout.d, dtype=rows.dtype)
    return mean, cov, ns_coupled(cov, n_iter), xc


def fold_into_weight(w, b, mean, dmat, layout):
    """implicit deconvolution: (W, b) -> (W', b')."""
    ws = layout.split_weight(w)
    we = torch.einsum("gojd,gjde->goje", ws, layout.expand(dmat))
    shift = torch.einsum("goje,gje->go", we, layout.expand(mean)).reshape(-1)
    be = -shift if b is None else b - shift
    return layout.merge_weight(we, w.shape), be


def nd_backward_manual(x, w, b, gy, mean, cov, dmat, xc, layout, cfg):
    """Whole layer backward from the closed forms; returns gx, gw, gb, gD, gmean."""
    k, st, pd, dl, g = cfg["k"], cfg["stride"], cfg["padding"], cfg["dilation"], cfg["groups"]
    weff, _ = fold_into_weight(w, b, mean, dmat, layout)
    gx = torch.nn.grad.conv2d_input(x.shape, weff, gy, st, pd, dl, g)
    gweff = torch.nn.grad.conv2d_weight(x, w.shape, gy, st, pd, dl, g)
    gb = gy.sum((0, 2, 3))
    we, gwe = layout.split_weight(weff), layout.split_weight(gweff)
    gbg = gb.reshape(layout.groups, -1)
    gwe = gwe - torch.einsum("go,gje->goje", gbg, layout.expand(mean))
    gmean = layout.reduce(-torch.einsum("goje,go->gje", we, gbg))
    gws = torch.einsum("goje,gjde->gojd", gwe, layout.expand(dmat))
    gd = layout.reduce(torch.einsum("gojd,goje->gjde", layout.split_weight(w), gwe))
    gcov = ns_coupled_backward(cov, cfg["n_iter"], gd)
    r = xc.shape[1]
    gxb = xc @ (gcov + gcov.mT) / r + gmean[:, None] / r
    grows = layout.scatter_rows(gxb)
    n, c, h, wd = x.shape
    if k > 1:
        cols = grows.reshape(n, -1, grows.shape[1]).permute(0, 2, 1)
        gx = gx + F.fold(cols, (h, wd), k, dilation=dl, padding=pd, stride=cfg["sampling"] * st)
    else:
        full = torch.zeros(n * h * wd, c, dtype=x.dtype)
        full[:: (cfg["sampling"] * st) ** 2] = grows
        gx = gx + full.reshape(n, h, wd, c).movedim(-1, 1)
    return gx, layout.merge_weight(gws, w.shape), gb, gd, gmean


class NDState:
    """Running statistics and the freeze counter of one layer."""

    def __init__(self, layout, dtype=F64):
        self.mean = torch.zeros(layout.S, layout.d, dtype=dtype)
        self.deconv = torch.eye(layout.d, dtype=dtype).repeat(layout.S, 1, 1)
        self.counter = 0

    def update(self, mean, dmat, momentum):
        self.mean = self.mean * (1 - momentum) + mean.detach() * momentum
        self.deconv = self.deconv * (1 - momentum) + dmat.detach() * momentum


def nd_forward(x, w, b, layout, cfg, state, training, kind="conv"):
    """One ND layer.  Returns y and the intermediates of this call."""
    frozen = False
    if training and cfg.get("freeze"):
        frozen = state.counter > cfg["freeze_iter"]
        state.counter = (state.counter + 1) % (10 * cfg["freeze_iter"])
    if training and not frozen:
        if kind == "conv":
            rows = im2col_blocks(x, cfg["k"], cfg["padding"], cfg["dilation"],
                               cfg["sampling"] * cfg["stride"])
        else:
            rows = x
        mean, cov, dmat, xc = statistics(rows, layout, cfg["eps"], cfg["n_iter"])
        state.update(mean, dmat, cfg["momentum"])
    else:
        mean, dmat, cov, xc = state.mean, state.deconv, None, None
    we, be = fold_into_weight(w, b, mean, dmat, layout)
    if kind == "conv":
        y = F.conv2d(x, we, be, cfg["stride"], cfg["padding"], cfg["dilation"], cfg["groups"])
    else:
        y = F.linear(x, we, be)
    return y, dict(mean=mean, cov=cov, dmat=dmat, xc=xc, weff=we, beff=be)


def channel_deconv(x, block, eps, n_iter, sampling, momentum, state, training):
    """Whitening as a stand-alone layer, with the published code's conventions:
    interleaved blocks, second moment NOT centred, leftover channels scaled by one
    scalar mean and one scalar unbiased variance."""
    shape = x.shape
    if x.dim() == 2:
        x = x[:, :, None, None]
    n, ch, h, w = x.shape
    c = ch // block * block
    sub = sampling > 1 and h >= sampling and w >= sampling
    step = sampling ** 2 if sub else 1
    m = x[:, :c].permute(1, 0, 2, 3).reshape(block, -1)
    ms = m[:, ::step]
    out = {}
    if training:
        mean = ms.mean(1, keepdim=True)
        cov = ms @ ms.t() / ms.shape[1] + eps * torch.eye(block, dtype=x.dtype)
        dmat = ns_coupled(cov, n_iter)
        if state["steps"] == 0:
            state["mean1"], state["deconv"] = mean.detach(), dmat.detach()
        state["mean1"] = state["mean1"] * (1 - momentum) + mean.detach() * momentum
        state["deconv"] = state["deconv"] * (1 - momentum) + dmat.detach() * momentum
    else:
        mean, dmat = state["mean1"], state["deconv"]
    y = (dmat @ (m - mean)).reshape(c, n, h, w).permute(1, 0, 2, 3)
    if c != ch:
        rest = x[:, c:].reshape(n, -1)
        rs = rest[:, ::step]
        if training:
            mu, var = rs.mean(), rs.var()
            if state["steps"] == 0:
                state["mean2"], state["var"] = mu.detach(), var.detach()
            state["mean2"] = state["mean2"] * (1 - momentum) + mu.detach() * momentum
            state["var"] = state["var"] * (1 - momentum) + var.detach() * momentum
        else:
            mu, var = state["mean2"], state["var"]
        y = torch.cat([y, (x[:, c:] - mu) / (var + eps).sqrt()], 1)
    if training:
        state["steps"] += 1
    out["deconv"] = dmat
    return y.reshape(shape), out


# --------------------------------------------------------------------------
# recording
# --------------------------------------------------------------------------
class Recorder:
    def __init__(self, out, seed, profile):
        self.out, self.files, self.cases = out, {}, []
        self.seed, self.profile = seed, profile
        os.makedirs(out, exist_ok=True)

    def rng(self, name):
        return np.random.default_rng([self.seed, zlib.crc32(name.encode())])

    def put(self, file, key, value):
        if torch.is_tensor(value):
            value = value.detach().cpu().numpy()
        value = np.asarray(value)
        if value.ndim == 0:
            value = value.reshape(1)
        value = value.astype(np.int32 if value.dtype.kind in "iu" else np.float32)
        self.files.setdefault(file, {})[key] = np.ascontiguousarray(value)
        return key

    def case(self, file, name, op, params, inputs, fn, tol=1e-5, slack=8.0, floor=None, note=""):
        """inputs: name -> float32/int array.  fn(dict of tensors, dtype) -> dict of outputs."""
        def run(dtype):
            t = {}
            for key, v in inputs.items():
                v = torch.as_tensor(np.asarray(v))
                t[key] = v.to(torch.int64) if not v.is_floating_point() else v.to(F32).to(dtype).clone()
            return fn(t, dtype)
        hi, lo = run(F64), run(F32)
        entry = dict(name=name, op=op, file=file + ".safetensors", params=params, inputs={}, outputs={})
        if note:
            entry["note"] = note
        for key, v in inputs.items():
            entry["inputs"][key] = self.put(file, f"{name}.in.{key}", v)
        for key, v in hi.items():
            ref = v.detach().to(F64)
            err = (lo[key].detach().to(F64) - ref).abs().max().item()
            scale = max(ref.abs().max().item(), (floor or {}).get(key, 1e-6))
            rel = err / scale if math.isfinite(err) else float("inf")
            o = dict(key=self.put(file, f"{name}.out.{key}", v), shape=list(ref.shape) or [1], scale=float(f"{scale:.6g}"),
                     f32_err=float(f"{rel:.3g}") if math.isfinite(rel) else None,
                     tol=float(f"{max(tol, slack * rel):.3g}") if math.isfinite(rel) else None)
            entry["outputs"][key] = o
        self.cases.append(entry)
        return hi

    def raw(self, entry):
        self.cases.append(entry)

    def finish(self, keep=False):
        total = 0
        if keep and os.path.exists(os.path.join(self.out, "manifest.json")):
            with open(os.path.join(self.out, "manifest.json")) as f:
                old = json.load(f)["cases"]
            self.cases = [c for c in old if c["file"].removesuffix(".safetensors") not in self.files] + self.cases
        for file, tensors in self.files.items():
            path = os.path.join(self.out, file + ".safetensors")
            save_file(tensors, path)
            os.chmod(path, 0o644)
            total += os.path.getsize(path)
        manifest = dict(
            format=1, seed=self.seed, profile=self.profile, torch=torch.__version__,
            metric="pass if max|a-b| <= tol * scale; b = stored value, scale = its largest magnitude (or a floor where the "
                   "exact result is 0); outputs marked informational are not to be matched; allowed = what each row may be off by",
            layout="NCHW row-major; weights (Cout, Cin/groups, kh, kw); linear weight (out, in); "
                   "0-d results stored with shape [1]; float32, integers int32",
            f32_err="error of torch float32 on the same case (null: not finite)",
            cases=self.cases)
        cases = manifest.pop("cases")
        with open(os.path.join(self.out, "manifest.json"), "w") as f:        # a line for each case
            f.write(json.dumps(manifest, indent=1).removesuffix("\n}") + ',\n "cases": [\n')
            f.write(",\n".join("  " + json.dumps(c, separators=(",", ":")) for c in cases) + "\n ]\n}\n")
        print(f"{len(self.cases)} cases, {total / 1e6:.2f} MB -> {self.out}")


def normal(rng, *shape, scale=1.0):
    return (rng.standard_normal(shape) * scale).astype(np.float32)


def structured(rng, n, c, h, w, relu=False, beta=1.2, mix=0.7, offset=0.3):
    """Smooth random fields with cross-talk between channels (natural-image like)."""
    fy, fx = np.fft.fftfreq(h)[:, None], np.fft.fftfreq(w)[None, :]
    amp = 1.0 / np.maximum(np.sqrt(fy ** 2 + fx ** 2), 0.5 / max(h, w)) ** beta
    base = np.fft.ifft2(np.fft.fft2(rng.standard_normal((n, c, h, w))) * amp).real
    base /= base.std() + 1e-12
    m = (1 - mix) * np.eye(c) + mix * rng.standard_normal((c, c)) / math.sqrt(c)
    img = np.einsum("ij,njhw->nihw", m, base) + offset * rng.standard_normal((1, c, 1, 1))
    img += 0.05 * rng.standard_normal(img.shape)
    return (np.maximum(img, 0) if relu else img).astype(np.float32)


def grad(y, gy, *wrt):
    return torch.autograd.grad(y, wrt, gy)


def leaf(t, *names):
    return [t[n].requires_grad_(True) for n in names]


# --------------------------------------------------------------------------
# basic operators
# --------------------------------------------------------------------------
def pick(profile, dev, held):
    return held if profile == "held" else dev


def gen_basic(R):
    P = R.profile

    # unfold / fold -------------------------------------------------------
    for i, (n, c, h, w, k, s, p, d) in enumerate(pick(P, [
            (2, 3, 8, 8, (3, 3), 1, 1, 1), (2, 4, 9, 7, (3, 3), 3, 1, 1), (1, 2, 11, 10, (5, 5), 3, 2, 1),
            (2, 3, 12, 12, (3, 3), 6, 2, 2), (1, 5, 6, 6, (2, 2), 2, 0, 1), (2, 2, 9, 9, (7, 7), 6, 3, 1),
            (1, 3, 7, 8, (3, 1), 2, 1, 1)],
            [(1, 5, 7, 9, (3, 3), 1, 1, 1), (3, 7, 10, 13, (3, 3), 3, 1, 1), (1, 3, 13, 9, (5, 5), 6, 2, 1),
             (1, 1, 15, 11, (3, 3), 3, 3, 3), (2, 9, 5, 5, (2, 2), 1, 0, 1), (1, 11, 7, 7, (7, 7), 3, 3, 1),
             (2, 3, 9, 6, (1, 4), 3, 2, 1)])):
        name = f"unfold_{i}"
        r = R.rng(name)
        cfg = dict(kernel=list(k), stride=s, padding=p, dilation=d)
        cols = F.unfold(torch.zeros(n, c, h, w), k, d, p, s).shape

        def fn(t, dt, k=k, s=s, p=p, d=d, hw=(h, w)):
            return dict(y=F.unfold(t["x"], k, d, p, s), folded=F.fold(t["cols"], hw, k, d, p, s))
        R.case("basic", name, "unfold_fold", cfg,
               dict(x=normal(r, n, c, h, w), cols=normal(r, *cols)), fn, tol=1e-6,
               note="y = im2col(x), rows ordered (c,kh,kw); folded = col2im_blocks(cols) = adjoint of unfold")

    # conv2d ---------------------------------------------------------------
    convs = pick(P, [
        (2, 3, 8, 8, 4, (3, 3), 1, 1, 1, 1, True), (2, 4, 9, 9, 6, (3, 3), 2, 1, 1, 1, True),
        (2, 8, 7, 7, 16, (1, 1), 1, 0, 1, 1, True), (2, 8, 8, 8, 8, (1, 1), 2, 0, 1, 1, False),
        (1, 4, 12, 12, 5, (3, 3), 1, 2, 2, 1, True), (2, 16, 6, 6, 16, (3, 3), 1, 1, 1, 4, True),
        (2, 12, 8, 8, 12, (3, 3), 2, 1, 1, 12, True), (1, 6, 8, 8, 12, (7, 7), 2, 3, 1, 6, True),
        (2, 3, 11, 11, 8, (5, 5), 1, 2, 1, 1, True), (1, 3, 20, 20, 8, (7, 7), 2, 3, 1, 1, True),
        (1, 4, 9, 9, 4, (3, 3), 1, 6, 6, 1, True), (2, 16, 1, 1, 4, (1, 1), 1, 0, 1, 1, True),
        (2, 5, 6, 9, 3, (3, 2), 1, 0, 1, 1, True), (4, 64, 4, 4, 64, (3, 3), 1, 1, 1, 1, False)],
        [(1, 3, 9, 7, 5, (3, 3), 1, 1, 1, 1, True), (3, 5, 8, 11, 7, (3, 3), 2, 1, 1, 1, True),
         (1, 13, 5, 9, 10, (1, 1), 1, 0, 1, 1, True), (2, 9, 7, 5, 11, (1, 1), 2, 0, 1, 1, False),
         (2, 5, 13, 11, 3, (3, 3), 1, 3, 3, 1, True), (1, 15, 7, 5, 25, (3, 3), 1, 1, 1, 5, True),
         (1, 11, 9, 7, 11, (3, 3), 2, 1, 1, 11, True), (2, 5, 9, 9, 10, (5, 5), 1, 2, 1, 5, True),
         (1, 7, 10, 10, 9, (5, 5), 3, 2, 1, 1, True), (1, 3, 19, 23, 7, (7, 7), 2, 3, 1, 1, True),
         (1, 3, 7, 7, 5, (3, 3), 1, 5, 5, 1, True), (5, 22, 1, 1, 3, (1, 1), 1, 0, 1, 1, True),
         (1, 3, 8, 5, 9, (2, 4), 1, 0, 1, 1, True), (3, 33, 5, 3, 37, (3, 3), 1, 1, 1, 1, False)])
    for i, (n, c, h, w, o, k, s, p, d, g, bias) in enumerate(convs):
        name = f"conv2d_{i}"
        r = R.rng(name)
        cfg = dict(kernel=list(k), stride=s, padding=p, dilation=d, groups=g, bias=bias)
        inp = dict(x=normal(r, n, c, h, w), w=normal(r, o, c // g, *k, scale=1 / math.sqrt(c // g * k[0] * k[1])))
        if bias:
            inp["b"] = normal(r, o)
        ys = F.conv2d(torch.zeros(n, c, h, w), torch.zeros(o, c // g, *k), None, s, p, d, g).shape
        inp["gy"] = normal(r, *ys)

        def fn(t, dt, s=s, p=p, d=d, g=g):
            names = [q for q in ("x", "w", "b") if q in t]
            lv = leaf(t, *names)
            y = F.conv2d(t["x"], t["w"], t.get("b"), s, p, d, g)
            return dict(y=y, **{"g" + q: v for q, v in zip(names, grad(y, t["gy"], *lv))})
        R.case("basic", name, "conv2d", cfg, inp, fn)

    # linear -------------------------------------------------------------------
    for i, (n, a, o, bias) in enumerate(pick(P, [(4, 8, 5, True), (16, 64, 10, True), (3, 20, 20, False)],
                                             [(1, 7, 3, True), (5, 51, 11, True), (2, 33, 17, False)])):
        name = f"linear_{i}"
        r = R.rng(name)
        inp = dict(x=normal(r, n, a), w=normal(r, o, a, scale=a ** -0.5), gy=normal(r, n, o))
        if bias:
            inp["b"] = normal(r, o)

        def fn(t, dt):
            names = [q for q in ("x", "w", "b") if q in t]
            lv = leaf(t, *names)
            y = F.linear(t["x"], t["w"], t.get("b"))
            return dict(y=y, **{"g" + q: v for q, v in zip(names, grad(y, t["gy"], *lv))})
        R.case("basic", name, "linear", dict(bias=bias), inp, fn)

    # activations ---------------------------------------------------------
    acts = dict(relu=F.relu, relu6=F.relu6, sigmoid=torch.sigmoid, tanh=torch.tanh, swish=F.silu,
                leaky_relu=lambda v: F.leaky_relu(v, 0.1))
    shp = pick(P, (2, 3, 5, 4), (1, 7, 3, 5))
    for an, af in acts.items():
        r = R.rng(an)
        x = normal(r, *shp, scale=3.0)
        if an in ("relu", "leaky_relu"):
            x[0, 0, 0, :2] = 0.0

        def fn(t, dt, af=af):
            lv = leaf(t, "x")
            y = af(t["x"])
            return dict(y=y, gx=grad(y, t["gy"], *lv)[0])
        R.case("basic", an, an, dict(slope=0.1) if an == "leaky_relu" else {},
               dict(x=x, gy=normal(r, *shp)), fn, note="gradient at exactly 0 is 0 (relu) / slope (leaky_relu)"
               if an in ("relu", "leaky_relu") else "")

    # pooling ---------------------------------------------------------------
    pools = pick(P, [("max", 2, 2, 0, (2, 3, 8, 8)), ("max", 3, 2, 1, (2, 3, 9, 8)), ("max", 3, 1, 1, (1, 4, 7, 7)),
                     ("max", 2, 2, 0, (1, 2, 7, 5)), ("avg", 2, 2, 0, (2, 3, 8, 8)), ("avg", 4, 4, 0, (2, 6, 4, 4)),
                     ("avg", 8, 8, 0, (2, 5, 8, 8)), ("avg", 3, 2, 1, (1, 2, 8, 8)), ("avg", 1, 1, 0, (1, 2, 3, 3)),
                     ("max", 3, 2, 1, (1, 3, 6, 6))],
                 [("max", 2, 2, 0, (1, 5, 9, 7)), ("max", 3, 2, 1, (1, 7, 11, 6)), ("max", 3, 1, 1, (2, 3, 5, 9)),
                  ("max", 3, 3, 0, (1, 1, 10, 8)), ("avg", 2, 2, 0, (1, 5, 7, 9)), ("avg", 4, 4, 0, (3, 7, 4, 4)),
                  ("avg", 8, 8, 0, (1, 3, 8, 8)), ("avg", 3, 2, 1, (2, 3, 7, 5)), ("avg", 1, 1, 0, (1, 3, 2, 2)),
                  ("max", 3, 2, 1, (1, 5, 7, 7))])
    for i, (kind, k, s, p, shape) in enumerate(pools):
        name = f"{kind}pool_{i}"
        r = R.rng(name)
        x = normal(r, *shape)
        ties = kind == "max" and i == len(pools) - 1
        if ties:
            x = np.maximum(x - 0.5, 0).astype(np.float32)
        pf = (lambda v, k=k, s=s, p=p: F.max_pool2d(v, k, s, p)) if kind == "max" else \
             (lambda v, k=k, s=s, p=p: F.avg_pool2d(v, k, s, p))
        ys = pf(torch.zeros(shape)).shape

        def fn(t, dt, pf=pf):
            lv = leaf(t, "x")
            y = pf(t["x"])
            return dict(y=y, gx=grad(y, t["gy"], *lv)[0])
        R.case("basic", name, kind + "pool2d", dict(kernel=k, stride=s, padding=p, count_include_pad=True, ceil=False),
               dict(x=x, gy=normal(r, *ys)), fn, tol=1e-6,
               note="input has ties; the gradient goes to the first maximum in row-major window order" if ties else "")
    for i, (shape, out) in enumerate(pick(P, [((2, 5, 6, 7), 1), ((1, 3, 14, 14), 7), ((1, 2, 10, 9), 7), ((1, 2, 1, 1), 7)],
                                          [((1, 9, 5, 3), 1), ((2, 3, 21, 15), 7), ((1, 5, 8, 11), 7), ((1, 3, 3, 2), 7)])):
        name = f"adaptive_avgpool_{i}"
        r = R.rng(name)

        def fn(t, dt, out=out):
            lv = leaf(t, "x")
            y = F.adaptive_avg_pool2d(t["x"], out)
            return dict(y=y, gx=grad(y, t["gy"], *lv)[0])
        R.case("basic", name, "global_avgpool" if out == 1 else "adaptive_avgpool2d", dict(output=out),
               dict(x=normal(r, *shape), gy=normal(r, shape[0], shape[1], out, out)), fn, tol=1e-6,
               note="window i covers floor(i*n/out) .. ceil((i+1)*n/out)")

    # batch norm ----------------------------------------------------------
    for i, shape in enumerate(pick(P, [(4, 3, 5, 5), (8, 6, 1, 1), (16, 7), (2, 16, 4, 4)],
                                   [(1, 5, 7, 3), (5, 11, 2, 1), (9, 13), (3, 9, 3, 5)])):
        name = f"batchnorm_{i}"
        r = R.rng(name)
        c = shape[1]
        inp = dict(x=(normal(r, *shape) * 2 + 1).astype(np.float32), w=(1 + 0.3 * normal(r, c)).astype(np.float32),
                   b=normal(r, c), gy=normal(r, *shape), running_mean=normal(r, c, scale=0.3),
                   running_var=(1 + 0.2 * np.abs(normal(r, c))).astype(np.float32))

        def fn(t, dt):
            lv = leaf(t, "x", "w", "b")
            rm, rv = t["running_mean"].clone(), t["running_var"].clone()
            y = F.batch_norm(t["x"], rm, rv, t["w"], t["b"], True, 0.1, 1e-5)
            gx, gw, gb = grad(y, t["gy"], *lv)
            ye = F.batch_norm(t["x"], rm, rv, t["w"], t["b"], False, 0.1, 1e-5)
            return dict(y=y, gx=gx, gw=gw, gb=gb, running_mean=rm, running_var=rv, y_eval=ye,
                        gx_eval=grad(ye, t["gy"], lv[0])[0])
        R.case("basic", name, "batchnorm", dict(eps=1e-5, momentum=0.1), inp, fn, tol=2e-5,
               note="running_var is updated with the unbiased variance; y_eval uses the updated buffers")

    # losses ----------------------------------------------------------------
    ce = pick(P, [((8, 10), None), ((6, 100), 255), ((2, 5, 6, 4), 255), ((3, 21, 4, 4), 255)],
              [((1, 7), None), ((5, 13), 255), ((1, 9, 5, 3), 255), ((2, 19, 3, 7), 255)])
    for i, (shape, ignore) in enumerate(ce):
        name = f"cross_entropy_{i}"
        r = R.rng(name)
        tgt = r.integers(0, shape[1], (shape[0],) + shape[2:]).astype(np.int32)
        if ignore is not None:
            tgt.reshape(-1)[:: 3] = ignore

        def fn(t, dt, ignore=ignore):
            lv = leaf(t, "x")
            y = F.cross_entropy(t["x"], t["target"], ignore_index=-100 if ignore is None else ignore)
            return dict(loss=y, gx=grad(y, None, *lv)[0])
        R.case("basic", name, "cross_entropy", dict(ignore_index=ignore, reduction="mean over counted targets"),
               dict(x=normal(r, *shape, scale=2.5), target=tgt), fn)
    shape = pick(P, (6, 10), (3, 7))
    r = R.rng("l2")
    tgt = r.integers(0, shape[1], shape[0])
    onehot = np.eye(shape[1], dtype=np.float32)[tgt]

    def fn(t, dt):
        lv = leaf(t, "x")
        y = F.mse_loss(t["x"], t["target"])
        return dict(loss=y, gx=grad(y, None, *lv)[0])
    R.case("basic", "mse", "mse", dict(reduction="mean"), dict(x=normal(r, *shape), target=normal(r, *shape)), fn)

    def fn(t, dt, c=shape[1]):
        lv = leaf(t, "x")
        y = F.mse_loss(t["x"], t["target"]) * (0.5 * c)
        return dict(loss=y, gx=grad(y, None, *lv)[0])
    R.case("basic", "l2_onehot", "l2_onehot", dict(scale="mse * classes / 2"), dict(x=normal(r, *shape), target=onehot), fn,
           note="loss of the linear-regression experiment: mean over the batch of 0.5*|y - onehot|^2")

    def fn(t, dt):
        lv = leaf(t, "x")
        y = F.binary_cross_entropy_with_logits(t["x"], t["target"])
        return dict(loss=y, gx=grad(y, None, *lv)[0])
    R.case("basic", "bce_logits", "bce_with_logits", dict(reduction="mean"), dict(x=normal(r, *shape, scale=2), target=onehot), fn)

    for nm, f in (("softmax", lambda v: F.softmax(v, 1)), ("log_softmax", lambda v: F.log_softmax(v, 1))):
        r = R.rng(nm)
        sh = pick(P, (5, 12), (3, 17))

        def fn(t, dt, f=f):
            lv = leaf(t, "x")
            y = f(t["x"])
            return dict(y=y, gx=grad(y, t["gy"], *lv)[0])
        R.case("basic", nm, nm, dict(axis=1), dict(x=normal(r, *sh, scale=4), gy=normal(r, *sh)), fn)

    # bilinear ---------------------------------------------------------------
    for i, (shape, out) in enumerate(pick(P, [((2, 3, 4, 5), (8, 10)), ((1, 2, 7, 5), (13, 11)), ((2, 4, 1, 1), (6, 5)),
                                              ((1, 2, 9, 9), (5, 6))],
                                          [((1, 5, 3, 7), (11, 15)), ((2, 3, 5, 4), (9, 13)), ((1, 7, 1, 1), (3, 9)),
                                           ((1, 3, 11, 8), (7, 3))])):
        name = f"bilinear_{i}"
        r = R.rng(name)

        def fn(t, dt, out=out):
            lv = leaf(t, "x")
            y = F.interpolate(t["x"], size=out, mode="bilinear", align_corners=False)
            return dict(y=y, gx=grad(y, t["gy"], *lv)[0])
        R.case("basic", name, "bilinear", dict(size=list(out), align_corners=False, antialias=False),
               dict(x=normal(r, *shape), gy=normal(r, *shape[:2], *out)), fn,
               note="src = max((dst+0.5)*in/out - 0.5, 0)")

    # graph glue --------------------------------------------------------------
    n, c1, c2, h, w = pick(P, (2, 3, 5, 4, 4), (1, 7, 2, 3, 5))
    r = R.rng("glue")

    def fn(t, dt):
        lv = leaf(t, "a", "b")
        y = torch.cat([t["a"], t["b"]], 1)
        ga, gb = grad(y, t["gy"], *lv)
        return dict(y=y, ga=ga, gb=gb)
    R.case("basic", "concat", "concat_channels", {}, dict(a=normal(r, n, c1, h, w), b=normal(r, n, c2, h, w),
                                                          gy=normal(r, n, c1 + c2, h, w)), fn, tol=1e-6)

    def fn(t, dt):
        lv = leaf(t, "a", "s")
        y = t["a"] * t["s"]
        ga, gs = grad(y, t["gy"], *lv)
        return dict(y=y, ga=ga, gs=gs)
    R.case("basic", "mul_broadcast", "mul_broadcast", {}, dict(a=normal(r, n, c1, h, w), s=normal(r, n, c1, 1, 1),
                                                               gy=normal(r, n, c1, h, w)), fn,
           note="squeeze-excitation scaling: s has one value per (n, c)")

    def fn(t, dt):
        lv = leaf(t, "a", "b")
        y = F.relu(t["a"] + t["b"])
        ga, gb = grad(y, t["gy"], *lv)
        return dict(y=y, ga=ga, gb=gb)
    R.case("basic", "add_relu", "add_relu", {}, dict(a=normal(r, n, c1, h, w), b=normal(r, n, c1, h, w),
                                                     gy=normal(r, n, c1, h, w)), fn, tol=1e-6)
    d = min(c1, c2)

    def fn(t, dt, d=d):
        lv = leaf(t, "x", "o")
        y = F.relu(torch.cat([t["x"][:, :d] + t["o"][:, :d], t["x"][:, d:], t["o"][:, d:]], 1))
        gx, go = grad(y, t["gy"], *lv)
        return dict(y=y, gx=gx, go=go)
    R.case("basic", "dpn_merge", "dual_path_merge", dict(d=d), dict(x=normal(r, n, c1, h, w), o=normal(r, n, c2, h, w),
           gy=normal(r, n, c1 + c2 - d, h, w)), fn, tol=1e-6,
           note="first d channels added, the rest of x and of o appended, relu")

    def fn(t, dt, p=0.5):
        lv = leaf(t, "x")
        y = t["x"] * t["mask"] / (1 - p)
        return dict(y=y, gx=grad(y, t["gy"], *lv)[0])
    R.case("basic", "dropout_mask", "dropout", dict(p=0.5), dict(x=normal(r, n, c1, h, w), gy=normal(r, n, c1, h, w),
           mask=(r.random((n, c1, h, w)) < 0.5).astype(np.float32)), fn, tol=1e-6, note="keep mask given")

    # squeeze-excitation block end to end ---------------------------------------
    n, c, m, h, w = pick(P, (2, 16, 4, 5, 5), (1, 21, 3, 3, 7))
    r = R.rng("se")

    def fn(t, dt):
        lv = leaf(t, "x", "w1", "b1", "w2", "b2")
        s = F.adaptive_avg_pool2d(t["x"], 1)
        s = torch.sigmoid(F.conv2d(F.relu(F.conv2d(s, t["w1"], t["b1"])), t["w2"], t["b2"]))
        y = t["x"] * s
        return dict(y=y, **{"g" + q: v for q, v in zip(("x", "w1", "b1", "w2", "b2"), grad(y, t["gy"], *lv))})
    R.case("basic", "se_block", "se_block", {}, dict(
        x=normal(r, n, c, h, w), w1=normal(r, m, c, 1, 1, scale=c ** -0.5), b1=normal(r, m), w2=normal(r, c, m, 1, 1, scale=m ** -0.5),
        b2=normal(r, c), gy=normal(r, n, c, h, w)), fn)


# --------------------------------------------------------------------------
# covariance and Newton-Schulz
# --------------------------------------------------------------------------
def spd(rng, d, cond):
    q, _ = np.linalg.qr(rng.standard_normal((d, d)))
    ev = np.logspace(0, -math.log10(cond), d)
    a = (q * ev) @ q.T
    return ((a + a.T) / 2).astype(np.float32)


def gen_linalg(R):
    P = R.profile
    for i, (n, c, h, w, k, s, p, d, B, g) in enumerate(pick(P, [
            (2, 3, 10, 10, 3, 3, 1, 1, 64, 1), (2, 8, 8, 8, 3, 3, 1, 1, 4, 1), (3, 16, 6, 6, 1, 1, 0, 1, 4, 1),
            (2, 8, 9, 9, 3, 2, 1, 1, 64, 4), (2, 6, 8, 8, 1, 2, 0, 1, 2, 1), (1, 4, 12, 12, 3, 3, 2, 2, 2, 1)],
            [(1, 3, 13, 11, 3, 3, 1, 1, 64, 1), (3, 9, 7, 9, 3, 3, 1, 1, 6, 1), (1, 14, 5, 7, 1, 1, 0, 1, 4, 1),
             (1, 15, 7, 9, 3, 3, 1, 1, 64, 5), (3, 10, 7, 5, 1, 3, 0, 1, 5, 1), (2, 3, 9, 15, 5, 4, 2, 1, 1, 1)])):
        for mode in ("reference", "paper"):
            name = f"covariance_{i}_{mode}"
            r = R.rng(f"covariance_{i}")
            lay = Layout(mode, c, k * k, g, B)

            def fn(t, dt, lay=lay, k=k, p=p, d=d, s=s):
                lv = leaf(t, "x")
                rows = im2col_blocks(t["x"], k, p, d, s)
                xb = lay.gather_rows(rows)
                mean = xb.mean(1)
                xc = xb - mean[:, None]
                cov = xc.mT @ xc / xc.shape[1] + 1e-5 * torch.eye(lay.d, dtype=dt)
                gx, = torch.autograd.grad((cov * t["gcov"]).sum() + (mean * t["gmean"]).sum(), lv)
                return dict(rows=rows, mean=mean, cov=cov, gx=gx)
            R.case("linalg", name, "covariance",
                   dict(mode=mode, k=k, sampling=s, padding=p, dilation=d, block=B, groups=g, B=lay.B, nb=lay.nb,
                        d=lay.d, S=lay.S, pooled=lay.pooled, eps=1e-5),
                   dict(x=structured(r, n, c, h, w), gcov=normal(r, lay.S, lay.d, lay.d), gmean=normal(r, lay.S, lay.d)), fn,
                   note="mean (S,d), cov (S,d,d); gx = gradient of <cov,gcov> + <mean,gmean>, gcov not symmetric")

    dims = pick(P, [(8, 1e1, 1), (27, 1e3, 1), (27, 1e6, 1), (64, 1e4, 1), (9, 1e2, 5), (36, 1e8, 1), (72, 1e5, 2)],
                [(7, 1e1, 1), (25, 1e3, 1), (33, 1e6, 1), (75, 1e4, 1), (11, 1e2, 3), (45, 1e8, 1), (51, 1e5, 3)])
    for i, (d, cond, S) in enumerate(dims):
        for n_iter in (1, 3, 5, 10, 15):
            name = f"ns_coupled_{i}_it{n_iter}"
            r = R.rng(f"ns_{i}")
            A = np.stack([spd(r, d, cond) * np.float32(3.0) for _ in range(S)])
            A = A + np.float32(1e-5) * np.eye(d, dtype=np.float32)
            g = normal(r, S, d, d)

            def fn(t, dt, n_iter=n_iter):
                lv = leaf(t, "A")
                dm = ns_coupled(t["A"], n_iter)
                ga, = grad(dm, t["g"], *lv)
                man = ns_coupled_backward(t["A"].detach(), n_iter, t["g"])
                assert (man - ga).abs().max() <= (1e-9 if dt == F64 else 1e-2) * max(ga.abs().max().item(), 1e-9)
                return dict(D=dm, gA=(ga + ga.transpose(-1, -2)) / 2)
            R.case("linalg", name, "ns_coupled", dict(n_iter=n_iter, cond=cond, batch=S, d=d), dict(A=A, g=g), fn, tol=2e-5,
                   note="inverse square root; gA is the symmetric part of the gradient, all that the covariance backward uses")
            if n_iter <= 5 and cond <= 1e6:
                def fn(t, dt, n_iter=n_iter):
                    return dict(D=ns_uncoupled(t["A"], n_iter))
                R.case("linalg", f"ns_uncoupled_{i}_it{n_iter}", "ns_uncoupled", dict(n_iter=n_iter, cond=cond, batch=S, d=d),
                       dict(A=A), fn, tol=2e-5)

    # residual curves (Fig. 7)
    for i, (h, w, k) in enumerate(pick(P, [(64, 64, 3), (48, 48, 5)], [(57, 71, 3), (43, 39, 4)])):
        name = f"ns_residual_{i}"
        r = R.rng(name)
        img = structured(r, 1, 3, h, w, beta=1.6, mix=0.3)
        rows = F.unfold(torch.tensor(img, dtype=F64), k).permute(0, 2, 1).reshape(-1, 3 * k * k)
        rows = rows - rows.mean(0)
        A = ((rows.t() @ rows) / rows.shape[0] + 1e-5 * torch.eye(3 * k * k, dtype=F64)).to(F32).numpy()[None]
        total = 100

        def curves(t, dt):
            out = {}
            for nm, f in (("coupled", ns_coupled), ("uncoupled", ns_uncoupled)):
                res = []
                a, e = t["A"], torch.eye(t["A"].shape[-1], dtype=dt)
                f(a, total, lambda dm: res.append(frob((dm @ a @ dm - e)[0]).reshape(())))
                out[nm] = torch.nan_to_num(torch.stack(res), nan=3e38, posinf=3e38).clamp(max=3e38)
            return out
        hi = curves(dict(A=torch.tensor(A, dtype=F64)), F64)
        lo = curves(dict(A=torch.tensor(A, dtype=F32)), F32)
        first = next((j for j, v in enumerate(lo["uncoupled"]) if v > 1e3), None)
        ev = np.linalg.eigvalsh(A[0].astype(np.float64))
        entry = dict(name=name, op="ns_residual", file="linalg.safetensors",
                     params=dict(iterations=total, d=3 * k * k, condition=float(ev[-1] / ev[0]),
                                 first_f32_uncoupled_iteration_above_1e3=first),
                     inputs=dict(A=R.put("linalg", f"{name}.in.A", A)), outputs={},
                     note="residual ||D_k A D_k - I||_F after iteration k=1..; 3e38 stands for overflow; "
                          "only coupled_f64 should be matched (tol), the rest shows the expected shape")
        for nm, src in (("coupled_f64", hi["coupled"]), ("uncoupled_f64", hi["uncoupled"]),
                        ("coupled_f32", lo["coupled"]), ("uncoupled_f32", lo["uncoupled"])):
            entry["outputs"][nm] = dict(key=R.put("linalg", f"{name}.out.{nm}", src), shape=[total], scale=float(src[0]),
                                        tol=1e-3 if nm == "coupled_f64" else None, f32_err=None,
                                        informational=nm != "coupled_f64")
        entry["outputs"]["coupled_f64"]["f32_err"] = float(
            f"{((lo['coupled'].double() - hi['coupled']).abs().max() / hi['coupled'].max()).item():.3g}")
        R.raw(entry)


# --------------------------------------------------------------------------
# ND layers
# --------------------------------------------------------------------------
def nd_forward_centred(x, w, b, layout, cfg, state, kind):
    """nd_forward of a training step with the mean taken off every patch before the product, so that no rounding of its share is left."""
    n = x.shape[0]
    if kind == "conv":
        every = dict(dilation=cfg["dilation"], padding=cfg["padding"])
        rows = im2col_blocks(x, cfg["k"], cfg["padding"], cfg["dilation"], cfg["sampling"] * cfg["stride"])
        patches = F.unfold(x, cfg["k"], stride=cfg["stride"], **every).permute(0, 2, 1)
    else:
        rows, patches = x, x[:, None]
    mean, cov, dmat, _ = statistics(rows, layout, cfg["eps"], cfg["n_iter"])
    state.update(mean, dmat, cfg["momentum"])
    we, _ = fold_into_weight(w, None, mean, dmat, layout)
    g = layout.groups
    means = layout.merge_weight(layout.expand(mean)[:, None], (1, 1, -1))
    centred = (patches - means).reshape(n, patches.shape[1], g, -1)
    y = torch.einsum("nlgf,gof->ngol", centred, we.reshape(g, w.shape[0] // g, -1)).reshape(n, w.shape[0], -1)
    y = y if b is None else y + b[:, None]
    if kind == "linear":
        return y[:, :, 0]
    side = [(s + 2 * cfg["padding"] - cfg["dilation"] * (cfg["k"] - 1) - 1) // cfg["stride"] + 1 for s in x.shape[2:]]
    return y.reshape(n, w.shape[0], *side)


def gen_means(R):
    """Inputs whose mean is many times their deviation: gradients, and outputs of linear layers, may be at most 4 times as wrong as those of float32 code that centres
    before it multiplies."""
    D = dict(stride=1, padding=0, dilation=1, groups=1, block=64, bias=True, eps=1e-5, n_iter=5, momentum=0.1, sampling=3)
    convs = {
        "k3": ((4, 5, 11, 11), 6, dict(k=3)),
        "k3_blocks_padded": ((4, 8, 8, 8), 6, dict(k=3, padding=1, block=4)),
        "k3_blocks_stride2": ((4, 8, 11, 11), 9, dict(k=3, block=4, stride=2)),
        "k3_rgb": ((4, 3, 11, 11), 7, dict(k=3)),
        "k1_blocks": ((6, 12, 7, 7), 10, dict(k=1, block=4)),
        "groups2": ((4, 8, 9, 9), 8, dict(k=3, groups=2, block=2)),
        "depthwise": ((4, 6, 9, 9), 6, dict(k=3, groups=6)),
        "depthwise_k7": ((4, 4, 11, 11), 4, dict(k=7, groups=4)),
        "one_pixel": ((1, 8, 1, 1), 6, dict(k=3, padding=1)),
    }
    linears = {"linear": (32, 16, 10, 512), "linear_blocks": (32, 16, 10, 8), "linear_odd_blocks": (48, 9, 6, 3), "one_row": (1, 24, 6, 512)}
    cases = [("conv", k, v[0], v[1], {**D, **v[2]}) for k, v in convs.items()]
    cases += [("linear", k, v[:2], v[2], {**D, "block": v[3]}) for k, v in linears.items()]
    for ratio in (30, 300):
        for kind, name, shape, cout, cfg in cases:
            for mode in ("reference", "paper"):
                r = R.rng(f"nd_mean_{ratio}_{name}")
                k, g = cfg.get("k", 1), cfg["groups"]
                lay = Layout(mode, shape[1], k * k, g, cfg["block"], kind=kind)
                if lay.nb == g and mode == "paper":     # one block a group: both modes are the same
                    continue
                noise = structured(r, *shape) if kind == "conv" else normal(r, *shape) @ normal(r, shape[1], shape[1])
                noise = noise / noise.std() if noise.std() > 0 else noise
                ws = (cout, shape[1] // g, k, k) if kind == "conv" else (cout, shape[1])
                inp = dict(x=(ratio + noise).astype(np.float32), w=normal(r, *ws, scale=(shape[1] // g * k * k) ** -0.5),
                           b=normal(r, cout, scale=0.3))

                def fn(t, dt, lay=lay, cfg=cfg, kind=kind):
                    lv = leaf(t, "x", "w", "b")
                    y = nd_forward_centred(*lv, lay, cfg, NDState(lay, dt), kind)
                    if dt == F64 and shape[0] > 1:
                        also, _ = nd_forward(*lv, lay, cfg, NDState(lay, dt), True, kind)
                        assert (y - also).abs().max() <= 1e-8 * max(1.0, also.abs().max().item()), (y - also).abs().max()
                    gs = torch.autograd.grad(y, lv, t["gy"])
                    out = dict(zip(("gx", "gw", "gb"), gs))
                    # Convolutions take the mean off by their bias, whose product is as large as the mean.
                    return out if kind == "conv" else dict(out, y=y)
                side = lambda s: (s + 2 * cfg["padding"] - k) // cfg["stride"] + 1
                inp["gy"] = normal(r, shape[0], cout, *map(side, shape[2:]))
                params = dict(mode=mode, B=lay.B, nb=lay.nb, d=lay.d, S=lay.S, pooled=lay.pooled,
                              **({"kernel": k} if kind == "conv" else {}), **{q: v for q, v in cfg.items() if q != "k"})
                one = shape[0] == 1
                R.case("nd_mean", f"nd_mean_{ratio}_{name}_{mode}", f"nd_{kind}", params, inp, fn, tol=0.0, slack=4.0,
                       floor=dict(gx=1.0, gw=1.0) if one else None,
                       note=f"the mean of the input is {ratio} times its deviation" + ("; one patch: gx = 0, and gw = 0 exactly" if one else ""))
                R.cases[-1]["outputs"]["gb"].update(tol=1e-6)       # a sum of few, which neither centring nor its lack touches
                if one and kind == "conv":      # the layer's two gradients of its input cancel: rounding of each is left
                    R.cases[-1]["outputs"]["gx"].update(tol=1e-6, scale=10.0 * float(cfg["eps"] ** -0.5))


class IterNorm(torch.nn.Module):
    """Iterative normalisation (Huang et al. 2019): groups of `block` channels are centred and multiplied by the inverse root of their covariance,
    here divided by its Frobenius norm, where the authors take the trace; then weight and bias."""

    def __init__(self, channels, block, n_iter, eps, momentum, dtype):
        super().__init__()
        self.groups, self.d = channels // block, block
        self.n_iter, self.eps, self.momentum = n_iter, eps, momentum
        self.running_mean = torch.zeros(self.groups, self.d, dtype=dtype)
        self.running_wm = torch.eye(self.d, dtype=dtype).repeat(self.groups, 1, 1)

    def forward(self, x, weight, bias):
        c = x.shape[1]
        rows = x.transpose(0, 1).reshape(self.groups, self.d, -1)
        if self.training:
            mean = rows.mean(2)
            xc = rows - mean[:, :, None]
            cov = xc @ xc.mT / rows.shape[2] + self.eps * torch.eye(self.d, dtype=x.dtype)
            wm = ns_coupled(cov, self.n_iter)
            self.running_mean = (1 - self.momentum) * self.running_mean + self.momentum * mean.detach()
            self.running_wm = (1 - self.momentum) * self.running_wm + self.momentum * wm.detach()
        else:
            xc, wm = rows - self.running_mean[:, :, None], self.running_wm
        y = (wm @ xc).reshape(c, x.shape[0], *x.shape[2:]).transpose(0, 1)
        side = [1, c] + [1] * (x.dim() - 2)
        return y * weight.reshape(side) + bias.reshape(side)


def gen_norms(R):
    """Relatives of whitening and batch norm that stand behind layers."""
    P = R.profile
    for i, (shape, groups) in enumerate(pick(P, [((3, 6, 5, 4), 3), ((4, 12), 3), ((2, 5, 4, 3), 1), ((2, 8, 3, 3), 8)],
                                             [((2, 10, 3, 7), 5), ((5, 14), 7), ((3, 7, 5, 3), 1), ((1, 6, 4, 5), 2)])):
        name = f"group_norm_{i}"
        r = R.rng(name)
        c = shape[1]
        inp = dict(x=(normal(r, *shape) * 2 + 1).astype(np.float32), w=(1 + 0.3 * normal(r, c)).astype(np.float32), b=normal(r, c), gy=normal(r, *shape))

        def fn(t, dt, groups=groups, c=c):
            lv = leaf(t, "x", "w", "b")
            norm = torch.nn.GroupNorm(groups, c, eps=1e-5, dtype=dt)
            y = torch.func.functional_call(norm, dict(weight=t["w"], bias=t["b"]), t["x"])
            if groups == 1:         # layer norm over (C,H,W), whose weight and bias are one a channel
                side = [1, c] + [1] * (t["x"].dim() - 2)
                also = F.layer_norm(t["x"], t["x"].shape[1:]) * t["w"].reshape(side) + t["b"].reshape(side)
                assert (y - also).abs().max() < 1e-4
            return dict(y=y, **dict(zip(("gx", "gw", "gb"), grad(y, t["gy"], *lv))))
        R.case("norms", name, "group_norm", dict(eps=1e-5, num_groups=groups), inp, fn, tol=2e-5)
    for i, (shape, block, n_iter) in enumerate(pick(P, [((4, 8, 5, 4), 4, 5), ((3, 6, 4, 4), 6, 3), ((24, 12), 6, 5), ((2, 9, 5, 5), 3, 7)],
                                                    [((3, 10, 4, 5), 5, 5), ((2, 7, 6, 3), 7, 4), ((19, 8), 4, 5), ((3, 6, 3, 7), 2, 6)])):
        name = f"iter_norm_{i}"
        r = R.rng(name)
        c = shape[1]
        x = structured(r, *shape) if len(shape) == 4 else (normal(r, *shape) @ normal(r, c, c) + 0.5).astype(np.float32)
        inp = dict(x=x, w=(1 + 0.3 * normal(r, c)).astype(np.float32), b=normal(r, c), gy=normal(r, *shape))
        cfg = dict(block=block, n_iter=n_iter, eps=1e-3, momentum=0.1)

        def fn(t, dt, c=c, cfg=cfg):
            lv = leaf(t, "x", "w", "b")
            norm = IterNorm(c, dtype=dt, **cfg)
            y = norm(*lv)
            out = dict(y=y, **dict(zip(("gx", "gw", "gb"), grad(y, t["gy"], *lv))))
            norm.eval()
            return dict(out, running_mean=norm.running_mean, running_wm=norm.running_wm, y_eval=norm(*lv))
        R.case("norms", name, "iter_norm", cfg, inp, fn, tol=2e-5, note="the covariance divided by its Frobenius norm; y_eval uses the updated buffers")


def nd_conv_cases(P):
    D = dict(stride=1, padding=0, dilation=1, groups=1, block=64, bias=True, eps=1e-5, n_iter=5, momentum=0.1, sampling=3)
    dev = {
        "first_rgb_it15": ((4, 3, 12, 12), 8, dict(k=3, padding=1, n_iter=15)),
        "k3_C_eq_B": ((3, 8, 10, 10), 6, dict(k=3, padding=1, block=8)),
        "k3_C_lt_B": ((2, 5, 9, 9), 7, dict(k=3, padding=1)),
        "k3_C_gt_B": ((3, 8, 10, 10), 6, dict(k=3, padding=1, block=4)),
        "k3_nb4_stride2": ((4, 16, 12, 12), 8, dict(k=3, padding=1, block=4, stride=2)),
        "k1_C_le_B": ((2, 12, 8, 8), 16, dict(k=1)),
        "k1_C_gt_B": ((4, 32, 8, 8), 16, dict(k=1, block=8)),
        "k1_stride2": ((4, 16, 12, 12), 24, dict(k=1, block=8, stride=2)),
        "k5_C_gt_B": ((2, 8, 12, 12), 8, dict(k=5, padding=2, block=4)),
        "k5_C_le_B": ((2, 4, 12, 12), 6, dict(k=5, padding=2, stride=2)),
        "groups4": ((3, 16, 9, 9), 24, dict(k=3, padding=1, groups=4, n_iter=3)),
        "groups2_block": ((3, 16, 9, 9), 8, dict(k=3, padding=1, groups=2, block=4)),
        "depthwise": ((3, 8, 9, 9), 8, dict(k=3, padding=1, groups=8, n_iter=1)),
        "depthwise_s2": ((3, 12, 12, 12), 12, dict(k=3, padding=1, groups=12, stride=2)),
        "depthwise_k7_x2": ((2, 4, 12, 12), 8, dict(k=7, padding=3, groups=4, stride=2)),
        "groups_k1": ((3, 12, 6, 6), 12, dict(k=1, groups=3)),
        "dilated": ((2, 8, 11, 11), 6, dict(k=3, padding=2, dilation=2, block=4)),
        "dilated_big": ((2, 6, 9, 9), 5, dict(k=3, padding=6, dilation=6, block=3)),
        "nobias": ((3, 8, 8, 8), 6, dict(k=3, padding=1, block=4, bias=False)),
        "tiny_map": ((6, 8, 2, 2), 8, dict(k=3, padding=1, block=4)),
        "one_pixel_se": ((16, 16, 1, 1), 4, dict(k=1, block=8)),
        "gcd_block": ((2, 12, 9, 9), 5, dict(k=3, padding=1, block=8)),
        "valid_sampling1": ((1, 4, 8, 8), 4, dict(k=3, block=2, sampling=1)),
        "sampling2_eps": ((2, 6, 9, 9), 4, dict(k=3, padding=1, block=3, sampling=2, eps=1e-2, n_iter=2)),
    }
    held = {
        "first_rgb_it15": ((3, 3, 13, 11), 7, dict(k=3, padding=1, n_iter=15)),
        "k3_C_eq_B": ((1, 7, 11, 9), 5, dict(k=3, padding=1, block=7)),
        "k3_C_lt_B": ((1, 6, 13, 7), 11, dict(k=3, padding=1)),
        "k3_C_gt_B": ((1, 9, 14, 11), 5, dict(k=3, padding=1, block=3)),
        "k3_nb5_stride2": ((3, 15, 11, 13), 9, dict(k=3, padding=1, block=3, stride=2)),
        "k1_C_le_B": ((1, 13, 11, 7), 9, dict(k=1)),
        "k1_C_gt_B": ((3, 21, 7, 11), 17, dict(k=1, block=7)),
        "k1_stride3": ((5, 22, 11, 10), 13, dict(k=1, block=11, stride=3)),
        "k5_C_gt_B": ((1, 6, 13, 15), 7, dict(k=5, padding=2, block=3)),
        "k5_C_le_B": ((3, 3, 11, 14), 5, dict(k=5, padding=1, stride=2)),
        "groups5": ((1, 15, 9, 11), 20, dict(k=3, padding=1, groups=5, n_iter=3)),
        "groups3_block": ((2, 18, 7, 11), 9, dict(k=3, padding=1, groups=3, block=4)),
        "depthwise": ((1, 11, 13, 7), 11, dict(k=3, padding=1, groups=11, n_iter=1)),
        "depthwise_s2": ((2, 9, 11, 13), 9, dict(k=5, padding=2, groups=9, stride=2)),
        "depthwise_k7_x3": ((3, 3, 13, 11), 9, dict(k=7, padding=3, groups=3)),
        "groups_k1": ((5, 14, 7, 5), 21, dict(k=1, groups=7)),
        "dilated": ((1, 10, 13, 9), 7, dict(k=3, padding=3, dilation=3, block=5)),
        "dilated_big": ((3, 5, 7, 9), 3, dict(k=3, padding=5, dilation=5, block=5)),
        "nobias": ((1, 6, 11, 10), 5, dict(k=3, padding=1, block=2, bias=False)),
        "tiny_map": ((5, 10, 3, 1), 7, dict(k=3, padding=1, block=5)),
        "one_pixel_se": ((29, 18, 1, 1), 5, dict(k=1, block=6)),
        "gcd_block": ((1, 15, 10, 11), 3, dict(k=3, padding=1, block=10)),
        "valid_sampling1": ((1, 3, 9, 7), 5, dict(k=3, block=1, sampling=1)),
        "sampling2_eps": ((1, 9, 7, 11), 3, dict(k=3, padding=1, block=3, sampling=2, eps=1e-2, n_iter=2)),
    }
    for name, (shape, cout, over) in pick(P, dev, held).items():
        cfg = dict(D)
        cfg.update(over)
        yield name, shape, cout, cfg


def gen_nd(R):
    P = R.profile
    for name, shape, cout, cfg in nd_conv_cases(P):
        for mode in ("reference", "paper"):
            full = f"nd_conv_{name}_{mode}"
            r = R.rng("nd_conv_" + name)
            n, c, h, w = shape
            k, g = cfg["k"], cfg["groups"]
            lay = Layout(mode, c, k * k, g, cfg["block"])
            fan = c // g * k * k
            inp = dict(x=structured(r, *shape, relu=c > 3), w=normal(r, cout, c // g, k, k, scale=fan ** -0.5))
            if cfg["bias"]:
                inp["b"] = normal(r, cout, scale=0.3)
            ys = F.conv2d(torch.zeros(shape), torch.zeros(cout, c // g, k, k), None, cfg["stride"], cfg["padding"],
                          cfg["dilation"], g).shape
            inp["gy"] = normal(r, *ys)

            def fn(t, dt, lay=lay, cfg=cfg):
                names = [q for q in ("x", "w", "b") if q in t]
                lv = leaf(t, *names)
                st = NDState(lay, dt)
                y, m = nd_forward(t["x"], t["w"], t.get("b"), lay, cfg, st, True)
                gs = torch.autograd.grad(y, lv + [m["dmat"], m["mean"]], t["gy"])
                out = dict(y=y, **{"g" + q: v for q, v in zip(names, gs)})
                det = {q: (v.detach() if v is not None else None) for q, v in m.items()}
                man = nd_backward_manual(t["x"].detach(), t["w"].detach(), None, t["gy"], det["mean"], det["cov"],
                                         det["dmat"], det["xc"], lay, cfg)
                lim = 1e-9 if dt == F64 else 2e-2
                for a, b2, nm in ((man[0], out["gx"], "gx"), (man[1], out["gw"], "gw"), (man[3], gs[-2], "gD")):
                    assert (a - b2).abs().max() <= lim * max(b2.abs().max().item(), 1e-9), (nm, (a - b2).abs().max())
                out.update(mean=m["mean"], cov=m["cov"], deconv=m["dmat"], w_eff=m["weff"], b_eff=m["beff"],
                           g_deconv=gs[-2], running_mean=st.mean, running_deconv=st.deconv)
                ye, me = nd_forward(t["x"], t["w"], t.get("b"), lay, cfg, st, False)
                ge = torch.autograd.grad(ye, lv, t["gy"])
                out.update(y_eval=ye, **{"g" + q + "_eval": v for q, v in zip(names, ge)})
                return out
            R.case("nd_conv", full, "nd_conv",
                   dict(mode=mode, B=lay.B, nb=lay.nb, d=lay.d, S=lay.S, pooled=lay.pooled, kernel=k,
                        **{q: v for q, v in cfg.items() if q != "k"}),
                   inp, fn, tol=3e-5,
                   note="training step from zero/identity buffers, then eval with the updated buffers; *_eval gradients "
                        "are those of a frozen layer (statistics constant)")

    # linear
    for i, (n, f, o, blk, bias, eps) in enumerate(pick(P, [
            (32, 16, 10, 512, True, 1e-5), (24, 32, 10, 8, True, 1e-5), (16, 24, 12, 16, False, 1e-5), (8, 40, 5, 512, True, 1e-2)],
            [(37, 15, 7, 512, True, 1e-5), (19, 33, 9, 11, True, 1e-5), (21, 30, 13, 12, False, 1e-5), (1, 22, 3, 512, True, 1e-2)])):
        for mode in ("reference", "paper"):
            name = f"nd_linear_{i}_{mode}"
            r = R.rng(f"nd_linear_{i}")
            lay = Layout(mode, f, 1, 1, blk, kind="linear")
            cfg = dict(eps=eps, n_iter=5, momentum=0.1)
            base = normal(r, n, f) @ normal(r, f, f, scale=f ** -0.5) + normal(r, 1, f)
            inp = dict(x=np.maximum(base, 0).astype(np.float32), w=normal(r, o, f, scale=f ** -0.5), gy=normal(r, n, o))
            if bias:
                inp["b"] = normal(r, o, scale=0.3)

            def fn(t, dt, lay=lay, cfg=cfg):
                names = [q for q in ("x", "w", "b") if q in t]
                lv = leaf(t, *names)
                st = NDState(lay, dt)
                y, m = nd_forward(t["x"], t["w"], t.get("b"), lay, cfg, st, True, "linear")
                gs = torch.autograd.grad(y, lv, t["gy"])
                out = dict(y=y, **{"g" + q: v for q, v in zip(names, gs)})
                out.update(mean=m["mean"], cov=m["cov"], deconv=m["dmat"], w_eff=m["weff"], b_eff=m["beff"],
                           running_mean=st.mean, running_deconv=st.deconv)
                ye, _ = nd_forward(t["x"], t["w"], t.get("b"), lay, cfg, st, False, "linear")
                out.update(y_eval=ye)
                return out
            R.case("nd_linear", name, "nd_linear", dict(mode=mode, block=blk, B=lay.B, nb=lay.nb, S=lay.S, pooled=lay.pooled,
                                                        bias=bias, **cfg), inp, fn, tol=3e-5,
                   floor=dict(gx=1.0) if n == 1 else None,
                   note="batch 1: centred input is 0, y = b and gx = 0 exactly" if n == 1 else "")

    # channel deconv
    for i, (shape, blk, eps, it, samp) in enumerate(pick(P, [
            ((4, 8, 6, 6), 8, 1e-2, 5, 3), ((3, 8, 6, 6), 4, 1e-2, 5, 3), ((3, 10, 5, 5), 4, 1e-5, 5, 1),
            ((12, 16), 8, 1e-2, 5, 3), ((10, 19), 8, 1e-2, 5, 3)],
            [((3, 7, 5, 9), 7, 1e-2, 5, 3), ((1, 9, 11, 7), 3, 1e-2, 5, 3), ((2, 11, 7, 3), 5, 1e-5, 4, 2),
             ((11, 15), 5, 1e-2, 5, 3), ((13, 23), 6, 1e-2, 5, 3)])):
        name = f"channel_deconv_{i}"
        r = R.rng(name)
        x = structured(r, *shape) if len(shape) == 4 else structured(r, *shape, 1, 1)[:, :, 0, 0]

        def fn(t, dt, blk=blk, eps=eps, it=it, samp=samp):
            lv = leaf(t, "x")
            st = dict(steps=0, mean1=torch.zeros(blk, 1, dtype=dt), deconv=torch.eye(blk, dtype=dt),
                      mean2=torch.zeros((), dtype=dt), var=torch.ones((), dtype=dt))
            y, m = channel_deconv(t["x"], blk, eps, it, samp, 0.1, st, True)
            out = dict(y=y, gx=grad(y, t["gy"], *lv)[0])
            y2, _ = channel_deconv(t["x"] * 0.5 + 0.1, blk, eps, it, samp, 0.1, st, True)
            ye, _ = channel_deconv(t["x"], blk, eps, it, samp, 0.1, st, False)
            out.update(deconv=m["deconv"], running_mean1=st["mean1"], running_deconv=st["deconv"],
                       running_mean2=st["mean2"].reshape(1), running_var=st["var"].reshape(1), y_eval=ye)
            return out
        R.case("nd_channel", name, "channel_deconv", dict(block=blk, eps=eps, n_iter=it, sampling=samp, momentum=0.1),
               dict(x=x, gy=normal(r, *shape)), fn, tol=3e-5,
               note="buffers after a second training call on 0.5*x+0.1; y_eval(x) uses those buffers")


# --------------------------------------------------------------------------
# optimisers and schedules
# --------------------------------------------------------------------------
def gen_optim(R):
    steps, shape = 4, pick(R.profile, (5, 4), (3, 7))
    table = [
        ("sgd", dict(lr=0.1), torch.optim.SGD), ("sgd_momentum_wd", dict(lr=0.1, momentum=0.9, weight_decay=1e-3), torch.optim.SGD),
        ("sgd_nesterov", dict(lr=0.05, momentum=0.9, weight_decay=5e-4, nesterov=True), torch.optim.SGD),
        ("adam", dict(lr=1e-2), torch.optim.Adam), ("adam_wd", dict(lr=1e-2, weight_decay=1e-2), torch.optim.Adam),
        ("adamw", dict(lr=1e-2, weight_decay=1e-1), torch.optim.AdamW)]
    for nm, kw, cls in table:
        r = R.rng("opt_" + nm)

        def fn(t, dt, kw=kw, cls=cls):
            p = torch.nn.Parameter(t["p"].clone())
            opt = cls([p], foreach=False, **kw)
            out = []
            for s in range(steps):
                p.grad = t["g"][s].clone()
                opt.step()
                out.append(p.detach().clone())
            return dict(p=torch.stack(out))
        R.case("optim", "opt_" + nm, "optimizer", dict(kind=nm.split("_")[0], steps=steps, **kw,
               **(dict(betas=[0.9, 0.999], eps=1e-8) if "adam" in nm else {})),
               dict(p=normal(r, *shape), g=normal(r, steps, *shape)), fn, note="out.p[s] = parameter after step s+1")
    for nm, f, prm in (
            ("cosine", lambda i, T: 0.5 * (1 + math.cos(math.pi * i / T)), dict(total=25)),
            ("poly", lambda i, T: (1 - i / T) ** 0.9, dict(total=25, power=0.9)),
            ("multistep", lambda i, T: 0.1 ** sum(i >= m for m in (10, 20)), dict(total=25, milestones=[10, 20], gamma=0.1))):
        T = prm["total"]
        lr = [0.1 * f(i, T) for i in range(T + 1)]
        if nm == "cosine":
            p = torch.nn.Parameter(torch.zeros(1))
            o = torch.optim.SGD([p], lr=0.1)
            sch = torch.optim.lr_scheduler.CosineAnnealingLR(o, T, eta_min=0)
            for i in range(T):
                assert abs(o.param_groups[0]["lr"] - lr[i]) < 1e-9
                o.step()
                sch.step()
        R.raw(dict(name="lr_" + nm, op="lr_schedule", file="optim.safetensors", params=dict(kind=nm, base_lr=0.1, **prm), inputs={},
                   outputs=dict(lr=dict(key=R.put("optim", f"lr_{nm}.out.lr", np.array(lr)), shape=[T + 1], scale=0.1, tol=1e-6, f32_err=0.0)),
                   note="lr[i] is the rate of the i-th update (0-based); schedule stepped once per batch"))


# --------------------------------------------------------------------------
# training traces
# --------------------------------------------------------------------------
class Net:
    """Tiny sequential interpreter; `layers` is stored in the manifest."""

    def __init__(self, layers, mode, params, dtype):
        self.layers, self.mode = layers, mode
        self.p = {k: torch.nn.Parameter(v.to(dtype).clone()) for k, v in params.items()}
        self.lay, self.state, self.bn = {}, {}, {}
        for l in layers:
            if l["type"] in ("nd_conv", "nd_linear"):
                conv = l["type"] == "nd_conv"
                lay = Layout(mode, l["in"], l["k"] ** 2 if conv else 1, 1, l["block"], "conv" if conv else "linear")
                self.lay[l["name"]], self.state[l["name"]] = lay, NDState(lay, dtype)
            elif l["type"] == "batchnorm":
                self.bn[l["name"]] = [torch.zeros(l["features"], dtype=dtype), torch.ones(l["features"], dtype=dtype)]

    def __call__(self, x, training=True):
        for l in self.layers:
            ty, nm = l["type"], l.get("name")
            if ty == "conv":
                x = F.conv2d(x, self.p[nm + ".weight"], self.p.get(nm + ".bias"), l["stride"], l["padding"])
            elif ty == "linear":
                x = F.linear(x, self.p[nm + ".weight"], self.p.get(nm + ".bias"))
            elif ty in ("nd_conv", "nd_linear"):
                x, _ = nd_forward(x, self.p[nm + ".weight"], self.p[nm + ".bias"], self.lay[nm],
                                  dict(l, groups=1, dilation=1), self.state[nm], training, ty[3:])
            elif ty == "batchnorm":
                rm, rv = self.bn[nm]
                x = F.batch_norm(x, rm, rv, self.p[nm + ".weight"], self.p[nm + ".bias"], training, 0.1, 1e-5)
            elif ty == "relu":
                x = F.relu(x)
            elif ty == "sigmoid":
                x = torch.sigmoid(x)
            elif ty == "swish":
                x = F.silu(x)
            elif ty == "maxpool":
                x = F.max_pool2d(x, l["k"], l["stride"])
            elif ty == "avgpool":
                x = F.avg_pool2d(x, l["k"], l["stride"])
            elif ty == "flatten":
                x = x.reshape(x.shape[0], -1)
        return x

    def buffers(self):
        out = {}
        for k, s in self.state.items():
            out[k + ".running_mean"], out[k + ".running_deconv"] = s.mean, s.deconv
        for k, (m, v) in self.bn.items():
            out[k + ".running_mean"], out[k + ".running_var"] = m, v
        return out


ND = dict(eps=1e-5, n_iter=5, momentum=0.1, sampling=3, freeze=False, freeze_iter=100)


def lenet(norm, prof, first=None, smooth=False):
    """smooth: swish and average pooling, so rounding cannot flip a branch."""
    act, pool = ("swish", "avgpool") if smooth else ("relu", "maxpool")
    c1, c2, hid, side, k1, p1, blk = pick(prof, (8, 16, 64, 28, 5, 2, 4), (9, 10, 45, 27, 3, 1, 3))
    a = (side + 2 * p1 - k1 + 1) // 2
    b = (a - 5 + 1) // 2
    flat = c2 * b * b
    L = []

    def conv(name, i, o, k, p):
        dims = {"name": name, "in": i, "out": o, "k": k, "stride": 1, "padding": p}
        if norm == "nd":
            extra = first if first and name == "conv1" else {}
            L.append({"type": "nd_conv", **dims, **ND, "block": blk, "bias": True, **extra})
        else:
            L.append({"type": "conv", **dims, "bias": False})
            L.append(dict(type="batchnorm", name=name + "_bn", features=o))

    def fc(name, i, o, last=False):
        if norm == "nd":
            L.append(dict(ND, type="nd_linear", name=name, **{"in": i}, out=o, block=512, bias=True))
        else:
            L.append(dict(type="linear", name=name, **{"in": i}, out=o, bias=last))
            if not last:
                L.append(dict(type="batchnorm", name=name + "_bn", features=o))
    conv("conv1", 1, c1, k1, p1)
    L += [dict(type=act), dict(type=pool, k=2, stride=2)]
    conv("conv2", c1, c2, 5, 0)
    L += [dict(type=act), dict(type=pool, k=2, stride=2), dict(type="flatten")]
    fc("fc1", flat, hid)
    L += [dict(type=act)]
    fc("fc2", hid, 10, True)
    return L, (1, side, side)


def mlp(norm, prof, blk=512):
    nin, hid = pick(prof, (14, 64), (11, 45))
    L, prev = [dict(type="flatten")], nin * nin
    for i in range(4):
        o = hid if i < 3 else 10
        name = f"fc{i + 1}"
        if norm == "nd":
            L.append(dict(ND, type="nd_linear", name=name, **{"in": prev}, out=o, block=blk, bias=True))
        else:
            L.append(dict(type="linear", name=name, **{"in": prev}, out=o, bias=i == 3))
            if i < 3:
                L.append(dict(type="batchnorm", name=name + "_bn", features=o))
        if i < 3:
            L.append(dict(type="sigmoid"))
        prev = o
    return L, (1, nin, nin)


def class_images(rng, count, shape, classes=10):
    """Smooth class templates plus smooth noise: labels are learnable."""
    tmpl = structured(rng, classes, *shape, beta=1.4, mix=0.0, offset=0.0)
    y = rng.integers(0, classes, count)
    x = tmpl[y] + 0.6 * structured(rng, count, *shape, beta=1.2, mix=0.0, offset=0.0) + 0.1
    return x.astype(np.float32), y.astype(np.int32)


def init_params(rng, layers):
    """Uniform(+-1/sqrt(fan_in)) for weights and biases, BN scale 1 shift 0 (framework default)."""
    p = {}
    for l in layers:
        if l["type"] in ("conv", "nd_conv", "linear", "nd_linear"):
            k = l.get("k", 1)
            conv = "conv" in l["type"]
            bound = 1 / math.sqrt(l["in"] * k * k)
            shape = (l["out"], l["in"], k, k) if conv else (l["out"], l["in"])
            p[l["name"] + ".weight"] = torch.tensor(rng.uniform(-bound, bound, shape).astype(np.float32))
            if l["bias"]:
                p[l["name"] + ".bias"] = torch.tensor(rng.uniform(-bound, bound, l["out"]).astype(np.float32))
        elif l["type"] == "batchnorm":
            p[l["name"] + ".weight"] = torch.ones(l["features"])
            p[l["name"] + ".bias"] = torch.zeros(l["features"])
    return p


def gen_traces(R):
    P, nsteps = R.profile, 10
    batch = pick(P, 32, 23)
    sgd = dict(kind="sgd", lr=0.1, momentum=0.9, weight_decay=1e-3)
    freeze = dict(n_iter=10, freeze=True, freeze_iter=3)
    runs = [("lenet_bn", lenet("bn", P), None, sgd), ("lenet_nd_reference", lenet("nd", P), "reference", sgd),
            ("lenet_nd_paper", lenet("nd", P), "paper", sgd),
            ("lenet_nd_reference_smooth", lenet("nd", P, smooth=True), "reference", sgd),
            ("lenet_nd_paper_smooth_freeze", lenet("nd", P, freeze, True), "paper", sgd),
            ("mlp_bn", mlp("bn", P), None, sgd), ("mlp_nd_reference", mlp("nd", P), "reference", sgd),
            ("mlp_nd_reference_blocks", mlp("nd", P, pick(P, 28, 15)), "reference", sgd),
            ("mlp_nd_paper_blocks", mlp("nd", P, pick(P, 28, 15)), "paper", sgd),
            ("mlp_nd_reference_adam", mlp("nd", P), "reference", dict(kind="adam", lr=1e-3, betas=[0.9, 0.999], eps=1e-8))]
    for fam in ("lenet", "mlp"):
        mine = [r for r in runs if r[0].startswith(fam)]
        for attempt in range(20):        # skip data on which float32 flips a relu / max-pool branch
            done = [trace(R, fam, attempt, batch, nsteps, *r) for r in mine]
            worst = max(e["outputs"]["losses"]["f32_err"] for e, _ in done)
            print(f"  {fam} data attempt {attempt}: worst f32 loss error {worst:.2g}")
            if worst < 3e-6:
                break
        for e, msg in done:
            R.raw(e)
            print(msg)


def trace(R, fam, attempt, batch, nsteps, name, net_spec, mode, opt):
    layers, shape = net_spec
    file = "trace_" + fam
    rd = R.rng(f"data_{fam}_{attempt}")
    xs, ys = class_images(rd, batch * nsteps, shape)
    kx = R.put(file, fam + ".images", xs.reshape(nsteps, batch, *shape))
    ky = R.put(file, fam + ".labels", ys.reshape(nsteps, batch))
    params = init_params(R.rng("init_" + fam), layers)

    def run(dtype):
        net = Net(layers, mode, params, dtype)
        plist = list(net.p.values())
        o = torch.optim.SGD(plist, lr=opt["lr"], momentum=opt["momentum"], weight_decay=opt["weight_decay"]) \
            if opt["kind"] == "sgd" else torch.optim.Adam(plist, lr=opt["lr"])
        sch = torch.optim.lr_scheduler.CosineAnnealingLR(o, nsteps, eta_min=0)
        X = torch.tensor(xs).to(dtype).reshape(nsteps, batch, *shape)
        Y = torch.tensor(ys).long().reshape(nsteps, batch)
        rec = dict(losses=[], lrs=[])
        for s in range(nsteps):
            o.zero_grad()
            loss = F.cross_entropy(net(X[s]), Y[s])
            loss.backward()
            if s == 0:
                rec["grad1"] = {k: v.grad.clone() for k, v in net.p.items()}
            rec["lrs"].append(o.param_groups[0]["lr"])
            o.step()
            sch.step()
            rec["losses"].append(loss.detach())
            if s in (0, nsteps - 1):
                rec[f"params{s + 1}"] = {k: v.detach().clone() for k, v in net.p.items()}
                rec[f"buffers{s + 1}"] = {k: v.clone() for k, v in net.buffers().items()}
        with torch.no_grad():
            ev = net(X[0], training=False)
        rec["losses"], rec["eval_logits"] = torch.stack(rec["losses"]), ev
        rec["eval_loss"] = F.cross_entropy(ev, Y[0])
        return rec
    hi, lo = run(F64), run(F32)
    entry = dict(name="trace_" + name, op="training_trace", file=file + ".safetensors",
                 params=dict(mode=mode, layers=layers, input=list(shape), batch=batch, steps=nsteps, loss="cross_entropy",
                             optimizer=opt, schedule=dict(kind="cosine", total=nsteps, eta_min=0), lrs=hi["lrs"]),
                 inputs=dict(images=kx, labels=ky), outputs={},
                 note="weight decay applies to every parameter; losses[s] is before update s+1; "
                      "eval_* on batch 0 with running statistics after the last step")
    for k, v in params.items():
        entry["inputs"]["init." + k] = R.put(file, f"{name}.init.{k}", v)

    def add(key, a, b, floor):
        scale = max(a.abs().max().item(), 1e-6)
        err = (b.double() - a).abs().max().item() / scale
        entry["outputs"][key] = dict(key=R.put(file, f"{name}.{key}", a), shape=list(a.shape) or [1], scale=float(f"{scale:.6g}"),
                                     f32_err=float(f"{err:.3g}"), tol=float(f"{max(floor, 20 * err):.3g}"))
    add("losses", hi["losses"], lo["losses"], 1e-4)
    add("eval_logits", hi["eval_logits"], lo["eval_logits"], 1e-3)
    add("eval_loss", hi["eval_loss"].reshape(1), lo["eval_loss"].reshape(1), 1e-3)
    for grp, floor in (("grad1", 1e-4), ("params1", 1e-5), ("buffers1", 1e-4), ("params10", 1e-3), ("buffers10", 1e-3)):
        for k in hi[grp]:
            add(f"{grp}.{k}", hi[grp][k], lo[grp][k], floor)
    return entry, (f"  {name:28s} loss {hi['losses'][0]:.4f} -> {hi['losses'][-1]:.4f}  eval {hi['eval_loss']:.4f}  "
          f"f32 loss err {entry['outputs']['losses']['f32_err']:.2g}")


# --------------------------------------------------------------------------
# the networks as shipped
# --------------------------------------------------------------------------
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
    """Biases of +-`distance`, with one sign for a channel wherever it goes: what a ReLU meets is far from its kink, also in sums."""
    return (((mixed(7, int(np.prod(shape))) & np.uint64(1)).astype(np.float32) * 2 - 1) * np.float32(distance)).reshape(shape)


SAMPLES, PROJECTIONS = 32, 4


def summary(t, samples=None):
    """What is stored of a large tensor: values at equal steps (at most SAMPLES, or `samples` in any case), and sums with made-up signs
    over sqrt(n)."""
    v = t.detach().double().reshape(-1)
    n = v.numel()
    samples = samples or min(SAMPLES, n)
    at = torch.arange(samples) * n // samples
    signs = [torch.tensor((mixed(j, n) & np.uint64(1)).astype(np.float64)) * 2 - 1 for j in range(PROJECTIONS)]
    return torch.cat([v[at], torch.stack([(v * s).sum() for s in signs]) / math.sqrt(n)])


class Shipped:
    """The layers of shipped networks (networks.py) by their names, with `batch`, `deconv` or nothing (`none`) in their joints."""

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


# Model, norm, mode, images of a batch, their side, how far biases keep values from the kinks of ReLUs (`apart`; None: they are made
# up as weights are, and data is looked for that stays clear of the kinks), and where it is another than the method's, eps.
# ResNet-18's deconvolution amplifies rounding so far that on larger images some value comes too close to a kink with nearly all data; so
# do DPN's and PNASNet's with all data that was tried, and have a larger eps.
MODELS = [("vgg11", "batch", None, 2, 32, None), ("vgg11", "deconv", "reference", 2, 32, None), ("resnet18", "batch", None, 2, 32, None),
          ("resnet18", "deconv", "reference", 2, 16, None),
          ("vgg16", "batch", None, 2, 32, 4.0),
          ("preact18", "batch", None, 2, 16, 4.0), ("preact18", "deconv", "reference", 4, 8, 1.0),
          ("senet18", "batch", None, 2, 16, 4.0), ("senet18", "deconv", "reference", 10, 8, 1.0),
          ("densenet121", "batch", None, 2, 16, 4.0), ("densenet121", "deconv", "reference", 2, 16, 1.0, 0.1),
          ("resnext29", "batch", None, 2, 16, 4.0), ("resnext29", "deconv", "reference", 2, 16, 1.0),
          ("mobilenetv2", "batch", None, 2, 16, 4.0), ("mobilenetv2", "deconv", "reference", 4, 16, 2.5),
          ("dpn92", "batch", None, 2, 16, 4.0), ("dpn92", "deconv", "reference", 2, 16, 1.0, 0.1),
          ("pnasnet-a", "batch", None, 2, 16, 4.0), ("pnasnet-a", "deconv", "reference", 2, 16, 1.0, 0.1),
          ("efficientnet-b0", "batch", None, 4, 16, 4.0), ("efficientnet-b0", "deconv", "reference", 8, 16, 2.0),
          ("resnet18-imagenet", "batch", None, 2, 64, 4.0), ("resnet50-imagenet", "batch", None, 2, 64, 4.0),
          ("densenet121-imagenet", "batch", None, 2, 64, 4.0)]

# The same for what is not above: other depths, networks for large images with deconvolution, and all without a norm.
MORE = [("vgg13", "batch", None, 2, 32, 4.0), ("vgg13", "deconv", "reference", 2, 32, 0.5, 0.01),
        ("vgg16", "deconv", "reference", 2, 32, 0.5, 0.01),
        ("vgg19", "batch", None, 2, 32, 4.0), ("vgg19", "deconv", "reference", 2, 32, 0.5, 0.01),
        ("vgg11-imagenet", "batch", None, 2, 32, 4.0), ("vgg11-imagenet", "deconv", "reference", 2, 32, 0.5, 0.01),
        ("resnet18-imagenet", "deconv", "reference", 4, 32, 1.0, 0.1), ("resnet50-imagenet", "deconv", "reference", 4, 32, 1.0, 0.1),
        ("densenet121-imagenet", "deconv", "reference", 4, 32, 1.0, 0.1)]
# Without a norm PNASNet's maxima tie with all data that was tried.
MORE += [(name, "none", None, 2, 32 if "vgg" in name or "imagenet" in name else 16, 1.0) for name in NETWORKS
         if "deeplab" not in name and name != "pnasnet-a"]


# The same of networks that label pixels, of which some count for nothing.
MAPS = [("deeplabv3-resnet50-aux", "batch", None, 4, 20, 4.0), ("deeplabv3-resnet50-aux", "deconv", "reference", 4, 20, 1.0, 0.1)]

# Times the channels, where a CPU would take long or not bind the buffers of the whole.
WIDTHS = {"deeplabv3-resnet50-aux": 0.25, "vgg11-imagenet": 0.125, ("resnet50-imagenet", "deconv"): 0.25,
          ("densenet121-imagenet", "deconv"): 0.25}


def gen_models(R):
    model_steps(R, "models", MODELS)


def gen_more(R):
    model_steps(R, "more", MORE)


def gen_maps(R):
    model_steps(R, "maps", MAPS)


def model_steps(R, file, models):
    lr, momentum, decay = 0.1, 0.9, 1e-3
    for model, norm, mode, batch, side, apart, *eps in models:
        width = WIDTHS.get(model) or WIDTHS.get((model, norm), 1)
        name, batch = f"{model}_{norm}", batch + pick(R.profile, 0, 1)

        def forward(xs, dtype):
            net = Shipped(norm, mode, dtype, apart, *eps, width=width)
            found = NETWORKS[model](net, torch.tensor(xs).to(dtype))
            return net, *(found if isinstance(found, tuple) else (found, None))
        for attempt in range(100):
            # Rounding may move no value across a kink: each has to be farther from it than 3 times
            # what float32 is off by in that layer, as a root mean square.
            xs, ys = class_images(R.rng(f"model_{name}_{attempt}"), batch, (3, side, side))
            if file == "maps":
                ys = R.rng(f"model_{name}_labels").integers(0, 10, (batch, side, side)).astype(np.int32)
                ys.reshape(-1)[::5] = 255
            with torch.no_grad():
                hi, lo = forward(xs, F64)[0].kinks, forward(xs, F32)[0].kinks
            margin = min((a.abs().min() / (a - b.double()).square().mean().sqrt()).item() for a, b in zip(hi, lo))
            print(f"  {name} data attempt {attempt}: the value next to a kink is {margin:.2g} rounding errors away", flush=True)
            if margin > 3:
                break
        else:
            raise SystemExit(f"{name}: values stay too close to the kinks of ReLUs with all data that was tried; nothing is written")
        found = {}
        for dtype in (F64, F32):
            net, logits, auxiliary = forward(xs, dtype)
            entropy = lambda logits: F.cross_entropy(logits, torch.tensor(ys).long(), ignore_index=255)
            loss = entropy(logits) + (auxiliary[1] * entropy(auxiliary[0]) if auxiliary else 0)
            loss.backward()
            updated = {k: p.detach() - lr * (p.grad + decay * p.detach()) for k, p in net.params.items()}
            found[dtype] = dict(direct={"loss": loss.detach().reshape(1), "logits": logits.detach()},
                                grad={k: p.grad for k, p in net.params.items()}, params=updated,
                                buffers={k: v.detach() for k, v in net.buffers.items()})
        entry = dict(name=name, op="model_step", file=file + ".safetensors",
                     params=dict(model=model, norm=norm, mode=mode, batch=batch, lr=lr, momentum=momentum, weight_decay=decay,
                                 samples=8 if apart else SAMPLES, projections=PROJECTIONS, made=[] if apart else net.made),
                     inputs=dict(images=R.put(file, name + ".images", xs), labels=R.put(file, name + ".labels", ys)), outputs={},
                     note="one training step from made-up weights (made_weight); large tensors are stored as their summary")
        if apart:
            entry["params"]["apart"] = apart
        if eps:
            entry["params"]["eps"], = eps
        if width != 1:
            entry["params"]["width"] = width
        (in_tables if apart else one_by_one)(R, entry, found[F64], found[F32])
        R.raw(entry)


def whole(R, entry, key, ref, other, kept):
    """An output as other cases have them."""
    scale = max(ref.abs().max().item(), 1e-6)
    err = (other.double() - ref).abs().max().item() / scale
    entry["outputs"][key] = dict(key=R.put(file_of(entry), f"{entry['name']}.{key}", kept), shape=list(kept.shape), scale=float(f"{scale:.6g}"),
                                 f32_err=float(f"{err:.3g}"), tol=float(f"{max(1e-5, 20 * err):.3g}"))


def file_of(entry):
    return entry["file"].removesuffix(".safetensors")


def accept(entry, worst, limit):
    print(f"  {entry['name']}: worst f32 error {worst:.2g}", flush=True)
    if worst > limit:
        raise SystemExit(f"{entry['name']}: float32 is off by {worst:.2g}, which no test could hold; nothing is written")


def one_by_one(R, entry, hi, lo):
    """Each tensor is an output of its own."""
    flat = lambda found: found["direct"] | {f"{kind}.{k}": v for kind in ("grad", "params", "buffers") for k, v in found[kind].items()}
    hi, lo = flat(hi), flat(lo)
    hi = {k: v for k, v in hi.items() if v.abs().max() > 1e-12}
    accept(entry, max(((lo[k].double() - v).abs().max() / v.abs().max()).item() for k, v in hi.items()), 1e-3)
    for key, ref in hi.items():
        whole(R, entry, key, ref, lo[key], ref if key in ("loss", "logits") else summary(ref))


def in_tables(R, entry, hi, lo):
    """Networks of hundreds of tensors: a table for gradients, one for parameters and one for statistics, with a row for each tensor in
    the order of names, and how far each row may be off."""
    for key, ref in hi["direct"].items():
        whole(R, entry, key, ref, lo["direct"][key], ref)
    worst, size = 0, lambda v: v.abs().max().item()
    for kind in [kind for kind in ("grad", "params", "buffers") if hi[kind]]:
        names, tensors = sorted(hi[kind]), hi[kind]
        # What follows may take a shift or a scale off again: the gradient is then rounding alone, and is judged beside that of the
        # layer's weight.
        layer = lambda k: k.rpartition(".")[0].removesuffix("_bn") + ".weight"
        beside = lambda k: 1e-2 * size(tensors.get(layer(k), torch.zeros(1))) if kind == "grad" else 0
        least = 1e-6 * max(size(v) for v in tensors.values())
        scales = np.array([max(size(tensors[k]), beside(k), least) for k in names])
        errors = np.array([size(lo[kind][k].double() - tensors[k]) for k in names]) / scales
        allowed = np.maximum(1e-5, 20 * np.maximum(errors, np.median(errors)))
        worst = max(worst, errors.max())
        print(f"    {kind}: error {np.median(errors):.1e} in the middle, {errors.max():.1e} in {names[errors.argmax()]}")
        table = torch.stack([summary(tensors[k], entry["params"]["samples"]) for k in names])
        entry["outputs"][kind] = dict(key=R.put(file_of(entry), f"{entry['name']}.{kind}", table), shape=list(table.shape),
                                      allowed=R.put(file_of(entry), f"{entry['name']}.{kind}.allowed", allowed * scales),
                                      scale=1.0, f32_err=float(f"{errors.max():.3g}"), tol=1.0)
    accept(entry, worst, 5e-3)


def gen_losses(R):
    """Cross entropy of maps with weights of classes, where some pixels have no label that counts."""
    P = R.profile
    for i, (shape, smoothing) in enumerate(pick(P, [((2, 5, 4, 6), 0.0), ((1, 21, 5, 3), 0.1)], [((1, 9, 3, 5), 0.2)])):
        name = f"cross_entropy_weighted_{i}"
        r = R.rng(name)
        target = r.integers(0, shape[1], (shape[0],) + shape[2:]).astype(np.int32)
        target.reshape(-1)[::3] = 255
        weight = (0.2 + np.abs(normal(r, shape[1]))).astype(np.float32)

        def fn(t, dt, smoothing=smoothing):
            lv = leaf(t, "x")
            y = F.cross_entropy(t["x"], t["target"], weight=t["weight"], ignore_index=255, label_smoothing=smoothing)
            return dict(loss=y, gx=grad(y, None, *lv)[0])
        R.case("losses", name, "cross_entropy_weighted", dict(ignore_index=255, label_smoothing=smoothing),
               dict(x=normal(r, *shape, scale=2.5), target=target, weight=weight), fn)


def main():
    ap = argparse.ArgumentParser()
    ap.add_argument("--out", required=True)
    ap.add_argument("--seed", type=int, default=1)
    ap.add_argument("--profile", choices=("dev", "held"), default="dev")
    parts = dict(basic=gen_basic, losses=gen_losses, linalg=gen_linalg, nd=gen_nd, means=gen_means, norms=gen_norms, optim=gen_optim,
                 traces=gen_traces, models=gen_models, more=gen_more, maps=gen_maps)
    ap.add_argument("--only", choices=parts)
    a = ap.parse_args()
    R = Recorder(a.out, a.seed, a.profile)
    for name, part in parts.items():
        if a.only in (None, name):
            part(R)
            print(part.__name__, "done")
    R.finish(keep=a.only is not None)


if __name__ == "__main__":
    main()
