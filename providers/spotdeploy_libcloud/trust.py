"""To which hosts credentials may be sent when a config names one.

A config may come with a repository that somebody else wrote, so a key in it points credentials at
the cloud's own hosts and at this computer alone. What the environment names is the user's own word.
"""

from __future__ import annotations

import ipaddress
import re
from typing import Final
from urllib.parse import SplitResult, urlsplit

from spotdeploy.errors import ConfigError
from spotdeploy_libcloud.transport import address_of

HTTPS: Final = 443


def require_own_host(key: str, url: str | None, own: str, variable: str) -> None:
    """Refuse a URL of the config to which credentials would be sent, unless it is one of the
    cloud's own by https, or on this computer.

    `key` is the key's path in the config, `own` a pattern of the cloud's own host names, `variable`
    the environment variable that may name any other host. Raises ConfigError.
    """
    if url is None or address_of(url) is None or is_trusted(url, own):
        return  # what is no http(s) URL is refused where it would be used
    raise ConfigError(
        f"{key}: {url!r} is not one of the cloud's own hosts by https, and a config may send "
        "credentials to no other",
        hint=f"leave the key out; if you trust that host, name it in {variable}",
    )


def is_trusted(url: str, own: str) -> bool:
    """Whether a URL is on one of the cloud's own hosts by https, or on this computer."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return False
    if parts.username is not None or not parts.hostname:
        return False
    if parts.scheme in ("http", "https") and _is_loopback(parts):
        return True
    ours = re.fullmatch(own, parts.hostname) is not None
    return parts.scheme == "https" and port in (None, HTTPS) and ours


def _is_loopback(parts: SplitResult) -> bool:
    if parts.hostname == "localhost":
        return True
    try:
        return ipaddress.ip_address(parts.hostname or "").is_loopback
    except ValueError:
        return False
