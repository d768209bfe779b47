# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
Tests for L{flocknode.keys}.
"""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

import flocknode
from flocknode import config, keys
from flocknode.errors import ConfigError, FlocknodeError, KeyFileError
from flocknode.keys import KeyPair

CONF = Path(flocknode.__file__).parent.parent / "conf"

A, B, C = "tcp://192.0.2.1:5671", "tcp://192.0.2.2:5671", "tcp://192.0.2.3:5671"

# The example pair of ZeroMQ RFC 26.
PUBLIC, SECRET = (
    "Yne@$w-vo<fVvi]a<NY6T1ed:M$fCG*[IaLV{hID",
    "D:)Q[IlAW!ahhC2ac:9*A}h:p?([4%wOTJ%JR%cs",
)


def private(pairs: dict[str, KeyPair]) -> str:
    """A private key file's text."""
    return json.dumps(
        {
            endpoint: {"public_key": pair.public, "private_key": pair.secret}
            for endpoint, pair in pairs.items()
        }
    )


class Folder(SynchronousTestCase):
    """A folder to put key files in."""

    def setUp(self) -> None:
        self.folder = Path(self.mktemp()).absolute()
        self.folder.mkdir()

    def write(self, name: str, text: str, mode: int = 0o600) -> str:
        """A key file."""
        path = self.folder / name
        path.write_text(text)
        path.chmod(mode)
        return str(path)

    def refused(self, name: str, text: str, mode: int = 0o600) -> str:
        """The sentence that C{text} is refused with, in the file C{name}."""
        read = keys.read_pairs if name == "privatekeys" else keys.read_keystore
        path = self.write(name, text, mode)
        error = self.assertRaises(KeyFileError, read, path)
        self.assertIn(path, str(error))
        self.assertNotIn("\n", str(error))
        return str(error)


class Pairs(SynchronousTestCase):
    """Key pairs and member ids."""

    def test_the_halves_of_a_new_pair_belong_together(self) -> None:
        pair = KeyPair.generate()
        path = self.mktemp()
        Path(path).write_text(private({A: pair}))
        os.chmod(path, 0o600)
        self.assertEqual(keys.read_pairs(path), {A: pair})

    def test_no_two_pairs_are_equal(self) -> None:
        self.assertNotEqual(KeyPair.generate().secret, KeyPair.generate().secret)

    def test_a_pair_does_not_show_its_secret(self) -> None:
        self.assertNotIn(SECRET, repr(KeyPair(PUBLIC, SECRET)))

    def test_a_member_id_is_blake2b_of_the_text_of_the_key(self) -> None:
        # from Python's hashlib, blake2b(PUBLIC.encode(), digest_size=16)
        expected = "010bb7e1916f1b6f5e20d63400a919d8"
        self.assertEqual(keys.member_id(PUBLIC).hex(), expected)
        self.assertEqual(KeyPair(PUBLIC, SECRET).id.hex(), expected)


