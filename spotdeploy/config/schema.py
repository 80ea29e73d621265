"""spotdeploy.toml as frozen structs. Provider tables and checks are decoded by their plugins."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

import msgspec

from spotdeploy.config.secret import PayloadSecret, Secret
from spotdeploy.duration import Duration
from spotdeploy.model import MarketPolicy
from spotdeploy.ports import ALL_PORTS, PortRange, merged

Port = Annotated[int, msgspec.Meta(ge=1, le=65535)]
Name = Annotated[str, msgspec.Meta(pattern=r"^[a-z]([a-z0-9-]{0,38}[a-z0-9])?$")]
UserName = Annotated[str, msgspec.Meta(pattern=r"^[a-z_][a-z0-9_-]{0,30}$")]
Keep = Literal["always", "passing", "never"]
Modes = Literal["normal", "exact"]
Placement = Literal["each", "cheapest", "ordered"]
Table = dict[str, Any]
"""A table whose keys a plugin knows."""


_HERE = ("localhost", "127.0.0.1", "::1")


class _Section(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The rules of every table: frozen, keyword-only, no unknown keys."""


class Nodes(_Section, frozen=True):
    """`[nodes]`: what the providers are asked for."""

    count: Annotated[int, msgspec.Meta(ge=1, le=10_000)] = 1
    """How many nodes: of each provider, or in all, as `placement` says."""
    quorum: Annotated[int, msgspec.Meta(ge=1)] | None = None
    """How many of `count` nodes must pass; all of them when left out."""
    placement: Placement = "each"
    """Where nodes come from when several providers are in use. With `each`, every provider is asked
    for `count`. With `cheapest` and `ordered` it is `count` in all, and what one provider cannot
    give another one is asked for: the offers of all by price, unknown ones last; or all of the
    first provider, then of the next."""
    spread: bool = True
    """Whether a provider's nodes are split evenly over its locations. Otherwise the first location
    is filled first, and the next one is asked for what it cannot give."""
    market: MarketPolicy = MarketPolicy.SPOT
    """How nodes are bought. With `spot-then-on-demand`, what spot could not give is bought on
    demand."""
    max_price: Annotated[float, msgspec.Meta(gt=0)] | None = None
    """The most one node may cost, in USD per hour; no limit when left out. Offers of unknown price
    are then left out."""
    user: UserName = "spotdeploy"
    """The account that is made on each node."""
    time_to_live: Duration = Duration("2h")
    """After this time a node ends itself, even if nobody comes back."""
    open_ports: tuple[Port, ...] = ()
    """TCP ports to open besides ssh."""
    allow_from: tuple[str, ...] = ()
    """Who may reach ssh and the open ports, as CIDRs or addresses; this computer's own address when
    empty. Bits behind a prefix are dropped, and networks that lie in others left out."""
    open_between: Annotated[
        Annotated[tuple[PortRange, ...], msgspec.Meta(max_length=20)] | Literal["all"],
        msgspec.Meta(examples=[[7946, "4222-4223/udp"], "all"]),
    ] = ()
    """The ports on which the deployment's other nodes in the same location reach these, by their
    private addresses: 7946, "53/udp" or "4222-4223/udp", TCP unless it says /udp, or "all" for
    every port and ping. None when empty."""
    open_between_locations: bool = False
    """Whether nodes in other locations, and of other providers, reach the ports of `open_between`
    too: by the public address of each, over the internet."""
    on_interruption: Literal["replace", "fail"] = "fail"
    """What to do when the cloud takes a spot node back."""
    replacements: Annotated[int, msgspec.Meta(ge=0, le=100)] = 3
    """How many nodes may be replaced in one run, all together."""

    @property
    def between(self) -> tuple[PortRange, ...]:
        """`open_between` as ranges, of which no two overlap."""
        return ALL_PORTS if self.open_between == "all" else merged(self.open_between)


