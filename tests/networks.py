"""Small networks of the usual kinds, as somebody might have them, for samples of 8 x 8 pixels."""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional


class LeNet(nn.Module):
    """A forward of its own, with functions between the modules."""

    def __init__(self, channels: int = 1) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, 6, 5, padding=2)
        self.conv2 = nn.Conv2d(6, 8, 3, padding=1)
        self.fc1 = nn.Linear(32, 20)
        self.fc2 = nn.Linear(20, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = functional.max_pool2d(functional.relu(self.conv1(x)), 2)
        x = functional.max_pool2d(functional.relu(self.conv2(x)), 2)
        x = functional.relu(self.fc1(torch.flatten(x, 1)))
        answer: Tensor = self.fc2(x)
        return answer


class Block(nn.Module):
    """Two convolutions and a way around them; one ReLU, in place, used twice."""

    def __init__(self, maps: int, more: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(maps, more, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(more)
        self.conv2 = nn.Conv2d(more, more, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(more)
        self.relu = nn.ReLU(inplace=True)
        self.shortcut: nn.Module = nn.Identity()
        if stride > 1:
            self.shortcut = nn.Conv2d(maps, more, 1, stride, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        h = self.bn2(self.conv2(self.relu(self.bn1(self.conv1(x)))))
        h += self.shortcut(x)
        answer: Tensor = self.relu(h)
        return answer


class ResNet(nn.Module):
    """Named stages, batch norm, a way around every block, an average at the end."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(True))
        self.layer1 = nn.Sequential(Block(4, 4, 1))
        self.layer2 = nn.Sequential(Block(4, 8, 2), Block(8, 8, 1))
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(8, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = self.pool(self.layer2(self.layer1(self.stem(x))))
        answer: Tensor = self.fc(torch.flatten(x, 1))
        return answer


class Mixing(nn.Module):
    """Patches mixed, then features; each part reads a layer norm of what goes around it."""

    def __init__(self, patches: int, features: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(features), nn.LayerNorm(features)
        self.patches = nn.Linear(patches, patches)
        self.features = nn.Sequential(nn.Linear(features, 16), nn.GELU(), nn.Linear(16, features))

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.patches(self.norm1(x).transpose(1, 2)).transpose(1, 2)
        answer: Tensor = x + self.features(self.norm2(x))
        return answer


class Mixer(nn.Module):
    """An MLP-mixer on 16 patches of 2 x 2, with dropout, that answers logarithms of shares."""

    def __init__(self) -> None:
        super().__init__()
        self.patches = nn.Conv2d(1, 12, 2, 2)
        self.mixings = nn.Sequential(*(Mixing(16, 12) for _ in range(2)))
        self.drop = nn.Dropout(0.2)
        self.head = nn.Sequential(nn.LayerNorm(12), nn.Linear(12, 10), nn.LogSoftmax(dim=1))

    def forward(self, x: Tensor) -> Tensor:
        x = self.patches(x).flatten(2).transpose(1, 2)
        answer: Tensor = self.head(self.drop(self.mixings(x)).mean(1))
        return answer


def sequential() -> nn.Sequential:
    """Dense layers; a cell that begins with an activation in place."""
    return nn.Sequential(
        *(nn.Flatten(), nn.Linear(64, 30), nn.ReLU(), nn.Linear(30, 24)),
        *(nn.ReLU(inplace=True), nn.Linear(24, 20), nn.ReLU(), nn.Linear(20, 10)),
    )


NETWORKS: dict[str, tuple[Callable[[], nn.Module], list[str]]] = {
    "LeNet": (LeNet, ["conv2", "fc1"]),
    "ResNet": (ResNet, ["layer1", "layer2", "layer2.1"]),
    "mixer": (Mixer, ["mixings.0", "mixings.1"]),
    "sequential": (sequential, ["3", "4"]),
}
"""Each with the modules that its cells begin with."""
