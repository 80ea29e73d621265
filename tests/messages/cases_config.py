"""What people get wrong in spotdeploy.toml and on the command line."""

from __future__ import annotations

import asyncio
import contextlib

from spotdeploy.api import Outcome, Project
from tests.messages.catalogue import BASE, Case

MATRIX = "[matrix]\n"
OWN_SIZES = '[groups.a]\nsizes = ["small"]\n'
FORMER = {".spotdeploy/demo/cells/demo-1.json": '{"values": {"a": 1}, "providers": ["fake"]}'}
GROUPS = "[groups.a]\n[groups.b]\n"
LONG = "x" * 41


def one_cycle() -> Outcome:
    """As from Python."""
    return asyncio.run(Project.open().cycle())


FILE = [
    Case("no config", config="", payload="", files={}),
    Case("a config elsewhere that is not there", command="plan --config other.toml"),
    Case("a config that is a folder", command="plan --config instance"),
    Case("no TOML: a bracket is missing", "[nodes\n"),
    Case("no TOML: a text without quotes", "[nodes]\nuser = ops\n"),
    Case("no TOML: a key is there twice", "[nodes]\ncount = 1\ncount = 2\n"),
    Case("no TOML: a table is there twice", "[nodes]\n[nodes]\n"),
    Case("no TOML: nested too deeply", f"x = {'[' * 3000}\n"),
    Case("no TOML: no UTF-8", config=b'deployment = "\xff"\n'),
    Case("no TOML: it ends too early", "[nodes]\nopen_ports = [\n"),
    Case("no TOML: a number of 5,000 digits", f"[nodes]\ncount = {'9' * 5000}\n"),
    Case("a key is missing", top='providers = ["fake"]\n'),
    Case("a key that there is not", "[nodes]\ncuont = 3\n"),
    Case("a key that is like none", "[nodes]\nflavour = 3\n"),
    Case("a key in the wrong table", 'plugins = ["x"]\n'),
    Case("a text for a number", '[nodes]\ncount = "3"\n'),
    Case("a number for a text", "[payload.environment]\nLOG_LEVEL = 3\n"),
    Case("a number that is too small", "[nodes]\ncount = 0\n"),
    Case("a name that is too long", top=f'deployment = "{LONG}"\nproviders = ["fake"]\n'),
    Case("a name with a capital", top='deployment = "Demo"\nproviders = ["fake"]\n'),
    Case("a choice that there is not", '[nodes]\nmarket = "spott"\n'),
    Case("no duration", '[timeouts]\nboot = "soon"\n'),
    Case("a duration that is a number", "[timeouts]\nboot = 90\n"),
    Case("a port that there is not", "[nodes]\nopen_ports = [70000]\n"),
    Case("no port between nodes", '[nodes]\nopen_between = ["70000/udp"]\n'),
    Case("no network", '[nodes]\nallow_from = ["10.0.0.300/24"]\n'),
    Case("a quorum above the count", "[nodes]\ncount = 2\nquorum = 3\n"),
    Case("a provider is named twice", top='deployment = "d"\nproviders = ["fake", "fake"]\n'),
    Case("a time to live that no run can keep", '[nodes]\ntime_to_live = "30s"\n'),
    Case("ports for other locations, and none", "[nodes]\nopen_between_locations = true\n"),
    Case("a web hook in the clear", '[notify]\nwebhook = "https://hooks.example/x"\n'),
    Case(
        "a config above that is a link",
        files={"real.toml": BASE},
        links={"spotdeploy.toml": "real.toml"},
        held=lambda: contextlib.chdir("instance"),
    ),
    Case(
        "a config above that everybody can write",
        modes={"spotdeploy.toml": 0o666},
        held=lambda: contextlib.chdir("instance"),
    ),
    Case("a region that is a zone", '[provider.aws]\nregions = ["us-east-1a"]\n', "plan -p aws"),
]

