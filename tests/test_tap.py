# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
Tests for L{flocknode.tap}.
"""

from __future__ import annotations

import io
import json
import os
import sys
from pathlib import Path
from typing import Any

from twisted.application.service import IServiceMaker, Service
from twisted.plugin import getPlugins
from twisted.python import usage
from twisted.trial.unittest import SynchronousTestCase

from flocknode import __version__, config, keys, ownprocess, tap
from flocknode.errors import ConfigError
from flocknode.tap import Options

A, B = "tcp://192.0.2.1:5671", "tcp://192.0.2.2:5671"


class Twistd(usage.Options):
    """What twistd's own options look like to ours."""

    optParameters = (("pidfile", None, "twistd.pid", "as in twistd"),)
    subCommands = (("flocknode", None, Options, "ours"),)


class Case(SynchronousTestCase):
    """A configuration file, and what is printed."""

    def setUp(self) -> None:
        self.folder = Path(self.mktemp()).absolute()
        self.folder.mkdir()
        self.file = str(self.folder / "node1")
        self.write(f"hostname = {A}\nnode = {B}\nbox = a@a\nprivatekey = keys/private\n")
        self.printed = io.StringIO()
        self.patch(sys, "stdout", self.printed)
        self.patch(ownprocess, "prepare", lambda: None)

    def write(self, text: str) -> None:
        """Put this into the configuration file."""
        Path(self.file).write_text(text)

    def parse(self, *arguments: str) -> Options:
        """Options, parsed."""
        options = Options()
        options.parseOptions(["--config", self.file, *arguments])
        return options


class Parsing(Case):
    """The options."""

    def test_the_configuration_file_is_read(self) -> None:
        self.assertEqual(self.parse().config, config.load(self.file))

    def test_the_letters_of_flocksy_take_the_place_of_keys(self) -> None:
        options = Options()
        arguments = f"-c {self.file} -n ipc://n -n ipc://m -b x@y -p ipc://p"
        options.parseOptions([*arguments.split(), "--keystore", "k", "--privatekey", "q"])
        overrides = config.Overrides(("ipc://p",), ("ipc://n", "ipc://m"), ("x@y",), "k", "q")
        self.assertEqual(options.config, config.load(self.file, overrides))

    def test_the_long_names_do_the_same(self) -> None:
        found = self.parse("--node", B, "--box", "x@y", "--hostname", A).config
        self.assertEqual([box.name for box in found.boxes], ["x"])

    def test_a_wrong_configuration_is_one_sentence_and_exit_code_1(self) -> None:
        self.write("colour = red\n")
        error = self.assertRaises(SystemExit, self.parse)
        self.assertRegex(str(error.code), f"^flocknode: {self.file}, line 1: colour [^\n]*$")

    def test_a_wrong_option_is_one_sentence_and_exit_code_1(self) -> None:
        for arguments in (["--colour"], ["--node"], ["--node", "x"], ["surplus"]):
            error = self.assertRaises(SystemExit, self.parse, *arguments)
            self.assertRegex(str(error.code), "^flocknode: [^\n]*$")
        self.assertEqual(self.printed.getvalue(), "")

    def test_the_version_is_ours(self) -> None:
        error = self.assertRaises(SystemExit, self.parse, "--version")
        self.assertEqual(error.code, 0)
        self.assertEqual(self.printed.getvalue(), f"flocknode {__version__}\n")

    def test_twistds_default_pidfile_is_not_used(self) -> None:
        twistd = Twistd()
        twistd.parseOptions(["flocknode", "--config", self.file])
        self.assertEqual(twistd["pidfile"], "")

    def test_a_pidfile_that_was_asked_for_is_kept(self) -> None:
        twistd = Twistd()
        twistd.parseOptions(["--pidfile", "mine.pid", "flocknode", "--config", self.file])
        self.assertEqual(twistd["pidfile"], "mine.pid")


class CreatingKeys(Case):
    """C{--create-private-keys}, also in flocksy's spelling."""

    def test_makes_the_pair_of_the_hostname_shows_its_public_half_and_exits(self) -> None:
        for spelling in ("--create-private-keys", "--create-private-key"):
            error = self.assertRaises(SystemExit, self.parse, spelling)
            self.assertEqual(error.code, 0)
        (pair,) = keys.read_pairs(str(self.folder / "keys" / "private")).values()
        self.assertEqual(self.printed.getvalue(), f"{A} {pair.public}\n" * 2)


class FakeNode(Service):
    """Stands for the node."""

    started = False
    refusal: Exception | None = None

    def startService(self) -> None:
        """Remember it, or refuse."""
        if self.refusal is not None:
            raise self.refusal
        self.started = True


class Making(Case):
    """The service."""

    def setUp(self) -> None:
        super().setUp()
        self.node = FakeNode()
        self.built: list[config.Config] = []

        def build(reactor: object, settings: config.Config) -> FakeNode:
            self.built.append(settings)
            return self.node

        self.patch(tap, "build", build)

    def test_the_node_of_the_configuration_is_started_with_it(self) -> None:
        options = self.parse()
        service: Any = tap.makeService(options)
        service.startService()
        self.assertEqual(self.built, [options.config])
        self.assertTrue(self.node.started)

    def test_a_node_that_cannot_be_built_is_one_sentence_and_exit_code_1(self) -> None:
        def build(reactor: object, settings: config.Config) -> FakeNode:
            raise ConfigError("no key")

        self.patch(tap, "build", build)
        error = self.assertRaises(SystemExit, tap.makeService, self.parse())
        self.assertEqual(error.code, "flocknode: no key")

    def test_a_node_that_cannot_be_started_is_one_sentence_and_exit_code_1(self) -> None:
        self.node.refusal = ConfigError("in use")
        service: Any = tap.makeService(self.parse())
        error = self.assertRaises(SystemExit, service.startService)
        self.assertEqual(error.code, "flocknode: in use")


class Building(Case):
    """The real node, not started."""

    def test_missing_keys_are_found_before_anything_is_opened(self) -> None:
        keys.create(str(self.folder / "keys" / "private"), [A])
        (self.folder / "keystore").write_text(json.dumps({}))
        options = self.parse("--keystore", str(self.folder / "keystore"))
        error = self.assertRaises(SystemExit, tap.makeService, options)
        self.assertIn(f"{self.file}, line 2: node = {B}", str(error.code))
        self.assertEqual(sorted(os.listdir(self.folder)), ["keys", "keystore", "node1"])


class Plugin(SynchronousTestCase):
    """What twistd finds."""

    def test_twistd_finds_the_plugin(self) -> None:
        (found,) = (p for p in getPlugins(IServiceMaker) if p.tapname == "flocknode")
        self.assertIs(found.options, Options)
        self.assertIs(found.makeService, tap.makeService)