class Files(Folder):
    """What the two kinds of key files may hold."""

    def test_a_private_key_file_of_flocksy_is_read(self) -> None:
        text = f'\n{{\n\t"ipc:///tmp/node1.ipc" : \n\t{{\n\t\t"private_key" : "{SECRET}",\n'
        text += f'\t\t"public_key" : "{PUBLIC}"\n\t}}\n}}\n'
        path = self.write("privatekeys", text)
        self.assertEqual(keys.read_pairs(path), {"ipc:///tmp/node1.ipc": KeyPair(PUBLIC, SECRET)})

    def test_a_keystore_of_flocksy_is_read(self) -> None:
        path = self.write("keystore", f'\n{{\n\t"192.0.2.1:5671" : "{PUBLIC}"\n}}\n', 0o644)
        self.assertEqual(keys.read_keystore(path), {A: PUBLIC})

    def test_relative_ipc_paths_are_relative_to_the_key_file(self) -> None:
        path = self.write("keystore", json.dumps({"ipc://run/a": PUBLIC}))
        self.assertEqual(keys.read_keystore(path), {f"ipc://{self.folder}/run/a": PUBLIC})

    def test_a_private_key_file_that_others_can_read_is_refused(self) -> None:
        text = private({A: KeyPair(PUBLIC, SECRET)})
        for mode in (0o640, 0o604, 0o620, 0o601):
            self.assertIn("chmod 600", self.refused("privatekeys", text, mode))

    def test_a_file_of_sample_keys_may_be_read_by_all(self) -> None:
        path = self.write("privatekeys", (CONF / "privatekeys").read_text(), 0o644)
        self.assertEqual(len(keys.read_pairs(path)), 3)

    def test_a_file_with_a_sample_key_and_another_may_not(self) -> None:
        entries = json.loads((CONF / "privatekeys").read_text())
        entries.update(json.loads(private({A: KeyPair(PUBLIC, SECRET)})))
        self.assertIn("chmod 600", self.refused("privatekeys", json.dumps(entries), 0o644))

    def test_a_keystore_that_everybody_can_write_is_refused(self) -> None:
        self.assertIn("chmod o-w", self.refused("keystore", json.dumps({A: PUBLIC}), 0o646))

    def test_halves_of_different_pairs_are_refused(self) -> None:
        self.refused("privatekeys", private({A: KeyPair(PUBLIC, KeyPair.generate().secret)}))

    def test_no_error_shows_a_secret(self) -> None:
        short = private({A: KeyPair(PUBLIC, SECRET[:-1])})
        swapped = private({A: KeyPair(SECRET, PUBLIC)})
        for text in (short, swapped):
            self.assertNotIn(SECRET[:20], self.refused("privatekeys", text))

    def test_texts_that_are_no_key_file_are_refused(self) -> None:
        for text in ["", "[]", '"x"', "{", "{} {}", "\xff", '{"a": 1, "a": 1}', "[" * 100_000]:
            self.refused("keystore", text)
            self.refused("privatekeys", text)

    def test_entries_that_are_no_keys_are_refused(self) -> None:
        entries: list[object] = [1, None, [], PUBLIC[:-1], PUBLIC + "0", "é" * 40, "#" * 40]
        for entry in entries:
            self.refused("keystore", json.dumps({A: entry}))
            self.refused("privatekeys", json.dumps({A: entry}))
            self.refused("privatekeys", json.dumps({A: {"public_key": entry}}))

    def test_endpoints_that_are_none_are_refused(self) -> None:
        for endpoint in ["", "nowhere", "udp://a:1", "ipc://a\x00", "ipc://\ud800"]:
            self.refused("keystore", json.dumps({endpoint: PUBLIC}))

    def test_an_endpoint_in_two_spellings_is_refused(self) -> None:
        self.refused("keystore", json.dumps({A: PUBLIC, "192.0.2.1:5671": PUBLIC}))

    def test_a_file_that_is_not_there_is_one_sentence(self) -> None:
        path = str(self.folder / "nothing")
        self.assertRaises(KeyFileError, keys.read_keystore, path)
        self.assertRaises(KeyFileError, keys.read_pairs, path)

    def test_a_file_that_is_far_too_long_is_refused(self) -> None:
        self.refused("keystore", " " * keys.LONGEST + json.dumps({A: PUBLIC}))

    @given(st.recursive(st.text() | st.none() | st.just(PUBLIC), st.lists, max_leaves=5))
    def test_any_json_is_read_or_refused(self, value: object) -> None:
        path = str(self.folder / "any")
        for text in (value, {A: value}, {A: {"public_key": value, "private_key": SECRET}}):
            Path(path).write_text(json.dumps(text))
            os.chmod(path, 0o600)
            for read in (keys.read_keystore, keys.read_pairs):
                try:
                    read(path)
                except KeyFileError as error:
                    self.assertNotIn("\n", str(error).replace(path, ""))


