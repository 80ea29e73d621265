"""Secrets of a payload on real machines: where they arrive, and where they do not."""

from __future__ import annotations

import base64
import json
import os
from pathlib import Path

import pytest

from tests.cycles.project import Project

pytestmark = pytest.mark.machines

VALUES = {
    "QUOTES": "she said \"hi\" and 'bye'",
    "DOLLAR": "p$HOME ${PATH} $$ `id` 50% \\ \\n end\\",
    "BLANKS": "  between blanks\t ",
    "HASH": "# no comment; = none",
    "PEM": "-----BEGIN KEY-----\nline one+/=\nline two\n-----END KEY-----\n",
    "RETURN": "carriage\rreturn\r\n",
    "CONTROL": "bell\x07 escape\x1b[1m \x7f",
    "UMLAUT": "grün 漢字 😀",
}
UNIT = """\
[Unit]
After=spotdeploy-secrets.target
[Service]
Type=oneshot
RemainAfterExit=yes
EnvironmentFile=/run/spotdeploy/secrets.env
LoadCredential=PEM:/run/spotdeploy/secrets/PEM
ExecStart=/bin/sh -c 'umask 077; printf %%s "$QUOTES" > /opt/env-{when}; \
cat $CREDENTIALS_DIRECTORY/PEM > /opt/credential-{when}'
[Install]
WantedBy=spotdeploy-secrets.target
"""
ENTRY = """\
#!/usr/bin/python3 -B
import base64, json, os, subprocess
at = "/opt/spotdeploy/payload/web.service"
unit = open(at).read()
open("/etc/systemd/system/web.service", "w").write(unit)
subprocess.run(["systemctl", "enable", "--now", "web.service"], check=True)
assert "".join(open("/opt/env-" + os.environ["WHEN"]).read()) == os.environ["QUOTES"]
names = json.loads(os.environ["NAMES"])
found = {name: base64.b64encode(os.fsencode(os.environ.get(name, ""))).decode() for name in names}
text = json.dumps(found)
open("/opt/found.json", "w").write(text[::-1])
print("the token is", os.environ["QUOTES"], os.environ["PEM"])
show = ["systemctl", "show", "spotdeploy-deploy.service", "web.service"]
print(subprocess.run(show, capture_output=True).stdout)
assert os.stat("/run/spotdeploy/deploy.env").st_size == 0
"""


PARTS = {value.strip()[8:20] if len(value) > 12 else value for value in VALUES.values()}


def files_with_any(folder: Path) -> list[Path]:
    """Files below the folder that hold half of a secret, as it is or as base64."""
    codes = {base64.b64encode(value.encode())[:12] for value in VALUES.values()}
    wanted = codes | {part.encode() for part in PARTS}
    files = [path for path in folder.rglob("*") if path.is_file()]
    return [path for path in files if any(part in path.read_bytes() for part in wanted)]


def test_secrets_arrive_byte_for_byte_in_entry_and_units_and_nowhere_else(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in VALUES.items():
        monkeypatch.setenv(f"OURS_{name}", value)
    project.config["payload"] |= {
        "entry": "entry.py",
        "reboot": True,
        "secrets": {name: f"env:OURS_{name}" for name in VALUES},
        "secrets_after_reboot": True,
        "environment": {"NAMES": json.dumps([*VALUES]), "WHEN": "now"},
    }
    project.file("entry.py", ENTRY, mode=0o755)
    project.file("web.service", UNIT.replace("{when}", "now"))
    checks = {
        "unit": "systemctl is-active web.service && test -s /opt/credential-now",
        "modes": "test $(stat -c %a:%u /run/spotdeploy/secrets.env) = 600:0",
        "no environment": "test ! -e /run/spotdeploy/deploy.env",
        "no process": "! grep -lqs 'sh[e] said' /proc/[0-9]*/cmdline",
        "no journal": "! journalctl --no-pager | grep 'sh[e] said'",
        "no user-data": "! grep -rlqs 'sh[e] said' /var/lib /etc /root /home",
        "shows its output": "cat /opt/deployment.log; false",
    }
    project.config["checks"] = [
        {"type": "command", "name": name, "command": line, "within": "10s"}
        for name, line in checks.items()
    ]
    project.config["evidence"] = {
        "files": ["/opt/found.json", "/opt/env-now", "/opt/credential-now"]
    }
    done = project.cycle("--keep", "always")
    assert done.code == 1, done
    (report,) = project.folder.rglob("report.json")
    (node,) = json.loads(report.read_text())["nodes"]
    failed = {check["name"]: check["detail"] for check in node.get("checks", []) if not check["ok"]}
    assert set(failed) == {"shows its output"}, (
        failed,
        node.get("message"),
        [p.read_text() for p in project.folder.rglob("deployment.log")],
    )
    assert "the token is [redacted]" in failed["shows its output"]
    assert files_with_any(project.folder / ".spotdeploy") == []
    assert not [part for part in PARTS if part in done.out + done.err]
    (found,) = project.folder.rglob("file_opt_found.json")
    arrived = json.loads(found.read_text()[::-1])
    assert arrived == {n: base64.b64encode(v.encode()).decode() for n, v in VALUES.items()}
    shown = project.run("debug", node["name"])
    assert shown.code == 0, shown
    assert "[redacted]" in shown.out
    assert not [part for part in PARTS if part in shown.out]
    assert (project.folder / ".spotdeploy" / project.config["deployment"] / "id_ed25519").exists()
    assert project.run("destroy").code == 0
    keys = project.folder / ".spotdeploy" / project.config["deployment"]
    assert not [path for path in keys.rglob("*") if path.is_file()]


def test_a_reboot_takes_secrets_away_unless_it_is_asked_for_them(project: Project) -> None:
    os.environ["OURS"] = "there-then-gone"
    project.config["payload"] |= {"reboot": True, "secrets": {"OURS": "env:OURS"}}
    project.entry('test "$OURS" = there-then-"gone" && test -s /run/spotdeploy/secrets/OURS')
    project.config["checks"] = [
        {"type": "command", "command": "test ! -e /run/spotdeploy/secrets", "within": "2s"},
        {"type": "command", "command": "! grep -rlqs then-gon[e] /etc /opt /var", "within": "2s"},
    ]
    done = project.cycle("--keep", "never")
    assert done.code == 0, str(done)[-3000:]
