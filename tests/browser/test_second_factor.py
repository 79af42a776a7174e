"""A second factor set up and used in a real browser, and a sign-in at a provider: under the strict policy."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyotp
import pytest

from app.domain.roles import Role
from app.settings import settings
from tests.browser.conftest import SCREENS, SignIn, Watch
from tests.browser.test_accessibility import _WEAR, NEEDS_AXE, OPTIONS
from tests.builders import PASSWORD
from tests.provider import CLIENT, SECRET, SmallProvider, small_provider


def look(page: Any, name: str) -> None:
    """Kept as it looks, dark and light, and axe objects to nothing."""
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason=NEEDS_AXE)
    SCREENS.mkdir(parents=True, exist_ok=True)
    for theme in ("dark", "light"):
        page.evaluate(_WEAR, theme)
        page.screenshot(path=SCREENS / f"{name}-{theme}.png", full_page=True)
        found = axe.Axe().run(page, options=OPTIONS).response["violations"]
        assert [(each["id"], [node["target"] for node in each["nodes"]]) for each in found] == [], theme


def test_an_app_is_set_up_by_its_secret_and_asked_for_at_the_next_sign_in(signed_in: SignIn) -> None:
    page = signed_in("alice", Role.RADIOLOGIST, Role.ADMINISTRATOR)
    page.goto("/account")
    look(page, "account")
    page.click("a[href='/account/second-factor']")
    page.fill("#password", PASSWORD)
    page.click("main button.main")
    page.wait_for_selector(".qr svg")
    look(page, "second-factor")
    secret = page.inner_text(".secret").replace(" ", "")
    page.fill("#code", pyotp.TOTP(secret).now())
    page.click("main button.main")
    page.wait_for_selector("ul.secret")
    look(page, "recovery-codes")
    codes = page.inner_text("ul.secret").split()
    assert len(codes) == 10
    page.goto("/people")
    look(page, "people")
    page.click("form[action='/sign-out'] button")
    page.wait_for_url("**/sign-in")
    page.fill("#username", "alice")
    page.fill("#password", PASSWORD)
    page.click("main form[action='/sign-in'] button.main")
    page.wait_for_url("**/sign-in/code")
    look(page, "sign-in-code")
    page.fill("#code", codes[0])
    page.click("main button.main")
    page.wait_for_url(lambda url: url.endswith("/"))
    page.goto("/account/second-factor")
    assert "9 recovery codes are left." in page.inner_text("main")
    look(page, "second-factor-in-force")


@pytest.fixture
def provider(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SmallProvider]:
    """A provider that signs in whoever comes; its end page says so."""
    with small_provider() as provider:
        provider.claims["groups"] = ["radiology"]
        for name, value in (
            ("PUBLIC_URL", "http://firstread.test"),
            ("OIDC_ISSUER", provider.issuer),
            ("OIDC_CLIENT_ID", CLIENT),
            ("OIDC_CLIENT_SECRET", SECRET),
            ("OIDC_ROLE_MAP", "radiology=radiologist"),
        ):
            monkeypatch.setenv(f"FIRSTREAD_{name}", value)
        settings.cache_clear()
        yield provider


def test_the_way_to_the_provider_and_out_again_is_open_under_the_strict_policy(
    provider: SmallProvider, server: str, chromium: Any
) -> None:
    watch = Watch(server)
    page = chromium.new_page(base_url=server)
    page.set_default_timeout(10_000)
    watch.attach(page)
    page.goto("/sign-in")
    look(page, "sign-in-provider")
    # the provider leads back to the public address, which is this server's in the browser
    page.route(
        "http://firstread.test/**",
        lambda route: route.fulfill(
            status=302, headers={"Location": route.request.url.replace("http://firstread.test", server)}
        ),
    )
    page.click("a[href^='/sign-in/provider']")
    page.wait_for_url(lambda url: url == f"{server}/")
    page.click("form[action='/sign-out'] button")
    page.wait_for_url(f"{provider.issuer}/end**")
    page.context.clear_cookies()
    page.close()
    ours = [each for each in watch.problems if not each.startswith("foreign request: ")]
    assert ours == []
    allowed = (provider.issuer, "http://firstread.test/")
    assert all(each.removeprefix("foreign request: ").startswith(allowed) for each in watch.problems)
