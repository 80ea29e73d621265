"""A project: one deployment on this computer, its config, its plugins, its providers, its state."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import msgspec

from spotdeploy import labels
from spotdeploy.config.load import blamed, decode, load
from spotdeploy.config.schema import Config, Group, Settings
from spotdeploy.errors import ConfigError, RefusedError
from spotdeploy.model import DEFAULT_GROUP, Node, NodeState, Pool
from spotdeploy.patience import ask, ask_all
from spotdeploy.plugins import Plugins
from spotdeploy.provider import Provider, ProviderConfig, SupportsAllLocations
from spotdeploy.state.folder import refuse_links

if TYPE_CHECKING:
    from spotdeploy.check import Check
    from spotdeploy.redact import Redactor

Opened = tuple[Provider[Any], str]
"""A provider object and the name of its location."""


@dataclass(frozen=True)
class Project:
    """A loaded config with its plugins. Opening one reads files and calls nothing."""

    settings: Settings
    plugins: Plugins
    providers: tuple[str, ...]
    """The providers in use: those of the command line, else the config's."""
    group: str = ""
    """The group whose config this is; empty for the whole."""
    facts: Mapping[str, str] = field(default_factory=dict)
    """Variables that the payload's entry gets beside those of the config: a cell's values."""
    runs_folder: Path | None = None
    """Where the folders of runs are, when that is not the state folder's `runs`."""

    @classmethod
    def open(
        cls,
        path: Path | str = "spotdeploy.toml",
        *,
        deployment: str | None = None,
        providers: Sequence[str] | None = None,
        keep: str | None = None,
        keep_failed: bool | None = None,
        evidence: str | None = None,
    ) -> Self:
        """Read the config at `path`. The other arguments stand above what it says.

        Raises ConfigError when the config or an argument will not do, RefusedError for a link in
        the state folder, HostError when that is somebody else's.
        """
        options: dict[str, tuple[str, object]] = {
            "--deployment": ("deployment", deployment),
            "--provider": ("providers", list(providers) if providers else None),
            "--keep": ("keep", keep),
            "--keep-failed": ("keep_failed", keep_failed),
            "--evidence": ("evidence.collect", evidence),
        }
        settings = load(Path(path), options)
        refuse_links(settings.state)
        plugins = Plugins(settings.folder)
        _require_known_tables(settings, plugins)
        return cls(settings, plugins, settings.config.providers)

    @classmethod
    def without_config(cls, path: Path, deployment: str, providers: Sequence[str]) -> Self:
        """A project for what needs no config file: each provider with its own defaults."""
        names = tuple(dict.fromkeys(providers))
        config = Config(deployment=deployment, providers=names)
        settings = Settings(config=config, path=path.absolute())
        return cls(settings, Plugins(settings.folder), names)

    @cached_property
    def groups(self) -> dict[str, Project]:
        """For each group the project as it is for that group alone, each after those that it waits
        for. A config that names no groups has one.

        Raises ConfigError for what a provider in use has no key for, or keeps to itself.
        """
        if self.group:
            return {self.group: self}
        groups = self.settings.groups or {DEFAULT_GROUP: Group(config=self.config)}
        return {name: self._of_group(name, group) for name, group in groups.items()}

    def group_of(self, node: Node) -> Project:
        """The project of the group that a node belongs to.

        Raises RefusedError when the config knows no such group any more.
        """
        name = labels.group_of(node.labels)
        if name not in self.groups:
            raise RefusedError(
                f"{node.name} is of group {name}, which {self.path.name} does not name",
                hint="'spotdeploy cycle' replaces every node",
            )
        return self.groups[name]

    @property
    def after(self) -> tuple[str, ...]:
        """The groups that this group waits for."""
        group = self.settings.groups.get(self.group)
        return group.after if group else ()

    @property
    def keys_given(self) -> frozenset[str]:
        """The keys that the group's own table gives, by their paths below it."""
        group = self.settings.groups.get(self.group)
        return group.keys if group else frozenset()

    @property
    def known_groups(self) -> tuple[str, ...]:
        """The groups that this group comes after, however many lie between, each after those that
        it waits for itself."""
        groups, found = self.settings.groups, set(self.after)
        for name in reversed(list(groups)):
            found.update(groups[name].after if name in found else ())
        return tuple(name for name in groups if name in found)

    def place(self, key: str) -> str:
        """The path of the key that gave a value such as "payload.entry", for messages."""
        group = self.settings.groups.get(self.group)
        return group.path(key) if group else key

    @property
    def config(self) -> Config:
        """What the config says."""
        return self.settings.config

    @property
    def path(self) -> Path:
        """The config file."""
        return self.settings.path

    @property
    def deployment(self) -> str:
        """The deployment's name."""
        return self.config.deployment

    @property
    def pool(self) -> Pool:
        """What is asked of each provider."""
        nodes = self.config.nodes
        return Pool(nodes.count, nodes.market, nodes.max_price)

    @property
    def scope(self) -> dict[str, str]:
        """The labels that select everything of this deployment."""
        return labels.scope(self.deployment)

    @property
    def state(self) -> Path:
        """The folder of spotdeploy's own files."""
        return self.settings.state

    @property
    def journal_path(self) -> Path:
        """The journal's file."""
        return self.state / "journal.db"

    @property
    def runs(self) -> Path:
        """The folder that has one for each run."""
        return self.runs_folder or self.state / "runs"

    @property
    def keys_folder(self) -> Path:
        """Where this deployment's ssh keys are."""
        return self.state / self.deployment

    def resolve(self, path: str) -> Path:
        """A path of the config as a path of this computer."""
        return self.settings.resolve(path)

    def with_providers(self, names: Iterable[str]) -> Self:
        """The same project with other providers in use."""
        return replace(self, providers=tuple(names))

    def provider_config(self, name: str) -> tuple[type[Provider[Any]], ProviderConfig]:
        """A provider's class and its decoded `[provider.NAME]` table.

        Raises PluginError for an unknown provider, ConfigError for a bad table.
        """
        cls = self.plugins.provider(name)
        table = self.config.provider.get(name, {})
        where = self.place(f"provider.{name}")
        try:
            return cls, decode(table, cls.Config, self.path.name, where)
        except ConfigError as error:
            raise blamed(error, self.path.name, self.settings.sources) from error

    def open_provider(self, name: str, location: str) -> Provider[Any]:
        """The object for one location of one provider, one that the config names or not."""
        return open_at(*self.provider_config(name), location)

    def open_providers(self) -> list[Opened]:
        """An object for each location of each provider in use, with the location's name.

        Raises PluginError and ConfigError as `provider_config` does.
        """
        opened: dict[tuple[str, str], Opened] = {}
        for name, (cls, config) in self._configs():
            for place in cls.locations(config):
                if (name, place) not in opened:
                    opened[name, place] = open_at(cls, config, place), place
        return list(opened.values())

    def open_for_each_group(self) -> list[Provider[Any]]:
        """An object for each provider in use as each group configures it, at its first location.

        Raises PluginError and ConfigError as `provider_config` does.
        """
        return [
            open_at(cls, config, cls.locations(config)[0]) for _, (cls, config) in self._configs()
        ]

    def open_all_locations(self) -> list[Opened]:
        """As `open_providers`, and an object for every other location that a provider can name.

        Asks the clouds, with patience. Raises what `open_providers` raises, and ProviderError.
        """
        opened = {
            (provider.name, place): (provider, place) for provider, place in self.open_providers()
        }
        for name in self.providers:
            cls, config = self.provider_config(name)
            first = open_at(cls, config, cls.locations(config)[0])
            if isinstance(first, SupportsAllLocations):
                for place in ask(first.all_locations):
                    if (name, place) not in opened:
                        opened[name, place] = open_at(cls, config, place), place
        return list(opened.values())

    def _configs(self) -> Iterable[tuple[str, tuple[type[Provider[Any]], ProviderConfig]]]:
        """Each provider in use with its class and table, of one group after the other."""
        for name in self.providers:
            for project in self.groups.values():
                yield name, project.provider_config(name)

    def _of_group(self, name: str, group: Group) -> Project:
        tables = dict(group.config.provider)
        for provider in tables:
            given = group.keys & {f"provider.{provider}.{key}" for key in tables[provider]}
            kept = self.plugins.provider(provider).Config.of_account if given else ()
            for key in sorted(one.rpartition(".")[2] for one in given):
                if key in kept:
                    raise ConfigError(
                        f"{self.path.name}: {group.where}.provider.{provider}.{key}: one account "
                        "holds a whole deployment",
                        hint=f"give it in [provider.{provider}], for all groups",
                    )
        for key, value in (("image", group.image), ("sizes", list(group.sizes) or None)):
            for provider in self.providers if value else ():
                if key not in self.plugins.provider(provider).Config.__struct_fields__:
                    raise ConfigError(
                        f"{self.path.name}: {group.where}.{key}: provider {provider} has no {key}",
                        hint=f"give it in [{group.where}.provider.NAME], for those that have",
                    )
                if f"provider.{provider}.{key}" not in group.keys:
                    tables[provider] = {**tables.get(provider, {}), key: value}
        config = msgspec.structs.replace(group.config, provider=tables)
        settings = msgspec.structs.replace(self.settings, config=config)
        return replace(self, settings=settings, group=name)

    def nodes(self) -> list[Node]:
        """The deployment's nodes that are not gone, of all locations, in the providers' order.

        Asks the providers, with patience, needs no journal and begins no run. Raises
        ProviderError.
        """
        return [node for node, _ in self.nodes_with_providers()]

    def nodes_with_providers(self) -> list[tuple[Node, Provider[Any]]]:
        """The same, each with the provider object that listed it."""
        opened = [provider for provider, _ in self.open_providers()]
        lists = ask_all([partial(provider.nodes, self.scope) for provider in opened])
        return [
            (node, provider)
            for provider, nodes in zip(opened, lists, strict=True)
            for node in nodes
            if node.state is not NodeState.GONE
        ]

    def hide_secrets(
        self, checks: Iterable[Check[Any]] = (), secrets: Iterable[str] = ()
    ) -> Redactor:
        """From now on take the secrets of this project, those in its checks and the given ones, of
        its payload, out of everything that this process shows or keeps. Gives what does so."""
        from spotdeploy.config.secret import secret_parts, secret_values
        from spotdeploy.redact import Redactor
        from spotdeploy.text import hide

        configs = [config for _, (_, config) in self._configs()]
        settings_of_checks = [check.settings for check in checks]
        values: set[str] = set()
        for project in self.groups.values():
            environment = project.config.payload.environment
            values |= {*secret_values(environment, *configs, *settings_of_checks)}
        for secret in secrets:
            values |= {secret, *secret_parts(secret)}
        redactor = Redactor(values)
        hide(f"{self.path} {' '.join(self.providers)}", redactor.excerpt)
        return redactor


