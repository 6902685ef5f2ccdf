"""Optimisers and schedules."""
import math

import numpy as np
import torch

from inputs import normal
from recorder import pick


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
