"""spotdeploy.toml as frozen structs. Provider tables and checks are decoded by their plugins."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec

from spotdeploy.duration import Duration
from spotdeploy.model import MarketPolicy

Port = Annotated[int, msgspec.Meta(ge=1, le=65535)]
Name = Annotated[str, msgspec.Meta(pattern=r"^[a-z]([a-z0-9-]{0,38}[a-z0-9])?$")]
UserName = Annotated[str, msgspec.Meta(pattern=r"^[a-z_][a-z0-9_-]{0,30}$")]
Keep = Literal["always", "passing", "never"]
Table = dict[str, Any]
"""A table whose keys a plugin knows."""


class _Section(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The rules of every table: frozen, keyword-only, no unknown keys."""


class Nodes(_Section, frozen=True):
    """`[nodes]`: what is wanted from each provider."""

    count: Annotated[int, msgspec.Meta(ge=1, le=10_000)] = 1
    quorum: Annotated[int, msgspec.Meta(ge=1)] | None = None
    """How many are enough; all of them when left out."""
    market: MarketPolicy = MarketPolicy.SPOT
    max_price: Annotated[float, msgspec.Meta(gt=0)] | None = None
    """USD per hour for one node."""
    user: UserName = "spotdeploy"
    time_to_live: Duration = Duration("2h")
    open_ports: tuple[Port, ...] = ()
    allow_from: tuple[str, ...] = ()
    on_interruption: Literal["replace", "fail"] = "fail"
    replacements: Annotated[int, msgspec.Meta(ge=0, le=100)] = 3
    """How many nodes may be replaced in one run, all together."""


class Payload(_Section, frozen=True):
    """`[payload]`: what is shipped and run."""

    path: str = "instance"
    entry: str = "scripts/deploy_services.py"
    upload: tuple[str, ...] = ()
    environment: dict[str, str] = {}
    reboot: bool = True


class Timeouts(_Section, frozen=True):
    """`[timeouts]`: the longest each phase may take."""

    boot: Duration = Duration("5m")
    ship: Duration = Duration("5m")
    deploy: Duration = Duration("10m")
    reboot: Duration = Duration("5m")
    destroy: Duration = Duration("10m")


class Evidence(_Section, frozen=True):
    """`[evidence]`: what is brought back from nodes before they are destroyed."""

    collect: Literal["failing", "always"] = "failing"
    files: tuple[str, ...] = ()


class Config(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The whole of spotdeploy.toml."""

    deployment: Name
    providers: Annotated[tuple[str, ...], msgspec.Meta(min_length=1)] = ("local",)
    plugins: tuple[str, ...] = ()
    keep: Keep = "passing"
    max_cost: Annotated[float, msgspec.Meta(gt=0)] | None = None
    """USD one cycle may cost at the most."""
    nodes: Nodes = Nodes()
    payload: Payload = Payload()
    timeouts: Timeouts = Timeouts()
    evidence: Evidence = Evidence()
    checks: tuple[Table, ...] = ()
    provider: dict[str, Table] = {}


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """A config and where it was read."""

    config: Config
    path: Path

    @property
    def folder(self) -> Path:
        """Paths in the config are relative to this folder."""
        return self.path.parent

    @property
    def state(self) -> Path:
        """Where spotdeploy keeps its own files."""
        return self.folder / ".spotdeploy"

    def resolve(self, path: str) -> Path:
        """A path of the config as a path of this computer."""
        return self.folder / Path(path).expanduser()