NAMES = [
    Case("a provider that there is not", command="plan -p asw"),
    Case("a provider that there is not, in the config", top=BASE.replace("fake", "gpc")),
    Case("a table of a provider that there is not", '[provider.asw]\naccount = "1"\n'),
    Case("a plugin that there is not", top=f'{BASE}plugins = ["chekcs"]\n'),
    Case("a plugin's file that is not there", top=f'{BASE}plugins = ["./mine.py"]\n'),
    Case(
        "a plugin that is named as a module of Python",
        top=f'{BASE}plugins = ["./json.py"]\n',
        files={"json.py": ""},
    ),
    Case(
        "a plugin that cannot be imported",
        top=f'{BASE}plugins = ["./mine.py"]\n',
        files={"mine.py": "import no_such_module\n"},
    ),
    Case("a check that there is not", '[[checks]]\ntype = "htpp"\n'),
    Case("a check without a type", "[[checks]]\nport = 80\n"),
    Case("a key that a check does not have", '[[checks]]\ntype = "tcp"\nprot = 80\n'),
    Case("a check that cannot pass", '[[checks]]\ntype = "goss"\nfile = "g.yaml"\n'),
    Case("two checks of one name", '[[checks]]\ntype = "tcp"\nport = 1\n' * 2),
    Case("a check of a file that is not shipped", '[[checks]]\ntype = "goss"\npath = "g.yaml"\n'),
    Case("a check of a group that there is not", '[[checks]]\ntype = "tcp"\nport = 1\nto = "x"\n'),
    Case("a run that there is not", command="report 20260101"),
    Case("no runs", command="report last"),
    Case("no nodes to verify", command="verify"),
    Case("no nodes to log in to", command="ssh demo-1"),
    Case("no nodes to hand on", command="export --format json"),
    Case("no command to ask", command="run"),
    Case("logs since without a unit", command="logs --since 5m"),
    Case("logs of no nodes", command="logs"),
    Case("logs of what is no unit", command="logs --unit a/b"),
    Case("logs since no duration", command="logs --unit ssh --since soon"),
    Case("a time limit that is none", command="run --timeout soon -- true"),
    Case("a time limit of two hours", command="run --timeout 2h -- true"),
    Case("a format that there is not", command="export --format yaml"),
    Case("a command that there is not", command="cicle"),
    Case("an option that there is not", command="cycle --kepe never"),
    Case("two kinds of data on one stream", command="cycle --json --events -"),
    Case("repeat and watch", command="cycle --repeat 2 --watch"),
    Case("repeat what failed", command="cycle --repeat 2 --failed"),
    Case("nothing failed before", command="cycle --failed"),
    Case("cells of what has no matrix", command="plan --only size=small"),
]

GROUP = [
    Case("a group that waits for none that there is", '[groups.a]\nafter = ["b"]\n'),
    Case(
        "groups that wait for each other", '[groups.a]\nafter = ["b"]\n[groups.b]\nafter = ["a"]\n'
    ),
    Case("a group's name with a blank", '[groups."a b"]\n'),
    Case("a group that is no table", "groups.a = 3\n", payload=""),
    Case("a group's checks that are no tables", "[groups.a]\nchecks = 3\n"),
    Case("a group's payload that is no table", "[groups.a]\npayload = 3\n"),
    Case("a group's table of a provider that is none", "[groups.a]\nprovider.fake = 3\n"),
    Case("a group's quorum above its count", "[groups.a]\ncount = 1\nquorum = 2\n"),
    Case("a group that changes the account", '[groups.a.provider.fake]\naccount = "x"\n'),
    Case("a group's image, of what has none", '[groups.a]\nimage = "x"\n'),
    Case(
        "a check of one group asked by another",
        f'{GROUPS}[[groups.a.checks]]\ntype = "tcp"\nport = 1\nfrom = "b"\n',
    ),
    Case(
        "a check of a group that is not known",
        f'{GROUPS}[[groups.a.checks]]\ntype = "tcp"\nport = 1\nto = "b"\n',
    ),
]

