"""`spotdeploy plugins test`: the contract of one plugin, run by pytest."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from spotdeploy.errors import ConfigError, HostError
from spotdeploy.plugins import Plugins

MODULE: Final = "contract"
"""The module of a plugin's package in which its contract tests are."""
GREEN, BROKEN, NO_TESTS = 0, 1, 5
"""Exit codes of pytest."""
_OPTIONS: Final = (
    "-p",
    "spotdeploy.testing.only_contracts",
    "-p",
    "no:cacheprovider",
    "--import-mode=importlib",
)


def run_contract(plugin: str) -> int:
    """Run the contract of an installed plugin, or of the one whose folder this is.

    Prints what pytest prints. Blocks until it is done. Returns 0 when the contract is kept and 1
    when it is broken.

    Raises:
        PluginError: no plugin of that name is installed, or it cannot be loaded.
        ConfigError: it brings no contract.
        HostError: pytest is not installed.
    """
    if find_spec("pytest") is None:
        raise HostError(
            "the contract is run by pytest, which is not installed",
            hint="pip install 'spotdeploy[testing]'",
        )
    is_path = "/" in plugin or plugin in (".", "..")
    code = _in_folder(Path(plugin)) if is_path else _installed(plugin)
    if code == NO_TESTS:
        raise ConfigError(
            f"{plugin} has no test that is part of ProviderContract or CheckContract",
            hint="spotdeploy plugins new NAME shows how one is written",
        )
    return BROKEN if code else GREEN


def _in_folder(folder: Path) -> int:
    if not folder.is_dir():
        raise ConfigError(f"{folder} is not a folder", hint="give a plugin's folder or its name")
    return _pytest([], folder)


def _installed(plugin: str) -> int:
    Plugins().load(plugin)
    module = _contract_module(plugin)
    with tempfile.TemporaryDirectory() as empty:
        # its own ini file, so that none of the user's configures these tests
        ini = Path(empty) / "pytest.ini"
        ini.write_text("[pytest]\n", encoding="utf-8")
        return _pytest(["-c", str(ini), "--rootdir", empty, "--pyargs", module], Path.cwd())


def _contract_module(plugin: str) -> str:
    package = next(point.value for point in Plugins().known() if point.name == plugin)
    module = f"{package}.{MODULE}"
    try:
        found = find_spec(module)
    except ModuleNotFoundError:
        found = None
    if found is None:
        raise ConfigError(
            f"plugin {plugin!r} brings no contract: there is no module {module}",
            hint="if its source has one, give its folder: spotdeploy plugins test ./FOLDER",
        )
    return module


def _pytest(arguments: Sequence[str], folder: Path) -> int:
    command = [sys.executable, "-m", "pytest", *_OPTIONS, *arguments]
    return subprocess.run(command, cwd=folder, check=False).returncode
