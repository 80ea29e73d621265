"""What loading the provider costs."""

from __future__ import annotations

import subprocess
import sys

from tests.providers.gcp.conftest import REGION


def test_loading_the_plugin_and_its_class_imports_no_cloud_library() -> None:
    script = (
        "import sys, spotdeploy_gcp; cls = spotdeploy_gcp.spotdeploy_register_provider();"
        f"cls.locations(cls.Config()); cls(cls.Config(), '{REGION}');"
        "print([m for m in ('libcloud', 'google.auth', 'requests') if m in sys.modules])"
    )
    shown = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert shown.stdout.strip() == "[]"
