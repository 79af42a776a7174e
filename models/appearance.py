"""What the gate learns to tell from the pixels: which way up a chest stands, whether its grey levels are
turned round, whether it is all there, and whether it is a chest at all.

Linear heads on the coarse map of the frozen ImageNet layers that the distance passes anyway. They learn from
the training images turned, inverted, mirrored, cut to a part and cut to pieces, in other rooms and frames,
and from what `models.strangers` and `models.other_parts` draw. Their limits are chosen on held-out patients.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from models.acquisition import CHANGES
from models.components import components
from models.dataset import Labelled
from models.familiarity import LEAST_IMAGES
from models.framing import FRAMES
from models.measured import Measured
from models.other_parts import OTHER_PARTS
from models.phantom import phantom
from models.pixel_gate import INVERTED, LABELS, MIRRORED, PART, POSES, STRANGER, margins
from models.preprocess import Float, squash, standardise
from models.served import Appearance, Familiarity
from models.strangers import STRANGERS
from models.stress import MIXED, network_input, shifted

Draw = np.random.Generator
Grey = NDArray[np.uint8]
FALSE_SHARE = 0.0003
"""Of held-out images as they are, in mild changes and in other frames, that one limit may withhold or invert:
all six together stay below two in a thousand.
"""
FALSELY_MIRRORED = 0.002
_CERTAIN_MISSED = 0.01
_CHESTS = 8000
_MOST_COPIES = 12
_CHESTS_A_STRANGER = 8
_CHESTS_A_PHANTOM = 20
_COMPONENTS = 256
_PENALTY = 1e-2
_MILD = 0.33


class _Map(nn.Module):
    def __init__(self, familiarity: Familiarity) -> None:
        super().__init__()
        self.familiarity = familiarity

    def forward(self, x: Tensor) -> Tensor:
        return self.familiarity.trunk(x).flatten(1)


def posed(prepared: Float, *, turns: int, inverted: bool, mirrored: bool) -> Float:
    """A prepared image (side, side) mirrored left to right, then turned counter-clockwise by so many right
    angles, then with its grey levels turned round; the same as if the image had been so before preparing.
    """
    seen = np.rot90(prepared[:, ::-1] if mirrored else prepared, turns)
    return np.ascontiguousarray(-seen if inverted else seen, dtype=np.float32)


def elsewhere(image: Grey, draw: Draw) -> Float:
    """The image prepared: three in ten as it is, the others under two acquisition changes of any grade, and
    some of them in a wider or narrower frame.
    """
    picture = image.astype(np.float32)
    if draw.random() < 0.3:
        return standardise(picture)
    for name in draw.choice(list(CHANGES), 2, replace=False):
        picture = CHANGES[str(name)](picture, draw.uniform(0, 1), draw)
    if draw.random() < 0.4:
        side = picture.shape[0]
        scale = np.diag(np.exp(draw.uniform(-0.25, 0.25, 2)))
        move = side / 2 - scale @ np.full(2, side / 2) + draw.uniform(-0.05, 0.05, 2) * side
        frame = np.column_stack([scale, move])
        picture = np.asarray(
            cv2.warpAffine(picture, frame, (side, side), borderMode=cv2.BORDER_REPLICATE), np.float32
        )
    return standardise(picture)


def part_of_chest(image: Grey, draw: Draw) -> Float:
    """A quarter to a tenth of the image, or a strip of less than half of it, prepared."""
    side, kind = image.shape[0], int(draw.integers(3))
    narrow, long = draw.uniform(0.25, 0.43), draw.uniform(0.6, 1.0)
    rows, columns = ((narrow, draw.uniform(0.25, 0.45)), (narrow, long), (long, narrow))[kind]
    high, wide = round(side * rows), round(side * columns)
    top, left = int(draw.integers(0, side - high + 1)), int(draw.integers(0, side - wide + 1))
    seen = image[top : top + high, left : left + wide]
    return standardise(cv2.resize(seen, (side, side), interpolation=cv2.INTER_LINEAR).astype(np.float32))


def in_pieces(image: Grey, draw: Draw) -> Float:
    """The image's own texture without its anatomy: squares of it, turned and put elsewhere, prepared."""
    side, count = image.shape[0], int(draw.integers(2, 6))
    size = side // count
    corners = [(row * size, column * size) for row in range(count) for column in range(count)]
    pieces = [np.rot90(image[y : y + size, x : x + size], int(draw.integers(4))) for y, x in corners]
    order = draw.permutation(len(pieces))
    rows = [np.hstack([pieces[at] for at in order[row * count : (row + 1) * count]]) for row in range(count)]
    whole = cv2.resize(np.vstack(rows), (side, side), interpolation=cv2.INTER_LINEAR).astype(np.float32)
    return standardise(np.asarray(cv2.GaussianBlur(whole, (0, 0), draw.uniform(0.5, 2)), np.float32))


