"""What maps go through beside products: activations, pooling, resampling, branches that meet."""
import numpy as np
import torch
import torch.nn.functional as F

from inputs import normal
from recorder import grad, leaf, pick


def activations(R):
    P = R.profile
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


def pooling(R):
    P = R.profile
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


def bilinear(R):
    P = R.profile
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


def glue(R):
    """Branches of a network that meet, and dropout."""
    P = R.profile
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


def squeeze_excitation(R):
    """The whole block."""
    P = R.profile
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
