"""The decoder's child process: takes jobs from its pool one by one and decodes them under a memory limit.

It runs codecs on hostile bytes, so it starts with an empty environment, holds no connection and no secret,
answers in JSON and raw bytes (never pickles), and may be killed at any moment. Started by `decoder_pool` as
`python -m app.dicom.decoder_child RESULT_FD MEMORY_BYTES PARENT_PID`.

One line of JSON comes in for each job: {"job", "path", "media_type", ...}. One goes out: {"buffers":
[lengths], ...} with the buffers one after the other in the file RESULT_FD, or {"refused": sentence} or
{"out_of_memory": true}.
"""

from __future__ import annotations

import ctypes
import json
import os
import resource
import signal
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from app.dicom.interpret import native_frame
from app.dicom.pixels import present, read_values, render
from app.dicom.windowing import Window
from app.domain.sentence import sentence
from app.errors import Problem

_PR_SET_PDEATHSIG = 1

Answer = dict[str, Any]
Buffers = list[Any]


def main(arguments: list[str]) -> None:
    """Serve jobs until the pool closes the pipe."""
    result_fd, memory_bytes, parent = (int(argument) for argument in arguments)
    _die_with(parent)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    answers = _claim_standard_output()
    _load_codecs()
    _limit_memory(memory_bytes)
    answers.write(b'{"ready": true}\n')
    for line in sys.stdin.buffer:
        answers.write(json.dumps(_serve(json.loads(line), result_fd)).encode() + b"\n")


def _serve(job: dict[str, Any], result_fd: int) -> Answer:
    try:
        answer, buffers = _JOBS[job.pop("job")](job)
        return answer | {"buffers": _hand_over(buffers, result_fd)}
    except Problem as problem:
        return {"refused": problem.detail}
    except Exception as error:  # noqa: BLE001
        # Whatever a codec throws is this image's failure; OpenCV says "Insufficient memory" in its own way.
        if isinstance(error, MemoryError) or "nsufficient memory" in str(error):
            return {"out_of_memory": True}
        return {
            "refused": sentence(
                f"The image cannot be decoded ({type(error).__name__}). Send it again from its source."
            )
        }


def _present(job: dict[str, Any]) -> tuple[Answer, Buffers]:
    made = present(
        Path(job["path"]),
        job["media_type"],
        preview_side=job["preview_side"],
        reading_side=job["reading_side"],
    )
    answer = {"rows": made.rows, "columns": made.columns, "shape": made.grey.shape, "notices": made.notices}
    return answer, [made.grey.reshape(-1), made.preview_jpeg]


def _read_values(job: dict[str, Any]) -> tuple[Answer, Buffers]:
    made = read_values(Path(job["path"]), job["media_type"])
    answer = {name: getattr(made, name) for name in ("rows", "columns", "slope", "intercept", "photometric")}
    answer |= {"minimum": made.minimum, "maximum": made.maximum, "padding": made.padding}
    answer["windows"] = [asdict(window) for window in made.windows]
    answer["voi_lut"] = None if made.voi_lut is None else asdict(made.voi_lut)
    return answer, [made.data]


def _render(job: dict[str, Any]) -> tuple[Answer, Buffers]:
    picture = render(
        Path(job["path"]),
        job["media_type"],
        window=None if job["window"] is None else Window(**job["window"]),
        viewport=None if job["viewport"] is None else (job["viewport"][0], job["viewport"][1]),
        picture_format=job["picture_format"],
        quality=job["quality"],
    )
    return {}, [picture]


def _native_frame(job: dict[str, Any]) -> tuple[Answer, Buffers]:
    return {}, [native_frame(Path(job["path"]), job["number"])]


_JOBS: dict[str, Callable[[dict[str, Any]], tuple[Answer, Buffers]]] = {
    "presentation": _present,
    "values": _read_values,
    "rendered": _render,
    "native_frame": _native_frame,
}


def _hand_over(buffers: Buffers, result_fd: int) -> list[int]:
    """Write the buffers into the shared file, which stays as large as the largest result so far."""
    position, lengths = 0, []
    for buffer in buffers:
        view = memoryview(buffer)
        written = 0
        while written < view.nbytes:
            written += os.pwrite(result_fd, view[written:], position + written)
        position += view.nbytes
        lengths.append(view.nbytes)
    return lengths


def _die_with(parent: int) -> None:
    """Ask Linux to kill this process when its parent ends; elsewhere the closed pipe ends it."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        sys.exit()


def _claim_standard_output() -> Any:
    """The pipe for answers; what codecs print goes nowhere (it would break the protocol, or reach a log)."""
    answers = os.fdopen(os.dup(1), "wb", buffering=0)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)
    return answers


def _load_codecs() -> None:
    """Load what decoding loads lazily, so that the first image pays nothing and the memory limit counts only
    images.
    """
    import cv2  # noqa: PLC0415 - after standard output is claimed
    import imagecodecs  # noqa: PLC0415

    cv2.setNumThreads(1)
    for name in ("jpeg8", "jpegls", "jpeg2k", "htj2k", "dicomrle"):
        getattr(imagecodecs, f"{name}_decode")


def _limit_memory(memory_bytes: int) -> None:
    """Allow `memory_bytes` of address space beyond what the idle process has."""
    if sys.platform != "linux":
        return
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
    limit = pages * resource.getpagesize() + memory_bytes
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except (BrokenPipeError, KeyboardInterrupt):
        sys.exit(1)
