"""No passwords in the URLs of PostgreSQL tables.

    expect_no_passwords(works)

What is listed is handed out as it is, and so stands in logs, checkpoints and
TensorBoard. The trap: messages here must not repeat what they refuse.
"""

from __future__ import annotations

import re
import urllib.parse

from wq_hooks.core.items.works import Works

_SCHEMES = ("postgres", "postgresql")
# Parameters of libpq that are secrets.
_SECRETS = {"password", "sslpassword", "oauth_client_secret"}
# One host or several, each with or without a port, as libpq has them.
_HOST = r"(\[[^\]]*\]|[^:,\[\]]*)(:\d*)?"
_HOSTS = re.compile(rf"{_HOST}(,{_HOST})*")
_CHUNK = 4096
_INSTEAD = (
    "URLs are handed out as they are listed, and so stand in logs, checkpoints "
    "and TensorBoard. Leave it out, and give each task the password as "
    "PostgreSQL's clients read it: PGPASSWORD, ~/.pgpass or PGSERVICEFILE with "
    "PGSERVICE."
)


def has_password(url: str) -> bool:
    """Whether a URL is one of PostgreSQL that has, or may have, a password.

    A password with signs that should have been written as "%23" may look like a
    port or a path.
    """
    if url.partition("://")[0].lower() not in _SCHEMES:
        return False
    try:
        parts = urllib.parse.urlsplit(url)
    except ValueError:
        return True  # Not to be shown, whatever it is.
    user, _, hosts = parts.netloc.rpartition("@")
    names = {
        # A question mark in a fragment begins the range of a slice.
        urllib.parse.unquote(pair.partition("=")[0]).lower()
        for pair in re.split("[&;]", parts.query)
    }
    return (
        ":" in user or bool(names & _SECRETS) or _HOSTS.fullmatch(hosts) is None
    )


def expect_no_password(url: str, which: str = "url") -> None:
    """Raises ValueError for a URL of PostgreSQL with a password in it.

    The error has the name `which`, and not the text.
    """
    if has_password(url):
        raise ValueError(
            "Expected the URL of a PostgreSQL table without a password; got "
            f"one with it, or one that is no URL, as {which}. {_INSTEAD}"
        )


def expect_no_passwords(works: Works) -> None:
    """Raises ValueError, with the work's number, for one with a password."""
    prefix = works.joined("")
    for start in range(0, len(works), _CHUNK):
        # To look at each of ten million would take seconds.
        chunk = prefix + "\0".join(works[start : start + _CHUNK])
        if "postgres" in chunk.lower():
            for index in range(start, min(start + _CHUNK, len(works))):
                expect_no_password(works.text(index), f"works[{index}]")


def without_password(url: str) -> str:
    """Returns a URL of any scheme without its password, for messages."""
    try:
        parts = urllib.parse.urlsplit(url)
    except ValueError:
        return "..."
    user, at, hosts = parts.netloc.rpartition("@")
    user = user.partition(":")[0]
    return urllib.parse.urlunsplit(parts._replace(netloc=user + at + hosts))
