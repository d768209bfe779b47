# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
Who may import whom: what keeps the layers apart, read from the syntax trees of
all modules, imports within functions included.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

import flocknode

TOP = Path(flocknode.__file__).parent

Imports = Mapping[str, frozenset[str]]
"""Module to all that it imports: modules, or names in modules that are not ours."""

PURE = (
    "flocknode.flock",
    "flocknode.exchange",
    "flocknode.box.merge",
    "flocknode.forban.protocol",
    "flocknode.forban.catalogue",
    "flocknode.forban.near.neighbours",
    "flocknode.forban.site.queries",
    "flocknode.forban.site.ranges",
    "flocknode.forban.site.searching",
    "flocknode.forban.site.showing",
    "flocknode.forban.site.views",
    "flocknode.forban.fetch.pacing",
    "flocknode.forban.fetch.reading",
    "flocknode.forban.fetch.turns",
    "flocknode.forban.fetch.wanting",
)
ZEROMQ = ("zmq", "txzmq")
REACTOR = "twisted.internet.reactor"
WIRE_FROM_OUTSIDE = ("flocknode.wire.port", "flocknode.wire.child", "flocknode.wire.messages")
NODE_USERS = ("flocknode.tap", "flocknode.cli", "flocknode.sample")
BELOW = {
    "flocknode.box": (
        "flocknode.exchange",
        "flocknode.flock",
        "flocknode.forban",
        "flocknode.wire",
    ),
    "flocknode.media": (
        "flocknode.box",
        "flocknode.exchange",
        "flocknode.flock",
        "flocknode.forban",
        "flocknode.wire",
    ),
    "flocknode.exchange": ("flocknode.flock", "flocknode.forban", "flocknode.wire"),
    "flocknode.flock": (
        "flocknode.box",
        "flocknode.exchange",
        "flocknode.forban",
        "flocknode.wire",
    ),
    "flocknode.wire": ("flocknode.box", "flocknode.exchange", "flocknode.forban"),
    # The two halves do not talk: what forban shows, it is told by the node.
    "flocknode.forban": ("flocknode.exchange", "flocknode.flock", "flocknode.wire"),
    "flocknode.forban.protocol": tuple(
        f"flocknode.forban.{part}" for part in ("near", "site", "fetch", "media", "service")
    ),
    "flocknode.forban.near": tuple(
        f"flocknode.forban.{part}" for part in ("site", "fetch", "media", "service")
    ),
    "flocknode.forban.site": ("flocknode.forban.fetch", "flocknode.forban.media"),
    "flocknode.forban.fetch": ("flocknode.forban.site", "flocknode.forban.media"),
    "flocknode.forban.media": ("flocknode.forban.site", "flocknode.forban.fetch"),
    "flocknode.box.merge": tuple(
        f"flocknode.box.{part}" for part in ("disk", "index", "survey", "receive")
    ),
    "flocknode.box.disk": tuple(
        f"flocknode.box.{part}" for part in ("merge", "index", "survey", "receive")
    ),
    "flocknode.box.index": ("flocknode.box.survey", "flocknode.box.receive"),
    "flocknode.box.survey": ("flocknode.box.receive",),
}
"""Layer to the layers it knows nothing of."""


def within(module: str, packages: tuple[str, ...] | str) -> bool:
    """Is it one of these modules, or does it lie in one of these packages?"""
    names = (packages,) if isinstance(packages, str) else packages
    return any(module == name or module.startswith(name + ".") for name in names)


def imported(tree: ast.AST, module: str, package: bool) -> Iterator[str]:
    """Every name that is imported, in full."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parts = module.split(".")
                parts = parts[: len(parts) - node.level + package]
                base = ".".join([*parts, *filter(None, [node.module])])
            yield from (f"{base}.{alias.name}" for alias in node.names)


def imports_of(sources: Mapping[str, tuple[str, bool]]) -> Imports:
    """
    @param sources: module to (its text, whether it is a package).
    """
    found = {}
    for module, (text, package) in sources.items():
        names = set()
        for name in imported(ast.parse(text), module, package):
            # a name in one of our modules counts as that module
            owner = name.rpartition(".")[0]
            names.add(owner if name not in sources and owner in sources else name)
        found[module] = frozenset(names)
    return found


def modules() -> dict[str, tuple[str, bool]]:
    """All modules of the package."""
    found = {}
    for path in sorted(TOP.rglob("*.py")):
        parts = ["flocknode", *path.relative_to(TOP).with_suffix("").parts]
        package = parts[-1] == "__init__"
        found[".".join(parts[:-1] if package else parts)] = (path.read_text(), package)
    return found


def breaches(imports: Imports, allowed: Callable[[str, str], bool]) -> list[str]:
    """Each import for which C{allowed(importer, imported)} is false."""
    return [
        f"{module} imports {name}"
        for module, names in imports.items()
        for name in sorted(names)
        if not allowed(module, name)
    ]


def pure(module: str, name: str) -> bool:
    """Flock, exchange and the history of versions do no input or output."""
    return not (within(module, PURE) and within(name, (REACTOR, *ZEROMQ)))


def zeromq_in_wire(module: str, name: str) -> bool:
    """ZeroMQ is for the wire process alone."""
    return within(module, "flocknode.wire") or not within(name, ZEROMQ)


def wire_by_its_port(module: str, name: str) -> bool:
    """The node's process knows the port and what crosses it."""
    return (
        within(module, "flocknode.wire")
        or not within(name, "flocknode.wire")
        or name in WIRE_FROM_OUTSIDE
    )


