"""Three convolutional networks for images of 28 × 28 pixels and ten classes."""

import torch
from torch import Tensor, nn

N_CLASSES = 10


class LeNet5(nn.Sequential):
    """LeNet-5 with 20 and 50 channels, as in Caffe and in Deep Compression."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, 20, 5)
        self.relu1 = nn.ReLU()
        self.pool1 = nn.MaxPool2d(2)
        self.conv2 = nn.Conv2d(20, 50, 5)
        self.relu2 = nn.ReLU()
        self.pool2 = nn.MaxPool2d(2)
        self.flatten = nn.Flatten()
        self.fc1 = nn.Linear(50 * 4 * 4, 500)
        self.relu3 = nn.ReLU()
        self.fc2 = nn.Linear(500, N_CLASSES)


class Residual(nn.Sequential):
    """ResNet-8 (He et al., 2016): a convolution, and three blocks of 8, 16 and 32 channels."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = _convolution(1, 8, 3, padding=1, relu=True)
        self.block1 = _ResidualBlock(8, 8)
        self.block2 = _ResidualBlock(8, 16, stride=2)
        self.block3 = _ResidualBlock(16, 32, stride=2)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.flatten = nn.Flatten()
        self.fc = nn.Linear(32, N_CLASSES)


class Shuffle(nn.Sequential):
    """Network of ShuffleNet units (Zhang et al., 2018) with two groups, of 24 and 48 channels."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = _convolution(1, 24, 3, stride=2, padding=1, relu=True)
        self.unit1 = _ShuffleUnit(24, stride=2)
        self.unit2 = _ShuffleUnit(48)
        self.unit3 = _ShuffleUnit(48)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.flatten = nn.Flatten()
        self.fc = nn.Linear(48, N_CLASSES)


NETWORKS = {"lenet5": LeNet5, "residual": Residual, "shuffle": Shuffle}


class _ResidualBlock(nn.Module):
    """Two convolutions whose result is added to the input, or to a projection of it."""

    def __init__(self, n_inputs: int, n_outputs: int, stride: int = 1) -> None:
        super().__init__()
        self.conv1 = _convolution(n_inputs, n_outputs, 3, stride=stride, padding=1, relu=True)
        self.conv2 = _convolution(n_outputs, n_outputs, 3, padding=1)
        self.shortcut = nn.Identity() if n_inputs == n_outputs else \
            _convolution(n_inputs, n_outputs, 1, stride=stride)
        self.relu = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        return self.relu(self.conv2(self.conv1(x)) + self.shortcut(x))


class _ShuffleUnit(nn.Module):
    """Grouped 1 × 1, channel shuffle, depthwise 3 × 3, grouped 1 × 1.

    With a stride of 1 the result is added to the input; with 2 it is concatenated with the averages
    of the input, which doubles the channels.
    """

    GROUPS = 2

    def __init__(self, n_channels: int, stride: int = 1) -> None:
        super().__init__()
        self.expand = _convolution(n_channels, n_channels, 1, groups=self.GROUPS, relu=True)
        self.depthwise = _convolution(n_channels, n_channels, 3, stride=stride, padding=1,
                                      groups=n_channels)
        self.project = _convolution(n_channels, n_channels, 1, groups=self.GROUPS)
        self.pool = nn.AvgPool2d(3, stride=2, padding=1) if stride == 2 else None
        self.relu = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        result = self.project(self.depthwise(self._shuffle(self.expand(x))))
        if self.pool is None:
            return self.relu(x + result)
        return self.relu(torch.cat([self.pool(x), result], dim=1))

    def _shuffle(self, x: Tensor) -> Tensor:
        _, channels, height, width = x.shape
        # -1 is the batch, which an exported network leaves open.
        grouped = x.reshape(-1, self.GROUPS, channels // self.GROUPS, height, width)
        return grouped.transpose(1, 2).reshape(-1, channels, height, width)


def _convolution(n_inputs: int, n_outputs: int, size: int, *, stride: int = 1, padding: int = 0,
                 groups: int = 1, relu: bool = False) -> nn.Sequential:
    """Make a convolution with batch normalisation."""
    layers = [nn.Conv2d(n_inputs, n_outputs, size, stride, padding, groups=groups, bias=False),
              nn.BatchNorm2d(n_outputs)]
    return nn.Sequential(*layers, *[nn.ReLU()] * relu)
