"""What the gate makes of radiographs that stand wrongly and of pictures that are none: rates, through the
same `Bundle.screen` that serves.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.bundle import Bundle, Grey, ImageScreening
from models.framing import FRAMES
from models.other_parts import OTHER_PARTS
from models.pixel_gate import INVERTED_NOTICE, MIRRORED_NOTICE
from models.strangers import STRANGERS
from models.stress import MIXED, shifted

_CHUNK = 64
_MILD = 0.33
_DRAWN_EACH = 25
Report = Callable[[str, int, int], None]


def gate_figures(
    bundle: Bundle, images: NDArray[np.uint8], *, seed: int, report: Report = lambda *_: None
) -> dict[str, Any]:
    """For squashed images (n, side, side) of upright chests: how often the gate speaks against them as they
    are, in mild changes and in other frames; how often it finds them turned, inverted, mirrored or cut; and
    how often it lets drawn strangers pass. Strangers are drawn from other seeds than any training used.
    """
    upright: dict[str, Sequence[Grey]] = {
        "as sent": list(images),
        "two changes, grade .33": list(shifted(images, change=MIXED, strength=_MILD, seed=seed)),
        "in another frame": [
            list(FRAMES.values())[1 + at % (len(FRAMES) - 1)](image) for at, image in enumerate(images)
        ],
    }
    wrong: dict[str, Sequence[Grey]] = {
        "turned left": [np.rot90(image) for image in images],
        "turned right": [np.rot90(image, -1) for image in images],
        "upside-down": [np.rot90(image, 2) for image in images],
        "inverted": list(255 - images),
        "inverted and upside-down": [255 - np.rot90(image, 2) for image in images],
        "mirrored": [image[:, ::-1] for image in images],
        "one lung": [_half(image, at % 2 == 0) for at, image in enumerate(images)],
        "a ninth of the chest": [_ninth(image, at) for at, image in enumerate(images)],
    }
    drawn: dict[str, Sequence[Grey]] = {
        kind: [draw(np.random.default_rng((seed, 2**31, number))) for number in range(_DRAWN_EACH)]
        for kind, draw in {**STRANGERS, **OTHER_PARTS}.items()
    }
    asked = {"upright": upright, "wrong": wrong, "drawn": drawn}
    total, done = sum(len(group) for group in asked.values()), 0
    outcome: dict[str, Any] = {"images": len(images)}
    for group, members in asked.items():
        outcome[group] = {}
        for name, pictures in members.items():
            outcome[group][name] = _rates(_screened(bundle, pictures))
            done += 1
            report("Asking the gate", done, total)
    return outcome


def _screened(bundle: Bundle, pictures: Sequence[Grey]) -> list[ImageScreening]:
    said: list[ImageScreening] = []
    for at in range(0, len(pictures), _CHUNK):
        said += bundle.screen(pictures[at : at + _CHUNK])
    return said


def _rates(screenings: Sequence[ImageScreening]) -> dict[str, float]:
    """Shares of all: withheld from the network, inverted for it, called mirrored, and unlike the training
    (which withholds too, where no age is known).
    """
    withheld = [screening.outcome == "withheld" for screening in screenings]
    return {
        "withheld": round(float(np.mean(withheld)), 4),
        "inverted": round(float(np.mean([INVERTED_NOTICE in one.notices for one in screenings])), 4),
        "mirrored": round(float(np.mean([MIRRORED_NOTICE in one.notices for one in screenings])), 4),
        "unlike": round(float(np.mean([one.unlike is not None for one in screenings])), 4),
    }


def _half(image: NDArray[np.uint8], left: bool) -> NDArray[np.uint8]:
    wide = round(0.42 * image.shape[1])
    return image[:, :wide] if left else image[:, -wide:]


def _ninth(image: NDArray[np.uint8], at: int) -> NDArray[np.uint8]:
    size = max(64, image.shape[0] // 3)
    rest = image.shape[0] - size
    top, left = (at % 3) * rest // 2, (at // 3 % 3) * rest // 2
    return image[top : top + size, left : left + size]
