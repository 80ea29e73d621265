"""What arrives on a real machine is the tree, and its entry has what it needs."""

from __future__ import annotations

import pytest

from tests.cycles.project import Project

pytestmark = pytest.mark.machines

ENTRY = r"""#!/bin/bash
set -Eeuo pipefail
words=("$HOME" "$USER" "$LOGNAME" "$SHELL" "$LANG" "$TERM" "${FROM_CONFIG}")
[[ ${words[*]} == "/root root root /bin/sh C.UTF-8 dumb hello" ]]
[[ $(readlink tools/run) == ../lib/run.sh ]]
[[ $(tools/run) == "lib ran" ]]
[[ -d empty && $(stat -c %a:%u empty) == 755:0 ]]
[[ $(stat -c %a /opt/uploaded_files/private) == 700 ]]
python3 - <<'PYTHON'
import os, zipfile
with zipfile.ZipFile("/srv/app.zip", "w") as archive:
    archive.write("lib/run.sh")
assert os.stat("lib/run.sh").st_mtime > 10**9
PYTHON
"""


def test_the_payload_is_the_tree_and_the_entry_is_run_by_its_first_line(project: Project) -> None:
    project.file("entry.sh", ENTRY, mode=0o755)
    project.file("lib/run.sh", "#!/bin/sh\necho lib ran\n", mode=0o755)
    for folder in ("tools", "empty"):
        (project.folder / "instance" / folder).mkdir()
    (project.folder / "instance/tools/run").symlink_to("../lib/run.sh")
    (project.folder / "uploads/private").mkdir(parents=True)
    (project.folder / "uploads/private").chmod(0o700)
    project.config["payload"] |= {"upload": ["uploads"], "environment": {"FROM_CONFIG": "hello"}}
    done = project.cycle()
    assert done.code == 0, done


def test_an_interpreter_that_the_image_lacks_is_named_by_the_node(project: Project) -> None:
    project.file("entry.sh", "#!/usr/bin/tcsh -f\n", mode=0o755)
    done = project.cycle()
    assert done.code == 1, done
    assert "the node cannot run the entry: /usr/bin/tcsh: No such file or directory" in done.out
