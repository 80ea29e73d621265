"""Plugins that are files of a project: nothing there stands in the place of an installed module."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from spotdeploy.plugins import PluginError, Plugins


def test_what_lies_beside_a_plugin_is_imported_after_what_is_installed(tmp_path: Path) -> None:
    (tmp_path / "my_own_checks.py").write_text("import beside_it, sched\nprint(sched.__file__)\n")
    (tmp_path / "beside_it.py").touch()
    (tmp_path / "sched.py").write_text("raise SystemExit('shadowed')\n")
    script = (
        "from pathlib import Path\nfrom spotdeploy.plugins import Plugins\n"
        f"Plugins(Path({str(tmp_path)!r})).load('./my_own_checks.py')"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done
    assert str(tmp_path) not in done.stdout


@pytest.mark.parametrize("name", ["http", "json", "sched"])
def test_a_plugin_named_as_a_module_of_pythons_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / f"{name}.py").touch()
    with pytest.raises(PluginError, match=f"named '{name}'"):
        Plugins(tmp_path).load(f"./{name}.py")
