"""The networks of the paper's Tables 1 and 2, for `Shipped` of shipped.py: which layers follow each other, and nothing
else.

Each takes `net`, whose layers are

  net.conv(name, x, outputs, k=3, stride=1, groups=1, iterations=5, block=64, bias=False, bn=True, dilation=1,
           sampling=3)
      a deconvolution with bias, or a convolution (`bias`: with bias too) and its batch norm (`bn`: False leaves it out)
  net.plain(...)    the same, which never deconvolves
  net.bn(name, x)   batch norm of its own, which deconvolution needs none of
                    (without a norm both are a convolution with bias, and this is nothing)
  net.batch_norm    the same, beside deconvolution too
  net.wide(n)       n channels, in networks that can be narrower
  net.relu, net.max_pool, net.linear(name, x, outputs, block=512)

and images, and gives logits. Padding is k // 2 throughout.
"""
import torch
import torch.nn.functional as F

CLASSES = 10


def vgg(*counts):
    def network(net, x):
        index = 0
        for count, width in zip(counts, (64, 128, 256, 512, 512)):
            for _ in range(count):
                index += 1
                # VGG keeps its bias before batch norm, which takes it off again: its gradient is zero.
                x = net.relu(net.conv(f"conv{index}", x, width, iterations=15 if index == 1 else 5, bias=True))
            x = F.max_pool2d(x, 2)
        return net.linear("fc", x.flatten(1), CLASSES)
    return network


def head(net, x):
    return net.linear("fc", x.mean((2, 3)), CLASSES)


def resnet18(net, x):
    x = net.relu(net.conv("conv1", x, 64))
    for stage, width in enumerate((64, 128, 256, 512)):
        for i in range(2):
            name, stride = f"layer{stage + 1}.{i}", 2 if stage and not i else 1
            y = net.conv(name + ".conv2", net.relu(net.conv(name + ".conv1", x, width, stride=stride)), width)
            if stride > 1 or x.shape[1] != width:
                x = net.conv(name + ".shortcut", x, width, 1, stride)
            x = net.relu(y + x)
    return head(net, x)


