"""OpenID Connect: what is asked of the provider and what of its answers is believed. No database here.

Authorization code flow with PKCE (S256), state and nonce. Whoever calls keeps the three in between.
"""

from __future__ import annotations

import hmac
import secrets
import ssl
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar
from urllib.parse import quote_plus, urlsplit

import httpx
from authlib.common.urls import add_params_to_uri
from authlib.oauth2.rfc7636 import create_s256_code_challenge
from authlib.oidc.core import CodeIDToken
from authlib.oidc.discovery import OpenIDProviderMetadata, get_well_known_url
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet
from joserfc.jws import JWSRegistry

from app.domain.roles import Role
from app.domain.sentence import sentence
from app.errors import NotSignedIn, Unavailable
from app.settings import Settings

_SECONDS = 10.0
_KNOWN_SECONDS = 3600.0
_ASKED_ANEW_SECONDS = 60.0
_SPARED_SECONDS = 20.0
"""Whom a provider let wait in vain is not asked again for so long: others would wait as long."""
_LEEWAY_SECONDS = 60
_ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA")
"""Signatures by a key of the provider's. None with a shared secret: that would be a password of ours."""
_REFUSED = sentence(
    "The provider's answer could not be checked. Try again; if it stays so, ask its administrator."
)
_SILENT = sentence("The provider does not answer. Administrators can sign in with a password.")

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Question:
    """A sign-in that is begun: where the browser goes, and what its answer is held against."""

    address: str
    state: str
    nonce: str
    code_verifier: str


@dataclass(frozen=True, kw_only=True)
class Identity:
    """Who the provider says somebody is; only issuer and subject stand for the person."""

    issuer: str
    subject: str
    username: str
    display_name: str
    groups: tuple[str, ...]


class _Kept(Generic[T]):
    """A document of the provider's. One thread asks for it; where there is one of before, nobody waits."""

    def __init__(self, ask: Callable[[], T]) -> None:
        self._ask = ask
        self._asking = threading.Lock()
        self._kept: tuple[float, T] | None = None

    def value(self, *, at_most: float, or_older: bool = False) -> T:
        """One of the last `at_most` seconds, or with `or_older` any there is while the provider is silent or
        just being asked. Raises Unavailable where there is none.
        """
        if (young := self._young(at_most)) is not None:
            return young
        older = self._kept if or_older else None
        if not self._asking.acquire(timeout=0 if older else _SECONDS):
            if older is None:
                raise Unavailable(_SILENT)
            return older[1]
        try:
            if (young := self._young(at_most)) is not None:
                return young
            answer = self._ask()
            self._kept = (time.monotonic(), answer)
            return answer
        except Unavailable:
            if older is None:
                raise
            return older[1]
        finally:
            self._asking.release()

    def _young(self, at_most: float) -> T | None:
        kept = self._kept
        return kept[1] if kept is not None and time.monotonic() - kept[0] <= at_most else None


