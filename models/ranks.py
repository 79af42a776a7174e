"""The processes that train one network together: whose the pictures of a batch are, and what is put together
from all of them.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, distributed, nn
from torch.nn.parallel import DistributedDataParallel


def training_device() -> torch.device:
    """A GPU where torch sees one."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


@dataclass(frozen=True)
class Ranks:
    """One of ``count`` processes, the ``rank``-th, with its own device. One alone asks nobody."""

    rank: int = 0
    count: int = 1
    device: torch.device = field(default_factory=training_device)

    def own(self, of: int) -> NDArray[np.intp]:
        """Which of so many rows are this process's: every ``count``-th, so that what is drawn twice, which
        stands first in a batch, is shared out evenly.
        """
        return np.arange(self.rank, of, self.count)

    def whole(self, own: Tensor, of: int) -> Tensor:
        """All rows in order, of which each process has its own."""
        if self.count == 1:
            return own
        rows = torch.zeros((of, *own.shape[1:]), dtype=own.dtype, device=self.device)
        rows[self.own(of)] = own.to(self.device)
        distributed.all_reduce(rows)
        return rows

    def mean(self, own: Tensor, of: int) -> Tensor:
        """What stands for the mean over all rows, of which these are this process's: its gradient, averaged
        over the processes as `DistributedDataParallel` does, is that of the mean.
        """
        if self.count == 1:
            return own.mean(dim=0)
        return own.sum(dim=0) * (self.count / of)

    def average(self, value: float) -> float:
        """The mean of what each process has."""
        if self.count == 1:
            return value
        told = torch.tensor(value / self.count, dtype=torch.float64, device=self.device)
        distributed.all_reduce(told)
        return float(told)

    def first(self, value: float) -> float:
        """What the first process has: clocks differ, and all are to do the same."""
        if self.count == 1:
            return value
        told = torch.tensor(value, dtype=torch.float64, device=self.device)
        distributed.broadcast(told, src=0)
        return float(told)

    def together(self, module: nn.Module) -> nn.Module:
        """The module, whose gradients are averaged over the processes."""
        if self.count == 1:
            return module
        ids = [self.rank] if self.device.type == "cuda" else None
        return DistributedDataParallel(module, device_ids=ids, broadcast_buffers=False)

    def dropped(self, dropout: nn.Module, features: Tensor, of: int) -> Tensor:
        """The features after dropout; every process draws for all rows, which one alone would drop the
        same.
        """
        if self.count == 1:
            dropped: Tensor = dropout(features)
            return dropped
        kept = dropout(torch.ones((of, features.shape[1]), device=features.device))
        shared: Tensor = features * kept[self.own(of)]
        return shared
