"""Finding and loading plugins by the entry-point names in use."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pluggy

from spotdeploy import hookspecs
from spotdeploy.errors import ConfigError, SpotdeployError
from spotdeploy.text import nearest

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

    from spotdeploy.check import Check
    from spotdeploy.provider import Provider

GROUP: Final = "spotdeploy"
BUNDLED_CHECKS: Final = "checks"


class PluginError(SpotdeployError):
    """A plugin cannot be loaded or breaks a rule. Exit code 2."""

    exit_code = 2


class Plugins:
    """The plugins of one run. Loads each at most once, and only those asked for."""

    def __init__(self, folder: Path | None = None) -> None:
        """`folder` is what plugin paths in the config are relative to."""
        self._folder = folder or Path.cwd()
        self._manager = pluggy.PluginManager(hookspecs.PROJECT)
        self._manager.add_hookspecs(hookspecs)

    def known(self) -> list[EntryPoint]:
        """Every installed plugin, sorted by name, read from the metadata without importing."""
        from importlib.metadata import entry_points

        return sorted(entry_points(group=GROUP), key=lambda point: point.name)

    def is_installed(self, name: str) -> bool:
        """Whether there is a plugin of that name; imports none."""
        return name in _bundled() or any(point.name == name for point in self.known())

    def nearest(self, name: str) -> str | None:
        """The installed plugin whose name is most like this one, or None when none is."""
        return nearest(name, [point.name for point in self.known()])

    def provider(self, name: str) -> type[Provider[Any]]:
        """The provider class of that name.

        Raises:
            PluginError: unknown (the known ones are listed), broken, or registered twice.
        """
        own = self.provider_of(name)
        loaded: list[type[Provider[Any]]] = self._hook_results("spotdeploy_register_provider")
        found = [cls for cls in loaded if cls.name == name]
        if len(found) > 1:
            raise PluginError(
                f"two plugins register a provider named {name!r}: {_where(found)}",
                hint="leave out or uninstall one of them",
            )
        if not found:
            other = f"; its provider is named {own.name!r}" if own else ""
            raise PluginError(
                f"plugin {name!r} registers no provider of that name{other}",
                hint="'spotdeploy plugins' lists what each gives",
            )
        return found[0]

    def provider_of(self, plugin: str) -> type[Provider[Any]] | None:
        """The provider class that one plugin registers, or None."""
        found: type[Provider[Any]] | None = self._given(plugin, "spotdeploy_register_provider")
        return found

    def checks(self, plugins: Iterable[str] = ()) -> dict[str, type[Check[Any]]]:
        """The check classes by type: the bundled ones and those of `plugins` (entry-point names,
        or paths of Python files or packages)."""
        for plugin in (BUNDLED_CHECKS, *plugins):
            self.checks_of(plugin)
        self._refuse_twins()
        found: dict[str, type[Check[Any]]] = {}
        for classes in self._hook_results("spotdeploy_register_checks"):
            for cls in classes:
                if found.setdefault(cls.kind, cls) is not cls:
                    raise PluginError(
                        f"two plugins register a check of type {cls.kind!r}: "
                        f"{_where([found[cls.kind], cls])}",
                        hint="leave out or uninstall one of them",
                    )
        return found

    def checks_of(self, plugin: str) -> list[type[Check[Any]]]:
        """The check classes that one plugin registers."""
        return list(self._given(plugin, "spotdeploy_register_checks") or ())

    def load(self, plugin: str) -> None:
        """Load one plugin by entry-point name or by path. Loading it again does nothing."""
        if self._manager.has_plugin(plugin):
            return
        if "/" in plugin or plugin.endswith(".py"):
            self._load_path(plugin)
        else:
            self._load_entry_point(plugin)

    def _load_entry_point(self, name: str) -> None:
        if (bundled := _bundled().get(name)) is not None:
            self._register(name, bundled)
            return
        points = [point for point in self.known() if point.name == name]
        if not points:
            known = ", ".join(point.name for point in self.known())
            near = self.nearest(name)
            raise PluginError(
                f"no plugin named {name!r} is installed; known: {known}",
                hint=f"did you mean {near}?" if near else "'spotdeploy plugins' lists them",
            )
        self._refuse_twins()
        self._register(name, points[0].value)

    def _refuse_twins(self) -> None:
        modules: dict[str, str] = {}
        for point in self.known():
            if modules.setdefault(point.name, point.value) != point.value:
                raise PluginError(
                    f"plugin {point.name!r} is installed twice: "
                    f"{modules[point.name]}, {point.value}",
                    hint="uninstall one of them",
                )

    def _load_path(self, plugin: str) -> None:
        path = (self._folder / plugin).resolve()
        if not path.exists():
            raise ConfigError(f"plugins: {path} does not exist", hint="correct the path")
        if path.stem in sys.stdlib_module_names:
            raise PluginError(
                f"plugin {plugin!r}: Python has a module named {path.stem!r} itself",
                hint="give the file another name",
            )
        folder = str(path.parent)
        if folder not in sys.path:
            sys.path.append(folder)  # last, so that nothing there hides an installed module
        self._register(plugin, path.stem)

    def _register(self, name: str, module: str) -> None:
        try:
            plugin = importlib.import_module(module)
        except Exception as error:
            raise PluginError(
                f"plugin {name!r} cannot be imported: {type(error).__name__}: {error}",
                hint="correct, update or uninstall it",
            ) from error
        self._manager.register(plugin, name)
        try:
            self._manager.check_pending()
        except pluggy.PluginValidationError as error:
            raise PluginError(
                f"plugin {name!r}: {error}", hint="correct, update or uninstall it"
            ) from error

    def _given(self, plugin: str, hook: str) -> Any:
        """What one plugin gives for a hook; None without it. Raises PluginError when it breaks
        off, as where the module of its class has a mistake."""
        self.load(plugin)
        function = getattr(self._manager.get_plugin(plugin), hook, None)
        try:
            return function() if function else None
        except Exception as error:
            raise PluginError(
                f"plugin {plugin!r} cannot be used: {type(error).__name__}: {error}",
                hint="correct, update or uninstall it",
            ) from error

    def _hook_results(self, hook: str) -> list[Any]:
        """What all loaded plugins give for a hook. One that is broken keeps nobody from using the
        others; whoever asks for it by name is told."""
        found = []
        for name, _ in self._manager.list_name_plugin():
            with suppress(PluginError):
                found.append(self._given(name, hook))
        return [one for one in found if one is not None]


def _bundled() -> dict[str, str]:
    """Our own entry points: their metadata alone is read, and not that of every installed package,
    which takes longer than a listing."""
    from importlib.metadata import distribution

    ours = distribution("spotdeploy").entry_points.select(group=GROUP)
    return {point.name: point.value for point in ours}


def _where(classes: Iterable[type]) -> str:
    return " and ".join(f"{cls.__module__}.{cls.__qualname__}" for cls in classes)
