"""Networks in PyTorch with the layers of the authors of network deconvolution, under the names of mexhat's tensors.

python torch_networks.py write NET FOLDER   saves random values as FOLDER/state.safetensors, images and the logits for
                                            them
python torch_networks.py read NET FOLDER    loads FOLDER/model.safetensors of mexhat, every tensor and no other, and
                                            holds its logits against FOLDER/expected

NET is resnet18, vgg16, resnext29, mlp or channels. Needs numpy, safetensors and torch.
"""

import sys

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F
from safetensors.torch import load_file, save_file


class FastDeconv(nn.Conv2d):
    """As published, in evaluation: interleaved blocks that share one mean and one D; in groups, each has its own.

    The counter that freezes a layer is no buffer there, so no `state_dict` has it.
    """

    def __init__(self, inputs, outputs, kernel, stride=1, groups=1, block=64):
        super().__init__(inputs, outputs, kernel, stride, kernel // 2, groups=groups)
        block = inputs // groups if groups > 1 else np.gcd(block, inputs) if block <= inputs else inputs
        self.features = kernel * kernel * int(block)
        self.register_buffer("running_mean", torch.zeros(groups * self.features))
        deconv = torch.eye(self.features)
        self.register_buffer("running_deconv", deconv.repeat(groups, 1, 1) if groups > 1 else deconv)
        self.counter = 0

    def forward(self, x):
        if self.groups > 1:
            w = self.weight.view(self.groups, -1, self.features) @ self.running_deconv
            b = self.bias - (w @ self.running_mean.view(self.groups, -1, 1)).flatten()
            return F.conv2d(x, w.view(self.weight.shape), b, self.stride, self.padding, groups=self.groups)
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


class ChannelDeconv(nn.Module):
    """As published, in evaluation: interleaved blocks of channels that share one mean and one D; the channels that
    fill none share a mean and a variance."""

    def __init__(self, block, eps=1e-2):
        super().__init__()
        self.features, self.eps = block, eps
        self.register_buffer("running_mean1", torch.zeros(block, 1))
        self.register_buffer("running_deconv", torch.eye(block))
        self.register_buffer("running_mean2", torch.zeros(1, 1))
        self.register_buffer("running_var", torch.ones(1, 1))
        self.register_buffer("num_batches_tracked", torch.tensor(0))

    def forward(self, x):
        whole = x.shape[1] // self.features * self.features
        rows = x[:, :whole].transpose(0, 1).reshape(self.features, -1)
        white = (self.running_deconv @ (rows - self.running_mean1)).view(whole, len(x), *x.shape[2:]).transpose(0, 1)
        rest = (x[:, whole:] - self.running_mean2.item()) / (self.running_var.item() + self.eps) ** 0.5
        return torch.cat([white, rest], 1)


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


class Bottleneck(nn.Module):
    def __init__(self, inputs, width, stride, first):
        super().__init__()
        self.conv1 = FastDeconv(inputs, width, 1)
        self.conv2 = FastDeconv(width, width, 3, stride, groups=32)
        self.conv3 = FastDeconv(width, 2 * width, 1)
        self.shortcut = FastDeconv(inputs, 2 * width, 1, stride) if first else nn.Identity()

    def forward(self, x):
        return F.relu(self.conv3(F.relu(self.conv2(F.relu(self.conv1(x))))) + self.shortcut(x))


class ResNeXt29(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1, channels = FastDeconv(3, 64, 1), 64
        for stage, width in enumerate((128, 256, 512)):
            blocks = [Bottleneck(channels, width, 2 if stage else 1, True)] + [Bottleneck(2 * width, width, 1, False) for _ in range(2)]
            setattr(self, f"layer{stage + 1}", nn.Sequential(*blocks))
            channels = 2 * width
        self.fc = Delinear(1024, 10)

    def forward(self, x):
        x = self.layer3(self.layer2(self.layer1(F.relu(self.conv1(x)))))
        return self.fc(x.mean((2, 3)))


class Mlp(nn.Module):
    def __init__(self):
        super().__init__()
        for i, (inputs, outputs) in enumerate(((3072, 128), (128, 128), (128, 10))):
            setattr(self, f"fc{i + 1}_deconv", ChannelDeconv(32))
            setattr(self, f"fc{i + 1}", nn.Linear(inputs, outputs, bias=i == 2))

    def forward(self, x):
        x = torch.sigmoid(self.fc1(self.fc1_deconv(x.flatten(1))))
        x = torch.sigmoid(self.fc2(self.fc2_deconv(x)))
        return self.fc3(self.fc3_deconv(x))


class Channels(nn.Module):
    """Whitened maps of which some channels fill no block, and batch norm."""

    def __init__(self):
        super().__init__()
        self.conv1, self.channel_deconv1, self.bn1 = nn.Conv2d(3, 12, 3, 2, 1), ChannelDeconv(5), nn.BatchNorm2d(12)
        self.fc = nn.Linear(12, 10)

    def forward(self, x):
        return self.fc(F.relu(self.bn1(self.channel_deconv1(self.conv1(x)))).mean((2, 3)))


def write(net, folder):
    torch.manual_seed(0)
    for name, buffer in net.named_buffers():
        key = name.rsplit(".", 1)[-1]
        if key == "running_deconv":
            noise = torch.randn_like(buffer) / buffer.shape[-1]
            buffer.add_(0.3 * (noise + noise.mT))
        elif key == "running_var":
            buffer.copy_(0.5 + torch.rand_like(buffer))
        elif key == "num_batches_tracked":
            buffer.fill_(391)
        else:
            buffer.copy_(0.1 * torch.randn_like(buffer))
    state = net.state_dict()
    if isinstance(net, ResNet18):
        # Whoever makes a buffer of it.
        state["conv1.counter"] = torch.tensor(101, dtype=torch.int32)
    save_file(state, f"{folder}/state.safetensors")
    images = torch.randn(4, 3, 32, 32)
    images.numpy().tofile(f"{folder}/images")
    net(images).numpy().tofile(f"{folder}/expected")


def read(net, folder):
    saved = load_file(f"{folder}/model.safetensors")
    net.load_state_dict(saved, strict=True)
    # Of the shapes and types, too, that PyTorch itself would have saved.
    for name, tensor in saved.items():
        kept = net.state_dict()[name]
        assert (kept.shape, kept.dtype) == (tensor.shape, tensor.dtype), f"{name}: {tensor.dtype} {list(tensor.shape)}"
    assert all(count == 391 for name, count in saved.items() if name.endswith("num_batches_tracked"))
    images = torch.tensor(np.fromfile(f"{folder}/images", np.float32)).view(-1, 3, 32, 32)
    expected = np.fromfile(f"{folder}/expected", np.float32).reshape(-1, 10)
    worst = np.abs(net(images).numpy() - expected).max()
    assert worst <= 1e-4 * max(1, np.abs(expected).max()), worst


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    what, net, folder = sys.argv[1:]
    with torch.no_grad():
        nets = {"resnet18": ResNet18, "vgg16": VGG16, "resnext29": ResNeXt29, "mlp": Mlp, "channels": Channels}
        {"write": write, "read": read}[what](nets[net]().eval(), folder)
