"""Many calls in one HTTP request, and their answers.

https://cloud.google.com/compute/docs/api/how-tos/batch
"""

from __future__ import annotations

from collections.abc import Sequence
from email import message_from_string
from typing import Final

BOUNDARY: Final = "spotdeploy-batch"


def encode(requests: Sequence[str]) -> str:
    """The body for requests without bodies, each written like `DELETE /path`."""
    parts = [
        f"--{BOUNDARY}\r\nContent-Type: application/http\r\nContent-ID: <{number}>\r\n\r\n"
        f"{request} HTTP/1.1\r\n\r\n\r\n"
        for number, request in enumerate(requests)
    ]
    return f"{''.join(parts)}--{BOUNDARY}--\r\n"


def decode(text: str) -> list[tuple[int, str]]:
    """The HTTP status and body of each answer, in the order of the requests."""
    boundary = text.lstrip().partition("\n")[0].strip().removeprefix("--")
    message = message_from_string(
        f'Content-Type: multipart/mixed; boundary="{boundary}"\r\n\r\n{text}'
    )
    answers: dict[int, tuple[int, str]] = {}
    for part in message.walk():
        if part.is_multipart():
            continue
        number = str(part["Content-ID"]).strip("<>").rpartition("-")[2]
        head, _, rest = str(part.get_payload()).lstrip().partition("\n")
        body = rest.replace("\r\n", "\n").partition("\n\n")[2]
        status = head.split()[1:2]
        if number.isdigit() and status and status[0].isdigit():
            answers[int(number)] = (int(status[0]), body.strip())
    return [answers[number] for number in sorted(answers)]
