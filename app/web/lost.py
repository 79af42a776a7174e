"""People at an address that shows them nothing: who they are, and where they are led instead."""

from __future__ import annotations

from urllib.parse import urlsplit

from fastapi import Request
from starlette.routing import Match

from app.errors import NotSignedIn, Unavailable
from app.web.auth import identify


def recognise(request: Request) -> None:
    """Leaves in `request.state.caller` who asks for an address that no route answers, None for nobody.

    Their page then has its navigation; it opens nothing, so a database that is silent leaves nobody.
    """
    if hasattr(request.state, "caller"):
        return
    try:
        request.state.caller = identify(request, counts_as_activity=False)
    except (NotSignedIn, Unavailable):
        request.state.caller = None


def page_above(request: Request, path: str) -> str:
    """The nearest page at the address or above it, as a path: what is only posted to shows nothing itself.

    A page that was the answer to a form stands at the form's address, where it can be loaded again.
    """
    parts = path.strip("/").split("/")
    for length in range(len(parts), 0, -1):
        above = "/" + "/".join(parts[:length])
        scope = {**request.scope, "method": "GET", "path": above}
        if any(route.matches(scope)[0] is Match.FULL for route in request.app.router.routes):
            return above
    return "/"


def came_from(request: Request) -> str:
    """The page of ours that the request came from, by its Referer; `/` where that is unknown."""
    referer = urlsplit(request.headers.get("referer", ""))
    if not referer.path.startswith("/") or referer.netloc != request.headers.get("host"):
        return "/"
    return page_above(request, referer.path)
