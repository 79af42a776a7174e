"""What a web process holds in memory."""

from __future__ import annotations

import subprocess
import sys


def test_a_web_process_loads_no_codec_and_no_network() -> None:
    loaded = subprocess.run(
        [sys.executable, "-c", "import sys, app.web.main; print(*sys.modules)"],
        check=True,
        capture_output=True,
        text=True,
    ).stdout.split()
    assert "app.dicom.header" in loaded
    assert {"cv2", "imagecodecs", "torch", "openvino"}.isdisjoint(loaded)
    assert {"opentelemetry.sdk", "opentelemetry.exporter", "google.protobuf"}.isdisjoint(loaded)
