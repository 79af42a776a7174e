"""Spans on their way to an OpenTelemetry collector, in batches and from a thread of their own (OTLP, HTTP).

Whoever tells one never waits. A collector that is slow or down costs spans: the oldest of those that wait.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from uuid import UUID

import requests
import structlog
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.sdk.trace.sampling import ALWAYS_ON
from opentelemetry.trace import NonRecordingSpan, SpanContext, SpanKind, TraceFlags, set_span_in_context

_MOST_WAITING = 4096
_BATCH = 512
_SECONDS_BETWEEN = 2.0
_SECONDS_TO_ANSWER = 5.0
_SECONDS_TO_END = 2.0
_SAID_AGAIN_AFTER_SECONDS = 60.0

_log = structlog.get_logger(__name__)


class Collector:
    """The one place spans go to; used by any thread."""

    def __init__(self, endpoint: str, *, part: str) -> None:
        """`endpoint` is the whole address, its path too; `part` is the part of the service that tells."""
        self._ids = _Ids()
        self._provider = TracerProvider(
            sampler=ALWAYS_ON,
            # not by Resource.create, which adds what it finds out of machine and process
            resource=Resource({"service.name": f"firstread-{part}", "service.version": version("firstread")}),
            shutdown_on_exit=False,
            id_generator=self._ids,
        )
        self._provider.add_span_processor(
            BatchSpanProcessor(
                _Exporter(endpoint),
                max_queue_size=_MOST_WAITING,
                max_export_batch_size=_BATCH,
                schedule_delay_millis=_SECONDS_BETWEEN * 1000,
            )
        )
        self._tracer = self._provider.get_tracer("firstread")

    def tell(
        self,
        image: UUID,
        name: str,
        *,
        step: tuple[int, int],
        facts: Mapping[str, str | int | float | bool],
        is_first: bool = False,
    ) -> None:
        """A span of the image's trace, which is sent some time later: its first one, or a part of that.

        Facts are named by OpenTelemetry's conventions where they have a dot, and are ours otherwise.
        """
        begun, ended = step
        named = {name if "." in name else f"firstread.{name}": fact for name, fact in facts.items()}
        with self._ids.as_first_of(image if is_first else None):
            span = self._tracer.start_span(
                name,
                Context() if is_first else _within(image),
                SpanKind.SERVER if is_first else SpanKind.INTERNAL,
                {"firstread.image": str(image), **named},
                start_time=begun,
            )
        span.end(max(begun, ended))  # the clock may have been set back

    def close(self) -> None:
        """What waits is sent; a collector that does not answer keeps no process from ending."""
        closing = threading.Thread(target=self._provider.shutdown, daemon=True)
        closing.start()
        closing.join(_SECONDS_TO_END)


class _Ids(RandomIdGenerator):
    """Ids of spans, and of the traces that are begun."""

    def __init__(self) -> None:
        self._of = threading.local()

    @contextmanager
    def as_first_of(self, image: UUID | None) -> Iterator[None]:
        """The span that this thread starts meanwhile is the image's first."""
        self._of.image = image
        try:
            yield
        finally:
            self._of.image = None

    def generate_trace_id(self) -> int:
        """The image's own id."""
        image: UUID = self._of.image
        return image.int

    def generate_span_id(self) -> int:
        """Of an image's first span the one that follows from the image's id, otherwise a new one."""
        image: UUID | None = self._of.image
        return super().generate_span_id() if image is None else _first_span_of(image)


def _first_span_of(image: UUID) -> int:
    return image.int & (2**64 - 1)  # with the bits of the variant in it never nought


def _within(image: UUID) -> Context:
    first = SpanContext(
        trace_id=image.int,
        span_id=_first_span_of(image),
        is_remote=True,
        trace_flags=TraceFlags(TraceFlags.SAMPLED),
    )
    return set_span_in_context(NonRecordingSpan(first), Context())


class _Exporter(SpanExporter):
    """OTLP over HTTP to this address and no other, whatever proxy or redirect there is; says once a minute
    that it gets no further.
    """

    def __init__(self, endpoint: str) -> None:
        session = requests.Session()
        session.trust_env = False
        self._otlp = OTLPSpanExporter(endpoint, timeout=_SECONDS_TO_ANSWER, session=session)
        self._quiet_until = 0.0
        # It says of each batch what we say once a minute.
        logging.getLogger("opentelemetry.exporter").setLevel(logging.CRITICAL)

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        result = self._otlp.export(spans)
        if result is not SpanExportResult.SUCCESS and time.monotonic() >= self._quiet_until:
            self._quiet_until = time.monotonic() + _SAID_AGAIN_AFTER_SECONDS
            _log.warning("collector_silent", spans_lost=len(spans))
        return result

    def shutdown(self) -> None:
        self._otlp.shutdown()  # type: ignore[no-untyped-call]
