"""The addresses that results may be sent to, as far as they can be judged before anything is sent."""

from __future__ import annotations

from urllib.parse import urlsplit

from app.domain.addresses import literal, may_be_sent_in_clear, may_be_sent_to, ranges_of
from app.errors import Unprocessable
from app.settings import settings

_LONGEST_URL = 2000


def host_of(url: str) -> str:
    """The host that the address of a destination names.

    Raises Unprocessable for what is no such address, and for one that a delivery would refuse whatever its
    name stands for: what that is, is looked at each time something is sent, since it can change.
    """
    try:
        parts = urlsplit(url)
        valid = (
            parts.scheme in ("http", "https") and parts.hostname and not parts.username and parts.port != 0
        )
    except ValueError:  # half an IPv6 address, a port beyond 65,535
        valid = False
    if not valid or len(url) > _LONGEST_URL:
        raise Unprocessable("A destination is an http or https address without a user name in it.")
    host, allowed = parts.hostname or "", ranges_of(settings().destination_ranges)
    address = literal(host)
    if address is not None and not may_be_sent_to(address, allowed):
        raise Unprocessable(
            "Nothing is sent to this address: the service's operator has not allowed it"
            " (FIRSTREAD_DESTINATION_RANGES)."
        )
    in_clear = parts.scheme == "http"
    if in_clear and not (may_be_sent_in_clear(address, allowed) if address is not None else allowed):
        raise Unprocessable(
            "Results leave in clear (http) only within the site's own network, for addresses that the"
            " service's operator has declared (FIRSTREAD_DESTINATION_RANGES). Give an https address."
        )
    return host
