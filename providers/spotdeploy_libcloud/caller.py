"""The address under which the internet sees this computer."""

from __future__ import annotations

import ipaddress
from http.client import HTTPException
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import urlopen

from spotdeploy.errors import ProviderError

TIMEOUT = 10.0


def caller_cidr(url: str) -> str:
    """Ask a "what is my address" service and return the answer as a CIDR of one address.

    Blocks for `TIMEOUT` seconds at most; may be repeated.

    Raises:
        ProviderError: no answer, or one that is not an address.
    """
    hint = "set nodes.allow_from to the addresses that may reach the nodes, such as your own"
    if urlsplit(url).scheme not in ("http", "https"):
        raise ProviderError(f"cannot ask {url!r} for this computer's address: not http", hint=hint)
    try:
        with urlopen(url, timeout=TIMEOUT) as answer:  # noqa: S310  # checked above
            text = answer.read(256).decode("ascii", "replace").strip()
    except (URLError, HTTPException, OSError) as error:
        if isinstance(error, HTTPError):
            error.close()
        raise ProviderError(
            f"cannot ask {url} for this computer's address: {error}", hint=hint
        ) from error
    try:
        return str(ipaddress.ip_network(ipaddress.ip_address(text)))
    except ValueError as error:
        raise ProviderError(
            f"{url} answered {text[:60]!r}, which is no address", hint=hint
        ) from error
