"""Following a listing to its last page."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final, TypeVar

from spotdeploy.errors import ProviderError

MAX_PAGES: Final = 1000
T = TypeVar("T")
Cursor = TypeVar("Cursor")


def all_pages(
    page: Callable[[Cursor | None], tuple[Iterable[T], Cursor | None]], what: str
) -> list[T]:
    """The items of all pages. `page` asks for one: the first for None, then the one that the last
    answer pointed to. `what` names the listing in the error.

    Raises:
        ProviderError: the listing does not end.
    """
    found: list[T] = []
    cursor: Cursor | None = None
    for _ in range(MAX_PAGES):
        items, cursor = page(cursor)
        found += items
        if not cursor:
            return found
    raise ProviderError(f"{what}: more than {MAX_PAGES} pages")