CELLS = [
    Case("an axis that is no list", f"{MATRIX}size = 3\n"),
    Case("an axis without values", f"{MATRIX}size = []\n"),
    Case("an axis with a value twice", f'{MATRIX}size = ["a", "a"]\n'),
    Case("an axis of numbers with a point", f"{MATRIX}size = [1.5]\n"),
    Case("an axis with a bad name", f'{MATRIX}"a b" = [1]\n'),
    Case("two axes of one variable", f"{MATRIX}a-b = [1]\na_b = [1]\n"),
    Case("a size that is no text", f"{MATRIX}size = [1]\n"),
    Case("a market that there is not", f'{MATRIX}market = ["cheap"]\n'),
    Case("a provider of the matrix that there is not", f'{MATRIX}provider = ["asw"]\n'),
    Case("an axis that no provider takes", f'{MATRIX}arch = ["arm64"]\n'),
    Case("what is left out is everything", f"{MATRIX}a = [1]\nexclude = [{{ a = 1 }}]\n"),
    Case("what is left out is no list", f"{MATRIX}a = [1]\nexclude = 3\n"),
    Case("what is left out is no table", f"{MATRIX}a = [1]\nexclude = [3]\n"),
    Case("what is left out is empty", f"{MATRIX}a = [1]\nexclude = [{{}}]\n"),
    Case("what is left out has no such axis", f"{MATRIX}a = [1]\nexclude = [{{ b = 1 }}]\n"),
    Case("two cells that are the same", f"{MATRIX}include = [{{ a = 1 }}, {{ a = 1 }}]\n"),
    Case("no cell has both", f"{MATRIX}a = [1, 2]\nexclude = [{{a = 2}}]\n", "plan --only a=2"),
    Case(
        "no cell has these two",
        f"{MATRIX}a = [1, 2]\nb = [1, 2]\nexclude = [{{ a = 1, b = 2 }}]\n",
        "plan --only a=1 --only b=2",
    ),
    Case("one of several cells", f"{MATRIX}a = [1, 2]\n", "export"),
    Case("an axis that all groups have of their own", f'{MATRIX}size = ["s"]\n{OWN_SIZES}'),
    Case(
        "a value that a provider does not take",
        f'{MATRIX}size = ["c6i.*"]\n',
        "plan",
        top=BASE.replace("fake", "aws"),
    ),
    Case(
        "a value that a location's own stands above",
        f'{MATRIX}image = ["ubuntu-lts"]\n[provider.azure.location.eastus]\nimage = "a:b:c:d"\n',
        top=BASE.replace("fake", "azure"),
    ),
    Case("cells that are not in the config any more", command="plan --only a=1", files=FORMER),
    Case("a matrix by the method of one deployment", f"{MATRIX}a = [1]\n", one_cycle),
    Case("too many cells", f"{MATRIX}a = {list(range(9))}\nb = {list(range(9))}\n"),
    Case("no such axis to choose", f"{MATRIX}a = [1]\n", "plan --only b=1"),
    Case("no such value to choose", f"{MATRIX}a = [1]\n", "plan --only a=2"),
    Case("no choice at all", f"{MATRIX}a = [1]\n", "plan --only a"),
    Case("providers by option and by matrix", f'{MATRIX}provider = ["fake"]\n', "plan -p fake"),
]

BEFORE = [
    Case("a command that is empty", '[before]\ncommands = [" "]\n'),
    Case("a command that none can hold", '[before]\ncommands = ["a\\u0000b"]\n'),
    Case("a command without time", '[before]\ncommands = [{ run = "true", timeout = "0s" }]\n'),
    Case("a command at no known time", '[before]\ncommands = [{ run = "x", when = "never" }]\n'),
    Case("a key of a command that there is not", '[before]\ncommands = [{ rnu = "x" }]\n'),
    Case(
        "a file of the commands that is not there",
        '[before]\ncommands = [{ run = "x", when = "changed" }]\nfiles = ["tests"]\n',
    ),
    Case(
        "a file of the commands that cannot be read",
        '[before]\ncommands = [{ run = "x", when = "changed" }]\nfiles = ["/proc/self/mem"]\n',
    ),
    Case(
        "a command that changes what is shipped",
        '[before]\ncommands = ["echo > instance/new"]\n',
        "cycle",
    ),
]

OUTPUTS = [
    Case("an output of a group that there is not", '[outputs]\nurl = "http://{web[0].address}"\n'),
    Case("an output of a node that there is not", '[outputs]\nurl = "{nodes[9].address}"\n'),
    Case("an output of a fact that there is not", '[outputs]\nurl = "{nodes[0].adress}"\n'),
    Case("an output that is no template", '[outputs]\nurl = "{nodes[0"\n'),
]

CASES = [*FILE, *NAMES, *GROUP, *CELLS, *BEFORE, *OUTPUTS]
