"""Pictures set back within a margin, and maps brought back."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from models.frame import brought_back, set_back, shares
from models.network import Network


def test_a_picture_set_back_keeps_its_middle_and_goes_on_at_its_edges() -> None:
    ramp = torch.linspace(0, 1, 160).expand(1, 1, 160, 160).contiguous()
    smaller = set_back(ramp, 0.05)
    assert smaller.shape == ramp.shape
    np.testing.assert_allclose(smaller[0, 0, 80, 8:152].numpy(), np.linspace(0, 1, 144), atol=0.004)
    assert (smaller[0, 0, :, :8] == smaller[0, 0, :, 8:9]).all()
    assert (smaller[0, 0, :, 152:] == smaller[0, 0, :, 151:152]).all()
    assert set_back(ramp, 0.0) is ramp


def test_maps_brought_back_keep_their_sums_and_move_outwards() -> None:
    assert shares(5, 0.05).sum(dim=0).tolist() == pytest.approx([1] * 5)
    assert torch.equal(shares(5, 0.0), torch.eye(5))
    maps = torch.randn(3, 2, 5, 5, generator=torch.Generator().manual_seed(1))
    back = brought_back(maps, 0.05)
    np.testing.assert_allclose(back.sum(dim=(2, 3)).numpy(), maps.sum(dim=(2, 3)).numpy(), atol=1e-5)
    # A cell right of the middle begins, in the picture's own frame, farther right than in the wide one.
    alone = torch.zeros(1, 1, 5, 5)
    alone[0, 0, 2, 3] = 1.0
    assert brought_back(alone, 0.05)[0, 0].sum(dim=0).tolist() == pytest.approx([0, 0, 0, 0.85, 0.15])


def test_a_network_with_a_margin_reads_the_picture_as_one_without_reads_it_set_back() -> None:
    torch.manual_seed(3)
    plain, framed = Network(1).eval(), Network(1).eval()
    torch.nn.init.normal_(plain.head.weight)
    without = {name: value for name, value in plain.state_dict().items() if name != "margin"}
    framed.load_state_dict(without, strict=True)  # as weights from before there was a margin
    assert float(framed.margin) == 0
    framed.margin.fill_(0.05)
    pictures = torch.rand(2, 1, 160, 160)
    with torch.inference_mode():
        expected = plain(set_back(pictures, 0.05))
        seen = framed(pictures)
        logits = framed.logits(pictures)
        summed = seen.sum(dim=(2, 3)) + framed.head.bias
    np.testing.assert_allclose(seen.numpy(), brought_back(expected, 0.05).numpy(), atol=1e-4)
    np.testing.assert_allclose(summed.numpy(), logits.numpy(), atol=1e-3, rtol=1e-3)
