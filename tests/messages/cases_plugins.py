"""What authors of plugins get wrong, and people who install them."""

from __future__ import annotations

from spotdeploy.node.keys import KeyPair, Keys
from spotdeploy.node.user_data import UserData
from tests.messages import worlds
from tests.messages.catalogue import BASE, Case
from tests.messages.worlds import plugin

MINE = f'{BASE}plugins = ["./mine.py"]\n'
PROVIDER = """\
from spotdeploy.hookspecs import hookimpl
from spotdeploy.testing import FakeProvider

class Mine(FakeProvider):
    name = "fake"

@hookimpl
def spotdeploy_register_provider():
    return Mine
"""
CHECKS = """\
from spotdeploy.hookspecs import hookimpl
from spotdeploy_checks.tcp import TcpCheck

class Mine(TcpCheck):
    pass

@hookimpl
def spotdeploy_register_checks():
    return [Mine]
"""
FAILS = """\
from spotdeploy.hookspecs import hookimpl

@hookimpl
def spotdeploy_register_checks():
    return 1 / 0
"""
MISSPELT = """\
from spotdeploy.hookspecs import hookimpl

@hookimpl
def spotdeploy_register_chekcs():
    return []
"""


def small_cloud() -> bytes:
    """User-data for a cloud that takes next to none."""
    pair = KeyPair("private", "public")
    return UserData("spotdeploy", Keys(pair, pair), 3600.0).encode(limit=256)


CASES = [
    Case("a plugin that gives no provider", command="plan -p checks"),
    Case("two providers of one name", top=MINE, files={"mine.py": PROVIDER}),
    Case("two checks of one type", top=MINE, files={"mine.py": CHECKS}),
    Case("a plugin with a mistake in its hook", top=MINE, files={"mine.py": FAILS}),
    Case("a plugin with a hook that there is not", top=MINE, files={"mine.py": MISSPELT}),
    Case(
        "two installed plugins of one name",
        command="plan -p acme",
        files={**plugin("acme", ""), **plugin("acme", "", module="other")},
        first=[worlds.installed],
    ),
    Case("user-data that is too large for a cloud", command=small_cloud),
    Case("a test on a real account without a limit", command="plugins test fake --live"),
    Case("a limit for a test that costs nothing", command="plugins test fake --max-cost 1"),
    Case("some tests, where none are run", command="plugins test fake --live -k create"),
]