def inotify_in_watch(module: str, name: str) -> bool:
    """One module listens to the kernel."""
    return module == "flocknode.box.survey.watch" or not within(name, "pyinotify")


def watchdog_where_it_is_chosen(module: str, name: str) -> bool:
    """It may be missing: one module uses it, and one decides whether to."""
    if name == "flocknode.box.survey.watchdogs":
        return module == "flocknode.box.survey.watching"
    return module == "flocknode.box.survey.watchdogs" or not within(name, "watchdog")


def downwards(module: str, name: str) -> bool:
    """Each layer knows nothing of those above it."""
    return not any(
        within(module, layer) and within(name, unknown) for layer, unknown in BELOW.items()
    )


def node_on_top(module: str, name: str) -> bool:
    """The node builds all parts, so no part may need it."""
    return module in NODE_USERS or not within(name, "flocknode.node")


def tables_in_the_command(module: str, name: str) -> bool:
    """The service does without what only makes tables."""
    return within(module, ("flocknode.commands", "flocknode.report")) or not within(name, "rich")


def observer_apart(module: str, name: str) -> bool:
    """The observer looks at nodes from outside; no part of a node knows it."""
    return within(module, "flocknode.observe") or not within(name, "flocknode.observe")


RULES = (
    pure,
    zeromq_in_wire,
    wire_by_its_port,
    inotify_in_watch,
    watchdog_where_it_is_chosen,
    downwards,
    node_on_top,
    tables_in_the_command,
    observer_apart,
)


def cycle(imports: Imports) -> list[str]:
    """Modules that import each other in a circle; empty if there are none."""
    done: set[str] = set()
    path: list[str] = []

    def visit(module: str) -> list[str]:
        if module in path:
            return [*path[path.index(module) :], module]
        if module in done:
            return []
        path.append(module)
        for name in sorted(imports[module]):
            if name in imports and (found := visit(name)):
                return found
        done.add(path.pop())
        return []

    for module in imports:
        if found := visit(module):
            return found
    return []


class TheTree(SynchronousTestCase):
    """The modules as they are."""

    def test_every_import_keeps_the_rules(self) -> None:
        imports = imports_of(modules())
        self.assertIn("flocknode.box.merge.history", imports)
        self.assertEqual([breach for rule in RULES for breach in breaches(imports, rule)], [])

    def test_no_modules_import_each_other_in_a_circle(self) -> None:
        self.assertEqual(cycle(imports_of(modules())), [])

    def test_no_module_installs_a_reactor_when_it_is_imported(self) -> None:
        for module, (text, _) in modules().items():
            if module != "flocknode.wire.__main__":
                tree = ast.parse(text)
                # bodies of functions run later
                for node in ast.walk(tree):
                    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                        node.body = []
                self.assertNotIn(REACTOR, set(imported(tree, module, False)), module)


class TheRules(SynchronousTestCase):
    """Breaches are found."""

    def breaches(self, module: str, line: str) -> list[str]:
        """What is wrong with one line in one module."""
        sources = {module: (line, False)}
        others = "node wire.port wire.sockets flock.core exchange.swarm keys box.survey.watchdogs"
        for other in others.split():
            sources.setdefault(f"flocknode.{other}", ("", False))
        return [breach for rule in RULES for breach in breaches(imports_of(sources), rule)]

    def test_each_rule_finds_its_breach(self) -> None:
        for module, line in [
            ("flock.core", "from twisted.internet import reactor"),
            ("exchange.swarm", "def f():\n import twisted.internet.reactor"),
            ("box.merge.history", "import zmq.utils.z85"),
            ("control", "from txzmq import ZmqFactory"),
            ("node", "from flocknode.wire import sockets"),
            ("node", "from flocknode.wire.sockets import Sockets"),
            ("box.survey.hashing", "import pyinotify"),
            ("box.survey.watch", "from watchdog.observers import Observer"),
            ("box.presence", "from flocknode.box.survey.watchdogs import WatchdogWatcher"),
            ("media.mounts", "from flocknode.box import core"),
            ("box.box", "from ..exchange import swarm"),
            ("exchange.swarm", "from flocknode.flock.core import Flock"),
            ("flock.core", "import flocknode.exchange.swarm"),
            ("control", "from flocknode.node import Node"),
            ("control", "from rich.table import Table"),
            ("exchange.swarm", "from flocknode import node"),
            ("node", "from flocknode.observe import report"),
            ("box.disk.folder", "from flocknode.box.merge import history"),
            ("forban.service", "from flocknode.exchange import swarm"),
            ("forban.site.pages", "from flocknode.forban.fetch import indexes"),
            ("box.index.rows", "from flocknode.box.survey.observe import Observation"),
        ]:
            self.assertTrue(self.breaches(f"flocknode.{module}", line), line)

    def test_what_is_allowed_is_no_breach(self) -> None:
        for module, line in [
            ("wire.sockets", "import zmq, txzmq"),
            ("box.survey.watch", "import pyinotify"),
            ("node", "from flocknode.wire import port"),
            ("tap", "from flocknode.node import Node"),
            ("exchange.swarm", "from twisted.internet.defer import Deferred"),
            ("cli", "from . import keys"),
        ]:
            self.assertEqual(self.breaches(f"flocknode.{module}", line), [])

    def test_a_circle_is_found(self) -> None:
        sources = {
            "a": ("import b", False),
            "b": ("def f():\n from c import x", False),
            "c": ("import a", False),
        }
        self.assertEqual(cycle(imports_of(sources)), ["a", "b", "c", "a"])
