# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
Tests for L{flocknode.cli} and L{flocknode.report}.
"""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import attrs
from rich.console import Console
from twisted.trial.unittest import SynchronousTestCase

from flocknode import __version__, cli, control, keys, report
from flocknode.errors import FlocknodeError
from flocknode.status import BoxStatus, MemberStatus, NodeStatus

A, B = "tcp://192.0.2.1:5671", "tcp://192.0.2.2:5671"

STATUS = NodeStatus(
    version="1.2",
    members=(
        MemberStatus(B, "ab" * 16, True, 2048),
        MemberStatus("ipc:///run/x", "cd" * 16, False),
    ),
    boxes=(
        BoxStatus("papers", "/srv/papers", "receiving", files=7, needed=3, needed_bytes=5 << 20),
        BoxStatus("music", "/srv/music", "offline", "The folder is not there."),
        BoxStatus(
            "films",
            "/srv/films",
            "in sync",
            files=2,
            size=1 << 30,
            watcher="polling",
            watching="It is on nfs4.",
        ),
    ),
    crowd=2,
    code=114,
    round_id=4711,
    rounds=12,
    unfinished=1,
    rate=65536,
    last_error="the disk is full",
)


class Case(SynchronousTestCase):
    """The command, run in this process with a home folder of its own."""

    def setUp(self) -> None:
        self.home = Path(self.mktemp()).absolute()
        self.home.mkdir()
        environment = {**os.environ, "HOME": str(self.home)}
        environment.pop("XDG_CONFIG_HOME", None)
        environment.pop("XDG_STATE_HOME", None)
        self.patch(os, "environ", environment)
        self.keystore = self.home / ".config" / "flocknode" / "keystore"
        self.private = self.home / ".config" / "flocknode" / "privatekeys"

    def run_command(self, *arguments: str) -> tuple[int | str | None, str, str]:
        """Exit code, standard output and standard error."""
        out, err = io.StringIO(), io.StringIO()
        self.patch(sys, "stdout", out)
        self.patch(sys, "stderr", err)
        code: int | str | None
        try:
            code = cli.main(arguments)
        except SystemExit as error:
            code = error.code
        return code, out.getvalue(), err.getvalue()

    def done(self, *arguments: str) -> str:
        """Standard output of a command that works."""
        code, out, err = self.run_command(*arguments)
        self.assertEqual((code, err), (0, ""))
        return out

    def refused(self, *arguments: str) -> str:
        """The one sentence of a command that does not."""
        code, out, err = self.run_command(*arguments)
        self.assertEqual((code, out), (1, ""))
        self.assertRegex(err, r"\Aflocknode: [^\n]*\n\Z")
        return err



class Module(SynchronousTestCase):
    """C{python -m flocknode}."""

    def test_it_is_the_command(self) -> None:
        said = subprocess.run(
            [sys.executable, "-m", "flocknode", "--version"],
            capture_output=True,
            text=True,
            check=True,
            cwd=Path(cli.__file__).parent.parent,
        )
        self.assertEqual(said.stdout, f"flocknode {__version__}\n")


class Confirm(Case):
    """C{flocknode confirm}."""

    def test_says_how_many_files_go(self) -> None:
        asked: list[object] = []

        def ask(state: str, command: str, timeout: object, **arguments: object) -> int:
            asked.append((state, command, arguments))
            return 3

        self.patch(control, "ask", ask)
        said = self.done("confirm", "papers", "--state", "/state")
        self.assertEqual(asked, [("/state", "confirm", {"box": "papers"})])
        self.assertEqual(said, "3 files are deleted now.\n")

    def test_says_if_nothing_waits(self) -> None:
        self.patch(control, "ask", lambda *positional, **named: 0)
        said = self.done("confirm", "papers", "--state", "/state")
        self.assertEqual(said, "Nothing waits to be confirmed.\n")


class Keys(Case):
    """C{flocknode keys}."""

    def test_what_create_prints_is_what_the_others_have_to_run(self) -> None:
        line = self.done("keys", "create", A).splitlines()[-1].split()
        self.assertEqual(line[:3], ["flocknode", "keys", "add"])
        self.done("keys", "add", line[3], line[4].strip("'"))
        (pair,) = keys.read_pairs(str(self.private)).values()
        self.assertEqual(keys.read_keystore(str(self.keystore)), {A: pair.public})

    def test_others_do_not_reach_a_node_by_the_address_of_all_interfaces(self) -> None:
        for hostname in ("tcp://*:5671", "tcp://[::]:5671"):
            printed = self.done("keys", "create", hostname)
            self.assertIn("tcp://<address of this machine>:5671", printed)

    def test_create_takes_the_hostnames_of_the_configuration(self) -> None:
        file = self.home / "node1"
        file.write_text(f"hostname = {A}\nprivatekey = mine\n")
        self.done("keys", "create", "--config", str(file))
        self.assertEqual(list(keys.read_pairs(str(self.home / "mine"))), [A])

    def test_create_without_anything_to_go_by_says_so(self) -> None:
        self.assertIn("keys create tcp://", self.refused("keys", "create"))

    def test_create_twice_keeps_the_pair(self) -> None:
        self.assertEqual(self.done("keys", "create", A), self.done("keys", "create", A))

    def test_files_can_be_named(self) -> None:
        private, keystore = str(self.home / "p"), str(self.home / "k")
        files = ("--privatekey", private, "--keystore", keystore)
        self.done("keys", "create", A, *files)
        self.done("keys", "add", B, keys.KeyPair.generate().public, *files)
        self.assertIn(B, self.done("keys", "show", *files))
        self.assertFalse(self.private.exists())

    def test_add_twice_says_so(self) -> None:
        public = keys.KeyPair.generate().public
        self.done("keys", "add", B, public)
        self.assertIn("already", self.done("keys", "add", B, public))

    def test_add_does_not_replace_a_key(self) -> None:
        self.done("keys", "add", B, keys.KeyPair.generate().public)
        self.assertIn(
            "another key", self.refused("keys", "add", B, keys.KeyPair.generate().public)
        )

    def test_add_refuses_what_is_no_key_or_no_endpoint(self) -> None:
        self.assertIn("40 characters", self.refused("keys", "add", B, "short"))
        self.assertIn("expected", self.refused("keys", "add", "x", keys.KeyPair.generate().public))

    def test_show_shows_public_keys_and_no_secrets(self) -> None:
        other = keys.KeyPair.generate().public
        self.done("keys", "create", A)
        self.done("keys", "add", B, other)
        (pair,) = keys.read_pairs(str(self.private)).values()
        shown = self.done("keys", "show")
        for text in (A, B, pair.public, other):
            self.assertIn(text, shown)
        self.assertNotIn(pair.secret, shown)

    def test_show_without_keys_says_so(self) -> None:
        self.assertIn("no keys yet", self.refused("keys", "show"))


class Status(Case):
    """C{flocknode status}."""

    def setUp(self) -> None:
        super().setUp()
        self.asked: list[str] = []

        def ask_status(state: str) -> NodeStatus:
            self.asked.append(state)
            return STATUS

        self.patch(control, "ask_status", ask_status)

    def test_the_state_folder_is_that_of_the_configuration(self) -> None:
        file = self.home / "node1"
        file.write_text(f"hostname = {A}\nstate = here\n")
        self.done("status", "--config", str(file))
        self.assertEqual(self.asked, [str(self.home / "here")])

    def test_the_state_folder_can_be_named(self) -> None:
        self.done("status", "--state", str(self.home))
        self.assertEqual(self.asked, [str(self.home)])

    def test_without_either_it_is_the_default_one(self) -> None:
        self.done("status")
        self.assertEqual(self.asked, [str(self.home / ".local/state/flocknode")])

    def test_json_holds_all_there_is(self) -> None:
        found = json.loads(self.done("status", "--json"))
        self.assertEqual(found, json.loads(json.dumps(attrs.asdict(STATUS))))

    def test_all_that_matters_is_shown(self) -> None:
        shown = self.done("status")
        for text in [
            "in a round (status 114)",
            "round: 4711",
            "hides among 2 nodes",
            "12 since the start, 1 of them",
            "receiving 3 of 10 (5.0 MiB)",
            "offline",
            "music: The folder is not there.",
            "2 files, 1.0 GiB",
            "films: watched by polling: It is on nfs4.",
            "last error: the disk is full",
        ]:
            self.assertIn(text, shown)
        self.assertRegex(shown, f"{B} +alive +2.0 KiB")
        self.assertRegex(shown, "ipc:///run/x +absent")

    def test_a_node_that_is_not_running_is_one_sentence(self) -> None:
        def ask_status(state: str) -> NodeStatus:
            raise FlocknodeError("no node is running")

        self.patch(control, "ask_status", ask_status)
        self.assertIn("no node is running", self.refused("status"))


class Eject(Case):
    """C{flocknode eject}."""

    def test_it_asks_the_node_and_says_when_it_is_done(self) -> None:
        asked: list[tuple[object, ...]] = []

        def ask(*arguments: object, **named: object) -> None:
            asked.append((*arguments, named))

        self.patch(control, "ask", ask)
        self.assertIn("can be unmounted", self.done("eject", "stick", "--state", "/run/x"))
        self.assertEqual(asked, [("/run/x", "eject", None, {"box": "stick"})])


class General(Case):
    """The command itself."""

    def test_the_version(self) -> None:
        self.assertEqual(self.done("--version"), f"flocknode {__version__}\n")

    def test_no_command_is_a_usage_error(self) -> None:
        self.assertEqual(self.run_command()[0], 2)

    def test_a_wrong_configuration_is_one_sentence(self) -> None:
        file = self.home / "node1"
        file.write_text("colour = red\n")
        self.assertIn("line 1", self.refused("status", "--config", str(file)))


class Report(SynchronousTestCase):
    """What others may have put into names."""

    def shown(self, status: NodeStatus) -> str:
        """What a terminal would get."""
        out = io.StringIO()
        report.show_status(Console(file=out, force_terminal=True, highlight=False), status)
        return out.getvalue()

    def test_names_cannot_command_the_terminal(self) -> None:
        evil = "\x1b]0;x\x07[red]\udcff\r\u202e"
        box = BoxStatus(evil, evil, "offline", evil, conflicts=(evil,), problems=((evil, evil),))
        member = MemberStatus(evil, "", True)
        found = self.shown(NodeStatus(evil, (member,), (box,), last_error=evil))
        for text in ("\x1b]", "\x07", "\r", "\udcff", "\u202e"):
            self.assertNotIn(text, found)
        self.assertIn(r"\x1b]0;x\x07[red]\udcff\r\u202e", found)

    def test_long_lists_are_cut_and_counted(self) -> None:
        names = tuple(f"name-{n:02}" for n in range(25))
        box = BoxStatus("b", "/b", conflicts=names, problems=tuple((n, "no") for n in names))
        found = self.shown(NodeStatus("1", boxes=(box,)))
        self.assertEqual(found.count("name-"), 2 * report.SHOWN)
        self.assertIn("15 conflicts more", found)
        self.assertIn("15 problems more", found)

    def test_a_node_alone_is_told_that_it_is(self) -> None:
        self.assertIn("no other node is alive", self.shown(NodeStatus("1")))

    def test_it_says_whose_uplink_is_the_limit(self) -> None:
        self.assertNotIn("limit", self.shown(NodeStatus("1")))
        found = self.shown(NodeStatus("1", rate=1 << 20, narrowest="this node"))
        self.assertIn("link rate: 1.0 MiB/s (limit: uplink of this node)", found)

    def test_constant_cover_is_shown_with_its_rate(self) -> None:
        found = self.shown(NodeStatus("1", cover="constant", code=145, rate=1 << 17))
        self.assertIn("under constant cover (status 145)", found)
        self.assertIn("cover: all the time\nlink rate: 128.0 KiB/s\n", found)

    def test_sizes(self) -> None:
        for count, text in [(0, "0 B"), (1023, "1023 B"), (1024, "1.0 KiB"), (3 << 29, "1.5 GiB")]:
            self.assertEqual(report.size(count), text)
        self.assertEqual(report.size(5 << 50), "5120.0 TiB")

    def test_every_status_code_has_words(self) -> None:
        for code, words in [(100, "idle"), (114, "in a round"), (145, "in a round")]:
            self.assertEqual(report.doing(code), words)
        for code in (120, 125, 134, 135, 160, 174):
            self.assertEqual(report.doing(code), "preparing a round")