class Payload(_Section, frozen=True):
    """`[payload]`: what is shipped and run."""

    path: str = "instance"
    """The folder that is shipped to each node, relative to the config. What `.spotdeployignore`
    names is left out, by gitignore's rules."""
    entry: str = "scripts/deploy_services.py"
    """What is run there as root, relative to `path`: by the interpreter that its first line names
    (`#!`), or else by python3 and sh where it ends in .py and .sh, or else by itself."""
    upload: tuple[str, ...] = ()
    """Files and folders that go to /opt/uploaded_files; of a folder, its contents."""
    modes: Modes = "normal"
    """What modes the shipped files have. With `normal`, 0755 for folders and for what its owner may
    execute, and 0644 for the rest; of what is uploaded, 0700 and 0600 where only its owner may read
    it. With `exact`, those that they have here, on which the umask of a checkout has a say."""
    environment: dict[str, str] = {}
    """Variables for the entry, in the clear. A name is of letters, digits and `_`."""
    secrets: dict[str, PayloadSecret] = {}
    """Variables for the entry that are not in the clear: each is read on this computer before
    anything is destroyed, from `env:NAME`, `file:PATH` or the output of `command:COMMAND`. Units of
    the payload find them below /run/spotdeploy."""
    secrets_after_reboot: bool = False
    """Whether the secrets are delivered again after the reboot, which takes them from the node;
    `spotdeploy-secrets.target` then starts the units that it wants."""
    reboot: bool = True
    """Whether the node reboots after the entry, before it is verified."""


class Timeouts(_Section, frozen=True):
    """`[timeouts]`: the longest each phase may take."""

    boot: Duration = Duration("5m")
    """From the create call until ssh answers and the node has settled."""
    ship: Duration = Duration("5m")
    """Sending the payload."""
    deploy: Duration = Duration("10m")
    """The payload's entry."""
    reboot: Duration = Duration("5m")
    """Going down, coming back and settling."""
    destroy: Duration = Duration("10m")
    """Until everything is proven gone."""


class Evidence(_Section, frozen=True):
    """`[evidence]`: what is brought back from nodes before they are destroyed."""

    collect: Literal["failing", "always"] = "failing"
    """Of nodes that failed or were stopped, or of all."""
    files: tuple[str, ...] = ()
    """Further files to bring back from each node, as absolute paths."""


class Notify(_Section, frozen=True):
    """`[notify]`: who is told how a `cycle`, `create` or `verify` ended, also one that was
    stopped."""

    command: str = ""
    """What a shell (`sh -c`) runs on this computer then, in the folder of the config: with the
    verdict as JSON on its standard input, and in SPOTDEPLOY_VERDICT, SPOTDEPLOY_MESSAGE and
    others."""
    webhook: Secret | None = None
    """Where the same JSON is posted: `env:NAME` or `file:PATH`, which holds an https URL."""
    when: Literal["always", "failed"] = "always"
    """After every run, or after those that end with another exit code than 0."""

    def hook(self) -> str:
        """The web hook's URL. Raises ValueError, which does not show it, when there is none."""
        if self.webhook is None:
            raise ValueError("there is none")
        where = self.webhook.reference
        try:
            url = self.webhook.reveal().strip()
            host, scheme = urlsplit(url).hostname, urlsplit(url).scheme
        except KeyError:
            raise ValueError(f"the variable {where.removeprefix('env:')} is not set") from None
        except OSError as error:
            raise ValueError(f"cannot read {where}: {error.strerror}") from None
        except ValueError:
            host, scheme = "", ""
        if not host or scheme not in (("https", "http") if host in _HERE else ("https",)):
            raise ValueError(f"{where} holds no https URL")
        return url


