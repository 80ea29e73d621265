"""The check `payload`: was anybody on the node by hand."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spotdeploy_checks import drift, logins
from tests.plugins.checks.shipped import NOW, OWN, ShippedNode, end, line, login, session, ship

STRANGER = ("192.0.2.7", "40000")


@pytest.fixture
async def node(tmp_path: Path) -> ShippedNode:
    return await ship(tmp_path, lambda tree, uploads: (tree / "a").touch())


async def touched(node: ShippedNode) -> str:
    """What the check says of a node that somebody was on."""
    result = await node.check()
    assert (result.ok, result.final) == (False, True), result
    assert result.detail.startswith("touched: ")
    return result.detail.removeprefix("touched: ")


async def test_connections_that_are_registered_are_not_by_hand(node: ShippedNode) -> None:
    node.register("2001:db8::1", "50002")
    node.journal(login("2001:db8::1", "50002"), session("command", "2001:db8::1", "50002"))
    assert (await node.check()).ok


@pytest.mark.parametrize(
    "kind",
    [
        "command",
        "shell on pts/0",
        "command on pts/3",
        "subsystem 'sftp'",
        "forced-command (config) 'internal-sftp from 10.0.0.1 port 50001'",
    ],
)
async def test_a_session_of_any_kind_from_elsewhere_is_by_hand(
    node: ShippedNode, kind: str
) -> None:
    node.journal(login(*STRANGER, user="joe"), session(kind, *STRANGER, user="joe"))
    assert await touched(node) == (
        f"joe logged in by hand from 192.0.2.7 at 2026-11-24T04:20:23+0000 ({kind})"
    )


async def test_another_port_of_the_same_address_is_by_hand(node: ShippedNode) -> None:
    node.journal(login(OWN[0], "50009"), session("command", OWN[0], "50009"))
    assert "by hand from 10.0.0.1" in await touched(node)


async def test_a_port_that_was_used_again_is_by_hand(node: ShippedNode) -> None:
    node.journal(login(*OWN), session("shell on pts/0", *OWN))
    assert "by hand" in await touched(node)


async def test_a_port_that_we_used_twice_ourselves_is_not(node: ShippedNode) -> None:
    node.register(*OWN)
    node.journal(login(*OWN), session("command", *OWN))
    assert (await node.check()).ok


async def test_a_session_is_by_hand_even_when_its_login_is_lost(node: ShippedNode) -> None:
    node.journal(session("shell on pts/1", *STRANGER))
    assert "(shell on pts/1)" in await touched(node)


async def test_a_tunnel_without_a_session_is_by_hand(node: ShippedNode) -> None:
    node.journal(login(*STRANGER), end("2026-11-24T04:20:26+0000"))
    assert "(without a session)" in await touched(node)


async def test_attempts_of_ours_that_broke_off_are_known_by_our_own_count_of_them(
    node: ShippedNode,
) -> None:
    over = end("2026-11-24T04:20:40+0000")
    node.journal(login(*STRANGER), over)
    assert "(without a session)" in await touched(node)
    node.register("10.0.0.1", "50002 1")
    node.journal(login("10.0.0.1", "50002"))
    assert (await node.check()).ok
    node.journal(login("192.0.2.9", "40001"), over)
    assert "192.0.2.9" in await touched(node)


@pytest.mark.parametrize("ending", ["2026-11-24T04:20:23+0000", "2026-11-24T04:20:24+0000"])
async def test_a_short_login_that_only_forwarded_a_port_is_by_hand(
    node: ShippedNode, ending: str
) -> None:
    node.journal(login(*STRANGER), end(ending))
    assert "(without a session)" in await touched(node)


@pytest.mark.parametrize(
    "ending", [end("2026-11-24T04:20:24+0000", "sshd[87]"), ""], ids=["of another login", "never"]
)
async def test_a_login_that_still_stands_is_no_attempt_that_broke_off(
    node: ShippedNode, ending: str
) -> None:
    node.register("10.0.0.1", "50002 5")
    node.journal(login("10.0.0.1", "50002"), login(*STRANGER), ending)
    assert "by hand" in await touched(node)


@pytest.mark.parametrize("count", ["-1", "x", "1 1", "9999999", "\u0663"])
async def test_a_count_that_is_none_makes_no_record(node: ShippedNode, count: str) -> None:
    node.register("10.0.0.1", f"50002 {count}")
    node.journal(login("10.0.0.1", "50002"))
    assert "by hand from 10.0.0.1" in await touched(node)


async def test_a_short_login_with_a_session_is_by_hand(node: ShippedNode) -> None:
    node.register("10.0.0.1", "50002 1")
    node.journal(login("10.0.0.1", "50002"))
    node.journal(login(*STRANGER), session("command", *STRANGER), end("2026-11-24T04:20:23+0000"))
    assert "by hand" in await touched(node)


async def test_a_login_of_this_moment_may_be_ours_and_is_asked_about_again(
    node: ShippedNode,
) -> None:
    node.journal(login(*STRANGER), session("command", *STRANGER))
    node.clock("2026-11-24T04:20:27+0000")
    young = await node.check()
    assert (young.ok, young.final) == (False, False)
    node.register(*STRANGER)
    assert (await node.check()).ok


@pytest.mark.parametrize(
    "now", ["2026-11-24T04:20:28+0000", "2026-11-24T04:20:22+0000", "now", "2026-11-24T04:20:24"]
)
async def test_a_login_that_is_older_or_of_unknown_age_is_settled(
    node: ShippedNode, now: str
) -> None:
    node.journal(login(*STRANGER))
    node.clock(now)
    assert "by hand" in await touched(node)


async def test_one_old_login_settles_it_whatever_else_is_new(node: ShippedNode) -> None:
    node.journal(login(*STRANGER), login("192.0.2.8", "1", when=NOW))
    assert "192.0.2.8" in await touched(node)


async def test_newer_sshd_is_read_too(node: ShippedNode) -> None:
    output = login(*STRANGER).replace("sshd[86]", "sshd-session[86]").replace("+0000", "+00:00")
    node.journal(output)
    assert "by hand" in await touched(node)


async def test_a_login_on_the_console_is_by_hand(node: ShippedNode) -> None:
    node.journal(
        line(
            "pam_unix(login:session): session opened for user root(uid=0) by (uid=0)",
            program="login[239]",
        ),
    )
    assert await touched(node) == (
        "root logged in by hand on the console at 2026-11-24T04:20:23+0000"
    )


@pytest.mark.parametrize(
    "output",
    [
        "Accepted key ED25519 SHA256:oRJj found at /home/spotdeploy/.ssh/authorized_keys:1",
        "Postponed publickey for joe from 192.0.2.7 port 40000 ssh2 [preauth]",
        'Connection from 192.0.2.7 port 40000 on 10.77.0.2 port 22 rdomain ""',
        "Failed password for root from 192.0.2.7 port 40000 ssh2",
        "Invalid user admin from 192.0.2.7 port 40000",
        "Connection closed by invalid user admin 192.0.2.7 port 40000 [preauth]",
        "Disconnected from authenticating user root 192.0.2.7 port 40000 [preauth]",
        "pam_unix(sshd:session): session opened for user spotdeploy(uid=1000) by (uid=0)",
        "pam_unix(sudo:session): session opened for user root(uid=0) by (uid=1000)",
        "pam_unix(cron:session): session opened for user root(uid=0) by (uid=0)",
        "pam_unix(systemd-user:session): session opened for user root(uid=0) by (uid=0)",
        "pam_unix(login:session): session closed for user root",
    ],
)
async def test_what_is_no_login_is_not_taken_for_one(node: ShippedNode, output: str) -> None:
    node.journal(line(output))
    assert (await node.check()).ok


async def test_the_mark_of_spotdeploy_ssh_is_shown(node: ShippedNode) -> None:
    (node.state / "touched").write_text("2026-11-24T04:00:00Z joe on laptop: spotdeploy ssh\n")
    assert await touched(node) == "marked by 2026-11-24T04:00:00Z joe on laptop: spotdeploy ssh"


async def test_an_empty_mark_is_a_mark(node: ShippedNode) -> None:
    (node.state / "touched").touch()
    assert await touched(node) == "marked by a file that says nothing"


async def test_drift_and_logins_are_told_together(node: ShippedNode) -> None:
    node.journal(login(*STRANGER))
    (node.payload / "a").write_text("edited")
    result = await node.check()
    assert result.final
    first, second = result.detail.splitlines()
    assert first == f"drift: /opt/spotdeploy/payload/a was changed; {drift.ELSEWHERE}"
    assert second.startswith("touched: ")


@pytest.mark.parametrize("journal", ["", "-- No entries --\n", login(*STRANGER)])
async def test_a_journal_without_our_own_logins_proves_nothing(
    node: ShippedNode, journal: str
) -> None:
    (node.root / "journal").write_text(journal)
    assert not (await node.check()).ok


async def test_a_journal_that_lost_its_beginning_proves_nothing(node: ShippedNode) -> None:
    node.register("10.0.0.1", "50002")
    (node.root / "journal").write_text(login("10.0.0.1", "50002"))
    result = await node.check()
    assert (result.ok, result.final) == (False, False)
    assert "does not show our own login from 10.0.0.1 port 50001" in result.detail


async def test_a_node_without_registered_connections_proves_nothing(node: ShippedNode) -> None:
    (node.state / "sessions").unlink()
    (node.root / "journal").write_text("")
    result = await node.check()
    assert (result.ok, result.final) == (False, False)
    assert "names no connection of ours" in result.detail


async def test_a_node_without_a_journal_proves_nothing(node: ShippedNode) -> None:
    (node.root / "bin/journalctl").write_text("#!/bin/sh\nexit 1\n")
    result = await node.check()
    assert (result.ok, result.final) == (False, False)
    assert "does not show our own login" in result.detail


async def test_a_question_that_failed_is_no_pass(node: ShippedNode) -> None:
    (node.root / "bin/awk").write_text("#!/bin/sh\nexit 127\n")
    (node.root / "bin/awk").chmod(0o755)
    result = await node.check()
    assert (result.ok, result.final) == (False, False)
    assert "the node did not tell who logged in" in result.detail


async def test_what_the_image_lived_through_before_the_first_boot_is_left_out(
    node: ShippedNode,
) -> None:
    await node.check()
    asked = (node.root / "journalctl-was-asked").read_text()
    assert f"--since=@{1_795_000_000 - 60} " in asked
    (node.state / "ends-at").unlink()
    await node.check()
    assert "--since" not in (node.root / "journalctl-was-asked").read_text()


async def test_thousands_of_commands_of_ours_give_a_short_answer(node: ShippedNode) -> None:
    node.journal(*(session("command", *OWN, number=number) for number in range(20_000)))
    answer = await node.here.run(logins.inspect_command())
    assert len(answer.stdout) < 1000
    assert (await node.check()).ok


async def test_a_crowd_is_named_up_to_a_number(node: ShippedNode) -> None:
    node.journal(*(login("192.0.2.7", str(port)) for port in range(2000, 2000 + 5_000)))
    message = await touched(node)
    assert message.endswith(f"and {5_000 - logins.NAMED} more")
    assert len(message) < 5000


async def test_a_list_of_our_connections_without_its_last_newline_is_read(
    node: ShippedNode,
) -> None:
    (node.state / "sessions").write_text(" ".join(OWN))
    assert (await node.check()).ok


async def test_hostile_text_in_the_log_is_shown_harmlessly(node: ShippedNode) -> None:
    (node.root / "journal").write_bytes(
        (login(*OWN) + login(*STRANGER, user="\x1b[2Jjoe")).encode() + b"\xff\xfe\n"
    )
    message = await touched(node)
    assert "\x1b" not in message
    assert message.startswith("joe logged in")


@given(st.text(max_size=300))
def test_no_answer_breaks_the_reader(text: str) -> None:
    for answer in (text, f"L {text}", f"L {login(*STRANGER)}L {text}\nS {text}\nT {text}"):
        traces = logins.read(answer)
        strangers = logins.strangers(traces)
        assert not any(
            c < " " for message in logins.in_words(traces, strangers) for c in message if c != "\t"
        )
        logins.unseen(traces)


def test_the_command_only_reads() -> None:
    script = logins.inspect_command()[-1]
    assert not any(word in script.split() for word in ("rm", "mv", "tee", "touch", ">", ">>"))


def test_an_answer_is_read_into_what_it_tells() -> None:
    traces = logins.read("T\nT who\nS 1.2.3.4 5\nS odd\nL nothing\n")
    assert traces == logins.Traces(("", "who"), (("1.2.3.4", "5"),), 0, ())
