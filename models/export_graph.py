"""The network as it leaves the house: from a radiograph's grey levels to probabilities and lanes in one
graph.

Everything between is inside, so that nobody who runs it elsewhere can prepare pictures otherwise: the
squash, the smoothing and equalising of `models.preprocess`, the network, calibration and thresholds. It is
made of operations that ONNX, OpenVINO, Core ML and torch's exported programs all have, for pictures of any
size.
"""

from __future__ import annotations

from collections.abc import Mapping

import cv2
import torch
from torch import Tensor, nn
from torch.nn import functional

from models.frame import brought_back, set_back
from models.manifest import Manifest
from models.pixel_gate import INVERTED, LABELS, MIRRORED, PART, POSES, STRANGER
from models.preprocess import FIELD, LEVELS, SMOOTHING, reading_side
from models.served import Served
from models.torch_runtime import served_of

INPUT = "image"
OUTPUTS = ("probability", "logit", "lane", "activation_map", "gate")
UNLIKE = "unlike the training images"
_GATED = (*POSES[1:], PART, STRANGER, INVERTED, MIRRORED)
_NEVER = 2.0
"""A cut that no probability reaches: no threshold met the bound, or the finding is for research."""
_LARGEST_LOGIT = 40.0


class Preparation(nn.Module):
    """Grey levels, float32 (n, 1, rows, columns), to what the network takes, float32 (n, 1, side, side): as
    `models.preprocess.prepare` does it, but that averages of boxes are not rounded.
    """

    kernel: Tensor
    places: Tensor

    def __init__(self, side: int) -> None:
        super().__init__()
        self._side = side
        self._edge = round(FIELD * side)
        sigma = SMOOTHING * side
        self._taps = round(sigma * 8 + 1) | 1  # what OpenCV chooses for floats
        kernel = cv2.getGaussianKernel(self._taps, sigma, cv2.CV_32F)
        self.register_buffer("kernel", torch.from_numpy(kernel).reshape(1, 1, self._taps, 1))
        self.register_buffer("places", torch.arange(side, dtype=torch.float32)[:, None] + 0.5)

    def forward(self, image: Tensor) -> Tensor:
        # Sums of ones instead of sizes: how large the picture is, every format knows only when it runs.
        down, across = torch.ones_like(image[0, 0, :, 0]), torch.ones_like(image[0, 0, 0, :])
        shorter = torch.minimum(down.sum(), across.sum())
        box = torch.floor(shorter / reading_side(self._side)).clamp(min=1.0)
        square = self._shares(down, box) @ image @ self._shares(across, box).transpose(0, 1)
        return self._standardised(square)

    def _shares(self, ones: Tensor, box: Tensor) -> Tensor:
        """How much each pixel of a line counts in each of the side's, (side, length): of averages of whole
        boxes, the last maybe smaller, Pillow's triangle.
        """
        length, at = ones.sum(), torch.cumsum(ones, 0) - 1.0
        boxes, mine = torch.ceil(length / box), torch.floor(at / box)
        in_last = length - box * (boxes - 1.0)
        is_last = (mine > boxes - 1.5).float()
        held = is_last * in_last + (1.0 - is_last) * box
        step = boxes / self._side
        distances = (mine[None, :] + 0.5 - self.places * step).abs() / step.clamp(min=1.0)
        weights = (1.0 - distances).clamp(min=0.0) / held[None, :]
        return weights / weights.sum(dim=1, keepdim=True)

    def _standardised(self, square: Tensor) -> Tensor:
        half = self._taps // 2
        wide = functional.pad(square, (half, half, half, half), mode="reflect")
        smooth = functional.conv2d(functional.conv2d(wide, self.kernel), self.kernel.transpose(2, 3))
        low, high = smooth.amin(dim=(2, 3), keepdim=True), smooth.amax(dim=(2, 3), keepdim=True)
        spread = high - low
        flat = (spread <= 0).float()
        level = ((smooth - low) * ((LEVELS - 1) / (spread + flat)) + 0.5).long()
        edge, side = self._edge, self._side
        field = level[:, :, edge : side - edge, edge : side - edge].flatten(1)
        counts = torch.zeros_like(level).flatten(1)[:, :1].float().repeat(1, LEVELS)
        counts = counts.scatter_add(1, field, torch.ones_like(field).float())
        reached = torch.cumsum(counts, 1)
        rank = (reached - counts / 2) / reached[:, LEVELS - 1 :]
        grey = (rank * 2 - 1).gather(1, level.flatten(1)).reshape(-1, 1, side, side)
        return grey * (1 - flat)


