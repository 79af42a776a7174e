"""The short form of `make soak`: more senders than there are places for, and readers, for six seconds."""

from __future__ import annotations

import os

import pytest

from bench.crowds import POST
from bench.radiologists import FULL_DEPTH, PREVIEW, STUDY, WORKLIST
from bench.soak import soak

FEW_PLACES = {"FIRSTREAD_UPLOADS_AT_ONCE": "1", "FIRSTREAD_UPLOADS_WAITING": "2"}
"""In each web process, so that twenty senders are more than there is room for on any machine."""


@pytest.mark.skipif(not os.environ.get("CI"), reason="half a minute and more: for CI, and for `make soak`")
@pytest.mark.timeout(900)
def test_beyond_capacity_senders_are_told_when_to_come_back_and_are_served_then_and_readers_always() -> None:
    found = soak(senders=20, readers=5, seconds=6, **FEW_PLACES)
    heard = found.heard
    said = f"wrong {heard.wrong}, refused {heard.refused}, {len(heard.accepted)} accepted"
    assert not heard.wrong, said
    assert heard.refused[f"{POST}: 503"], said  # it was beyond capacity
    # the run has tried what it claims to have tried
    assert len(heard.accepted) >= 20 and heard.events, said
    for what in (WORKLIST, STUDY, PREVIEW, FULL_DEPTH, "to a reading"):
        assert heard.seconds.get(what), f"{what}: {said}"
