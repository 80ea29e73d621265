"""What loading the provider costs, and what it promises."""

from __future__ import annotations

import subprocess
import sys

from tests.providers.azure.conftest import MakeProvider


def test_importing_the_plugin_imports_no_cloud_library() -> None:
    program = (
        "import sys, spotdeploy_azure; spotdeploy_azure.spotdeploy_register_provider();"
        "print([m for m in sys.modules if m.split('.')[0] in"
        " ('libcloud', 'requests', 'cryptography', 'asyncssh', 'azure')])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout.strip() == "[]", done.stderr


def test_auto_shutdown_says_what_stays_billed(make: MakeProvider) -> None:
    assert "stay billed" in make().auto_shutdown()
    assert "Azure bills it" in make(auto_shutdown=False).auto_shutdown()