def open_at(cls: type[Provider[Any]], config: ProviderConfig, location: str) -> Provider[Any]:
    """The object for one location, from a provider's class and its decoded table."""
    provider = cls(config, location)
    if config.settle_seconds is not None:
        provider.settle_seconds = config.settle_seconds
    return provider


def pick(nodes: Sequence[Node], name: str) -> Node:
    """The node of that name or id. Raises RefusedError naming the ones there are."""
    found = [node for node in nodes if name in (node.name, node.id)]
    if len(found) == 1:
        return found[0]
    there = ", ".join(node.name for node in nodes) or "none"
    what = "no node" if not found else "more than one node"
    raise RefusedError(f"{what} is named {name!r}; there are: {there}", hint="spotdeploy list")


def _require_known_tables(settings: Settings, plugins: Plugins) -> None:
    """Refuse `[provider.NAME]` of no plugin: what it guards against would be ignored.

    Raises ConfigError with the nearest name.
    """
    named = {name: f"provider.{name}" for name in settings.config.provider}
    for group in settings.groups.values():
        for name in group.config.provider:
            named.setdefault(name, f"{group.where}.provider.{name}")
    for name, path in named.items():
        if not plugins.is_installed(name):
            from spotdeploy.config.errors import quoted

            near = plugins.nearest(name)
            file = settings.path.name
            where = f"{file}: {path.removesuffix(name)}{quoted(name)}"
            error = ConfigError(
                f"{where}: no provider of that name is installed",
                hint=f"did you mean provider.{near}?"
                if near
                else "'spotdeploy plugins' lists them",
            )
            raise blamed(error, file, settings.sources)
