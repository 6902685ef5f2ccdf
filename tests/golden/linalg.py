"""Covariances, and Newton-Schulz iterations."""
import numpy as np
import torch
import torch.nn.functional as F

from deconv import Layout, frob, im2col_blocks, ns_coupled, ns_coupled_backward, ns_uncoupled
from inputs import normal, spd, structured
from recorder import F32, F64, grad, leaf, pick


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
