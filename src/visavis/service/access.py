"""Who asks, and whether they may: host, origin and key of a request."""

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
    """Who asks.

    Attributes:
        name: The id of the key, or the address where no key is needed; what logs and the gallery's audit show.
    """

    name: str


@dataclass(frozen=True)
class Access:
    """What is let in.

    A page of another site that the user has open can send requests to the loopback address too. Browsers put its origin on them, or
    that they come from another site, and neither can be forged by a page; where it tricks the browser by a name of its own for our
    address (DNS rebinding), it is the host that is wrong.

    Attributes:
        hosts: Names that requests may be addressed to, without the port, in lower case.
        keys: The keys; None: none is needed.
    """

    hosts: frozenset[str]
    keys: KeyStore | None = None

    def check_site(self, headers: Mapping[str, str], *, is_page: bool) -> None:
        """Check host and origin.

        Args:
            headers: Of the request.
            is_page: Whether only the page itself is asked for, which others may link to.

        Raises:
            HostError: If the request is addressed to somebody else.
            OriginError: If it comes from another site's page.
        """
        host = headers.get("host", "")
        if _name_of(host) not in self.hosts:
            raise HostError("The service does not go by this name. Its names are given with: visavis serve --allow-host NAME")
        origin = headers.get("origin")
        if origin is not None and urlsplit(origin).netloc.lower() != host.lower():
            raise OriginError("Pages of other sites may not use the service.")
        if not is_page and headers.get("sec-fetch-site", "none") not in _OWN_SITE:
            raise OriginError("Pages of other sites may not use the service.")

    def caller(self, token: str | None, address: str, scope: Scope) -> Caller:
        """Tell who asks for something that needs a scope.

        Args:
            token: The key that was sent; None: none was.
            address: Where the request comes from.
            scope: What is needed.

        Raises:
            AccessError: If a key is needed and this is none.
            ScopeError: If the key is not for this.
        """
        if self.keys is None:
            return Caller(address)
        key = None if token is None else self.keys.find(token)
        if key is None:
            raise AccessError("Send a valid key as: Authorization: Bearer KEY")
        if not key.allows(scope):
            raise ScopeError(f"The key has the scope {key.scope}; this needs {scope}.")
        return Caller(key.id)


def is_loopback(names: Iterable[str]) -> bool:
    """Tell whether nobody but this machine's own users and programs can reach any of these names."""
    return all(name in LOOPBACK_NAMES or _is_loopback_address(name) for name in names)


def _is_loopback_address(name: str) -> bool:
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def _name_of(host: str) -> str:
    """The host's name without its port; empty if it is none."""
    try:
        return (urlsplit(f"//{host}").hostname or "").lower()
    except ValueError:
        return ""
