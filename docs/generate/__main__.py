"""Write every generated page."""

from __future__ import annotations

import sys
from pathlib import Path

from docs.generate.pages import pages

DOCS = Path(__file__).parents[1]


def main() -> None:
    """Write the pages where the code says something else now."""
    for name, text in pages().items():
        page = DOCS / name
        if page.exists() and page.read_text(encoding="utf-8") == text:
            continue
        page.parent.mkdir(parents=True, exist_ok=True)
        page.write_text(text, encoding="utf-8")
        sys.stdout.write(f"wrote docs/{name}\n")


if __name__ == "__main__":
    main()
