"""What people get wrong in what is shipped: files, variables, secrets."""

from __future__ import annotations

import os

from tests.messages.catalogue import Case

UPLOAD = '[payload]\nentry = "e.sh"\nupload = ["certs"]\n'
MANY_SECRETS = "".join(f'{name} = "file:s"\n' for name in "ABCDE")

SHIPPED = [
    Case("no folder to ship", payload='[payload]\npath = "nowhere"\nentry = "e.sh"\n'),
    Case("no entry", payload='[payload]\nentry = "run.sh"\n'),
    Case("an entry outside", payload='[payload]\nentry = "../e.sh"\n'),
    Case(
        "an entry that is a folder", payload='[payload]\nentry = "d"\n', files={"instance/d/": ""}
    ),
    Case(
        "an entry that is left out",
        files={"instance/.spotdeployignore": "*.sh\n"},
    ),
    Case(
        "an entry with line ends of Windows",
        files={"instance/e.sh": "#!/bin/sh\r\ntrue\r\n"},
    ),
    Case("an entry with a byte order mark", files={"instance/e.sh": "\ufeff#!/bin/sh\ntrue\n"}),
    Case(
        "an entry that is not executable",
        payload='[payload]\nentry = "e"\n',
        files={"instance/e": b"\x7fELF"},
    ),
    Case("an entry without an interpreter", files={"instance/e.sh": "#!\ntrue\n"}),
    Case("a pattern that is none", files={"instance/.spotdeployignore": "a\n/[\n!\n"}),
    Case("a link that leads out", links={"instance/out": "/etc/passwd"}),
    Case("a file with a name that cannot be shown", files={"instance/a\nb": ""}),
    Case(
        "an upload that is not there",
        payload=UPLOAD,
    ),
    Case(
        "two uploads of one name",
        payload='[payload]\nentry = "e.sh"\nupload = ["a/x", "b/x"]\n',
        files={"a/x": "1", "b/x": "2"},
    ),
    Case("patterns that are a folder", files={"instance/.spotdeployignore/": ""}),
    Case("a pipe among the files", first=[lambda: os.mkfifo("instance/pipe")]),
    Case("a link to what cannot be shown", links={"instance/link": "a\nb"}),
    Case(
        "a folder that lies elsewhere",
        payload='[payload]\npath = "out"\nentry = "e.sh"\n',
        links={"out": "/etc"},
    ),
    Case("an upload that is a pipe", payload=UPLOAD, first=[lambda: os.mkfifo("certs")]),
    Case("an upload that cannot be read", payload=UPLOAD.replace("certs", "/proc/self/mem")),
]

VARIABLES = [
    Case("a variable that a shell would drop", '[payload.environment]\n"my.name" = "x"\n'),
    Case("a variable that begins with a digit", '[payload.environment]\n1ST = "x"\n'),
    Case("a variable of spotdeploy's own", '[payload.environment]\nSPOTDEPLOY_NODE = "x"\n'),
    Case("a variable with a long name", f'[payload.environment]\n{"A" * 201} = "x"\n'),
    Case("a variable that is too large", f'[payload.environment]\nA = "{"x" * (128 << 10)}"\n'),
    Case("a variable with what none can hold", '[payload.environment]\nA = "\\u0000"\n'),
    Case("a reference that is not read there", '[payload.environment]\nA = "env:HOME"\n'),
    Case("a secret in the clear", '[payload.secrets]\nA = "hunter2"\n'),
    Case(
        "a secret and a variable of one name",
        '[payload.environment]\nA = "x"\n[payload.secrets]\nA = "env:B"\n',
    ),
    Case("a secret of a variable that is not set", '[payload.secrets]\nA = "env:NOT_SET"\n'),
    Case("a secret of a file that is not there", '[payload.secrets]\nA = "file:nowhere"\n'),
    Case("a secret of a command that fails", '[payload.secrets]\nA = "command:false"\n'),
    Case("a secret of a program that is not there", '[payload.secrets]\nA = "command:no-such"\n'),
    Case("a secret of no command", '[payload.secrets]\nA = "command:echo \'"\n'),
    Case("a secret that is empty", '[payload.secrets]\nA = "env:B"\n', variables={"B": " "}),
    Case("a secret that is short", '[payload.secrets]\nA = "env:B"\n', variables={"B": "abc"}),
    Case("a secret that is large", '[payload.secrets]\nA = "file:s"\n', files={"s": "x" * 20000}),
    Case(
        "secrets that are large together",
        f"[payload.secrets]\n{MANY_SECRETS}",
        files={"s": "x" * 16000},
    ),
    Case("a secret that is no text", '[payload.secrets]\nA = "file:s"\n', files={"s": b"\xff" * 9}),
    Case("a key that no variable stands for", variables={"SPOTDEPLOY_NODES__CUONT": "3"}),
    Case(
        "a key by two variables",
        variables=dict.fromkeys(("SPOTDEPLOY_NODES__COUNT", "SPOTDEPLOY_NODES_COUNT"), "3"),
    ),
    Case("a variable that is no value", variables={"SPOTDEPLOY_NODES__COUNT": "three"}),
    Case("a variable that is a wrong value", variables={"SPOTDEPLOY_NODES__COUNT": "0"}),
]

CASES = [*SHIPPED, *VARIABLES]
