"""Files to read and other people's decoders to compare with."""

from __future__ import annotations

import shutil
import subprocess
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

Keep = Callable[[bytes], Path]


@pytest.fixture(autouse=True)
def quiet_pydicom() -> None:
    """As in the service, where `app.dicom.part10` silences it: pytest forgets that filter."""
    warnings.filterwarnings("ignore", module=r"pydicom\b")


@pytest.fixture
def keep(tmp_path: Path) -> Keep:
    """Write bytes into a file of their own and give its path."""

    def write(data: bytes, name: str = "image.dcm") -> Path:
        path = tmp_path / f"{len(list(tmp_path.iterdir()))}-{name}"
        path.write_bytes(data)
        return path

    return write


@pytest.fixture(scope="session")
def dcmtk() -> Callable[..., None]:
    """Run a DCMTK program; the test is skipped where it is not installed."""
    if shutil.which("dcm2pnm") is None:
        pytest.skip("needs DCMTK, an independent decoder: install the Debian package dcmtk")

    def run(*arguments: str | Path) -> None:
        subprocess.run([str(argument) for argument in arguments], check=True, capture_output=True, timeout=60)

    return run


@pytest.fixture(scope="session")
def ramp() -> NDArray[np.uint16]:
    """12 bits, 96 x 80: a slope from 0 to 4095 with noise, so that every codec has something to do."""
    rng = np.random.default_rng(7)
    slope = np.linspace(0, 4095, 96 * 80).reshape(96, 80)
    return np.clip(slope + rng.normal(0, 12, slope.shape), 0, 4095).astype(np.uint16)
