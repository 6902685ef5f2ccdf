"""Batch norm, and relatives of it and of whitening."""
import numpy as np
import torch
import torch.nn.functional as F

from deconv import ns_coupled
from inputs import normal, structured
from recorder import grad, leaf, pick


def batch_norm(R):
    P = R.profile
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


class IterNorm(torch.nn.Module):
    """Iterative normalisation (Huang et al. 2019): groups of `block` channels are centred and multiplied by the
    inverse root of their covariance, here divided by its Frobenius norm, where the authors take the trace; then
    weight and bias."""

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
