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
CLASSES: Final = ("ProviderContract", "CheckContract")
GREEN, BROKEN, NO_TESTS = 0, 1, 5
"""Exit codes of pytest."""
_OPTIONS: Final = (
    "-rfEs",
    "-p",
    "spotdeploy.testing.only_contracts",
    "-p",
    "no:cacheprovider",
    "--import-mode=importlib",
)


def run_contract(plugin: str, options: Sequence[str] = ()) -> int:
    """Run the contract of an installed plugin, or of the one whose folder this is.

    `options` are pytest's. Prints what pytest prints, and why each skipped test was. Blocks until
    it is done. Returns 0 when the contract is kept and 1 when it is broken.

    Raises:
        PluginError: no plugin of that name is installed, or it cannot be loaded.
        ConfigError: it brings no contract, or none of its tests was chosen.
        HostError: pytest is not installed.
    """
    if find_spec("pytest") is None:
        raise HostError(
            "the contract is run by pytest, which is not installed",
            hint="pip install 'spotdeploy[testing]'",
        )
    is_path = "/" in plugin or plugin in (".", "..")
    code = _in_folder(Path(plugin), options) if is_path else _installed(plugin, options)
    if code == NO_TESTS:
        among = f" among those that {' '.join(options)} chooses" if options else ""
        raise ConfigError(
            f"{plugin} has no test that is part of {' or '.join(CLASSES)}{among}",
            hint="spotdeploy plugins new NAME shows how one is written",
        )
    return BROKEN if code else GREEN


def _in_folder(folder: Path, options: Sequence[str]) -> int:
    if not folder.is_dir():
        raise ConfigError(f"{folder} is not a folder", hint="give a plugin's folder or its name")
    contracts = sorted({*folder.glob(f"src/*/{MODULE}.py"), *folder.glob(f"*/{MODULE}.py")})
    files = contracts or [file for file in sorted(folder.rglob("test_*.py")) if _names(file)]
    if not files:
        return NO_TESTS
    return _pytest([*options, *(str(file.relative_to(folder)) for file in files)], folder)


def _names(file: Path) -> bool:
    """Whether a file of tests speaks of a contract. It is not imported for that."""
    text = file.read_text(encoding="utf-8", errors="replace")
    return any(name in text for name in CLASSES)


def _installed(plugin: str, options: Sequence[str]) -> int:
    Plugins().load(plugin)
    module = _contract_module(plugin)
    with tempfile.TemporaryDirectory() as empty:
        # its own ini file, so that none of the user's configures these tests
        ini = Path(empty) / "pytest.ini"
        ini.write_text("[pytest]\n", encoding="utf-8")
        arguments = ["-c", str(ini), "--rootdir", empty, *options, "--pyargs", module]
        return _pytest(arguments, Path.cwd())


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
