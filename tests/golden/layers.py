"""Layers with deconvolution: convolutions, linear ones, and whitening on its own."""
import numpy as np
import torch
import torch.nn.functional as F

from deconv import Layout, NDState, channel_deconv, nd_backward_manual, nd_forward
from inputs import normal, structured
from recorder import F64, grad, leaf, pick


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
    convolutions(R)
    linears(R)
    channels(R)


def convolutions(R):
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


def linears(R):
    P = R.profile
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


def channels(R):
    P = R.profile
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
