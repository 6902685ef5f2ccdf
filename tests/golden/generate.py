#!/usr/bin/env python3
"""Golden vectors for a network-deconvolution training engine.

Independent PyTorch implementation of the operator described in src/method.md, in two modes:

  paper      one mean / covariance / whitening matrix per contiguous channel block
  reference  the statistics the published code computes (interleaved blocks, one
             pooled matrix for ungrouped layers)

Everything is computed in float64 from inputs that are exactly representable in
float32, then stored as float32.  Every case is also run in float32 with torch;
the resulting error is stored next to the tolerance so a user can judge what is
achievable in single precision.

usage: generate.py --out DIR [--seed S] [--profile dev|held] [--only PART]
needs: torch numpy safetensors

This folder holds a part of the cases of `--seed 1 --profile dev`, chosen for their size. With --only (basic, losses,
linalg, nd, means, norms, optim, traces, models, more or maps) the cases of that part replace those of the same files
in DIR, and its others stay:

    tests/golden/generate.py --out tests/golden --only models

`MEXHAT_GOLDEN=DIR cargo test --release --test golden` runs any folder that this writes. What a part consists of is in
the file of its name beside this one; basic operations are in products.py, maps.py, norms.py and losses.py, nd in
layers.py, optim in optimizers.py, and more and maps in models.py.
"""
import argparse

import torch

from layers import gen_nd
from linalg import gen_linalg
from losses import gen_losses, losses
from maps import activations, bilinear, glue, pooling, squeeze_excitation
from means import gen_means
from models import gen_maps, gen_models, gen_more
from norms import batch_norm, gen_norms
from optimizers import gen_optim
from products import conv2d, linear, unfold
from recorder import Recorder
from traces import gen_traces

torch.set_num_threads(1)


def gen_basic(R):
    for operation in (unfold, conv2d, linear, activations, pooling, batch_norm, losses, bilinear, glue,
                      squeeze_excitation):
        operation(R)


def main():
    ap = argparse.ArgumentParser()
    ap.add_argument("--out", required=True)
    ap.add_argument("--seed", type=int, default=1)
    ap.add_argument("--profile", choices=("dev", "held"), default="dev")
    parts = dict(basic=gen_basic, losses=gen_losses, linalg=gen_linalg, nd=gen_nd, means=gen_means, norms=gen_norms, optim=gen_optim,
                 traces=gen_traces, models=gen_models, more=gen_more, maps=gen_maps)
    ap.add_argument("--only", choices=parts)
    a = ap.parse_args()
    R = Recorder(a.out, a.seed, a.profile)
    for name, part in parts.items():
        if a.only in (None, name):
            part(R)
            print(part.__name__, "done")
    R.finish(keep=a.only is not None)


if __name__ == "__main__":
    main()
