"""CIFAR networks in PyTorch with the layers of the authors of network deconvolution, under the names of mexhat's tensors.

python torch_networks.py write NET FOLDER   saves random values as FOLDER/state.safetensors, images and the logits for them
python torch_networks.py read NET FOLDER    loads FOLDER/model.safetensors of mexhat and holds its logits against FOLDER/expected

NET is resnet18 or vgg16. Needs numpy, safetensors and torch.
"""

import sys

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F
from safetensors.torch import load_file, save_file


class FastDeconv(nn.Conv2d):
    """As published, in evaluation: interleaved blocks that share one mean and one D."""

    def __init__(self, inputs, outputs, kernel, stride=1, block=64):
        super().__init__(inputs, outputs, kernel, stride, kernel // 2)
        block = np.gcd(block, inputs) if block <= inputs else inputs
        self.features = kernel * kernel * int(block)
        self.register_buffer("running_mean", torch.zeros(self.features))
        self.register_buffer("running_deconv", torch.eye(self.features))
        self.register_buffer("counter", torch.zeros(1, dtype=torch.int32))

    def forward(self, x):
        blocks = self.weight[0].numel() // self.features
        w = self.weight.view(-1, self.features, blocks).transpose(1, 2).reshape(-1, self.features) @ self.running_deconv
        b = self.bias - (w @ self.running_mean.unsqueeze(1)).view(self.weight.shape[0], -1).sum(1)
        w = w.view(-1, blocks, self.features).transpose(1, 2).reshape(self.weight.shape)
        return F.conv2d(x, w, b, self.stride, self.padding)


class Delinear(nn.Linear):
    """As published, in evaluation: contiguous blocks that share one mean and one D."""

    def __init__(self, inputs, outputs, block=512):
        super().__init__(inputs, outputs)
        self.features = int(np.gcd(block, inputs)) if block <= inputs else inputs
        self.register_buffer("running_mean", torch.zeros(self.features))
        self.register_buffer("running_deconv", torch.eye(self.features))

    def forward(self, x):
        w = self.weight.view(-1, self.features) @ self.running_deconv
        b = self.bias - (w @ self.running_mean.unsqueeze(1)).view(self.weight.shape[0], -1).sum(1)
        return F.linear(x, w.view(self.weight.shape), b)


class Block(nn.Module):
    def __init__(self, inputs, outputs, stride):
        super().__init__()
        self.conv1 = FastDeconv(inputs, outputs, 3, stride)
        self.conv2 = FastDeconv(outputs, outputs, 3)
        self.shortcut = FastDeconv(inputs, outputs, 1, stride) if stride > 1 or inputs != outputs else nn.Identity()

    def forward(self, x):
        return F.relu(self.conv2(F.relu(self.conv1(x))) + self.shortcut(x))


class ResNet18(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1, channels = FastDeconv(3, 64, 3), 64
        for stage, outputs in enumerate((64, 128, 256, 512)):
            first = Block(channels, outputs, 2 if stage else 1)
            setattr(self, f"layer{stage + 1}", nn.Sequential(first, Block(outputs, outputs, 1)))
            channels = outputs
        self.fc = Delinear(512, 10)

    def forward(self, x):
        x = F.relu(self.conv1(x))
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        return self.fc(x.mean((2, 3)))


class VGG16(nn.Module):
    STAGES = ((2, 64), (2, 128), (3, 256), (3, 512), (3, 512))

    def __init__(self):
        super().__init__()
        channels, number = 3, 0
        for count, outputs in self.STAGES:
            for _ in range(count):
                number += 1
                setattr(self, f"conv{number}", FastDeconv(channels, outputs, 3))
                channels = outputs
        self.fc = Delinear(512, 10)

    def forward(self, x):
        number = 0
        for count, _ in self.STAGES:
            for _ in range(count):
                number += 1
                x = F.relu(getattr(self, f"conv{number}")(x))
            x = F.max_pool2d(x, 2)
        return self.fc(x.flatten(1))


def write(net, folder):
    torch.manual_seed(0)
    for module in net.modules():
        if hasattr(module, "running_deconv"):
            d = module.features
            noise = torch.randn(d, d) / d
            module.running_deconv.copy_(torch.eye(d) + 0.3 * (noise + noise.T))
            module.running_mean.copy_(0.1 * torch.randn(d))
    save_file(net.state_dict(), f"{folder}/state.safetensors")
    images = torch.randn(4, 3, 32, 32)
    images.numpy().tofile(f"{folder}/images")
    net(images).numpy().tofile(f"{folder}/expected")


def read(net, folder):
    missing, extra = net.load_state_dict(
        {name: value.view(net.state_dict()[name].shape) for name, value in load_file(f"{folder}/model.safetensors").items()},
        strict=False,
    )
    assert not extra and all(name.endswith("counter") for name in missing), (missing, extra)
    images = torch.tensor(np.fromfile(f"{folder}/images", np.float32)).view(-1, 3, 32, 32)
    expected = np.fromfile(f"{folder}/expected", np.float32).reshape(-1, 10)
    worst = np.abs(net(images).numpy() - expected).max()
    assert worst <= 1e-4 * max(1, np.abs(expected).max()), worst


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    what, net, folder = sys.argv[1:]
    with torch.no_grad():
        {"write": write, "read": read}[what]({"resnet18": ResNet18, "vgg16": VGG16}[net]().eval(), folder)
