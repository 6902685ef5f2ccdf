"""One training step of each network as shipped."""
import math

import numpy as np
import torch
import torch.nn.functional as F

from inputs import class_images
from networks import NETWORKS
from recorder import F32, F64, pick
from shipped import Shipped, mixed


# Model, norm, mode, images of a batch, their side, how far biases keep values from the kinks of ReLUs (`apart`; None:
# they are made up as weights are, and data is looked for that stays clear of the kinks), and where it is another than
# the method's, eps. ResNet-18's deconvolution amplifies rounding so far that on larger images some value comes too
# close to a kink with nearly all data; so do DPN's and PNASNet's with all data that was tried, and have a larger eps.
MODELS = [("vgg11", "batch", None, 2, 32, None), ("vgg11", "deconv", "reference", 2, 32, None), ("resnet18", "batch", None, 2, 32, None),
          ("resnet18", "deconv", "reference", 2, 16, None),
          ("vgg16", "batch", None, 2, 32, 4.0),
          ("preact18", "batch", None, 2, 16, 4.0), ("preact18", "deconv", "reference", 4, 8, 1.0),
          ("senet18", "batch", None, 2, 16, 4.0), ("senet18", "deconv", "reference", 10, 8, 1.0),
          ("densenet121", "batch", None, 2, 16, 4.0), ("densenet121", "deconv", "reference", 2, 16, 1.0, 0.1),
          ("resnext29", "batch", None, 2, 16, 4.0), ("resnext29", "deconv", "reference", 2, 16, 1.0),
          ("mobilenetv2", "batch", None, 2, 16, 4.0), ("mobilenetv2", "deconv", "reference", 4, 16, 2.5),
          ("dpn92", "batch", None, 2, 16, 4.0), ("dpn92", "deconv", "reference", 2, 16, 1.0, 0.1),
          ("pnasnet-a", "batch", None, 2, 16, 4.0), ("pnasnet-a", "deconv", "reference", 2, 16, 1.0, 0.1),
          ("efficientnet-b0", "batch", None, 4, 16, 4.0), ("efficientnet-b0", "deconv", "reference", 8, 16, 2.0),
          ("resnet18-imagenet", "batch", None, 2, 64, 4.0), ("resnet50-imagenet", "batch", None, 2, 64, 4.0),
          ("densenet121-imagenet", "batch", None, 2, 64, 4.0)]

# The same for what is not above: other depths, networks for large images with deconvolution, and all without a norm.
MORE = [("vgg13", "batch", None, 2, 32, 4.0), ("vgg13", "deconv", "reference", 2, 32, 0.5, 0.01),
        ("vgg16", "deconv", "reference", 2, 32, 0.5, 0.01),
        ("vgg19", "batch", None, 2, 32, 4.0), ("vgg19", "deconv", "reference", 2, 32, 0.5, 0.01),
        ("vgg11-imagenet", "batch", None, 2, 32, 4.0), ("vgg11-imagenet", "deconv", "reference", 2, 32, 0.5, 0.01),
        ("resnet18-imagenet", "deconv", "reference", 4, 32, 1.0, 0.1), ("resnet50-imagenet", "deconv", "reference", 4, 32, 1.0, 0.1),
        ("densenet121-imagenet", "deconv", "reference", 4, 32, 1.0, 0.1)]
# Without a norm PNASNet's maxima tie with all data that was tried.
MORE += [(name, "none", None, 2, 32 if "vgg" in name or "imagenet" in name else 16, 1.0) for name in NETWORKS
         if "deeplab" not in name and name != "pnasnet-a"]


# The same of networks that label pixels, of which some count for nothing.
MAPS = [("deeplabv3-resnet50-aux", "batch", None, 4, 20, 4.0), ("deeplabv3-resnet50-aux", "deconv", "reference", 4, 20, 1.0, 0.1)]

# Times the channels, where a CPU would take long or not bind the buffers of the whole.
WIDTHS = {"deeplabv3-resnet50-aux": 0.25, "vgg11-imagenet": 0.125, ("resnet50-imagenet", "deconv"): 0.25,
          ("densenet121-imagenet", "deconv"): 0.25}


SAMPLES, PROJECTIONS = 32, 4


def summary(t, samples=None):
    """What is stored of a large tensor: values at equal steps (at most SAMPLES, or `samples` in any case), and sums
    with made-up signs over sqrt(n)."""
    v = t.detach().double().reshape(-1)
    n = v.numel()
    samples = samples or min(SAMPLES, n)
    at = torch.arange(samples) * n // samples
    signs = [torch.tensor((mixed(j, n) & np.uint64(1)).astype(np.float64)) * 2 - 1 for j in range(PROJECTIONS)]
    return torch.cat([v[at], torch.stack([(v * s).sum() for s in signs]) / math.sqrt(n)])


def gen_models(R):
    model_steps(R, "models", MODELS)


def gen_more(R):
    model_steps(R, "more", MORE)


def gen_maps(R):
    model_steps(R, "maps", MAPS)


