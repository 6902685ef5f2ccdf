"""Network deconvolution, an implementation of its own."""
import math

import torch
import torch.nn.functional as F

from recorder import F64


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
