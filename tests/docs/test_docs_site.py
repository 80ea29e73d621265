"""The site builds without a warning, its links lead somewhere, and it asks no other host."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

LOADS = {
    "script": "src",
    "img": "src",
    "iframe": "src",
    "source": "src",
    "audio": "src",
    "video": "src",
    "object": "data",
    "embed": "src",
}
LOADING_RELATIONS = {
    "stylesheet",
    "icon",
    "preload",
    "prefetch",
    "preconnect",
    "dns-prefetch",
    "modulepreload",
    "manifest",
}
LINK = re.compile(r"\]\(([^()\s]+)\)")
CODE = re.compile(r"^```.*?^```$|`[^`\n]+`", re.DOTALL | re.MULTILINE)


class Loads(HTMLParser):
    """What a page makes a browser fetch, and the addresses that its styles name."""

    def __init__(self) -> None:
        super().__init__()
        self.addresses: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {key: value or "" for key, value in attrs}
        if tag in LOADS and LOADS[tag] in given:
            self.addresses.append(given[LOADS[tag]])
        if tag == "link" and LOADING_RELATIONS & set(given.get("rel", "").split()):
            self.addresses.append(given["href"])


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built site."""
    repository = Path(__file__).parents[2]
    folder = tmp_path_factory.mktemp("site")
    built = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)],
        cwd=repository,
        capture_output=True,
        text=True,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
    )
    output = built.stdout + built.stderr
    assert built.returncode == 0, output
    assert "WARNING" not in output
    return folder


def foreign(addresses: list[str]) -> list[str]:
    return [address for address in addresses if urlsplit(address).netloc]


def test_no_page_loads_anything_from_another_host(site: Path) -> None:
    pages = list(site.rglob("*.html"))
    assert len(pages) > 20
    for page in pages:
        parser = Loads()
        parser.feed(page.read_text())
        assert parser.addresses, page
        assert not foreign(parser.addresses), page


def test_no_style_loads_anything_from_another_host(site: Path) -> None:
    styles = list(site.rglob("*.css"))
    assert styles
    for style in styles:
        found = re.findall(r"(?:url\(|@import )[\"']?([^\"')]+)", style.read_text())
        assert not foreign([one for one in found if not one.startswith("data:")]), style


def test_a_foreign_script_would_be_found() -> None:
    parser = Loads()
    parser.feed('<script src="https://cdn.example/x.js"></script><link rel="icon" href="a.png">')
    assert foreign(parser.addresses) == ["https://cdn.example/x.js"]


def test_every_class_of_the_contracts_is_in_the_python_reference(site: Path) -> None:
    page = (site / "reference/python.html").read_text()
    for anchor in (
        "spotdeploy.provider.Provider.create",
        "spotdeploy.check.Check.run",
        "spotdeploy.testing.provider_contract.lab.LabFixtures.powers",
        "spotdeploy.testing.FakeCloud.script",
        "spotdeploy.errors.LostReplyError",
    ):
        assert f'id="{anchor}"' in page


def test_the_generator_is_no_page_of_the_site(site: Path) -> None:
    assert not (site / "generate").exists()


@pytest.mark.parametrize("name", ["README.md", "CONTRIBUTING.md", "CHANGELOG.md"])
def test_links_from_the_files_beside_the_docs_lead_somewhere(repository: Path, name: str) -> None:
    broken = [link for link in links(repository / name) if not (repository / link).exists()]
    assert not broken


def test_links_between_pages_also_work_where_the_repository_is_read(repository: Path) -> None:
    """The built site checks anchors too; this is for readers of the Markdown itself."""
    broken = [
        f"{page.relative_to(repository)}: {link}"
        for page in (repository / "docs").rglob("*.md")
        for link in links(page)
        if not (page.parent / link).exists()
    ]
    assert not broken


def links(page: Path) -> Iterator[str]:
    """The files that a page links to, relative to it."""
    for target in LINK.findall(CODE.sub("code", page.read_text())):
        parts = urlsplit(target)
        if not parts.scheme and parts.path:
            yield unquote(parts.path)