def model_steps(R, file, models):
    lr, momentum, decay = 0.1, 0.9, 1e-3
    for model, norm, mode, batch, side, apart, *eps in models:
        width = WIDTHS.get(model) or WIDTHS.get((model, norm), 1)
        name, batch = f"{model}_{norm}", batch + pick(R.profile, 0, 1)

        def forward(xs, dtype):
            net = Shipped(norm, mode, dtype, apart, *eps, width=width)
            found = NETWORKS[model](net, torch.tensor(xs).to(dtype))
            return net, *(found if isinstance(found, tuple) else (found, None))
        for attempt in range(100):
            # Rounding may move no value across a kink: each has to be farther from it than 3 times
            # what float32 is off by in that layer, as a root mean square.
            xs, ys = class_images(R.rng(f"model_{name}_{attempt}"), batch, (3, side, side))
            if file == "maps":
                ys = R.rng(f"model_{name}_labels").integers(0, 10, (batch, side, side)).astype(np.int32)
                ys.reshape(-1)[::5] = 255
            with torch.no_grad():
                hi, lo = forward(xs, F64)[0].kinks, forward(xs, F32)[0].kinks
            margin = min((a.abs().min() / (a - b.double()).square().mean().sqrt()).item() for a, b in zip(hi, lo))
            print(f"  {name} data attempt {attempt}: the value next to a kink is {margin:.2g} rounding errors away", flush=True)
            if margin > 3:
                break
        else:
            raise SystemExit(f"{name}: values stay too close to the kinks of ReLUs with all data that was tried; nothing is written")
        found = {}
        for dtype in (F64, F32):
            net, logits, auxiliary = forward(xs, dtype)
            entropy = lambda logits: F.cross_entropy(logits, torch.tensor(ys).long(), ignore_index=255)
            loss = entropy(logits) + (auxiliary[1] * entropy(auxiliary[0]) if auxiliary else 0)
            loss.backward()
            updated = {k: p.detach() - lr * (p.grad + decay * p.detach()) for k, p in net.params.items()}
            found[dtype] = dict(direct={"loss": loss.detach().reshape(1), "logits": logits.detach()},
                                grad={k: p.grad for k, p in net.params.items()}, params=updated,
                                buffers={k: v.detach() for k, v in net.buffers.items()})
        entry = dict(name=name, op="model_step", file=file + ".safetensors",
                     params=dict(model=model, norm=norm, mode=mode, batch=batch, lr=lr, momentum=momentum, weight_decay=decay,
                                 samples=8 if apart else SAMPLES, projections=PROJECTIONS, made=[] if apart else net.made),
                     inputs=dict(images=R.put(file, name + ".images", xs), labels=R.put(file, name + ".labels", ys)), outputs={},
                     note="one training step from made-up weights (made_weight); large tensors are stored as their summary")
        if apart:
            entry["params"]["apart"] = apart
        if eps:
            entry["params"]["eps"], = eps
        if width != 1:
            entry["params"]["width"] = width
        (in_tables if apart else one_by_one)(R, entry, found[F64], found[F32])
        R.raw(entry)


def whole(R, entry, key, ref, other, kept):
    """An output as other cases have them."""
    scale = max(ref.abs().max().item(), 1e-6)
    err = (other.double() - ref).abs().max().item() / scale
    entry["outputs"][key] = dict(key=R.put(file_of(entry), f"{entry['name']}.{key}", kept), shape=list(kept.shape), scale=float(f"{scale:.6g}"),
                                 f32_err=float(f"{err:.3g}"), tol=float(f"{max(1e-5, 20 * err):.3g}"))


def file_of(entry):
    return entry["file"].removesuffix(".safetensors")


def accept(entry, worst, limit):
    print(f"  {entry['name']}: worst f32 error {worst:.2g}", flush=True)
    if worst > limit:
        raise SystemExit(f"{entry['name']}: float32 is off by {worst:.2g}, which no test could hold; nothing is written")


def one_by_one(R, entry, hi, lo):
    """Each tensor is an output of its own."""
    flat = lambda found: found["direct"] | {f"{kind}.{k}": v for kind in ("grad", "params", "buffers") for k, v in found[kind].items()}
    hi, lo = flat(hi), flat(lo)
    hi = {k: v for k, v in hi.items() if v.abs().max() > 1e-12}
    accept(entry, max(((lo[k].double() - v).abs().max() / v.abs().max()).item() for k, v in hi.items()), 1e-3)
    for key, ref in hi.items():
        whole(R, entry, key, ref, lo[key], ref if key in ("loss", "logits") else summary(ref))


def in_tables(R, entry, hi, lo):
    """Networks of hundreds of tensors: a table for gradients, one for parameters and one for statistics, with a row
    for each tensor in the order of names, and how far each row may be off."""
    for key, ref in hi["direct"].items():
        whole(R, entry, key, ref, lo["direct"][key], ref)
    worst, size = 0, lambda v: v.abs().max().item()
    for kind in [kind for kind in ("grad", "params", "buffers") if hi[kind]]:
        names, tensors = sorted(hi[kind]), hi[kind]
        # What follows may take a shift or a scale off again: the gradient is then rounding alone, and is judged beside
        # that of the layer's weight.
        layer = lambda k: k.rpartition(".")[0].removesuffix("_bn") + ".weight"
        beside = lambda k: 1e-2 * size(tensors.get(layer(k), torch.zeros(1))) if kind == "grad" else 0
        least = 1e-6 * max(size(v) for v in tensors.values())
        scales = np.array([max(size(tensors[k]), beside(k), least) for k in names])
        errors = np.array([size(lo[kind][k].double() - tensors[k]) for k in names]) / scales
        allowed = np.maximum(1e-5, 20 * np.maximum(errors, np.median(errors)))
        worst = max(worst, errors.max())
        print(f"    {kind}: error {np.median(errors):.1e} in the middle, {errors.max():.1e} in {names[errors.argmax()]}")
        table = torch.stack([summary(tensors[k], entry["params"]["samples"]) for k in names])
        entry["outputs"][kind] = dict(key=R.put(file_of(entry), f"{entry['name']}.{kind}", table), shape=list(table.shape),
                                      allowed=R.put(file_of(entry), f"{entry['name']}.{kind}.allowed", allowed * scales),
                                      scale=1.0, f32_err=float(f"{errors.max():.3g}"), tol=1.0)
    accept(entry, worst, 5e-3)
