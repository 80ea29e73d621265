"""The page of a live test: what was seen, and nobody's name."""

from __future__ import annotations

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spotdeploy.errors import Reach
from spotdeploy.live.findings import Answer, Findings, Promise, Refused, Timing
from spotdeploy.live.page import Anonymizer, names_in, render

TEXT = st.text(string.printable, max_size=40)
NAMES = st.text(string.ascii_letters + string.digits + "-._", min_size=4, max_size=30)


def findings(detail: str = "", message: str = "", listed: float = 2.0) -> Findings:
    return Findings(
        provider="acme",
        location="north",
        size="tiny",
        market="spot",
        usd_per_hour=0.0125,
        max_cost=0.5,
        user_data_limit=16384,
        promises=(
            Promise("it is listed", Answer.BROKEN if listed > 5 else Answer.KEPT, detail),
            Promise("it has a console", Answer.NOT_SHOWN, "the provider has no console"),
        ),
        timings=(Timing("a new node is listed", listed, 5.0),),
        refusals=(Refused("create nowhere", "ProviderError", Reach.ZONE, "NoZone", message),),
        left=(),
        stopped=False,
    )


def page(detail: str = "", message: str = "", **names: str) -> str:
    return render(findings(detail, message), Anonymizer(names), now=1e9)


def test_a_page_tells_promises_times_and_refusals() -> None:
    told = page("by each label", "there is no zone nowhere")
    assert TABLES in told
    assert "| result | 1 kept, 0 broken; nothing is left |" in told
    assert "| create nowhere | ProviderError | zone | NoZone | there is no zone nowhere |" in told
    assert "| day | 2001-09-09 |" in told


TABLES = """\
| promise | answer | seen |
|---|---|---|
| it is listed | kept | by each label |
| it has a console | not shown | the provider has no console |

## How long it took

| what | took | allowed |
|---|---|---|
| a new node is listed | 2s | 5s |
"""


@given(before=TEXT, name=NAMES, after=TEXT)
def test_no_known_name_is_in_it(before: str, name: str, after: str) -> None:
    told = page(f"{before}{name}{after}", f"{after}{name}", **{name: "<it>"})
    without = page(f"{before}{after}", after)
    assert told.count(name) <= without.count(name) + "<it>".count(name)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("no 203.0.113.7 here", "no <address> here"),
        ("not 2001:db8::12:7 either", "not <address> either"),
        ("user arn:aws:iam::123456789012:user/anna is", "user <arn> is"),
        ("account 123456789012", "account <number>"),
        ("i-0abc1234def567890 and sg-0123456789abcdef0", "<id> and <id>"),
        ("mail anna.b@example.com", "mail <email>"),
        ("projects/my-project/zones/us-a", "<account>/zones/us-a"),
        ("/subscriptions/8c0f6f1e-0000-4000-8000-0123456789ab/x", "/<account>/x"),
        ("tenant 8C0F6F1E-0000-4000-8000-0123456789AB", "tenant <uuid>"),
        ("t3.micro in us-east-1a at 12:30:59", "t3.micro in us-east-1a at 12:30:59"),
    ],
)
def test_what_looks_like_an_id_is_taken_out_and_what_does_not_stays(text: str, shown: str) -> None:
    assert Anonymizer({}).text(text) == shown


def test_every_text_of_the_providers_table_is_a_name() -> None:
    table = {"project": "my-own", "tags": {"team": "blue"}, "sizes": ["big"], "count": 3}
    assert dict(names_in(table)) == {"my-own": "<project>", "blue": "<tags.team>"}


def test_a_late_listing_is_advised_with_the_key_that_allows_for_it() -> None:
    told = render(findings(listed=40.0), Anonymizer({}))
    assert '[provider.acme]\nsettle_seconds = "60s"' in told
    assert "settle_seconds" not in render(findings(listed=5.5), Anonymizer({}))


def test_a_cell_cannot_break_the_table() -> None:
    (row,) = [line for line in page("a | b\nc").splitlines() if line.startswith("| it is listed")]
    assert row == "| it is listed | kept | a \\| b c |"
