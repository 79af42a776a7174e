"""The child of one look: an order on its standard input; on its standard output what the layers see, the
occlusion map, or what a candidate says. JSON.
"""

from __future__ import annotations

import base64
import json
import os
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from app.dicom.decoder_pool import DecoderPool
from app.domain.sentence import sentence
from app.errors import DecodeFailed
from models.bundle import Bundle
from models.layers import BundleRefused, ImageRefused, Inside, look_inside
from models.occlusion import Occlusion, occlude

_LOWEST_PRIORITY = 19
_PICTURE_SIDE = 360
_WAITED_FOR = 5
"""For a map: a reader sits before it."""


def main() -> None:
    """Says `{"refused": sentence}` where the image or the bundle cannot be shown."""
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # whatever a library has to say is no answer
    order = json.load(sys.stdin)
    os.nice(_WAITED_FOR if order["what"] == "map" else _LOWEST_PRIORITY)
    try:
        bundle, image = Path(order["bundle"]), _decoded(order)
        if order["what"] == "map":
            said = map_as_json(occlude(bundle, image))
        elif order["what"] == "try":
            said = tried(image, active=bundle, candidate=Path(order["candidate"]))
        else:
            said = as_json(look_inside(bundle, image))
    except (BundleRefused, ImageRefused) as refusal:
        said = {"refused": str(refusal)}
    except DecodeFailed as failure:
        said = {"refused": failure.detail}
    except Exception as error:  # noqa: BLE001, its message may quote the image's header
        said = {"refused": sentence(f"The look broke on this machine ({type(error).__name__}).")}
    with answers:
        json.dump(said, answers)


def _decoded(order: dict[str, Any]) -> NDArray[np.uint8]:
    with DecoderPool(processes=1, seconds=order["seconds"], memory_bytes=order["memory_bytes"]) as pool:
        return pool.presentation(Path(order["image"]), order["media_type"]).result().grey


def as_json(inside: Inside) -> dict[str, Any]:
    """Pictures as base64 PNG at the layers' own size, so that a page can show every cell as it is."""
    return {
        "network": f"{inside.name} {inside.version}",
        "given": _png(inside.given),
        "side": int(inside.given.shape[0]),
        "layers": [
            {
                "depth": layer.depth,
                "rows": layer.rows,
                "columns": layer.columns,
                "detectors": layer.channels,
                "silent": layer.silent,
                "maps": [{"detector": one.channel, "png": _png(one.grey)} for one in layer.maps],
            }
            for layer in inside.layers
        ],
        "contributions": {
            name: [[round(float(value), 4) for value in row] for row in values]
            for name, values in inside.contributions.items()
        },
    }


def map_as_json(found: Occlusion) -> dict[str, Any]:
    """Cells row by row, to the fourth decimal of the logit."""
    return {
        "finding": found.finding,
        "cells": [[round(float(value), 4) for value in row] for row in found.cells],
        "logit": round(found.logit, 4),
        "runtime": found.runtime,
    }


def tried(image: NDArray[np.uint8], *, active: Path, candidate: Path) -> dict[str, Any]:
    """What either bundle says of the picture alone, and the picture, small."""
    return {
        "picture": _small(image),
        "active": _said(Bundle.load(active, threads=1), image),
        "candidate": _said(Bundle.load(candidate, threads=1), image),
    }


def _said(bundle: Bundle, image: NDArray[np.uint8]) -> dict[str, Any]:
    [answer] = bundle.screen([image])
    return {
        "network": f"{bundle.manifest.name} {bundle.manifest.version}",
        "outcome": answer.outcome,
        "reason": answer.reason,
        "notices": [*answer.notices, *([answer.unlike] if answer.unlike else [])],
        "findings": {
            name: {"probability": round(said.probability, 4), "present": said.present, "lane": said.lane}
            for name, said in answer.findings.items()
        },
    }


def _small(grey: NDArray[np.uint8]) -> str:
    scale = min(_PICTURE_SIDE / max(grey.shape), 1.0)
    size = (max(1, round(grey.shape[1] * scale)), max(1, round(grey.shape[0] * scale)))
    done, encoded = cv2.imencode(".jpg", cv2.resize(grey, size, interpolation=cv2.INTER_AREA))
    assert done
    return base64.b64encode(encoded.tobytes()).decode()


def _png(grey: NDArray[np.uint8]) -> str:
    done, encoded = cv2.imencode(".png", grey)
    assert done
    return base64.b64encode(encoded.tobytes()).decode()


if __name__ == "__main__":
    main()
