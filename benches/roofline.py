#!/usr/bin/env python3
"""The least time a training step of ResNet-18 can take on a card, on paper: benches/roofline.py [TFLOP/s] [TB/s]

For each product: workgroups, flops, bytes (every operand moved once, 4 bytes a number) and the larger of the two times. Images of
32x32, batch 128. Tiles are those that real GPUs get (src/ops): 64x64; weight gradients and covariances are split to 2048 workgroups.
"""
import sys

PEAK, MEMORY = (float(v) * 1e12 for v in (sys.argv[1:] + ["30", "1"][len(sys.argv) - 1 :])[:2])
BATCH, TILE, BLOCK, SAMPLING, ITERATIONS = 128, 64, 64, 3, 5
rows = []


def tiles(m, n):
    return -(-m // TILE) * -(-n // TILE)


def add(name, groups, flops, numbers):
    compute, memory = flops / PEAK * 1e6, 4 * numbers / MEMORY * 1e6
    rows.append((name, groups, flops, 4 * numbers, "arithmetic" if compute > memory else "memory", max(compute, memory)))


def conv(name, channels, outputs, size, stride, kernel):
    out = size // stride
    pixels, features = BATCH * out * out, channels * kernel * kernel
    x, y, w = BATCH * size * size * channels, pixels * outputs, features * outputs
    flops = 2 * pixels * features * outputs
    add(name, tiles(pixels, outputs), flops, x + w + y)
    if channels > 3:
        add(name + ", input gradient", tiles(BATCH * size * size, channels), flops, y + w + x)
    split = max(1, min(2048 // tiles(features, outputs), pixels // 16))
    add(name + ", weight gradient", tiles(features, outputs) * split, flops, x + y + w * (2 * split + 1 if split > 1 else 1))
    # Two reads and a write forward (sums, then the map), three reads and a write backward, ReLU within.
    add(name + ", batch norm", -(-y // 4 // 64), 0, 7 * y)


def deconv(name, channels, outputs, size, stride, kernel):
    if kernel == 1:
        return
    block = min(channels, BLOCK)
    d, matrices = block * kernel * kernel, channels // block
    samples = BATCH * (-(-(size // stride) // SAMPLING)) ** 2
    triangle = tiles(d, d) / 2 if d > TILE else 1
    patches = matrices * samples * d
    add(name + ", covariance", int(triangle * matrices * max(1, 2048 // max(1, int(triangle * matrices)))), patches * d, patches * 2)
    # Coupled steps take 3 T - 3 products, fitted ones of large matrices 6; twice as many backward; one triangle of each.
    products = 6 if d >= 256 else 3 * ITERATIONS - 3
    for way, count in (("forward", products), ("backward", 2 * products)):
        add(f"{name}, Newton-Schulz {way}", int(triangle * matrices), count * matrices * d**3, count * 3 * matrices * d * d)
    w = outputs * channels * kernel * kernel
    # Weights folded, and both gradients of that.
    add(name + ", folding", tiles(outputs, d) * matrices, 3 * 2 * w * d, 3 * (2 * w + matrices * d * d))
    add(name + ", covariance's gradient", tiles(samples, d) * matrices, 2 * patches * d, 2 * patches + matrices * d * d)


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
