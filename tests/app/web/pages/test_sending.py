"""What an empty worklist says of sending by DICOM."""

from __future__ import annotations

from dataclasses import replace

import pytest

from app import queue
from app.checks.dimse import ListeningPlace
from app.domain.roles import Role
from app.settings import settings
from tests.app.web.pages.conftest import Browser
from tests.app.web.pages.forms import get

_HERE = ListeningPlace(
    title="FIRSTREAD",
    host="127.0.0.1",
    port="11112",
    tls="",
    echoed="yes",
    senders="*@127.0.0.1/32,*@::1/128",
)


@pytest.mark.parametrize(
    ("place", "line"),
    [
        (_HERE, "storescu -aec FIRSTREAD 127.0.0.1 11112 chest.dcm"),
        (
            replace(_HERE, host="0.0.0.0", senders="CARE7@10.0.0.0/8", title="X RAY"),
            "storescu -aet CARE7 -aec &#39;X RAY&#39; firstread.test 11112 chest.dcm",
        ),
        (
            replace(_HERE, tls="yes", port="2762"),
            "storescu +tls key.pem certificate.pem +cf authority.pem -aec FIRSTREAD 127.0.0.1 2762 chest.dcm",
        ),
    ],
)
def test_the_line_for_storescu_is_the_one_for_the_listener_that_answers(
    browser: Browser, place: ListeningPlace, line: str
) -> None:
    queue.report("dimse-1@here", place.facts(), seconds=60)
    page = get(browser("alice", Role.RADIOLOGIST), "/")
    assert f'<pre data-line="storescu">{line}</pre>' in page
    assert place.senders.replace(",", ", ") in page


def test_without_a_listener_there_is_no_line_and_the_page_says_why(
    browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    alice = browser("alice", Role.RADIOLOGIST)
    page = get(alice, "/")
    assert "storescu -aec" not in page
    assert "The DICOM listener does not answer at the moment" in page
    monkeypatch.setenv("FIRSTREAD_DIMSE", "false")
    settings.cache_clear()
    page = get(alice, "/")
    assert "storescu -aec" not in page
    assert "The DICOM listener is switched off" in page