class Matrix(_Section, frozen=True):
    """`[matrix]`: many deployments of one config. Every key but those below is an axis: a list of
    texts, whole numbers, true or false, of which each cell has one. `image`, `size`, `arch`,
    `market` and `provider` change what is asked for; any other is a variable for the payload's
    entry, as those are too: SPOTDEPLOY_MATRIX_ and the axis in capitals."""

    include: tuple[dict[str, str | int | bool], ...] = ()
    """Values for the cells whose axes these match, or else a cell beside those of the axes; as in
    GitHub Actions."""
    exclude: tuple[dict[str, str | int | bool], ...] = ()
    """Cells to leave out: each that has these values; as in GitHub Actions."""
    max_cells: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 64
    """How many cells there may be."""
    max_parallel: Annotated[int, msgspec.Meta(ge=1)] | None = None
    """How many cells are worked on at the same time; all when left out."""


class Config(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The whole of spotdeploy.toml."""

    deployment: Name
    """The deployment's name: the scope of every label, lock, list and destroy."""
    providers: Annotated[tuple[str, ...], msgspec.Meta(min_length=1)] = ("local",)
    """Where nodes come from when `--provider` is not given."""
    plugins: tuple[str, ...] = ()
    """Further plugins with checks: names of installed ones, or paths of Python files."""
    keep: Keep = "passing"
    """Which nodes stay when a run ends: all, those of a run that passed, or none."""
    max_cost: Annotated[float, msgspec.Meta(gt=0)] | None = None
    """The most one cycle may cost, in USD; no limit when left out."""
    state: str = "."
    """The folder that has spotdeploy's own, `.spotdeploy`: keys, journal and runs. Relative to the
    config."""
    nodes: Nodes = Nodes()
    payload: Payload = Payload()
    timeouts: Timeouts = Timeouts()
    evidence: Evidence = Evidence()
    notify: Notify = Notify()
    matrix: Table | None = None
    """Axes, each a list of values: every combination is a cell, a deployment of its own."""
    outputs: dict[str, str] = {}
    """Texts for people and programs, with facts of nodes in braces: `{GROUP[INDEX].FACT}`, such as
    "http://{nodes[0].address}:1234". They are shown with the nodes that a run leaves."""
    checks: tuple[Table, ...] = ()
    """The conditions that each node must meet. `type` decides which keys a table has."""
    provider: dict[str, Table] = {}
    """A table for each provider in use."""
    groups: dict[str, Table] = {}
    """Nodes that differ from each other: a table for each group, with the keys of `[nodes]`, and
    `after`, `image`, `sizes`, `payload`, `checks` and `provider`. What a group does not say comes
    from `[nodes]`, `[payload]`, `[[checks]]` and `[provider.NAME]`. Without any, all nodes are one
    group."""


class OwnKeys(_Section, frozen=True):
    """The keys of a group that no other table has."""

    after: tuple[Name, ...] = ()
    """Groups whose nodes must have passed before this one's are made."""
    image: str | None = None
    """The image, of every provider in use."""
    sizes: tuple[str, ...] = ()
    """The sizes to try, of every provider in use."""


class Group(OwnKeys, frozen=True, kw_only=True):
    """Like nodes, deployed and judged together."""

    config: Config
    """The whole config as it is for this group."""
    where: str = ""
    """The path of its table; empty where the config names no groups."""
    keys: frozenset[str] = frozenset()
    """The keys that the table gives, by their paths below it."""

    def path(self, key: str) -> str:
        """Where the value of a key such as "nodes.count" was given, for messages."""
        own = key.removeprefix("nodes.")
        return f"{self.where}.{own}" if own in self.keys else key


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """A config and where it was read."""

    config: Config
    path: Path
    sources: Mapping[str, str] = {}
    """For each key that was given, by its path: the file, variable or option that gave it."""
    groups: Mapping[str, Group] = {}
    """Those that the config names, each after those that it waits for."""

    @property
    def folder(self) -> Path:
        """Paths in the config are relative to this folder."""
        return self.path.parent

    @property
    def state(self) -> Path:
        """Where spotdeploy keeps its own files."""
        return self.resolve(self.config.state) / ".spotdeploy"

    def resolve(self, path: str) -> Path:
        """A path of the config as a path of this computer."""
        return self.folder / Path(path).expanduser()