class Deployed(nn.Module):
    """A bundle as one module: grey levels, float32 (n, 1, rows, columns), MONOCHROME2, to `OUTPUTS`.

    probability, logit and lane are float32 (n, findings), a lane being 1 for rule-in, 0 for abstain and -1
    for rule-out; activation_map is (n, findings, h, w), which with the bias sums to the logit; gate (n,
    `len(gates)`) is above zero where the bundle is certain that the image is not for it, and absent where a
    bundle carries no gate.
    """

    slope: Tensor
    intercept: Tensor
    bias: Tensor
    rule_in: Tensor
    rule_out: Tensor
    limits: Tensor

    def __init__(self, served: Served, manifest: Manifest, *, outputs: int) -> None:
        super().__init__()
        findings = manifest.findings
        self.preparation = Preparation(manifest.input_size)
        self.network = served.network
        # A number of the network, which an exporter would take for one that the picture decides.
        self._margin = float(served.network.margin)
        stated: Mapping[str, float] = manifest.appearance.get("limits", {}) if outputs > 3 else {}
        unlike = manifest.familiarity.get("limit") if outputs > 1 else None
        self.gates: tuple[str, ...] = (*(_GATED if stated else ()), *((UNLIKE,) if unlike else ()))
        self._knows_stance, self._knows_strangers = bool(stated), unlike is not None
        if self.gates:
            self.familiarity, self.appearance = served.familiarity, served.appearance
        limits = [*(stated[name] for name in _GATED if stated), *((float(unlike),) if unlike else ())]
        fits = [manifest.calibration[finding.name] for finding in findings]
        cuts = [manifest.thresholds[finding.name] for finding in findings]
        silent = [finding.research for finding in findings]
        self._say("slope", [fit.slope for fit in fits])
        self._say("intercept", [fit.intercept for fit in fits])
        self._say("bias", [finding.bias for finding in findings])
        self._say(
            "rule_in",
            [
                _NEVER if mute or cut.rule_in is None else cut.rule_in
                for cut, mute in zip(cuts, silent, strict=True)
            ],
        )
        self._say(
            "rule_out",
            [
                -_NEVER if mute or cut.rule_out is None else cut.rule_out
                for cut, mute in zip(cuts, silent, strict=True)
            ],
        )
        self._say("limits", limits)

    def _say(self, name: str, values: list[float]) -> None:
        self.register_buffer(name, torch.tensor(values, dtype=torch.float32)[None])

    @property
    def outputs(self) -> tuple[str, ...]:
        """The names of what it gives."""
        return OUTPUTS if self.gates else OUTPUTS[:-1]

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        prepared = self.preparation(image)
        maps = self._maps(prepared)
        logit = maps.sum(dim=(2, 3)) + self.bias
        scaled = (self.slope * logit + self.intercept).clamp(-_LARGEST_LOGIT, _LARGEST_LOGIT)
        probability = torch.sigmoid(scaled)
        lane = (probability >= self.rule_in).float() - (probability < self.rule_out).float()
        said = (probability, logit, lane, maps)
        return (*said, self._gate(prepared)) if self.gates else said

    def _maps(self, prepared: Tensor) -> Tensor:
        """As `Network.forward`."""
        network = self.network
        features = network.last(network.blocks(network.stem(set_back(prepared, self._margin))))
        cells = features.shape[-2] * features.shape[-1]
        maps = functional.conv2d(features, network.head.weight[:, :, None, None]) / cells
        return brought_back(maps, self._margin) if self._margin else maps

    def _gate(self, prepared: Tensor) -> Tensor:
        seen = self.familiarity.trunk(prepared)
        parts = [_odds(self.appearance(seen))] if self._knows_stance else []
        parts += [self.familiarity.distance(seen)[:, None]] if self._knows_strangers else []
        return torch.cat(parts, dim=1) - self.limits


def _odds(said: Tensor) -> Tensor:
    """`models.pixel_gate.margins` in the order of `_GATED`: logits (n, 11) to log odds (n, 7)."""
    count = len(POSES)
    upright, inverted = said[:, :count], said[:, count : 2 * count]
    either = torch.maximum(upright, inverted) + torch.log(1 + torch.exp(-(upright - inverted).abs()))
    of_chest = either[:, :1]
    part, stranger = LABELS.index(PART), LABELS.index(STRANGER)
    mirrored = LABELS.index(MIRRORED)
    return torch.cat(
        [
            either[:, 1:] - of_chest,
            said[:, part : part + 1] - of_chest,
            said[:, stranger : stranger + 1] - of_chest,
            inverted[:, :1] - upright[:, :1],
            said[:, mirrored : mirrored + 1],
        ],
        dim=1,
    )


def deployed(members: Mapping[str, bytes], manifest: Manifest) -> Deployed:
    """A bundle's members as one module, ready to answer."""
    served, outputs = served_of(members, findings=len(manifest.findings))
    return Deployed(served, manifest, outputs=outputs).eval()
