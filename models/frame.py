"""The picture set back within a margin, and maps brought back to the picture's own frame.

Training draws chests larger and smaller than they are sent; where it draws them larger on average, the
network does best on pictures that are shown to it a little smaller (Touvron et al., "Fixing the train-test
resolution discrepancy", NeurIPS 2019).
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


def set_back(x: Tensor, margin: float) -> Tensor:
    """Pictures (n, 1, side, side) made smaller, within a margin of this share of the side on each side, in
    which the edges go on; same shape.
    """
    side = int(x.shape[-1])
    edge = round(margin * side)
    if edge == 0:
        return x
    inner = side - 2 * edge
    smaller = functional.interpolate(x, size=(inner, inner), mode="bilinear", align_corners=False)
    return functional.pad(smaller, (edge, edge, edge, edge), mode="replicate")


def brought_back(maps: Tensor, margin: float) -> Tensor:
    """Maps (n, findings, cells, cells) of pictures that were set back, over the picture's own frame; the sums
    stay the same.
    """
    share = shares(int(maps.shape[-1]), margin).to(maps)
    return share @ maps @ share.T


def shares(cells: int, margin: float) -> Tensor:
    """How much of each of so many cells over the picture with its margin (columns) lies in each of so many
    over the picture alone (rows), float32 (cells, cells). What lies in the margin counts at the edge it goes
    on from; columns add up to 1.
    """
    wide = torch.linspace(0, 1, cells + 1, dtype=torch.float64)
    own = margin + (1 - 2 * margin) * wide
    own[0], own[-1] = 0.0, 1.0
    overlap = torch.minimum(own[1:, None], wide[None, 1:]) - torch.maximum(own[:-1, None], wide[None, :-1])
    return (overlap.clamp(min=0) * cells).float()
