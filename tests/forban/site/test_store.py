# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
Files and indexes, as each of the programs asks for them.
"""

from __future__ import annotations

import base64
import hashlib
import hmac

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from flocknode.errors import BoxError
from flocknode.forban.protocol import jsonl, names
from flocknode.forban.site.ranges import format_date
from tests.forban.site.sites import OWN, Answer, AtOnce, Connection, StillReactor, TestSite, ask

DATA = bytes(range(256)) * 400
PATH = "a>>?/Übersicht, 1.bin".encode()


class WithASite(SynchronousTestCase):
    """One file in a folder, and one at the top."""

    def setUp(self) -> None:
        self.site = TestSite(StillReactor(), self.mktemp(), AtOnce())
        self.site.put(PATH, DATA)
        self.site.put(b"b.txt", b"text")

    def get(self, path: bytes = PATH, method: str = "GET", **headers: str) -> Answer:
        """Ask for a file, as this program does."""
        return ask(self.site, f"/s/?g={names.encode_for_any(path)}&f=b64e", method, **headers)


class TheIndex(WithASite):
    """A path and a size a line."""

    def test_it_is_the_text_whose_hash_is_announced(self) -> None:
        for name in ("forban/index", "/forban/index", "forban%2Findex"):
            answer = ask(self.site, f"/s/?g={name}")
            self.assertEqual(answer.code, 200)
            self.assertEqual(answer.body, PATH + b",102400\nb.txt,4\n")
            digest = hmac.new(b"forban", answer.body, hashlib.sha1).hexdigest()
            self.assertEqual(self.site.shown.catalogue.hmac, digest)
            self.assertEqual(answer.headers["ETag"], f'"{digest}"')
            self.assertEqual(answer.headers["Content-Type"], "text/plain; charset=utf-8")

    def test_who_knows_it_does_not_get_it_again(self) -> None:
        tag = ask(self.site, "/s/?g=forban/index").headers["ETag"]
        again = ask(self.site, "/s/?g=forban/index", If_None_Match=tag)
        self.assertEqual((again.code, again.body), (304, b""))
        self.site.put(b"c", b"")
        self.assertEqual(ask(self.site, "/s/?g=forban/index", If_None_Match=tag).code, 200)

    def test_encoded_names_mean_it_too(self) -> None:
        self.assertEqual(self.get(b"forban/index").body, self.site.shown.catalogue.index)

    def test_only_what_is_published_is_in_it(self) -> None:
        self.site.shelf.put(b"news", b"")
        self.assertNotIn(b"news", ask(self.site, "/s/?g=forban/index").body)
        self.assertEqual(self.get(b"news").code, 404)

    def test_a_large_one_comes_in_pieces(self) -> None:
        for number in range(4000):
            self.site.shelf.files[b"%060d" % number] = self.site.shelf.files[b"b.txt"]  # type: ignore[index]
        self.site.shown.show()
        answer = ask(self.site, "/s/?g=forban/index")
        self.assertGreater(len(answer.body), 200_000)
        self.assertEqual(answer.body, self.site.shown.catalogue.index)


class TheBetterIndex(WithASite):
    """Lines of JSON."""

    def test_it_tells_content_and_times(self) -> None:
        answer = ask(self.site, "/s/?g=forban/index.jsonl")
        parser = jsonl.Parser()
        files = parser.feed(answer.body)
        parser.finish()
        self.assertEqual(parser.header, jsonl.Header(OWN.uuid, None))
        self.assertTrue(parser.authentic)
        listed = self.site.shelf.files
        self.assertEqual(
            [(f.path, f.size, f.content, f.mtime_ns) for f in files],
            [(f.path, f.size, f.content, f.mtime_ns) for f in map(listed.get, sorted(listed)) if f],
        )

    def test_its_tag_changes_with_any_content(self) -> None:
        tag = ask(self.site, "/s/?g=forban/index.jsonl").headers["ETag"]
        known = ask(self.site, "/s/?g=forban/index.jsonl", If_None_Match=tag)
        self.assertEqual(known.code, 304)
        self.site.put(b"b.txt", b"TEXT")
        self.assertNotEqual(ask(self.site, "/s/?g=forban/index.jsonl").headers["ETag"], tag)


class Files(WithASite):
    """The store."""

    def test_a_file_comes_with_all_that_programs_look_for(self) -> None:
        answer = self.get()
        self.assertEqual((answer.code, answer.body), (200, DATA))
        listed = self.site.shelf.files[PATH]  # type: ignore[index]
        self.assertEqual(answer.headers["Content-Length"], "102400")
        self.assertEqual(answer.headers["ETag"], f'"{listed.content.hex()}"')
        self.assertEqual(answer.headers["Accept-Ranges"], "bytes")
        self.assertEqual(
            answer.headers["Last-Modified"],
            format_date(listed.mtime_ns // 1_000_000_000).decode(),
        )
        self.assertTrue(answer.headers["Content-Disposition"].startswith("attachment; "))
        self.assertEqual(answer.headers["Content-Type"], "application/octet-stream")

    def test_nothing_in_it_can_run(self) -> None:
        self.site.put(b"page.html", b"<script>alert(1)</script>")
        answer = self.get(b"page.html")
        self.assertIn("sandbox", answer.headers["Content-Security-Policy"])
        self.assertEqual(answer.headers["X-Content-Type-Options"], "nosniff")
        self.assertNotIn("html", answer.headers["Content-Type"])

    def test_nobody_is_told_what_serves_it(self) -> None:
        for uri in ("/", "/s/", "/s/?g=b.txt", "*", "/x"):
            for method in ("GET", "OPTIONS"):
                self.assertNotIn("Server", ask(self.site, uri, method).headers, uri)

    def test_the_original_asks_in_its_way(self) -> None:
        answer = ask(self.site, f"/s/?g={names.encode(PATH)}&f=b64e")
        self.assertEqual(answer.body, DATA)
        # It throws away what has none.
        self.assertIn("Content-Disposition", answer.headers)

    def test_goforban_asks_in_its_way(self) -> None:
        raw = base64.b64encode(PATH).decode()
        self.assertIn("+", raw)
        self.assertEqual(ask(self.site, f"/s/?g={raw}&f=b64e").body, DATA)

    def test_a_head_has_no_body(self) -> None:
        answer = self.get(method="HEAD", Range="bytes=1-2")
        self.assertEqual((answer.code, answer.headers["Content-Length"]), (200, "102400"))

    def test_a_part_can_be_had(self) -> None:
        tag = self.get().headers["ETag"]
        answer = self.get(Range="bytes=100000-", If_Range=tag)
        self.assertEqual((answer.code, answer.body), (206, DATA[100_000:]))
        self.assertEqual(answer.headers["Content-Range"], "bytes 100000-102399/102400")
        self.assertEqual(self.get(Range="bytes=0-1,5-6").body, DATA)
        self.assertEqual(self.get(Range="bytes=5-", If_Range='"x"').body, DATA)

    def test_a_part_that_is_not_there_cannot(self) -> None:
        answer = self.get(Range="bytes=102400-")
        self.assertEqual((answer.code, answer.body), (416, b""))
        self.assertEqual(answer.headers["Content-Range"], "bytes */102400")

    def test_what_is_known_is_not_sent_again(self) -> None:
        first = self.get()
        for again in (
            self.get(If_None_Match=first.headers["ETag"]),
            self.get(If_Modified_Since=first.headers["Last-Modified"]),
        ):
            self.assertEqual((again.code, again.body), (304, b""))
            self.assertEqual(again.headers["ETag"], first.headers["ETag"])

    def test_an_empty_file_is_a_file(self) -> None:
        self.site.put(b"empty", b"")
        answer = self.get(b"empty")
        self.assertEqual((answer.code, answer.headers["Content-Length"]), (200, "0"))

    def test_all_that_was_opened_is_closed(self) -> None:
        self.get()
        self.get(method="HEAD")
        self.get(Range="bytes=1-")
        self.get(If_None_Match="*")
        self.assertEqual(len(self.site.shelf.opened), 4)
        for opened in self.site.shelf.opened:
            with self.assertRaises(BoxError):
                opened.read(0, 1)


class WhatIsNotThere(WithASite):
    """It is answered with a sentence, never with anything else."""

    def refused(self, uri: str, code: int = 404) -> Answer:
        """What comes, if it is so refused."""
        answer = ask(self.site, uri)
        self.assertEqual(answer.code, code, uri)
        self.assertEqual(answer.headers["Content-Type"], "text/plain; charset=utf-8")
        self.assertLess(len(answer.body), 200)
        return answer

    def test_no_path_leads_out_of_the_catalogue(self) -> None:
        outside = self.site.shelf.folder.parent / "secret"
        outside.write_bytes(b"secret")
        self.site.shelf.where(b".hidden").write_bytes(b"hidden")
        for path in (
            b"../secret", b"a/../../secret", b"/" + bytes(outside), bytes(outside), b".hidden",
            b"a", b"a/", b"", b".", b"/", b"b.txt/", b"b.txt\0", b"./b.txt", b"forban", b"forban/",
        ):  # fmt: skip
            self.refused(f"/s/?g={names.encode(path)}&f=b64e")
        for plain in ("../secret", "..%2fsecret", "%2e%2e/secret", str(outside), "", "b.txt%00"):
            self.refused(f"/s/?g={plain}")

    def test_what_cannot_be_decoded_is_not_there(self) -> None:
        for name in ("%C3%A4", "a", "%00", "a" * 5, "***"):
            self.refused(f"/s/?g={name}&f=b64e")

    def test_a_name_is_asked_for_below_s_only(self) -> None:
        self.assertEqual(ask(self.site, "/b.txt").code, 404)
        self.assertEqual(self.refused("/s/b.txt").code, 404)
        self.assertEqual(ask(self.site, "/s/x/y?g=b.txt").body, b"text")

    def test_what_is_not_as_it_was_listed_will_be_there_later(self) -> None:
        self.site.shelf.put(b"b.txt", b"other")
        for uri in ("/s/?g=b.txt", f"/s/?g={names.encode(b'b.txt')}&f=b64e"):
            self.assertEqual(self.refused(uri, 503).headers["Retry-After"], "30")
        self.site.shelf.remove(b"b.txt")
        self.refused("/s/?g=b.txt", 503)
        self.site.shelf.error = BoxError("The folder went away.")
        self.assertNotIn(b"folder", self.refused("/s/?g=b.txt", 503).body)
        self.assertEqual(ask(self.site, "/s/?g=b.txt", "HEAD").code, 503)

    def test_a_box_that_fails_is_not_the_end(self) -> None:
        self.site.shelf.error = ValueError("a bug")  # type: ignore[assignment]
        answer = ask(self.site, "/s/?g=b.txt")
        self.assertEqual((answer.code, answer.body), (500, b""))
        self.assertEqual(len(self.flushLoggedErrors(ValueError)), 1)
        self.site.shelf.error = None
        self.assertEqual(ask(self.site, "/s/?g=b.txt").body, b"text")

    @settings(suppress_health_check=[HealthCheck.differing_executors], deadline=None)
    @given(st.binary(max_size=60), st.sampled_from(["", "&f=b64e", "&f"]))
    def test_any_name_is_answered(self, name: bytes, field: str) -> None:
        uri = "/s/?g=" + "".join(f"%{byte:02x}" for byte in name) + field
        self.assertIn(ask(self.site, uri).code, (200, 404))


class Requests(WithASite):
    """They only read."""

    def test_nothing_is_changed_by_any_method(self) -> None:
        for method in ("POST", "PUT", "DELETE", "PATCH", "OPTIONS", "PROPFIND"):
            for uri in ("/s/?g=b.txt", "/", "/q/", "/css/site.css", "/x"):
                answer = ask(self.site, uri, method)
                self.assertEqual((answer.code, answer.headers["Allow"]), (405, "GET, HEAD"))

    def test_no_bodies_are_taken(self) -> None:
        for header in (b"Content-Length: 5", b"Transfer-Encoding: chunked"):
            connection = Connection(self.site.site)
            connection.send(b"POST /s/ HTTP/1.1\r\n%s\r\n\r\n12345GET / HTTP/1.1\r\n\r\n" % header)
            answer, rest = Answer.parse(connection.take())
            self.assertEqual((answer.code, rest), (413, b""))
            self.assertTrue(connection.transport.disconnecting)

    def test_several_are_answered_in_their_order(self) -> None:
        connection = Connection(self.site.site)
        uri = f"/s/?g={names.encode(PATH)}&f=b64e"
        connection.send(f"GET {uri} HTTP/1.1\r\n\r\nGET /s/?g=b.txt HTTP/1.1\r\n\r\n".encode())
        first, rest = Answer.parse(connection.take())
        second, rest = Answer.parse(rest)
        self.assertEqual((first.body, second.body, rest), (DATA, b"text", b""))

    def test_a_connection_that_is_lost_lets_go_of_the_file(self) -> None:
        connection = Connection(self.site.site)
        connection.send(b"GET /s/?g=%s&f=b64e HTTP/1.1\r\n\r\n" % names.encode(PATH).encode())
        connection.lose()
        with self.assertRaises(BoxError):
            self.site.shelf.opened[-1].read(0, 1)
        self.assertEqual(self.site.site.channels, set())
