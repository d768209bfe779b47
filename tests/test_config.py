# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
Tests for L{flocknode.config}, L{flocknode.configkeys} and
L{flocknode.configtext}.
"""

from __future__ import annotations

import os

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from flocknode import config, configkeys, configtext
from flocknode.box.retention import KeepFor, KeepLast, KeepNone, Staggered
from flocknode.config import BoxConfig, Config, ConsoleConfig, FlockConfig, Overrides
from flocknode.errors import ConfigError
from flocknode.forban.near.destinations import Destination
from flocknode.forban.settings import ForbanSettings

FLOCKSY = """\
#
# Config file for flocksy
#

hostname = ipc:///tmp/node1.ipc
node = ipc:///tmp/node2.ipc
node = ipc:///tmp/node3.ipc
box = mainbox@/tmp/testdir1
"""

FULL = """\
hostname   = tcp://192.0.2.10:5671       # where others reach this node
hostname   = tcp://[2001:db8::1]:5671
node       = tcp://192.0.2.11:5671
box        = papers@~/papers             # name@path
box        = "music@/srv/Music #1"
keystore   = keystore
privatekey = sub/privatekeys
state      = ../state

[box papers]
forban = yes            # also public through Forban
versions = 12h
versions_size = 10 GiB
symlinks = ignore
[flock]
protocol = 2
cover = constant
uplink = 100 Mbit/s
cover-rate = 128 KiB/s
min_members = 3
[forban]
mode = shared
name = reading room
port = 12600
destination = 192.0.2.7
destination = [2001:db8::7]:12555
listen = ssl:12557:privateKey=key.pem
key = between us
include = *.pdf
exclude = /drafts/
largest = 1 GiB
quota = 10 GiB
rate = 1 MB/s
into = papers
media = both
[console]
listen = off
"""

NONE = Overrides()

HOST = "hostname = tcp://192.0.2.10:5671\n"


def parse(text: str, file: str = "/etc/flock/node1", overrides: Overrides = NONE) -> Config:
    """What C{text} says."""
    return config.parse(text.encode("utf-8", "surrogateescape"), file, overrides)


class Reading(SynchronousTestCase):
    """What a file says."""

    def test_a_file_of_flocksy_is_accepted_as_it_is(self) -> None:
        found = parse(FLOCKSY)
        self.assertEqual(found.hostnames, ("ipc:///tmp/node1.ipc",))
        self.assertEqual(found.nodes, ("ipc:///tmp/node2.ipc", "ipc:///tmp/node3.ipc"))
        self.assertEqual(found.boxes, (BoxConfig("mainbox", "/tmp/testdir1"),))
        self.assertEqual(found.notes, ())

    def test_every_key_is_read(self) -> None:
        self.assertEqual(
            parse(FULL),
            Config(
                hostnames=("tcp://192.0.2.10:5671", "tcp://[2001:db8::1]:5671"),
                nodes=("tcp://192.0.2.11:5671",),
                boxes=(
                    BoxConfig(
                        "papers",
                        os.path.expanduser("~/papers"),
                        True,
                        KeepFor(12 * 3600),
                        "ignore",
                        10 << 30,
                    ),
                    BoxConfig("music", "/srv/Music #1"),
                ),
                keystore="/etc/flock/keystore",
                privatekey="/etc/flock/sub/privatekeys",
                state="/etc/state",
                flock=FlockConfig("2", "constant", 12_500_000, 131_072, 3),
                forban=ForbanSettings(
                    "shared",
                    "reading room",
                    12600,
                    destination=(Destination("192.0.2.7"), Destination("2001:db8::7", 12555)),
                    listen=("ssl:12557:privateKey=/etc/flock/key.pem",),
                    key="between us",
                    include=("*.pdf",),
                    exclude=("/drafts/",),
                    largest=1 << 30,
                    quota=10 << 30,
                    rate=1_000_000,
                    into="papers",
                    media="both",
                ),
                console=ConsoleConfig(None),
            ),
        )

    def test_relative_paths_are_relative_to_the_file(self) -> None:
        found = parse("hostname = ipc://run/a\nbox = x@box\nstate = s\n", "sub/../conf/node1")
        here = os.path.join(os.getcwd(), "conf")
        self.assertEqual(found.hostnames, (f"ipc://{here}/run/a",))
        self.assertEqual(found.boxes[0].path, f"{here}/box")
        self.assertEqual(found.state, f"{here}/s")

    def test_a_path_may_hold_bytes_that_are_no_text(self) -> None:
        found = config.parse(HOST.encode() + b"box = x@/srv/\xff\xfe\n", "/f")
        self.assertEqual(os.fsencode(found.boxes[0].path), b"/srv/\xff\xfe")

    def test_a_number_sign_in_a_word_is_no_comment(self) -> None:
        self.assertEqual(parse(HOST + "box = x@/srv/c#\n").boxes[0].path, "/srv/c#")

    def test_a_box_name_ends_at_the_first_at_sign(self) -> None:
        self.assertEqual(parse(HOST + "box = a@/b@c\n").boxes, (BoxConfig("a", "/b@c"),))

    def test_a_box_may_lie_on_a_medium(self) -> None:
        text = HOST + "box = a@label:My Stick//papers/\nbox = b@ uuid:1234-ABCD\nbox = c@./label:x"
        self.assertEqual(
            [box.path for box in parse(text).boxes],
            ["label:My Stick/papers", "uuid:1234-ABCD", "/etc/flock/label:x"],
        )

    def test_media_join_only_if_they_may(self) -> None:
        found = parse(HOST + "box = a@/a\nbox = b@/b\n[box b]\nmedia = auto")
        self.assertEqual([box.media for box in found.boxes], ["off", "auto"])

    def test_how_a_box_is_watched(self) -> None:
        found = parse(HOST + "box = a@/a\nbox = b@/b\n[box b]\nwatch = polling")
        self.assertEqual([box.watch for box in found.boxes], ["auto", "polling"])

    def test_windows_line_ends_and_a_byte_order_mark_do_no_harm(self) -> None:
        self.assertEqual(parse("\ufeff" + FLOCKSY.replace("\n", "\r\n")), parse(FLOCKSY))

    def test_nodes_named_twice_and_oneself_are_left_out(self) -> None:
        twice = HOST + "node = 192.0.2.11:5671\nnode = tcp://192.0.2.11:5671\n"
        twice += "node = 192.0.2.10:5671"
        self.assertEqual(parse(twice).nodes, ("tcp://192.0.2.11:5671",))

    def test_where_an_endpoint_was_configured_is_kept(self) -> None:
        places = parse(FLOCKSY).places
        self.assertEqual(places["ipc:///tmp/node3.ipc"], "/etc/flock/node1, line 7")


class Notes(SynchronousTestCase):
    """Keys of what this version does not do yet."""

    def test_each_is_accepted_and_said(self) -> None:
        for lines, instead in [
            ("[console]\nlisten = tcp:12556:interface=127.0.0.1", "has no console yet"),
            ("[flock]\nprotocol = 1.0", "speaks Flock 2 only"),
        ]:
            (note,) = parse(HOST + lines).notes
            self.assertIn(instead, note)
            self.assertTrue(note.startswith(f"/etc/flock/node1, line {2 + lines.count(chr(10))}"))

    def test_what_makes_no_difference_is_not_mentioned(self) -> None:
        lines = "box = b@/b\n[box b]\nforban = no\n[forban]\nmode = off\n[console]\nlisten = off"
        self.assertEqual(parse(HOST + lines).notes, ())


class Refusing(SynchronousTestCase):
    """What is wrong, in one sentence with file, line, key and what was expected."""

    def refused(self, text: str, *fragments: str, overrides: Overrides = NONE) -> None:
        """C{text} is refused, and all C{fragments} are in the sentence."""
        error = self.assertRaises(ConfigError, parse, text, "/etc/flock/node1", overrides)
        for fragment in (*fragments, "expected"):
            self.assertIn(fragment, str(error))
        self.assertNotIn("\n", str(error))

    def test_unknown_keys(self) -> None:
        self.refused(HOST + "colour = red", "/etc/flock/node1, line 2", "colour", "hostname")
        self.refused(HOST + "[flock]\nspeed = 3", "line 3", "speed", "[flock]", "uplink")

    def test_a_key_below_a_section_it_does_not_belong_to(self) -> None:
        self.refused(HOST + "[flock]\nbox = a@/a", "line 3", "box", "above the first section")

    def test_unknown_sections(self) -> None:
        for section in ("[other]", "[flock two]", "[box]", "[box", "[]"):
            self.refused(HOST + section + "\ncover = rounds", "line")

    def test_lines_of_no_form(self) -> None:
        for line in ("hostname", "= x", "a b = c", "\x1b[31m = x", "node: x"):
            self.refused(HOST + line, "line 2")

    def test_bad_values(self) -> None:
        for line, key in [
            ("hostname = tcp://node.example.org:5671", "hostname"),
            ("hostname =", "hostname"),
            ("node = tcp://192.0.2.11", "node"),
            ("node = tcp://0.0.0.0:5671", "node"),
            ("node = udp://192.0.2.11:5671", "node"),
            ("box = papers", "box"),
            ("box = papers@", "box"),
            ("box = @/papers", "box"),
            ("box = a\x07b@/papers", "box"),
            (f"box = {'x' * 256}@/papers", "box"),
            ("box = \udcff@/papers", "box"),
            ("box = a@label:", "box"),
            ("box = a@label:X/../y", "box"),
            ("box = a@uuid:/papers", "box"),
            ("state =", "state"),
            ("keystore = a\x00b", "keystore"),
        ]:
            self.refused(HOST + line, "/etc/flock/node1, line 2", key)

    def test_a_share_of_deletions_that_has_to_be_confirmed(self) -> None:
        for text, share in [("50%", 0.5), ("0 %", 0.0), ("100%", 1.0), ("off", None)]:
            found = parse(HOST + f"box = b@/b\n[box b]\nconfirm-deletes = {text}\n")
            self.assertEqual(found.boxes[0].confirm_deletes, share)

    def test_bad_values_in_sections(self) -> None:
        for section, line, key in [
            ("box b", "forban = perhaps", "forban"),
            ("box b", "versions = 30", "versions"),
            ("box b", "versions = -1d", "versions"),
            ("box b", "versions = keep", "versions"),
            ("box b", "versions = keep 0", "versions"),
            ("box b", "versions = keep many", "versions"),
            ("box b", "versions_size = 10", "versions_size"),
            ("box b", "versions_size = -1 GiB", "versions_size"),
            ("box b", "versions_size = 10 GiB/s", "versions_size"),
            ("box b", "versions_size = 9999999 TiB", "versions_size"),
            ("box b", "symlinks = keep", "symlinks"),
            ("box b", "watch = always", "watch"),
            ("box b", "media = yes", "media"),
            ("box b", "confirm-deletes = half", "confirm_deletes"),
            ("box b", "confirm-deletes = 50", "confirm_deletes"),
            ("box b", "confirm-deletes = 101%", "confirm_deletes"),
            ("box b", "confirm-deletes = -1%", "confirm_deletes"),
            ("flock", "protocol = 3", "protocol"),
            ("flock", "cover = none", "cover"),
            ("flock", "uplink = fast", "uplink"),
            ("flock", "uplink = 100", "uplink"),
            ("flock", "uplink = 1 bit/s", "uplink"),
            ("flock", "uplink = 9999999 GB/s", "uplink"),
            ("flock", "cover_rate = 64 KiB", "cover_rate"),
            ("flock", "min_members = 1", "min_members"),
            ("flock", "min_members = 256", "min_members"),
            ("flock", "min_members = ²", "min_members"),
            ("forban", "mode = on", "mode"),
            ("forban", "name =", "name"),
            ("forban", "port = 65536", "port"),
            ("forban", "destination = a b", "destination"),
            ("forban", "destination = 192.0.2.7:0", "destination"),
            ("forban", "destination = [2001:db8::7", "destination"),
            ("forban", "listen = 12555", "listen"),
            ("forban", "include = !", "include"),
            ("forban", "largest = 10", "largest"),
            ("forban", "rate = 10", "rate"),
            ("forban", "media = yes", "media"),
            ("console", "listen = 12556", "listen"),
            ("console", "listen =", "listen"),
        ]:
            self.refused(HOST + f"box = b@/b\n[{section}]\n{line}", "line 4", key)

    def test_what_is_fetched_goes_into_a_public_box(self) -> None:
        boxes = HOST + "box = a@/a\nbox = b@/b\n[box b]\nforban = yes\n[forban]\n"
        self.assertEqual(parse(boxes + "into = b").forban.into, "b")
        expected = "into = a is no public box, expected a box with forban = yes: b"
        self.refused(boxes + "into = a", "line 7", expected)

    def test_a_key_that_is_set_twice(self) -> None:
        self.refused(HOST + "state = /a\nstate = /b", "line 3", "state", "line 2")

    def test_no_hostname(self) -> None:
        self.refused("node = tcp://192.0.2.11:5671", "/etc/flock/node1", "hostname")

    def test_a_section_of_no_box(self) -> None:
        self.refused(HOST + "[box papers]\nforban = no", "line 3", "[box papers]")

    def test_two_boxes_of_one_name(self) -> None:
        self.refused(HOST + "box = a@/a\nbox = a@/b", "line 3", "box a", "line 2")

    def test_boxes_in_each_other(self) -> None:
        for outer, inner in [
            ("/srv/a", "/srv/a/b"),
            ("/srv/a", "/srv/a"),
            ("/", "/srv"),
            ("label:STICK", "label:STICK/a"),
            ("uuid:12/a", "uuid:12/a"),
        ]:
            for first, second in [(outer, inner), (inner, outer)]:
                self.refused(HOST + f"box = x@{first}\nbox = z@{second}", "line", "box")

    def test_a_box_beside_a_box_with_a_name_that_begins_alike_is_fine(self) -> None:
        found = parse(HOST + "box = x@/srv/a\nbox = y@/srv/a-b\nbox = z@/srv/ab")
        self.assertEqual(len(found.boxes), 3)
        found = parse(HOST + "box = x@label:S/a\nbox = y@label:S/b\nbox = z@label:T/a")
        self.assertEqual(len(found.boxes), 3)

    def test_a_state_folder_in_a_box_and_the_other_way_round(self) -> None:
        self.refused(HOST + "box = x@/srv/a\nstate = /srv/a/state", "line 3", "state", "box x")
        self.refused(HOST + "state = /srv/a\nbox = x@/srv/a/x", "line 3", "box x", "state")

    def test_key_files_in_a_box(self) -> None:
        for key in ("keystore", "privatekey"):
            self.refused(HOST + f"box = x@/srv/a\n{key} = /srv/a/k", "line 3", key, "shared")

    def test_boxes_in_each_other_by_way_of_a_link(self) -> None:
        top = os.path.abspath(self.mktemp())
        os.makedirs(f"{top}/a/b")
        os.symlink("a/b", f"{top}/link")
        self.refused(HOST + f"box = x@{top}/a\nbox = y@{top}/link", "box")

    def test_control_characters_do_not_reach_the_terminal(self) -> None:
        for line in ("state = \x1b[31m", "[\x1b]", "[box \x1b]\nforban = no"):
            error = self.assertRaises(ConfigError, parse, HOST + line)
            self.assertTrue(str(error).isprintable(), str(error))


class Units(SynchronousTestCase):
    """Rates and durations."""

    def test_rates(self) -> None:
        for text, value in [
            ("100 Mbit/s", 12_500_000),
            ("64 KiB/s", 65_536),
            ("12 MB/s", 12_000_000),
            ("1.5Gbit/s", 187_500_000),
            ("8 kbit/s", None),
            ("2048 B/s", 2048),
            ("20 kB/s", 20_000),
            ("1 MiB/s", 1 << 20),
            ("1 GB/s", 10**9),
            ("1 GiB/s", 1 << 30),
        ]:
            if value is None:
                self.assertRaises(ValueError, configtext.rate, text)
            else:
                self.assertEqual(configtext.rate(text), value)

    def test_rates_are_not_guessed(self) -> None:
        for text in ["", "100", "100 mbit/s", "100 Mbps", "1e6 B/s", "-1 MB/s", "\u0661 MB/s"]:
            self.assertRaises(ValueError, configtext.rate, text)

    def test_what_versions_are_kept(self) -> None:
        for text, policy in [
            ("none", KeepNone()),
            ("0d", KeepNone()),
            ("keep 5", KeepLast(5)),
            ("keep  12", KeepLast(12)),
            ("2w", KeepFor(14 * 86400)),
            ("staggered", Staggered()),
        ]:
            found = parse(f"{HOST}box = b@/b\n[box b]\nversions = {text}\n")
            self.assertEqual(found.boxes[0].versions, policy)

    def test_sizes(self) -> None:
        for text, value in [("10 GiB", 10 << 30), ("1.5MB", 1_500_000), ("0 B", 0)]:
            self.assertEqual(configtext.size(text), value)
        for text in ["", "10", "GiB", "1 gib", "-1 B", "1e3 B", "\u0661 MB"]:
            self.assertRaises(ValueError, configtext.size, text)
        found = parse(HOST + "box = b@/b\n[box b]\nversions_size = none\n")
        self.assertIsNone(found.boxes[0].versions_size)

    def test_durations(self) -> None:
        for text, value in [("30d", 2_592_000), ("90 s", 90), ("1y", 31_536_000), ("none", 0)]:
            self.assertEqual(configtext.duration(text), value)
        for text in ["", "30", "d", "1 month", "-1d", "1.5d"]:
            self.assertRaises(ValueError, configtext.duration, text)


class Overriding(SynchronousTestCase):
    """Options take the place of the file's keys."""

    def test_each_option_replaces_its_key(self) -> None:
        overrides = Overrides(
            hostnames=("ipc://h",), nodes=("ipc://n",), boxes=("b@c",), keystore="k", privatekey="p"
        )
        found = parse(FULL, overrides=overrides)
        here = os.getcwd()
        self.assertEqual(found.hostnames, (f"ipc://{here}/h",))
        self.assertEqual(found.nodes, (f"ipc://{here}/n",))
        self.assertEqual(found.boxes, (BoxConfig("b", f"{here}/c"),))
        self.assertEqual(found.keystore, f"{here}/k")
        self.assertEqual(found.privatekey, f"{here}/p")
        self.assertEqual(found.state, "/etc/state")

    def test_the_section_of_a_box_serves_the_option_of_that_name(self) -> None:
        found = parse(FULL, overrides=Overrides(boxes=("papers@/elsewhere",)))
        self.assertEqual(
            found.boxes,
            (BoxConfig("papers", "/elsewhere", True, KeepFor(12 * 3600), "ignore", 10 << 30),),
        )

    def test_what_is_wrong_with_an_option_names_the_option(self) -> None:
        error = self.assertRaises(
            ConfigError, parse, FULL, "/f", Overrides(nodes=("tcp://nowhere",))
        )
        self.assertIn("option --node", str(error))


