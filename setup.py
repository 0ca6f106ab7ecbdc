"""Build script; what is not computed is said in setup.cfg."""

import configparser
import re
from pathlib import Path

from setuptools import setup

ROOT = Path(__file__).parent


def long_description():
    """Returns README with absolute links, for pages that show it elsewhere."""
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg")
    url = config["metadata"]["url"]
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    pattern = r"(!?)(\[[^\]]*\])\((?!https?:|#|mailto:)([^)]+)\)"
    return re.sub(
        pattern,
        # An image is shown, a page is opened.
        lambda m: (
            f"{m[1]}{m[2]}({url}/{'raw' if m[1] else 'blob'}/main/{m[3]})"
        ),
        text,
    )


setup(
    long_description=long_description(),
    long_description_content_type="text/markdown",
)
