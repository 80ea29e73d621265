"""The generated pages and where they go."""

from __future__ import annotations

from docs.generate.architecture import architecture_page
from docs.generate.cli import cli_page
from docs.generate.config import config_page
from docs.generate.events import events_markdown
from docs.generate.fake import fake_page
from docs.generate.python import python_page

MADE = "<!-- made by `make reference`: change the code, not this page -->\n"


def pages() -> dict[str, str]:
    """Path under docs/ to text."""
    return {
        "architecture.md": MADE + architecture_page(),
        "events.md": events_markdown(),
        "reference/cli.md": MADE + cli_page(),
        "reference/config.md": MADE + config_page(),
        "reference/fake.md": MADE + fake_page(),
        "reference/python.md": MADE + python_page(),
    }