class Files(SynchronousTestCase):
    """Which file is read."""

    def setUp(self) -> None:
        self.home = os.path.abspath(self.mktemp())
        os.makedirs(self.home)
        for name, value in [("HOME", self.home), ("XDG_CONFIG_HOME", ""), ("XDG_STATE_HOME", "")]:
            self.patch(os, "environ", {**os.environ, name: value})

    def write(self, name: str, text: str = HOST) -> str:
        """A file in the home folder."""
        path = os.path.join(self.home, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w") as file:
            file.write(text)
        return path

    def test_a_file_that_is_named(self) -> None:
        found = config.load(self.write("node1"))
        self.assertEqual(found.hostnames, ("tcp://192.0.2.10:5671",))

    def test_defaults_lie_in_the_home_folder(self) -> None:
        found = config.load(self.write(".config/flocknode/config"))
        self.assertEqual(found.keystore, f"{self.home}/.config/flocknode/keystore")
        self.assertEqual(found.privatekey, f"{self.home}/.config/flocknode/privatekeys")
        self.assertEqual(found.state, f"{self.home}/.local/state/flocknode")

    def test_the_default_file_is_found(self) -> None:
        self.write(".config/flocknode/config")
        self.assertEqual(config.load().hostnames, ("tcp://192.0.2.10:5671",))

    def test_the_files_of_flocksy_are_found(self) -> None:
        self.write(".flocksy")
        self.write(".ssh/flocksy_keystore")
        self.write(".ssh/flocksy_privatekeys")
        found = config.load()
        self.assertEqual(found.keystore, f"{self.home}/.ssh/flocksy_keystore")
        self.assertEqual(found.privatekey, f"{self.home}/.ssh/flocksy_privatekeys")

    def test_own_files_come_before_those_of_flocksy(self) -> None:
        self.write(".flocksy", "nonsense")
        self.write(".ssh/flocksy_keystore")
        own = self.write(".config/flocknode/keystore")
        self.write(".config/flocknode/config")
        self.assertEqual(config.load().keystore, own)

    def test_options_alone_are_enough(self) -> None:
        found = config.load(None, Overrides(hostnames=("192.0.2.1:1",)))
        self.assertEqual(found.hostnames, ("tcp://192.0.2.1:1",))

    def test_a_file_that_is_not_there(self) -> None:
        path = os.path.join(self.home, "nothing")
        error = self.assertRaises(ConfigError, config.load, path)
        self.assertIn(path, str(error))

    def test_neither_a_file_nor_a_hostname(self) -> None:
        error = self.assertRaises(ConfigError, config.load)
        self.assertIn("does not exist", str(error))

    def test_a_file_that_cannot_be_read(self) -> None:
        error = self.assertRaises(ConfigError, config.load, self.home)
        self.assertIn(self.home, str(error))

    def test_a_file_that_is_far_too_long(self) -> None:
        path = self.write("film", "x" * (configtext.LONGEST + 1))
        self.assertRaises(ConfigError, config.load, path)


WORDS = st.sampled_from(
    [key for keys in configkeys.KEYS.values() for key in keys]
    + ["[box a]", "[flock]", "[forban]", "[console]", "[", "]", "=", " ", "\n", "#", '"', "@"]
    + ["a@/a", "b@/a/b", "tcp://192.0.2.1:1", "ipc://x", "~", "/", "..", "yes", "30d", "2"]
    + ["100 Mbit/s", "tcp:1", "off", "\x00", "é", "\udcff", "\r", "²", "9" * 30]
)


class Anything(SynchronousTestCase):
    """Whatever is in a file, the answer is a configuration or one sentence."""

    def check(self, data: bytes) -> None:
        """Parse C{data}."""
        try:
            found = config.parse(data, "/etc/flock/node1")
        except ConfigError as error:
            self.assertNotIn("\n", str(error))
            return
        self.assertIsInstance(found, Config)
        self.assertTrue(found.hostnames)
        paths = [box.path for box in found.boxes]
        for path in [*paths, found.state, found.keystore, found.privatekey]:
            self.assertTrue(os.path.isabs(path))

    @given(st.binary(max_size=300))
    def test_any_bytes(self, data: bytes) -> None:
        self.check(data)

    @given(st.lists(WORDS, max_size=12).map("".join), st.booleans())
    def test_any_words_of_a_configuration(self, text: str, named: bool) -> None:
        self.check(((HOST if named else "") + text).encode("utf-8", "surrogateescape"))
