"""Paths with a scheme, such as s3://bucket/model: what it takes to read them.

    if has_file_system("s3://bucket/model"): ...      # loads tensorflow-io
    read_without_tensorflow("s3://bucket/position.json")

The trap: TensorFlow 2.15 with tensorflow-io aborts when Python ends; see
`command_line`, which ends such a process itself.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import warnings

import tensorflow as tf

from wq_hooks.errors import WorkQueueError

_PACKAGE = "tensorflow-io"


def has_file_system(path: str) -> bool:
    """Whether TensorFlow can read a path, if need be with tensorflow-io."""
    scheme, sign, _ = path.partition("://")
    if not sign or _is_known(scheme):
        return True
    with warnings.catch_warnings():
        # Of one that this TensorFlow cannot load.
        warnings.simplefilter("ignore")
        try:
            importlib.import_module("tensorflow_io")
        except Exception:
            return False
    return _is_known(scheme)


def read_without_tensorflow(path: str) -> bytes:
    """Returns the content of a file, read by fsspec.

    Raises:
      WorkQueueError: If there is none, or nothing that could read it; it says
        what to install.
    """
    try:
        fsspec = importlib.import_module("fsspec")
        with fsspec.open(path, "rb") as file:
            return bytes(file.read())
    except (ImportError, ValueError) as e:
        # Of a package that is missing, or of a scheme that nobody knows.
        raise _missing_error(path) from e
    except OSError as e:
        raise WorkQueueError(
            f"Expected a file with a snapshot at {path!r}, which fsspec could "
            f"read; got {e!r:.300}. A checkpoint or a directory takes "
            f"{_PACKAGE}: {_advice()}"
        ) from e


def _is_known(scheme: str) -> bool:
    return scheme in tf.io.gfile.get_registered_schemes()


def _missing_error(path: str) -> WorkQueueError:
    scheme = path.partition("://")[0]
    return WorkQueueError(
        f"Expected a TensorFlow that reads {scheme}:// paths; {tf.__version__} "
        f"does not as it is here. {_advice()} For a single file with a "
        "snapshot, fsspec and its package for this scheme will do."
    )


def _advice() -> str:
    """Returns what to install, in a sentence."""
    try:
        version = importlib.metadata.version(_PACKAGE)
    except importlib.metadata.PackageNotFoundError:
        return (
            f"Install the release of {_PACKAGE} that was made for this "
            f"TensorFlow (2.15: pip install {_PACKAGE}==0.36.*), or copy the "
            "files to a local directory."
        )
    return (
        f"The installed {_PACKAGE} {version} was made for another TensorFlow; "
        "install the one for this, or copy the files to a local directory."
    )
