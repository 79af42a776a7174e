"""Forms as a browser without scripts sends them."""

from __future__ import annotations

import json
import re
from html import unescape
from typing import Any

from httpx import Response
from starlette.testclient import TestClient

ACCEPT = {"Accept": "text/html"}


def post(client: TestClient, address: str, page: str, **fields: Any) -> Response:
    """The form's fields with the page's own token, urlencoded; the redirect is not followed."""
    [token] = set(re.findall(r'name="csrf_token" value="([^"]+)"', page)) or {""}
    return client.post(
        address,
        data={"csrf_token": token, **{name.replace("__", ":"): value for name, value in fields.items()}},
        headers=ACCEPT,
        follow_redirects=False,
    )


def get(client: TestClient, address: str) -> str:
    """The page, which must be there."""
    answer = client.get(address, headers=ACCEPT)
    assert answer.status_code == 200, answer.text
    return answer.text


def words(page: str) -> str:
    """What a person reads of the page: texts without tags, blanks joined."""
    without_scripts = re.sub(r"<(script|style|template)\b.*?</\1>", " ", page, flags=re.S)
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", without_scripts)).split())


def hidden(page: str, name: str) -> str:
    """The value of the first hidden field of that name."""
    found = re.search(rf'name="{name}" value="([^"]*)"', page)
    assert found, f"no field {name}"
    return unescape(found.group(1))


def pictures(page: str) -> list[dict[str, Any]]:
    """What the study page tells its viewer of the images."""
    return json.loads(re.search(r'id="study-images">(.*?)</script>', page, re.S).group(1))
