"""structlog, imported as where rich is not installed: to colour tracebacks that our logs never show in colour
it would bring sixty modules, four megabytes, into every process of the service.
"""

from __future__ import annotations

import sys

if "rich" not in sys.modules:
    sys.modules["rich"] = None  # type: ignore[assignment]
    import structlog  # noqa: F401

    del sys.modules["rich"]
