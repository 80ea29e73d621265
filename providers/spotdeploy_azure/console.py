"""What a machine printed on its console."""

from __future__ import annotations

from typing import Final
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import urlopen

from spotdeploy.errors import ProviderError
from spotdeploy_azure.actions import Action
from spotdeploy_azure.driver import AzureDriver
from spotdeploy_azure.errors import MISSING
from spotdeploy_azure.nodes import split_id
from spotdeploy_azure.shapes import Console

TIMEOUT: Final = 20.0
LIMIT: Final = 1 << 20
NOT_YET: Final = frozenset({"BootDiagnosticsNotEnabled", "Conflict", "OperationNotAllowed"})


def console(driver: AzureDriver, id_: str) -> str:
    """The last megabyte of the serial log; empty when the machine is unknown or silent.

    https://learn.microsoft.com/en-us/azure/virtual-machines/boot-diagnostics: the log lies behind
    a URL that is a secret for a while, so errors don't name it.
    """
    place = split_id(id_)
    if place is None:
        return ""
    at = {"group": place[0], "vm": place[1]}
    try:
        link = driver.call(Action.READ_CONSOLE, Console, at).serial_console_log_blob_uri
    except ProviderError as error:
        if error.code in MISSING | NOT_YET:
            return ""
        raise
    return _read(link) if link else ""


def _read(link: str) -> str:
    if urlsplit(link).scheme not in ("http", "https"):
        raise ProviderError("the console's text is not behind an http(s) URL")
    try:
        with urlopen(link, timeout=TIMEOUT) as answer:  # noqa: S310  # checked above
            data: bytes = answer.read()
    except HTTPError as error:
        error.close()
        if error.code == 404:
            return ""
        raise ProviderError(f"cannot read the console's text: HTTP {error.code}") from None
    except (URLError, OSError) as error:
        words = type(error).__name__
        raise ProviderError(f"cannot read the console's text: {words}") from None
    return data[-LIMIT:].decode("utf-8", "replace")
