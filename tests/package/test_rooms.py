"""Which folder imports which: one way, as a list; no circle of modules."""

from __future__ import annotations

import ast
import graphlib
from pathlib import Path

import pytest

from tests.support.paths import ROOT

# Each imports only from those above it. A name stands for a folder, or for a
# module that is in none of these folders.
ROOMS = [
    "_version",
    "errors",
    "core.log",
    "core.values",
    "core.waits",
    "core.step_timer",
    "core.names",
    "core.preemption",
    "core.items",
    "core.position",
    "core.ledger",
    "core.protocol",
    "core.monitoring",
    "core.consumer",
    "core.chief",
    "core.options",
    "sources",
    "runtime.host",
    "runtime.transport",
    "runtime.ports",
    "runtime.reading",
    "runtime.records",
    "runtime.saving",
    "runtime.inference",
    "runtime.threads",
    "runtime.strategies",
    "readers",
    "local_work_mgr",
    "engines",
    "work_queue",
    "queue_runner",
    "preemption_scope",
    "tensorboard_plugin",
    "metrics",
    "hooks",
    "keras_callbacks",
    "launcher",
    "cli",
]
MAX_MODULES = 12
MAX_LINES = 400


def modules_in(root: Path) -> dict[str, Path]:
    """Returns each module of the package, without `wq_hooks.` in front."""
    package = root / "wq_hooks"
    found = {}
    for path in sorted(package.rglob("*.py")):
        parts = path.relative_to(package).with_suffix("").parts
        found[".".join(p for p in parts if p != "__init__")] = path
    del found[""]
    return found


def imports_of(path: Path, modules: dict[str, Path]) -> set[str]:
    """Returns the modules that are imported when this one runs."""
    tree = ast.parse(path.read_text())
    names = set()
    nodes = [tree]
    while nodes:
        node = nodes.pop()
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            continue
        nodes.extend(ast.iter_child_nodes(node))
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                name = f"{node.module}.{alias.name}"
                is_module = name.removeprefix("wq_hooks.") in modules
                names.add(name if is_module else node.module)
    return {name.removeprefix("wq_hooks.") for name in names} & set(modules)


def room_of(module: str) -> str:
    """Returns the entry of ROOMS that a module belongs to."""
    found = [r for r in ROOMS if f"{module}.".startswith(f"{r}.")]
    assert found, f"{module} is in no folder of ROOMS"
    return max(found, key=len)


def wrong_ways(modules: dict[str, Path]) -> list[str]:
    """Returns the imports that go against the order."""
    wrong = []
    for module, path in modules.items():
        if module in ("core", "runtime"):
            continue
        for other in imports_of(path, modules) - {"core", "runtime"}:
            here, there = room_of(module), room_of(other)
            if ROOMS.index(there) > ROOMS.index(here):
                wrong.append(f"{module} -> {other}")
    return sorted(wrong)


def circle_in(modules: dict[str, Path]) -> list[str]:
    """Returns the path of a circle of imports; nothing if there is none."""
    graph = {
        module: imports_of(path, modules) - {module}
        for module, path in modules.items()
    }
    try:
        graphlib.TopologicalSorter(graph).prepare()
    except graphlib.CycleError as e:
        return e.args[1]
    return []


MODULES = modules_in(ROOT)


def test_imports_go_one_way():
    assert not wrong_ways(MODULES)


def test_there_is_no_circle():
    assert not circle_in(MODULES), " -> ".join(circle_in(MODULES))


def test_a_folder_has_few_modules():
    counts = {}
    for path in MODULES.values():
        if path.name != "__init__.py":
            counts[path.parent] = counts.get(path.parent, 0) + 1
    too_full = {
        str(folder.relative_to(ROOT)): count
        for folder, count in counts.items()
        if count > MAX_MODULES
    }
    assert not too_full


def test_each_room_says_what_it_is():
    for path in MODULES.values():
        assert ast.get_docstring(ast.parse(path.read_text())), path


@pytest.fixture
def tree(tmp_path):
    """A copy of a part of the package, to be spoilt."""
    for name, text in {
        "core/items/plan.py": "from wq_hooks.core.items import works\n",
        "core/items/works.py": "",
        "core/ledger/ledger.py": "from wq_hooks.core.items.plan import Plan\n",
    }.items():
        path = tmp_path / "wq_hooks" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    (tmp_path / "wq_hooks" / "__init__.py").write_text("")
    return tmp_path


def test_an_import_that_is_turned_round_is_found(tree):
    assert not wrong_ways(modules_in(tree))
    turned = "def f():\n    from wq_hooks.core.ledger.ledger import Ledger\n"
    (tree / "wq_hooks/core/items/plan.py").write_text(turned)
    assert wrong_ways(modules_in(tree)) == [
        "core.items.plan -> core.ledger.ledger"
    ]
    assert set(circle_in(modules_in(tree))) == {
        "core.items.plan",
        "core.ledger.ledger",
    }


def test_an_import_for_types_alone_does_not_count(tree):
    text = (
        "from typing import TYPE_CHECKING\n"
        "if TYPE_CHECKING:\n"
        "    from wq_hooks.core.ledger.ledger import Ledger\n"
    )
    (tree / "wq_hooks/core/items/plan.py").write_text(text)
    assert not wrong_ways(modules_in(tree))


def test_a_module_is_short():
    lines = {
        module: len(path.read_text().splitlines())
        for module, path in MODULES.items()
    }
    assert not {m: n for m, n in lines.items() if n > MAX_LINES}
