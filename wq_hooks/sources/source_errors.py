"""The errors of sources, which name what could not be read."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from wq_hooks.errors import SourceError


@contextlib.contextmanager
def naming(text: str) -> Iterator[None]:
    """Turns errors in the block into a SourceError that names `text`."""
    try:
        yield
    except SourceError:
        raise
    except Exception as e:
        raise SourceError(f"Expected to read {text!r:.300}: {e}") from e


def shorter_error(expected: str, text: str, received: int) -> SourceError:
    """Returns the error of a source that has lost records."""
    return SourceError(
        f"Expected {expected} in {text!r:.300}; got {received}: it has become "
        "shorter since it was listed."
    )


def missing_package_error(
    package: str, text: str, requirement: str
) -> SourceError:
    """Returns the error of a source whose package is not installed."""
    return SourceError(
        f"Expected {package}, to read {text!r:.300}; it cannot be imported. "
        f"Install it: pip install {requirement}."
    )