def on_screen(image: Grey, draw: Draw) -> Float:
    """The image small, once or several times, on a drawn screen, prepared."""
    side = image.shape[0]
    picture = np.clip(squash(STRANGERS["screen"](draw), side=side), 0, 255).astype(np.uint8)
    for _ in range(int(draw.integers(1, 5))):
        high, wide = (round(side * share) for share in draw.uniform(0.2, 0.55, 2))
        top, left = int(draw.integers(0, side - high)), int(draw.integers(0, side - wide))
        small = cv2.resize(image, (wide, high), interpolation=cv2.INTER_AREA)
        picture[top : top + high, left : left + wide] = small
    return standardise(picture.astype(np.float32))


def stranger(kind: str, draw: Draw, *, side: int) -> Float:
    """A drawn picture of the kind, prepared; other parts of the body sometimes with their grey levels turned
    round.
    """
    drawn = {**STRANGERS, **OTHER_PARTS}[kind](draw)
    prepared = standardise(squash(np.ascontiguousarray(drawn), side=side))
    return -prepared if kind in OTHER_PARTS and draw.random() < 0.25 else prepared


def _lessons(images: Grey, *, seed: int) -> Iterator[tuple[int, bool, Callable[[], Float]]]:
    """What the heads learn from: number of the label, whether mirrored, and how to draw it.

    Drawn chests are among the chests: runtimes are compared, and installations tried, with such.
    """
    side = images.shape[1]
    copies = min(_MOST_COPIES, max(2, -(-_CHESTS // len(images))))
    phantoms = [
        phantom(seed + number, rows=side, columns=side, opacity=number % 2 == 1)
        for number in range(len(images) // _CHESTS_A_PHANTOM)
    ]
    for index, image in enumerate([*images, *phantoms]):
        for copy in range(copies):
            draw = np.random.default_rng((seed, index, copy))
            turns = int(draw.choice([0, 0, 0, 1, 2, 3]))
            inverted, mirrored = bool(draw.random() < 0.4), bool(draw.random() < 0.5)

            def chest(
                image: Grey = image, draw: Draw = draw, pose: Any = (turns, inverted, mirrored)
            ) -> Float:
                return posed(elsewhere(image, draw), turns=pose[0], inverted=pose[1], mirrored=pose[2])

            yield turns + len(POSES) * inverted, mirrored, chest
        if index >= len(images):
            continue
        draw = np.random.default_rng((seed, index, copies))
        for label, way, share in (
            (PART, part_of_chest, 1 / 3),
            (STRANGER, in_pieces, 1 / 6),
            (STRANGER, on_screen, 1 / 8),
        ):
            if draw.random() < share:
                turned_round = bool(draw.random() < 0.3)

                def other(
                    image: Grey = image, draw: Draw = draw, way: Any = way, sign: int = 1 - 2 * turned_round
                ) -> Float:
                    return np.asarray(sign * way(image, draw), dtype=np.float32)

                yield LABELS.index(label), False, other
    kinds = (*STRANGERS, *OTHER_PARTS)
    each = max(2, len(images) * copies // _CHESTS_A_STRANGER // len(kinds))
    for number, kind in enumerate(kinds):
        for copy in range(each):
            draw = np.random.default_rng((seed, 2 * len(images) + number, copy))
            yield (
                LABELS.index(STRANGER),
                False,
                lambda kind=kind, draw=draw: stranger(kind, draw, side=side),  # type: ignore[misc]
            )


def fit_appearance(familiarity: Familiarity, data: Labelled, *, seed: int, threads: int) -> Appearance:
    """The heads fitted on these images, turned and drawn; the same for the same images and seed."""
    side = data.images.shape[1]
    lessons = list(_lessons(data.images, seed=seed))
    labels = torch.tensor([label for label, _, _ in lessons])
    mirrored = torch.tensor([mirrored for _, mirrored, _ in lessons])
    # Drawing and the layers of OpenVINO release the interpreter's lock.
    with ThreadPoolExecutor(threads) as pool:
        prepared = np.stack(list(pool.map(lambda lesson: lesson[2](), lessons)))
    seen = Measured(_Map(familiarity), side=side, threads=threads).of_prepared(prepared[:, None])
    mean, spread = seen.mean(axis=0), seen.std(axis=0)
    spread = np.maximum(spread, 0.05 * np.median(spread) + 1e-4)
    scaled = (seen - mean) / spread
    values, vectors = components(scaled, _COMPONENTS)
    kept = values > 1e-6 * values[0]
    basis = vectors[:, kept] / np.sqrt(values[kept])
    inputs = torch.from_numpy(np.asarray(scaled @ basis, dtype=np.float32))
    chosen = labels == 0
    heads = [
        _softmax(inputs, labels, classes=len(LABELS) - 1),
        _softmax(inputs[chosen], mirrored[chosen].long(), classes=2),
    ]
    weight = np.concatenate([heads[0][0], heads[1][0][1:] - heads[1][0][:1]]) @ (basis / spread[:, None]).T
    bias = np.concatenate([heads[0][1], heads[1][1][1:] - heads[1][1][:1]]) - weight @ mean
    appearance = Appearance(seen.shape[1])
    with torch.no_grad():
        appearance.weight.copy_(torch.from_numpy(weight.astype(np.float32)))
        appearance.bias.copy_(torch.from_numpy(bias.astype(np.float32)))
    return appearance


def _softmax(inputs: Tensor, labels: Tensor, *, classes: int) -> tuple[Float, Float]:
    """Weight (classes, components) and bias of multinomial regression, the classes weighted to be equal."""
    counts = torch.bincount(labels, minlength=classes).float()
    share = (len(labels) / classes / counts.clamp(min=1)).clamp(max=5)
    head = torch.zeros(classes, inputs.shape[1], requires_grad=True)
    bias = torch.zeros(classes, requires_grad=True)
    optimiser = torch.optim.LBFGS([head, bias], max_iter=60, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        optimiser.zero_grad()
        loss = functional.cross_entropy(inputs @ head.T + bias, labels, weight=share)
        loss = loss + _PENALTY * (head**2).sum()
        loss.backward()  # type: ignore[no-untyped-call]
        return loss

    optimiser.step(closure)  # type: ignore[no-untyped-call]
    return head.detach().numpy(), bias.detach().numpy()


class _Heads(nn.Module):
    def __init__(self, familiarity: Familiarity, appearance: Appearance) -> None:
        super().__init__()
        self.familiarity, self.appearance = familiarity, appearance

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.appearance(self.familiarity.trunk(x))
        return logits


def appearance_limits(
    familiarity: Familiarity, appearance: Appearance, held_out: Labelled, *, seed: int, threads: int
) -> dict[str, Any]:
    """What a manifest says of the heads: their labels, the limit of every margin, and what these limits do to
    images of patients the heads never saw.

    A limit lies half-way between what upright chests hardly ever reach and what the others nearly always do,
    and nowhere below the former. Without enough images there are no limits, and the heads do not speak.
    """
    stated: dict[str, Any] = {"labels": list(LABELS), "images": len(held_out)}
    if len(held_out) < LEAST_IMAGES:
        return stated
    side, images = held_out.images.shape[1], held_out.images
    heads = Measured(_Heads(familiarity, appearance), side=side, threads=threads)

    def asked(prepared: Sequence[Float]) -> dict[str, NDArray[np.float64]]:
        return margins(heads.of_prepared(np.stack(prepared)[:, None]))

    frames = list(FRAMES.values())
    mild = [shifted(images, change=MIXED, strength=_MILD, seed=seed + copy) for copy in range(3)]
    framed = [
        np.stack([frames[(index + copy) % len(frames)](image) for index, image in enumerate(images)])
        for copy in range(0, len(frames), 3)
    ]
    plain = network_input(images)[:, 0]
    upright = asked([*plain, *(one for copy in (*mild, *framed) for one in network_input(copy)[:, 0])])
    draws = [np.random.default_rng((seed, index)) for index in range(len(images))]
    drawn = [*STRANGERS, *OTHER_PARTS]
    others = {
        PART: asked([part_of_chest(image, draw) for image, draw in zip(images, draws, strict=True)]),
        STRANGER: asked([stranger(drawn[at % len(drawn)], draw, side=side) for at, draw in enumerate(draws)]),
        INVERTED: asked([posed(one, turns=0, inverted=True, mirrored=False) for one in plain]),
        **{
            pose: asked([posed(one, turns=turns, inverted=False, mirrored=False) for one in plain])
            for turns, pose in enumerate(POSES[1:], start=1)
        },
    }
    limits = {
        name: max(rare, (rare + float(np.quantile(said[name], _CERTAIN_MISSED))) / 2)
        for name, said in others.items()
        for rare in [float(np.quantile(upright[name], 1 - FALSE_SHARE))]
    }
    falsely = np.any([upright[name] > limit for name, limit in limits.items()], axis=0)
    limits[MIRRORED] = float(np.quantile(upright[MIRRORED], 1 - FALSELY_MIRRORED))
    others[MIRRORED] = asked([posed(one, turns=0, inverted=False, mirrored=True) for one in plain])
    return stated | {
        "limits": limits,
        "falsely_withheld_or_inverted": round(float(falsely.mean()), 5),
        "found": {name: round(float((said[name] > limits[name]).mean()), 4) for name, said in others.items()},
    }
