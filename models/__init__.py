"""The neural network of FirstRead: arrays in, numbers out.

Nothing of the rest of the project is imported here. Screening (`models.bundle`) imports OpenVINO and, only
where there is a GPU, torch; training imports both.
"""

import sys

# OpenVINO tells Google Analytics of every process that imports it, unless it finds nothing to tell with.
sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]