def gate(net, name, x, conv):
    """Squeeze-excitation: each channel times a share that all channels' means decide."""
    c = x.shape[1]
    w = net.relu(conv(name + ".conv1", x.mean((2, 3), keepdim=True), c // 16, 1, bias=True, bn=False))
    return x * torch.sigmoid(conv(name + ".conv2", w, c, 1, bias=True, bn=False))


def preact18(net, x, gated=False):
    x = net.conv("conv1", x, 64, iterations=15 if gated else 10)
    x = net.relu(x) if gated else x
    for stage, width in enumerate((64, 128, 256, 512)):
        for i in range(2):
            name, stride = f"layer{stage + 1}.{i}", 2 if stage and not i else 1
            r = net.relu(net.bn(name + ".bn1", x))
            if stride > 1 or x.shape[1] != width:
                x = net.conv(name + ".shortcut", r, width, 1, stride, bn=False)
            y = net.conv(name + ".conv2", net.relu(net.conv(name + ".conv1", r, width, stride=stride)), width, bn=False)
            x = x + (gate(net, name + ".se", y, net.conv) if gated else y)
    return head(net, x)


def senet18(net, x):
    return preact18(net, x, gated=True)


def densenet121(net, x):
    x = net.conv("conv1", x, 64, bn=False)
    for stage, count in enumerate((6, 12, 24, 16)):
        if stage:
            name = f"trans{stage}"
            x = net.conv(name + ".conv", net.relu(net.bn(name + ".bn", x)), x.shape[1] // 2, 1, bn=False)
            x = F.avg_pool2d(x, 2)
        for i in range(count):
            name = f"dense{stage + 1}.{i}.0"
            y = net.conv(name + ".conv1", net.relu(net.bn(name + ".bn1", x)), 128, 1)
            x = torch.cat([net.conv(name + ".conv2", net.relu(y), 32, bn=False), x], 1)
    return head(net, net.relu(net.bn("bn", x)))


def resnext29(net, x):
    x = net.relu(net.conv("conv1", x, 64, 1, iterations=10))
    for stage, width in enumerate((128, 256, 512)):
        for i in range(3):
            name, stride = f"layer{stage + 1}.{i}", 2 if stage and not i else 1
            y = net.relu(net.conv(name + ".conv1", x, width, 1))
            y = net.relu(net.conv(name + ".conv2", y, width, 3, stride, groups=32, iterations=3))
            y = net.conv(name + ".conv3", y, 2 * width, 1)
            x = net.relu(y + (x if i else net.conv(name + ".shortcut", x, 2 * width, 1, stride)))
    return head(net, x)


def mobilenetv2(net, x):
    x = net.relu(net.conv("conv1", x, 32, iterations=10))
    units = ((1, 16, 1, 1), (6, 24, 2, 1), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1))
    for stage, (expansion, out, count, first) in enumerate(units):
        for i in range(count):
            name, stride, c = f"layer{stage + 1}.{i}", 1 if i else first, x.shape[1]
            y = net.relu(net.conv(name + ".conv1", x, expansion * c, 1))
            y = net.relu(net.conv(name + ".conv2", y, expansion * c, 3, stride, groups=expansion * c, iterations=1))
            y = net.conv(name + ".conv3", y, out, 1, iterations=1, block=c)
            if stride == 1:
                y = y + (x if c == out else net.conv(name + ".shortcut", x, out, 1))
            x = y
    return head(net, net.relu(net.conv("conv2", x, 1280, 1)))


def dpn92(net, x):
    x = net.relu(net.conv("conv1", x, 64, iterations=10))
    stages = ((96, 256, 3, 16, 1), (192, 512, 4, 32, 2), (384, 1024, 20, 24, 2), (768, 2048, 3, 128, 2))
    for stage, (mid, out, count, dense, first) in enumerate(stages):
        for i in range(count):
            name, stride = f"layer{stage + 1}.{i}", 1 if i else first
            y = net.relu(net.conv(name + ".conv1", x, mid, 1))
            y = net.relu(net.conv(name + ".conv2", y, mid, 3, stride, groups=32))
            y = net.conv(name + ".conv3", y, out + dense, 1)
            x = x if i else net.conv(name + ".shortcut", x, out + dense, 1, stride)
            x = net.relu(torch.cat([x[:, :out] + y[:, :out], x[:, out:], y[:, out:]], 1))
    return head(net, x)


def pnasnet_a(net, x):
    x = net.relu(net.conv("conv1", x, 44, iterations=10))
    # A cell that reduces opens the second and the third stage.
    for stage, (width, count) in enumerate(((44, 6), (88, 7), (176, 7))):
        for i in range(count):
            name, c = f"layer{stage + 1}.{i}", x.shape[1]
            stride = 1 if c == width else 2
            y, pooled = net.conv(name + ".conv1", x, width, 7, stride, groups=c), net.max_pool(x, 3, stride, 1)
            x = net.relu(y + (pooled if stride == 1 else net.conv(name + ".shortcut", pooled, width, 1)))
    return head(net, x)


def efficientnet_b0(net, x):
    x = net.relu(net.conv("conv1", x, 32, iterations=10))
    units = ((1, 16, 1, 2), (6, 24, 2, 1), (6, 40, 2, 2), (6, 80, 3, 2), (6, 112, 3, 1), (6, 192, 4, 2), (6, 320, 1, 2))
    for stage, (expansion, out, count, first) in enumerate(units):
        for i in range(count):
            name, stride, c = f"layer{stage + 1}.{i}", 1 if i else first, x.shape[1]
            y = net.relu(net.plain(name + ".conv1", x, expansion * c, 1))
            y = net.relu(net.plain(name + ".conv2", y, expansion * c, 3, stride, groups=expansion * c))
            y = net.plain(name + ".conv3", y, out, 1)
            if stride == 2:
                x = gate(net, name + ".gated.se", y, net.plain) + y
            else:
                cut = x if c == out else net.plain(name + ".shortcut", x, out, 1)
                x = gate(net, name + ".se", y, net.plain) + cut
    return net.linear("fc", x.flatten(1), CLASSES)


def stem(net, x):
    return net.max_pool(net.relu(net.conv("conv1", x, net.wide(64), 7, 2, iterations=15)), 3, 2, 1)


def imagenet_head(net, x):
    return net.linear("fc", x.mean((2, 3)), CLASSES, block=64)


def shortcut(net, name, x, out, stride):
    x = net.conv(name + ".shortcut", x, out, 1, stride)
    return net.batch_norm(name + ".shortcut_bn", x) if net.norm == "deconv" else x


def imagenet_resnet(counts, expansion):
    def network(net, x):
        x = stem(net, x)
        for stage, (count, width) in enumerate(zip(counts, map(net.wide, (64, 128, 256, 512)))):
            for i in range(count):
                name, stride = f"layer{stage + 1}.{i}", 2 if stage and not i else 1
                if expansion == 1:
                    y = net.relu(net.conv(name + ".conv1", x, width, stride=stride))
                    y = net.conv(name + ".conv2", y, width)
                else:
                    y = net.relu(net.conv(name + ".conv1", x, width, 1))
                    y = net.relu(net.conv(name + ".conv2", y, width, stride=stride))
                    y = net.conv(name + ".conv3", y, expansion * width, 1)
                if stride > 1 or x.shape[1] != expansion * width:
                    x = shortcut(net, name, x, expansion * width, stride)
                x = net.relu(y + x)
        return imagenet_head(net, x)
    return network


def imagenet_densenet121(net, x):
    x = stem(net, x)
    for stage, count in enumerate((6, 12, 24, 16)):
        if stage:
            name = f"trans{stage}"
            x = net.conv(name + ".conv", net.relu(net.bn(name + ".bn", x)), x.shape[1] // 2, 1, bn=False)
            x = F.avg_pool2d(x, 2)
        for i in range(count):
            name = f"dense{stage + 1}.{i}.1"
            y = net.conv(name + ".conv1", net.relu(net.bn(name + ".bn1", x)), net.wide(128), 1)
            x = torch.cat([x, net.conv(name + ".conv2", net.relu(y), net.wide(32), bn=False)], 1)
    return imagenet_head(net, net.relu(net.bn("bn", x)))


def imagenet_vgg11(net, x):
    """Without dropout."""
    index = 0
    for count, width in zip((1, 1, 2, 2, 2), (64, 128, 256, 512, 512)):
        for _ in range(count):
            index += 1
            x = net.relu(net.conv(f"conv{index}", x, net.wide(width), iterations=15 if index == 1 else 5, bias=True))
        x = F.max_pool2d(x, 2)
    x = F.adaptive_avg_pool2d(x, 7).flatten(1)
    for name in ("fc1", "fc2"):
        x = net.relu(net.linear(name, x, net.wide(4096), block=64))
    return net.linear("fc3", x, CLASSES, block=64)


def narrow(width):
    return round(width / 4)


def classify(net, name, x, size):
    x = net.conv(name + "classes", x, CLASSES, 1, bias=True, bn=False, block=256)
    return F.interpolate(x, size, mode="bilinear", align_corners=False)


def deeplabv3(net, x):
    """A quarter as wide, without dropout; the logits of each pixel, and those of the auxiliary head with its weight."""
    size = x.shape[2:]
    x = net.max_pool(net.relu(net.conv("conv1", x, narrow(64), 7, 2, iterations=15)), 3, 2, 1)
    stages = ((3, 64, 1, (1, 1)), (4, 128, 2, (1, 1)), (6, 256, 1, (1, 2)), (3, 512, 1, (2, 4)))
    for stage, (count, width, stride, steps) in enumerate(stages):
        if stage == 3:
            auxiliary = classify(net, "auxiliary.", net.relu(net.conv("auxiliary.conv1", x, narrow(256))), size)
        for i in range(count):
            name, step = f"layer{stage + 1}.{i}", stride if i == 0 else 1
            y = net.relu(net.conv(name + ".conv1", x, narrow(width), 1))
            y = net.relu(net.conv(name + ".conv2", y, narrow(width), stride=step, dilation=steps[min(i, 1)]))
            y = net.conv(name + ".conv3", y, 4 * narrow(width), 1)
            x = shortcut(net, name, x, 4 * narrow(width), step) if i == 0 else x
            x = net.relu(y + x)
    # One value an image: of so few rows none is left out.
    whole = net.relu(net.conv("aspp.4.conv1", x.mean((2, 3), keepdim=True), narrow(256), 1, sampling=1))
    branches = [net.relu(net.conv("aspp.0.conv1", x, narrow(256), 1))]
    branches += [net.relu(net.conv(f"aspp.{i + 1}.conv1", x, narrow(256), dilation=rate)) for i, rate in enumerate((12, 24, 36))]
    branches += [F.interpolate(whole, x.shape[2:], mode="bilinear", align_corners=False)]
    x = net.relu(net.conv("project", torch.cat(branches, 1), narrow(256), 1))
    return classify(net, "", net.relu(net.conv("conv3", x, narrow(256))), size), (auxiliary, 0.5)


NETWORKS = {
    "vgg11": vgg(1, 1, 2, 2, 2), "vgg13": vgg(2, 2, 2, 2, 2), "vgg16": vgg(2, 2, 3, 3, 3), "vgg19": vgg(2, 2, 4, 4, 4), "resnet18": resnet18, "preact18": preact18, "senet18": senet18,
    "densenet121": densenet121, "resnext29": resnext29, "mobilenetv2": mobilenetv2, "dpn92": dpn92, "pnasnet-a": pnasnet_a,
    "efficientnet-b0": efficientnet_b0, "resnet18-imagenet": imagenet_resnet((2, 2, 2, 2), 1),
    "resnet50-imagenet": imagenet_resnet((3, 4, 6, 3), 4), "densenet121-imagenet": imagenet_densenet121,
    "vgg11-imagenet": imagenet_vgg11, "deeplabv3-resnet50-aux": deeplabv3,
}
