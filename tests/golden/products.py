"""Patches, convolutions and linear layers."""
import math

import torch
import torch.nn.functional as F

from inputs import normal
from recorder import grad, leaf, pick


def unfold(R):
    P = R.profile
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


def conv2d(R):
    P = R.profile
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


def linear(R):
    P = R.profile
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
