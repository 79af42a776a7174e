"""Addresses of networks: ranges in CIDR form, and where the service may send what others have named."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
    ip_network,
)

Range = IPv4Network | IPv6Network
Address = IPv4Address | IPv6Address

_METADATA = frozenset(
    ip_address(each)
    for each in ("169.254.169.254", "169.254.170.2", "fd00:ec2::254", "100.100.100.200", "168.63.129.16")
)
"""Where clouds tell a machine its own credentials: no destination, whatever a setting says."""
_OURSELVES = tuple(
    ip_network(each)
    for each in (
        "0.0.0.0/8",
        "127.0.0.0/8",
        "169.254.0.0/16",
        "224.0.0.0/4",
        "240.0.0.0/4",
        "::/127",
        "fe80::/10",
        "ff00::/8",
    )
)
"""This machine, its link, and many at once: a wide range that happens to hold them does not allow them."""
_TRANSLATED = tuple(
    ip_network(each) for each in ("64:ff9b::/96", "64:ff9b:1::/48", "2002::/16", "::ffff:0:0:0/96", "::/96")
)
"""IPv6 addresses that stand for IPv4 ones beyond a gateway: what is reached there cannot be seen here. The
last range, given up long ago, has ``::1`` too, which is this machine.
"""
_OF_A_SITE = (ip_network("fec0::/10"), ip_network("192.0.0.0/24"))
"""Not public, though Python's `is_global` takes them for that."""


def ranges_of(texts: Iterable[str]) -> tuple[Range, ...]:
    """The ranges; one address is a range of one. Raises ValueError for anything else, and for stray bits."""
    return tuple(ip_network(each) for each in texts)


def is_within(address: str | None, ranges: Sequence[Range]) -> bool:
    """True where the address is one and lies in one of the ranges."""
    try:
        here = plain(ip_address(address or ""))
    except ValueError:  # a socket without an address
        return False
    return any(here in each for each in ranges)


def literal(host: str) -> Address | None:
    """The address that a host is written as; None of a name."""
    try:
        return ip_address(host)
    except ValueError:
        return None


def plain(address: Address) -> Address:
    """The IPv4 address that an IPv6 one only wraps, as a dual-stack listener sees it; else itself."""
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address


def subscriber(address: str | None) -> str:
    """Whose address it is, for what is counted: of IPv6 one subscriber has the 2^64 of a network."""
    try:
        here = plain(ip_address((address or "").partition("%")[0]))
    except ValueError:  # a socket without an address
        return address or "unknown"
    return str(here) if isinstance(here, IPv4Address) else str(ip_network((here, 64), strict=False))


def may_be_sent_to(address: Address, allowed: Sequence[Range]) -> bool:
    """Whether the service may connect to an address that somebody other than its operator has named.

    Where `allowed` names ranges: to those alone. Where it names none: to public addresses alone. Never to
    where clouds keep credentials, and to this machine or its link only where a range names just that.
    """
    here = plain(address)
    if here in _METADATA or (not here.is_loopback and any(here in each for each in _TRANSLATED)):
        return False
    if not allowed:
        return _is_public(here)
    within = [each for each in allowed if here in each]
    special = [each for each in _OURSELVES if here in each]
    if special:
        return any(_holds(outer, inner) for outer in special for inner in within)
    return bool(within)


def may_be_sent_in_clear(address: Address, allowed: Sequence[Range]) -> bool:
    """Whether it may connect there without TLS: within a declared range, and never to a public address,
    however wide the range is that holds it.
    """
    return may_be_sent_to(address, allowed) and not _is_public(plain(address))


def _is_public(address: Address) -> bool:
    return address.is_global and not address.is_multicast and not any(address in each for each in _OF_A_SITE)


def _holds(outer: Range, inner: Range) -> bool:
    if isinstance(outer, IPv4Network):
        return isinstance(inner, IPv4Network) and inner.subnet_of(outer)
    return isinstance(inner, IPv6Network) and inner.subnet_of(outer)
