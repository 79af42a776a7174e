"""The application: rules, records, DICOM, storage, commands, queries and the web."""

import sys

# redis-py loads the metrics of OpenTelemetry's SDK wherever they are installed: three megabytes in every
# process, for figures that nobody asks it for. Traces do without them.
sys.modules.setdefault("opentelemetry.sdk.metrics", None)  # type: ignore[arg-type]
