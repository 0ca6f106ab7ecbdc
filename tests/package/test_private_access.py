"""What is private to TensorFlow is used in the modules that the docs list."""

from __future__ import annotations

import ast
import re

from tests.support.paths import ROOT

PAGE = ROOT / "docs" / "private-access.md"
# Python's own, and documented.
PYTHONS = {"_replace"}
PACKAGES = ("tensorflow.python", "tensorflow.core", "keras.src", "tf_keras")


def is_private(name):
    return name.startswith("_") and not name.startswith("__")


def own_names(trees):
    """Returns the private names that the package defines itself."""
    names = set()
    for node in (node for tree in trees for node in ast.walk(tree)):
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            names.add(node.name)
        elif isinstance(node, ast.Attribute) and isinstance(
            node.value, ast.Name
        ):
            if isinstance(node.ctx, ast.Store) and node.value.id == "self":
                names.add(node.attr)
        elif isinstance(node, ast.AnnAssign) and isinstance(
            node.target, ast.Name
        ):
            names.add(node.target.id)
    return names


def foreign_names(tree, own):
    """Returns what a module uses of others that has no public name."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [node.module or ""]
        elif isinstance(node, ast.Attribute):
            names = [node.attr]
        elif isinstance(node, ast.Call) and getattr(node.func, "id", "") in (
            "getattr",
            "hasattr",
        ):
            names = [
                arg.value
                for arg in node.args[1:2]
                if isinstance(arg, ast.Constant)
            ]
        else:
            continue
        for name in names:
            is_foreign = name.startswith(PACKAGES) or (
                is_private(name) and not name.startswith("_wq_hooks")
            )
            if is_foreign and name not in own | PYTHONS:
                found.add(name)
    return found


def test_is_in_the_modules_that_the_page_lists():
    paths = sorted((ROOT / "wq_hooks").rglob("*.py"))
    trees = {path: ast.parse(path.read_text()) for path in paths}
    own = own_names(trees.values())
    found = {
        str(path.relative_to(ROOT)): foreign_names(tree, own)
        for path, tree in trees.items()
    }
    text = PAGE.read_text()
    listed = set(re.findall(r"^\| `(wq_hooks/[\w/]+\.py)`", text, re.MULTILINE))
    used = {module for module, names in found.items() if names}
    assert used <= listed, {m: found[m] for m in used - listed}
    for module in listed:
        assert (ROOT / module).exists(), module
    for name in set().union(*found.values()):
        assert name.rpartition(".")[2].lstrip("_") in text, name
