"""Syntax faults of what is shipped: those that are faults wherever they are read, and no others."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from spotdeploy.payload.manifest import build_manifest
from spotdeploy.payload.syntax import LARGEST, find_faults

UNIT = "[Unit]\nDescription=x\n[Service]\nExecStart=/opt/only/on/a/node --flag\n"
needs_bash = pytest.mark.skipif(not shutil.which("bash"), reason="there is no bash here")
needs_systemd = pytest.mark.skipif(
    not shutil.which("systemd-analyze"), reason="there is no systemd-analyze here"
)


def faults(folder: Path, **files: str | bytes) -> list[str]:
    """The faults of these files, each as its path in the payload, its line and what it is."""
    root = folder / "instance"
    root.mkdir(exist_ok=True)
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    found = find_faults(build_manifest(root, project=folder))
    return [f"{one.path.relative_to(root)}:{one.line}: {one.what}" for one in found]


def told(folder: Path, name: str, content: str | bytes) -> list[str]:
    return faults(folder, **{name: content})


@pytest.mark.parametrize(
    ("name", "content", "line", "what"),
    [
        ("app.py", "import os\n\ndef main(:\n    pass\n", 3, "invalid syntax"),
        ("tool", "#!/usr/bin/env python3\nif True:\nprint()\n", 3, "expected an indented block"),
        ("latin.py", b"# -*- coding: utf-8 -*-\nx = '\xff'\n", 2, "utf-8"),
        ("zero.py", b"x = 1\0\n", 1, "null bytes"),
        ("go.sh", "#!/bin/sh\nif true; then\n  echo yes\n", 4, "end of file"),
        ("plain.sh", "echo a\nfi\n", 2, "fi"),
        ("run.bash", "a=(1 2\n", 1, "unexpected"),
        ("start", '#!/bin/bash\necho "never closed\n', 2, "unexpected EOF"),
    ],
)
@needs_bash
def test_a_script_that_nothing_can_read_is_told_with_its_line(
    tmp_path: Path, name: str, content: str | bytes, line: int, what: str
) -> None:
    (found,) = told(tmp_path, name, content)
    assert found.startswith(f"{name}:{line}: ")
    assert what in found


@needs_systemd
@pytest.mark.parametrize(
    ("content", "line", "what"),
    [
        (f"Wants=x\n{UNIT}", 1, "Assignment outside of section"),
        (f"{UNIT}Restart always\n", 5, "Missing '='"),
        (f"{UNIT}[Install\n", 5, "Invalid section header"),
        (f'{UNIT}ExecStartPre=/bin/sh -c "echo\n', 5, "Unbalanced quoting"),
    ],
)
def test_a_line_that_is_none_of_a_units_is_told(
    tmp_path: Path, content: str, line: int, what: str
) -> None:
    (found,) = told(tmp_path, "web.service", content)
    assert found.startswith(f"web.service:{line}: {what}")


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("warns.py", 'import re\nre.compile("\\d")\n'),
        ("old.py", "#!/usr/bin/env python2\nprint 'x'\n"),
        ("page.py", "import {{ module }}\n{% if x %}\n"),
        ("big.py", "x = (\n" + "#" * LARGEST),
        ("notes.txt", "if true; then"),
        ("zsh", "#!/bin/zsh\nfor f (*) echo $f\n"),
        ("extended.sh", "#!/bin/bash\nshopt -s extglob\nrm -f !(keep|this)\n"),
        ("of-bash.sh", "list=(1 2 3)\necho ${list[1]}\n"),
        ("of-bash", "#!/bin/sh\nlist=(1 2 3)\necho ${list[1]}\n"),
        ("archive.sh", b"#!/bin/sh\ntail -n +4 $0 | tar x\nexit 0\n\x1f\x8b(((\0\0"),
        ("both", "#!/bin/sh\n'''exec' python3 \"$0\" \"$@\"\n' '''\ndef main(): print(1)\n"),
        ("both.sh", '#!/bin/sh\n":" //; exec node "$0" "$@"\nfunction f() { return (1) }\n'),
        ("web.service", UNIT + "FromNewerSystemd=1\nType=brandnew\nUser=nobody-here\n[Nwe]\nA=1\n"),
        ("bus.service", "[D-BUS Service]\nName=org.example\nno assignment\n"),
        ("avahi.service", "<service-group>\n<name>x</name>\n</service-group>\n"),
        ("made.service", "[Unit]\n{% for x in y %}\nAfter={{ x }}\n{% endfor %}\n[Service]\n"),
        ("web@.service", UNIT.replace("--flag", "--port=%i")),
        ("empty.py", ""),
    ],
)
def test_what_may_be_right_elsewhere_is_not_told(
    tmp_path: Path, name: str, content: str | bytes
) -> None:
    assert told(tmp_path, name, content) == []


def test_what_is_left_out_or_made_for_one_computer_is_not_read(tmp_path: Path) -> None:
    (tmp_path / ".spotdeployignore").write_text("drafts/\n")
    files = {
        "drafts/a.py": "def (",
        ".venv/lib/b.py": "def (",
        "node_modules/c/d.sh": "fi",
        "fine.py": "x = 1\n",
    }
    assert faults(tmp_path, **files) == []


def test_every_file_is_told_once_and_none_is_run(tmp_path: Path) -> None:
    mark = tmp_path / "ran"
    files = {
        "one.py": f"open({str(mark)!r}, 'w')\n",
        "two.sh": f"touch {mark}\nfi\nfi\n",
        "sub/three.py": "a b\nc d\n",
    }
    found = faults(tmp_path, **files)
    assert [line.split(":")[0] for line in found] == ["sub/three.py", "two.sh"]
    assert not mark.exists()
