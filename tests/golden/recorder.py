"""What writes the vectors: tensors into files, and their cases into the manifest."""
import json
import math
import os
import zlib

import numpy as np
import torch
from safetensors.numpy import save_file

F64, F32 = torch.float64, torch.float32


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


def grad(y, gy, *wrt):
    return torch.autograd.grad(y, wrt, gy)


def leaf(t, *names):
    return [t[n].requires_grad_(True) for n in names]


def pick(profile, dev, held):
    return held if profile == "held" else dev
