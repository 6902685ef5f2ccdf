"""Losses, and softmax."""
import numpy as np
import torch.nn.functional as F

from inputs import normal
from recorder import grad, leaf, pick


def losses(R):
    P = R.profile
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
