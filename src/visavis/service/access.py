"""Access control: host, origin and API key of a request."""

import ipaddress
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from visavis.service.keys import KeyStore, Scope
from visavis.service.problems import AccessError, HostError, OriginError, ScopeError

__all__ = ["LOOPBACK_NAMES", "Access", "Caller", "is_loopback"]

LOOPBACK_NAMES = ("localhost", "127.0.0.1", "::1")
_OWN_SITE = ("same-origin", "none")


@dataclass(frozen=True)
class Caller:
    """An authenticated client.

    Attributes:
        name: The id of its key, or its address where no key is required; logged, also in the gallery's audit log.
        scope: The scope of its key.
        all_scores: Whether it gets scores below the thresholds, and explanations.
    """

    name: str
    scope: Scope = "admin"
    all_scores: bool = True


@dataclass(frozen=True)
class Access:
    """Access rules of the service.

    A page of another site that is open in a browser can send requests to the loopback address too. The browser marks them with
    `Origin` or `Sec-Fetch-Site`, which a page cannot forge. Where a page maps a name of its own to our address (DNS rebinding),
    `Host` is wrong.

    Attributes:
        hosts: Host names that requests may be addressed to, without port, in lower case.
        keys: API keys; None: no key is required.
    """

    hosts: frozenset[str]
    keys: KeyStore | None = None

    def check_site(self, headers: Mapping[str, str], *, is_page: bool) -> None:
        """Check host and origin.

        Args:
            headers: Headers of the request.
            is_page: Whether a file of the page is requested, which other sites may link to.

        Raises:
            HostError: If the request is addressed to another host.
            OriginError: If it was sent by a page of another site.
        """
        host = headers.get("host", "")
        if _host_name(host) not in self.hosts:
            raise HostError("The service does not serve this host name. Add it with: visavis serve --allow-host NAME")
        origin = headers.get("origin")
        if origin is not None and _network_location(origin) != host.lower():
            raise OriginError("Cross-origin requests are refused.")
        if not is_page and headers.get("sec-fetch-site", "none") not in _OWN_SITE:
            raise OriginError("Cross-site requests are refused.")

    def authenticate(self, token: str | None, address: str, *scopes: Scope) -> Caller:
        """Return the caller of a request that requires one of some scopes.

        Args:
            token: The key that was sent; None: none.
            address: The client's address.
            scopes: The scopes, one of which suffices.

        Raises:
            AccessError: If a key is required and missing or invalid.
            ScopeError: If the key has none of the scopes.
        """
        if self.keys is None:
            return Caller(address)
        key = None if token is None else self.keys.find(token)
        if key is None:
            raise AccessError("Send a valid key as: Authorization: Bearer KEY")
        if not any(map(key.allows, scopes)):
            raise ScopeError(f"The key has the scope {key.scope}; this request requires {' or '.join(scopes)}.")
        return Caller(key.id, key.scope, key.all_scores)


def is_loopback(names: Iterable[str]) -> bool:
    """Return whether all names are of the loopback interface, which only users and programs of this machine can reach."""
    return all(name in LOOPBACK_NAMES or _is_loopback_address(name) for name in names)


def _is_loopback_address(name: str) -> bool:
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def _host_name(host: str) -> str:
    """Return the name in a Host header without its port, "" if it is malformed."""
    try:
        return (urlsplit(f"//{host}").hostname or "").lower()
    except ValueError:
        return ""


def _network_location(origin: str) -> str | None:
    """Return host and port of an origin in lower case, None if it is malformed."""
    try:
        return urlsplit(origin).netloc.lower()
    except ValueError:
        return None