class Provider:
    """The provider of the settings; its documents are kept for an hour. Safe to use from several threads, and
    one that is silent holds up few of them: it is then left alone for a while.
    """

    def __init__(self, configuration: Settings) -> None:
        assert configuration.oidc_issuer and configuration.oidc_client_id
        self.issuer: str = configuration.oidc_issuer
        self._client_id: str = configuration.oidc_client_id
        self._configuration = configuration
        self._metadata = _Kept(self._ask_for_metadata)
        self._keys = _Kept(self._ask_for_keys)
        self._spared_until = 0.0

    def ask(self, *, redirect_uri: str) -> Question:
        """A new question; each is for one answer. Raises Unavailable while the provider is silent."""
        state, nonce, verifier = (secrets.token_urlsafe(32) for _ in range(3))
        address = add_params_to_uri(
            self._described()["authorization_endpoint"],
            [
                ("response_type", "code"),
                ("client_id", self._client_id),
                ("redirect_uri", redirect_uri),
                ("scope", self._configuration.oidc_scopes),
                ("state", state),
                ("nonce", nonce),
                ("code_challenge", create_s256_code_challenge(verifier)),
                ("code_challenge_method", "S256"),
            ],
        )
        return Question(address=address, state=state, nonce=nonce, code_verifier=verifier)

    def identify(self, *, code: str, redirect_uri: str, nonce: str, code_verifier: str) -> Identity:
        """Who the code stands for. Raises NotSignedIn for an answer that cannot be believed."""
        described = self._described()
        fields = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": redirect_uri,
            "client_id": self._client_id,
            "code_verifier": code_verifier,
        }
        secret, basic = self._secret(), None
        methods = described.get("token_endpoint_auth_methods_supported") or ["client_secret_basic"]
        if secret and "client_secret_basic" in methods:
            basic = (_quoted(self._client_id), _quoted(secret))
        elif secret:
            fields["client_secret"] = secret
        answer = self._request("POST", described["token_endpoint"], data=fields, auth=basic)
        claims = self._believed(answer.get("id_token"), nonce=nonce, access_token=answer.get("access_token"))
        return Identity(
            issuer=self.issuer,
            subject=str(claims["sub"]),
            username=str(claims.get(self._configuration.oidc_username_claim) or ""),
            display_name=str(claims.get("name") or ""),
            groups=_groups(claims, self._configuration.oidc_roles_claim),
        )

    def roles(self, identity: Identity) -> list[Role]:
        """The roles that the person's groups give here."""
        pairs = (pair.rpartition("=") for pair in self._configuration.oidc_role_map)
        return sorted({Role(role) for group, _, role in pairs if group in identity.groups})

    def _secret(self) -> str | None:
        """From the variable, or the file as it is now."""
        if (file := self._configuration.oidc_client_secret_file) is not None:
            return file.read_text().strip()
        secret = self._configuration.oidc_client_secret
        return secret.get_secret_value() if secret else None

    def sign_out_address(self, *, back_to: str) -> str | None:
        """Where the browser ends its session at the provider; None where that cannot be or nobody answers."""
        try:
            end = self._described().get("end_session_endpoint")
        except (NotSignedIn, Unavailable):
            return None
        if not end:
            return None
        return str(
            add_params_to_uri(end, [("client_id", self._client_id), ("post_logout_redirect_uri", back_to)])
        )

    def _believed(self, token: object, *, nonce: str, access_token: object) -> Mapping[str, Any]:
        if not isinstance(token, str):
            raise NotSignedIn(_REFUSED)
        try:
            try:
                decoded = self._decoded(token, self._signing_keys())
            except (JoseError, ValueError):
                decoded = self._decoded(
                    token, self._signing_keys(anew=True)
                )  # the provider may have new keys
            claims = CodeIDToken(
                decoded.claims,
                decoded.header,
                {
                    "iss": {"essential": True, "value": self.issuer},
                    "aud": {"essential": True, "value": self._client_id},
                    "sub": {"essential": True},
                },
                {"nonce": nonce, "client_id": self._client_id, "access_token": access_token},
            )
            claims.validate(leeway=_LEEWAY_SECONDS)
        except (JoseError, ValueError, TypeError, KeyError):
            raise NotSignedIn(_REFUSED) from None
        if not hmac.compare_digest(str(claims["nonce"]).encode(), nonce.encode()):
            raise NotSignedIn(_REFUSED)
        return dict(claims)

    def _decoded(self, token: str, keys: KeySet) -> jwt.Token:
        registry = JWSRegistry(algorithms=list(_ALGORITHMS), strict_check_header=False)
        return jwt.decode(token, key=keys, registry=registry)

    def _described(self) -> OpenIDProviderMetadata:
        """The provider's own description; its issuer is the one of the settings."""
        return self._metadata.value(at_most=_KNOWN_SECONDS, or_older=True)

    def _signing_keys(self, *, anew: bool = False) -> KeySet:
        return self._keys.value(at_most=_ASKED_ANEW_SECONDS if anew else _KNOWN_SECONDS)

    def _ask_for_metadata(self) -> OpenIDProviderMetadata:
        document = self._request("GET", get_well_known_url(self.issuer, external=True))
        metadata = OpenIDProviderMetadata(document)
        addresses = [document.get(name) for name in ("authorization_endpoint", "token_endpoint", "jwks_uri")]
        if document.get("issuer") != self.issuer or not all(map(self._is_safe, addresses)):
            raise NotSignedIn(_REFUSED)
        return metadata

    def _ask_for_keys(self) -> KeySet:
        return KeySet.import_key_set(self._request("GET", self._described()["jwks_uri"]))

    def _is_safe(self, address: object) -> bool:
        """Tokens travel by TLS, unless the operator named a provider without it."""
        scheme = urlsplit(address).scheme if isinstance(address, str) else ""
        return scheme == "https" or (scheme == "http" and urlsplit(self.issuer).scheme == "http")

    def _request(self, method: str, address: str, **options: Any) -> Any:
        """The JSON object at the address. Nothing of it is logged, since it holds secrets."""
        if time.monotonic() < self._spared_until:
            raise Unavailable(_SILENT)
        try:
            with httpx.Client(
                verify=self._trusted(), trust_env=False, follow_redirects=False, timeout=_SECONDS
            ) as client:
                response = client.request(method, address, **options)
            document = response.json()
        except httpx.TransportError:
            self._spared_until = time.monotonic() + _SPARED_SECONDS
            raise Unavailable(_SILENT) from None
        except OSError:
            raise Unavailable(_SILENT) from None
        except (httpx.HTTPError, httpx.InvalidURL, ValueError):
            raise NotSignedIn(_REFUSED) from None
        if response.status_code >= 500:
            raise Unavailable(_SILENT)
        if response.status_code != 200 or not isinstance(document, dict):
            raise NotSignedIn(_REFUSED)
        return document

    def _trusted(self) -> ssl.SSLContext:
        certificates = self._configuration.oidc_certificates
        if certificates is None:
            return httpx.create_ssl_context(trust_env=False)
        return ssl.create_default_context(cafile=certificates)


def _quoted(text: str) -> str:
    """As RFC 6749 2.3.1 has it in HTTP Basic."""
    return quote_plus(text)


def _groups(claims: Mapping[str, Any], path: str) -> tuple[str, ...]:
    """The texts at the path; a claim may be one text or a list. A name with dots in it is tried as it is."""
    found: Any = claims.get(path)
    if found is None:
        found = claims
        for name in path.split("."):
            found = found.get(name) if isinstance(found, Mapping) else None
    if isinstance(found, str):
        found = [found]
    return tuple(each for each in found if isinstance(each, str)) if isinstance(found, list) else ()
