"""What is let in to the nodes: ports, and the addresses that may reach them."""

from __future__ import annotations

import hashlib
import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from http.client import HTTPException
from typing import Final, Literal
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import urlopen

from spotdeploy.errors import ConfigError, ProviderError
from spotdeploy.model import Batch, Problem
from spotdeploy.ports import PortRange
from spotdeploy_libcloud.doctor import problems_of

SSH: Final = 22
TIMEOUT: Final = 10.0


@dataclass(frozen=True, slots=True)
class Ingress:
    """The TCP ports that are open, and to whom."""

    ports: tuple[int, ...]
    """Those besides ssh."""
    sources: tuple[str, ...]
    """CIDRs."""

    @property
    def all_ports(self) -> list[int]:
        """Every open port in order, ssh among them."""
        return sorted({SSH, *self.ports})

    def cidrs(self, version: Literal[4, 6]) -> list[str]:
        """The networks of one version of IP: the clouds take them apart."""
        networks = [ipaddress.ip_network(source, strict=False) for source in self.sources]
        return [str(one) for one in networks if one.version == version]


def digest(ingress: Ingress, between: Iterable[PortRange]) -> str:
    """A short name that tells what a batch lets in from what another one does: `between` are the
    ports for nodes of its run."""
    text = f"{ingress.all_ports} {ingress.sources} {' '.join(between)}"
    return hashlib.sha256(text.encode()).hexdigest()[:8]


class OwnAddress:
    """Who may reach the nodes when `nodes.allow_from` is left out: this computer alone."""

    def __init__(self, provider: str, address: str, service: str) -> None:
        """Calls nothing. `address` is the config's key of that name, `service` its
        `address_service`."""
        self._provider = provider
        self._address = address
        self._service = service

    def ingress(self, batch: Batch) -> Ingress:
        """What a batch's nodes let in. Asks the address service, once, when the batch names
        no sources.

        Raises:
            ConfigError: it names none, and the nodes are reached by their private addresses, so
                that the internet's view of this computer says nothing.
        """
        if batch.allow_from:
            return Ingress(batch.open_ports, batch.allow_from)
        if self._address == "private":
            raise ConfigError(
                f'nodes.allow_from is needed when provider.{self._provider}.address is "private"',
                hint="give the CIDRs from which you reach the nodes' private addresses",
            )
        return Ingress(batch.open_ports, (self._cidr,))

    def objections(self, batch: Batch) -> list[Problem]:
        """What keeps anybody from being let in. Asks as `ingress` does."""

        def check() -> tuple[Problem, ...]:
            self.ingress(batch)
            return ()

        return problems_of(check)

    @cached_property
    def _cidr(self) -> str:
        return caller_cidr(self._service)


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
