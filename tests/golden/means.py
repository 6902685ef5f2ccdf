"""Layers with deconvolution whose input is far from zero."""
import numpy as np
import torch
import torch.nn.functional as F

from deconv import Layout, NDState, fold_into_weight, im2col_blocks, nd_forward, statistics
from inputs import normal, structured
from recorder import F64, leaf


def nd_forward_centred(x, w, b, layout, cfg, state, kind):
    """nd_forward of a training step with the mean taken off every patch before the product, so that no rounding of
    its share is left."""
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
    """Inputs whose mean is many times their deviation: gradients, and outputs of linear layers, may be at most 4
    times as wrong as those of float32 code that centres before it multiplies."""
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
                # A sum of few, which neither centring nor its lack touches.
                R.cases[-1]["outputs"]["gb"].update(tol=1e-6)
                if one and kind == "conv":
                    # The layer's two gradients of its input cancel: rounding of each is left.
                    R.cases[-1]["outputs"]["gx"].update(tol=1e-6, scale=10.0 * float(cfg["eps"] ** -0.5))