class Creating(Folder):
    """New key pairs for hostnames."""

    def test_a_new_file_is_its_owners_alone(self) -> None:
        self.addCleanup(os.umask, os.umask(0))
        path = str(self.folder / "new" / "privatekeys")
        keys.create(path, [A])
        self.assertEqual(stat.S_IMODE(os.stat(path).st_mode), 0o600)
        self.assertEqual(stat.S_IMODE(os.stat(os.path.dirname(path)).st_mode), 0o700)

    def test_all_hostnames_of_a_node_get_one_pair(self) -> None:
        path = str(self.folder / "privatekeys")
        made = keys.create(path, [A, B])
        self.assertEqual(made[A], made[B])
        self.assertEqual(keys.read_pairs(path), made)

    def test_what_is_there_stays_and_serves_new_hostnames(self) -> None:
        pair = KeyPair(PUBLIC, SECRET)
        path = self.write("privatekeys", private({A: pair}))
        self.assertEqual(keys.create(path, [B, A]), {A: pair, B: pair})
        self.assertEqual(keys.read_pairs(path), {A: pair, B: pair})

    def test_pairs_of_other_hostnames_are_left_alone(self) -> None:
        pair = KeyPair(PUBLIC, SECRET)
        path = self.write("privatekeys", private({A: pair}))
        made = keys.create(path, [B])
        self.assertNotEqual(made[B], pair)
        self.assertEqual(keys.read_pairs(path), {A: pair, **made})

    def test_nothing_is_written_if_nothing_is_lacking(self) -> None:
        path = self.write("privatekeys", private({A: KeyPair(PUBLIC, SECRET)}))
        before = os.stat(path)
        keys.create(path, [A])
        self.assertEqual(os.stat(path).st_ino, before.st_ino)

    def test_a_real_key_beside_sample_keys_is_hidden(self) -> None:
        path = self.write("privatekeys", (CONF / "privatekeys").read_text(), 0o644)
        keys.create(path, [A])
        self.assertEqual(stat.S_IMODE(os.stat(path).st_mode), 0o600)

    def test_a_link_to_a_key_file_stays_one(self) -> None:
        path = self.write("real", private({A: KeyPair(PUBLIC, SECRET)}))
        link = str(self.folder / "privatekeys")
        os.symlink(path, link)
        keys.create(link, [B])
        self.assertTrue(os.path.islink(link))
        self.assertEqual(set(keys.read_pairs(path)), {A, B})

    def test_a_file_that_cannot_be_written_stays_as_it_is(self) -> None:
        path = self.write("privatekeys", private({A: KeyPair(PUBLIC, SECRET)}))

        def full(descriptor: int) -> None:
            raise OSError(28, "No space left on device")

        self.patch(os, "fsync", full)
        self.assertRaises(KeyFileError, keys.create, path, [B])
        self.assertEqual(set(keys.read_pairs(path)), {A})
        self.assertEqual(os.listdir(self.folder), ["privatekeys"])


class Adding(Folder):
    """Others' keys in the keystore."""

    def test_a_key_is_added_once(self) -> None:
        path = str(self.folder / "keystore")
        self.assertTrue(keys.add(path, A, PUBLIC))
        self.assertFalse(keys.add(path, A, PUBLIC))
        self.assertEqual(keys.read_keystore(path), {A: PUBLIC})

    def test_entries_that_are_there_stay_as_they_were_written(self) -> None:
        path = self.write("keystore", json.dumps({"ipc://run/a": PUBLIC}), 0o640)
        other = KeyPair.generate().public
        keys.add(path, B, other)
        written = json.loads((self.folder / "keystore").read_text())
        self.assertEqual(written, {"ipc://run/a": PUBLIC, B: other})
        self.assertEqual(stat.S_IMODE(os.stat(path).st_mode), 0o640)

    def test_a_key_is_not_replaced_by_another(self) -> None:
        path = str(self.folder / "keystore")
        keys.add(path, A, PUBLIC)
        self.assertRaises(KeyFileError, keys.add, path, A, KeyPair.generate().public)
        self.assertEqual(keys.read_keystore(path), {A: PUBLIC})

    def test_what_is_no_key_is_not_added(self) -> None:
        path = str(self.folder / "keystore")
        self.assertRaises(KeyFileError, keys.add, path, A, "secret")
        self.assertFalse(os.path.exists(path))


