#!/usr/bin/env python3
"""The least time a training step of ResNet-18 can take on a card, on paper: benches/roofline.py [--f16] [TFLOP/s]
[TB/s]

For each product: workgroups, flops, bytes (every operand moved once, 4 bytes a number, with --f16 2 for one of a map)
and the larger of the two times, that of arithmetic by the share of the card that the workgroups fill. Images of 32x32,
batch 128. Tiles and parts are those that cards get (src/ops): tiles of 64x64, or of 64x32 where those are too few;
weight gradients and covariances are split to 2048 workgroups.
"""
import sys

given = [v for v in sys.argv[1:] if v != "--f16"]
PEAK, MEMORY = (float(v) * 1e12 for v in (given + ["30", "1"][len(given) :])[:2])
# Numbers of a map are this large beside others.
MAP = 0.5 if "--f16" in sys.argv else 1
BATCH, TILE, BLOCK, SAMPLING, ITERATIONS = 128, 64, 64, 3, 5
# Workgroups that fill a card (src/gpu/profile.rs); steps of a stage and stages of a part of a product
# (src/ops/products/product.rs).
FILLING, DEPTH, LEAST = 256, 16, 6
rows = []


def tiles(m, n, width=TILE, symmetric=False):
    return sum(-(-n // width) - (row * TILE // width if symmetric else 0) for row in range(-(-m // TILE)))


def times(groups, flops, numbers):
    return flops / (PEAK * min(1, groups / FILLING)) * 1e6, 4 * numbers / MEMORY * 1e6


def row(name, groups, flops, numbers, compute, memory):
    rows.append((name, groups, flops, 4 * numbers, "arithmetic" if compute > memory else "memory", max(compute, memory)))


def add(name, groups, flops, numbers):
    row(name, groups, flops, numbers, *times(groups, flops, numbers))


def split(m, n, k, matrices, symmetric=False):
    """Workgroups of products, and numbers that their partial sums write and read."""
    stages = -(-k // DEPTH)
    most = max(1, stages // LEAST)
    width = TILE
    if matrices * tiles(m, n, width, symmetric) < FILLING:
        width //= 2
    count = matrices * tiles(m, n, width, symmetric)
    parts = -(-stages // -(-stages // min(most, -(-FILLING // count))))
    return count * parts, 2 * parts * count * TILE * width if parts > 1 else 0


def conv(name, channels, outputs, size, stride, kernel):
    out = size // stride
    pixels, features = BATCH * out * out, channels * kernel * kernel
    # As numbers of 4 bytes.
    x, y, w = BATCH * size * size * channels * MAP, pixels * outputs * MAP, features * outputs
    flops = 2 * pixels * features * outputs
    add(name, split(pixels, outputs, 1, 1)[0], flops, x + w + y)
    if channels > 3:
        add(name + ", input gradient", split(BATCH * size * size, channels, 1, 1)[0], flops, y + w + x)
    parts = max(1, min(2048 // tiles(features, outputs), pixels // 16))
    add(name + ", weight gradient", tiles(features, outputs) * parts, flops, x + y + w * (2 * parts + 1 if parts > 1 else 1))
    # Two reads and a write forward (sums, then the map), three reads and a write backward, ReLU within.
    add(name + ", batch norm", -(-pixels * outputs // 4 // 64), 0, 7 * y)


def deconv(name, channels, outputs, size, stride, kernel):
    if kernel == 1:
        return
    block = min(channels, BLOCK)
    d, matrices = block * kernel * kernel, channels // block
    samples = BATCH * (-(-(size // stride) // SAMPLING)) ** 2
    triangle, patches = matrices * tiles(d, d, TILE, True), matrices * samples * d
    add(name + ", covariance", triangle * max(1, 2048 // triangle), patches * d, patches * 2)
    # Coupled steps take 3 T - 3 products, fitted ones of large matrices 6; as many pairs backward; one triangle of
    # each.
    products = 6 if d >= 256 else 3 * ITERATIONS - 3
    for way, pair in (("forward", 1), ("backward", 2)):
        groups, partial = split(d, d, pair * d, matrices, True) if d > 36 else (1, 0)
        numbers = products * (pair * 3 * matrices * d * d + partial)
        add(f"{name}, Newton-Schulz {way}", groups, products * pair * matrices * d**3, numbers)
    # Weights folded, and both gradients of that.
    w = outputs * channels * kernel * kernel
    folding = []
    for m, n, k in ((d, outputs, d), (d, outputs, d), (d, d, outputs)):
        groups, partial = split(m, n, k, matrices)
        folding.append((groups, 2 * w * d, 2 * w + matrices * d * d + partial))
    sums = [sum(part) for part in zip(*(times(*part) for part in folding))]
    row(name + ", folding", folding[0][0], sum(part[1] for part in folding), sum(part[2] for part in folding), *sums)
    groups, partial = split(samples, d, d, matrices)
    add(name + ", covariance's gradient", groups, 2 * patches * d, 2 * patches + matrices * d * d + partial)


layers, channels, size = [("conv1", 3, 64, 32, 1, 3)], 64, 32
for stage, outputs in enumerate((64, 128, 256, 512), 1):
    for index in range(2):
        stride = 2 if stage > 1 and index == 0 else 1
        name = f"layer{stage}.{index}"
        layers.append((name + ".conv1", channels, outputs, size, stride, 3))
        if stride == 2:
            layers.append((name + ".shortcut", channels, outputs, size, stride, 1))
        size //= stride
        layers.append((name + ".conv2", outputs, outputs, size, 1, 3))
        channels = outputs


def table(title, part):
    rows.clear()
    for layer in layers:
        part(*layer)
    print(f"| {title} | workgroups | GFLOP | MB | bound by | us |\n|---|---|---|---|---|---|")
    for name, groups, flops, size, bound, time in rows:
        print(f"| {name} | {groups} | {flops / 1e9:.2f} | {size / 1e6:.1f} | {bound} | {time:.0f} |")
    flops, size, time = (sum(row[i] for row in rows) for i in (2, 3, 5))
    print(f"| **sum** | | {flops / 1e9:.0f} | {size / 1e6:.0f} | | {time:.0f} |\n")


table("convolutions and batch norm", conv)
table("what deconvolution adds in place of batch norm", deconv)