class ForAConfiguration(Folder):
    """The keys that a configured node needs, or why it cannot have them."""

    def setUp(self) -> None:
        super().setUp()
        self.mine, self.theirs = KeyPair.generate(), KeyPair.generate()
        self.text = f"hostname = {A}\nnode = {B}\nkeystore = keystore\nprivatekey = privatekeys\n"
        self.write("privatekeys", private({A: self.mine}))
        self.write("keystore", json.dumps({B: self.theirs.public}))

    def credentials(self) -> keys.Credentials:
        """The keys for the configuration as it is now."""
        return keys.credentials(config.parse(self.text.encode(), str(self.folder / "node1")))

    def fails(self, *fragments: str) -> None:
        """The configuration is refused, with all C{fragments} in the sentence."""
        error = self.assertRaises(FlocknodeError, self.credentials)
        for fragment in fragments:
            self.assertIn(fragment, str(error))
        self.assertNotIn("\n", str(error))

    def test_own_pair_and_others_keys(self) -> None:
        found = self.credentials()
        self.assertEqual(found, keys.Credentials(self.mine, ((B, self.theirs.public),)))

    def test_a_keystore_may_hold_more(self) -> None:
        more = {A: self.mine.public, B: self.theirs.public, C: KeyPair.generate().public}
        self.write("keystore", json.dumps(more))
        self.assertEqual(self.credentials().peers, ((B, self.theirs.public),))

    def test_the_first_hostname_with_a_pair_names_the_node(self) -> None:
        self.text = f"hostname = {C}\n" + self.text
        self.assertEqual(self.credentials().own, self.mine)

    def test_a_node_alone_needs_no_keystore(self) -> None:
        self.text = self.text.replace(f"node = {B}\n", "")
        os.unlink(self.folder / "keystore")
        self.assertEqual(self.credentials(), keys.Credentials(self.mine, ()))

    def test_a_node_without_a_key_is_named_with_file_and_line(self) -> None:
        self.text += f"node = {C}\n"
        self.fails(f"{self.folder}/node1, line 5", f"node = {C}", "expected", "keys add")

    def test_a_hostname_without_a_pair_is_named_with_file_and_line(self) -> None:
        self.text = self.text.replace(A, C)
        self.fails(f"{self.folder}/node1, line 1", f"hostname = {C}", "keys create")

    def test_key_files_that_are_missing(self) -> None:
        for name in ("keystore", "privatekeys"):
            os.unlink(self.folder / name)
            self.fails(f"{self.folder}/{name}")
            self.setUp()

    def test_a_node_with_this_nodes_own_key(self) -> None:
        self.write("keystore", json.dumps({B: self.mine.public}))
        self.fails("line 2", "this node's own key")

    def test_a_member_may_be_reached_in_two_ways(self) -> None:
        self.text += f"node = {C}\n"
        public = self.theirs.public
        self.write("keystore", json.dumps({B: public, C: public}))
        self.assertEqual(self.credentials().peers, ((B, public), (C, public)))

    def test_a_keystore_that_disagrees_on_ones_own_key(self) -> None:
        self.write("keystore", json.dumps({A: PUBLIC, B: self.theirs.public}))
        self.fails("line 1", "disagree")


class SampleKeys(Folder):
    """Keys whose secret halves are published."""

    def test_all_keys_of_the_sample_configurations_are_known(self) -> None:
        for folder in (CONF, CONF / "tcp"):
            for pair in keys.read_pairs(str(folder / "privatekeys")).values():
                self.assertIn(pair.public, keys.SAMPLE_KEYS)

    def test_each_sample_node_finds_its_keys(self) -> None:
        for folder in (CONF, CONF / "tcp"):
            ids = set()
            for name in ("node1", "node2", "node3"):
                found = keys.credentials(config.load(str(folder / name)))
                self.assertEqual(len(found.peers), 2)
                ids.add(found.own.id)
            self.assertEqual(len(ids), 3)

    def sample(self, hostname: str, node: str, own: int, other: int) -> config.Config:
        """A configuration with sample keys, or with others where an index is -1."""
        known = list(keys.read_pairs(str(CONF / "privatekeys")).values())
        known.append(KeyPair.generate())
        self.write("privatekeys", private({hostname: known[own]}))
        self.write("keystore", json.dumps({node: known[other].public}))
        text = f"hostname={hostname}\nnode={node}\nkeystore=keystore\nprivatekey=privatekeys\n"
        return config.parse(text.encode(), str(self.folder / "node1"))

    def test_a_sample_pair_of_ones_own_is_for_this_machine_only(self) -> None:
        found = self.sample("tcp://192.0.2.1:1", "tcp://127.0.0.1:2", 0, -1)
        error = self.assertRaises(ConfigError, keys.credentials, found)
        self.assertIn("line 1", str(error))

    def test_a_sample_key_of_a_node_is_for_this_machine_only(self) -> None:
        found = self.sample("tcp://127.0.0.1:1", "tcp://192.0.2.2:2", -1, 1)
        error = self.assertRaises(ConfigError, keys.credentials, found)
        self.assertIn("line 2", str(error))

    def test_on_this_machine_they_are_accepted(self) -> None:
        for hostname, node in [("ipc:///a", "ipc:///b"), ("tcp://127.0.0.1:1", "tcp://[::1]:2")]:
            self.assertEqual(len(keys.credentials(self.sample(hostname, node, 0, 1)).peers), 1)
