# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
Pages for people: they show all that is known, and nothing that is said in them
does anything.
"""

from __future__ import annotations

from functools import partial
from html.parser import HTMLParser
from typing import Any
from urllib.parse import quote

import attrs
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from flocknode.forban.protocol import names
from flocknode.forban.site.looking import picture_of
from flocknode.forban.site.pages import IN_LINE
from tests import strategies
from tests.forban.site.sites import (
    BETTY,
    MALLORY,
    MARKUP,
    OWN,
    TURNED,
    Answer,
    AtOnce,
    Connection,
    StillReactor,
    TestSite,
    ask,
    furnish,
)

OURS = {
    "a", "bdi", "body", "br", "button", "code", "div", "figcaption", "figure", "footer", "form",
    "h1", "h2", "head", "header", "html", "img", "input", "label", "li", "link", "main", "meta",
    "nav", "ol", "p", "path", "section", "span", "strong", "svg", "title", "ul", "circle",
}  # fmt: skip


class Seen(HTMLParser):
    """
    A page as a browser reads it.

    @ivar tags: names of all elements.
    @ivar links: where they lead.
    @ivar text: what can be read, piece by piece.
    @ivar forbidden: names of attributes that would run or dress anything.
    """

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.links: list[str] = []
        self.text: list[str] = []
        self.forbidden: list[str] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """An element."""
        self.tags.add(tag)
        for name, value in attrs:
            if name.startswith("on") or name in ("style", "srcdoc"):
                self.forbidden.append(name)
            if name in ("href", "src", "action"):
                self.links.append(value or "")

    def handle_data(self, data: str) -> None:
        """Text."""
        self.text.append(data)

    @property
    def words(self) -> str:
        """All text, with single blanks."""
        return " ".join(" ".join(self.text).split())


class WithASite(SynchronousTestCase):
    """A site where there is something of everything."""

    def setUp(self) -> None:
        self.site = TestSite(StillReactor(), self.mktemp(), AtOnce())
        furnish(self.site)

    def page(self, uri: str, code: int = 200) -> Seen:
        """A page, after a look whether it is as all pages must be."""
        answer = ask(self.site, uri)
        self.assertEqual(answer.code, code, uri)
        return self.sound(answer)

    def sound(self, answer: Answer) -> Seen:
        """What is to be seen of a page that does nothing by itself."""
        self.assertEqual(answer.headers["Content-Type"], "text/html; charset=utf-8")
        policy = answer.headers["Content-Security-Policy"]
        self.assertIn("default-src 'none'", policy)
        self.assertNotIn("script", policy)
        self.assertNotIn("unsafe", policy)
        self.assertEqual(answer.headers["X-Content-Type-Options"], "nosniff")
        self.assertEqual(answer.headers["Referrer-Policy"], "no-referrer")
        seen = Seen(answer.body.decode())
        self.assertLessEqual(seen.tags, OURS)
        self.assertEqual(seen.forbidden, [])
        for link in seen.links:
            self.assertTrue(link.startswith(("/", "#", "http://", "https://")), link)
            self.assertFalse(link.startswith("//"), link)
        for bad in TURNED[0], TURNED[-1], "\x07":
            self.assertNotIn(bad, answer.body.decode())
        return seen


class Home(WithASite):
    """Who is here."""

    def test_all_neighbours_are_there_with_what_is_known_of_them(self) -> None:
        words = self.page("/").words
        self.assertIn("ada shares 10 files", words)
        self.assertIn("betty's laptop 1 261 files · 11.2 GB or more 192.168.1.23:12555", words)
        self.assertIn(MARKUP, words)
        self.assertIn("77777777 Its list has not come yet [2001:db8::17]:80", words)
        self.assertIn("Its list has the wrong key", words)

    def test_its_links_lead_to_what_it_shows(self) -> None:
        links = self.page("/").links
        for link in (f"/l/{BETTY}", f"/v/{BETTY}", f"/l/{OWN.uuid}", f"/l/{OWN.uuid}?p=Minutes"):
            self.assertIn(link, links)
        self.assertIn(f"/s/?g={names.encode_for_any(b'read me first.txt')}&f=b64e", links)

    def test_who_is_alone_is_told_so(self) -> None:
        self.site.time += 1000
        self.assertIn("Nobody else has been heard", self.page("/").words)

    def test_a_node_that_shares_nothing_says_so(self) -> None:
        empty = TestSite(StillReactor(), self.mktemp(), AtOnce())
        words = self.sound(ask(empty, "/")).words
        self.assertIn("ada shares nothing yet", words)

    def test_a_crowd_is_on_several_pages(self) -> None:
        for number in range(450):
            host = f"10.0.{number // 200}.{number % 200}"
            self.site.hear(f"{number:08d}-0000-4000-8000-000000000000", f"n{number}", host)
        first, last = self.page("/"), self.page("/?n=3")
        self.assertIn("/?n=2", first.links)
        self.assertIn("/?n=2", last.links)
        self.assertIn("Page 3 of 3", last.words)
        self.assertEqual(sum(link.startswith("/l/") for link in last.links), 57)


class Address(WithASite):
    """Where phones find it."""

    def test_it_is_where_it_was_asked(self) -> None:
        self.assertIn("http://192.168.1.5:12555/", self.page("/").links)
        answer = ask(self.site, "/img/address.svg")
        self.assertEqual(answer.headers["Content-Type"], "image/svg+xml")
        self.assertEqual(answer.body, picture_of("http://192.168.1.5:12555/"))

    def test_from_its_own_machine_it_is_another(self) -> None:
        for asked, hosts, expected in (
            ("127.0.0.1", ["fe80::1", "::1", "192.168.7.7"], "http://192.168.7.7:12555/"),
            ("::1", ["2001:db8::1"], "http://[2001:db8::1]:12555/"),
            ("::ffff:10.0.0.7", [], "http://10.0.0.7:12555/"),
            ("fe80::1%eth0", ["10.0.0.7"], "http://10.0.0.7:12555/"),
            ("127.0.0.1", [], None),
        ):
            own = attrs.evolve(OWN, hosts=partial(list, hosts))
            site = TestSite(StillReactor(), self.mktemp(), AtOnce(), own)
            connection = Connection(site.site, at=asked)
            connection.send(b"GET / HTTP/1.1\r\n\r\nGET /img/address.svg HTTP/1.1\r\n\r\n")
            home, rest = Answer.parse(connection.take())
            picture, _ = Answer.parse(rest)
            if expected is None:
                self.assertEqual(picture.code, 404)
                self.assertNotIn("/img/address.svg", self.sound(home).links)
            else:
                self.assertIn(expected, self.sound(home).links)
                self.assertEqual(picture.body, picture_of(expected))

    def test_the_header_host_means_nothing(self) -> None:
        answer = ask(self.site, "/", Host="evil.example")
        self.assertNotIn(b"evil", answer.body)


class Browsing(WithASite):
    """What somebody has."""

    def test_folders_lead_to_what_is_in_them(self) -> None:
        seen = self.page(f"/l/{BETTY}")
        self.assertIn("Maps 1 234 files · 11.1 GB", seen.words)
        self.assertIn(f"/l/{BETTY}?p=Maps", seen.links)
        inside = self.page(f"/l/{BETTY}?p=Fotos/")
        link = names.encode_for_any("Fotos/Straße & Brücke.jpg".encode())
        self.assertIn(f"http://192.168.1.23:12555/s/?g={link}&f=b64e", inside.links)

    def test_long_folders_are_on_several_pages(self) -> None:
        first = self.page(f"/l/{BETTY}?p=Maps")
        self.assertIn(f"/l/{BETTY}?p=Maps&n=2", first.links)
        self.assertEqual(sum("/s/?g=" in link for link in first.links), 200)
        for n in ("7", "99999999999999999999"):
            last = self.page(f"/l/{BETTY}?p=Maps&n={n}")
            self.assertEqual(sum("/s/?g=" in link for link in last.links), 34)
            self.assertIn("Page 7 of 7", last.words)

    def test_own_files_are_linked_to_here(self) -> None:
        seen = self.page(f"/l/{OWN.uuid.upper()}?p=Photos/roof")
        self.assertEqual(sum(link.startswith("/s/?g=") for link in seen.links), 2)
        for link in seen.links:
            if link.startswith("/s/"):
                self.assertEqual(ask(self.site, link, "HEAD").code, 200)

    def test_files_without_a_way_to_them_have_no_links(self) -> None:
        seen = self.page(f"/l/{MALLORY}")
        self.assertFalse([link for link in seen.links if "/s/" in link])
        self.assertIn("Browsers cannot go to the address of this node", seen.words)

    def test_a_list_that_has_not_come_is_no_empty_one(self) -> None:
        for where in "l", "v":
            words = self.page(f"/{where}/77777777-7777-4777-8777-777777777777").words
            self.assertIn("Its list has not come yet", words)

    def test_doubts_about_a_list_are_told(self) -> None:
        self.assertIn("not all of its files", self.page(f"/l/{BETTY}").words)
        tampered = self.page("/l/88888888-8888-4888-8888-888888888888").words
        self.assertIn("not made with the key", tampered)

    def test_what_is_not_there_is_not_found(self) -> None:
        for uri in (
            "/l/", "/l", "/v/", "/l/x", f"/v/{OWN.uuid}", f"/l/{BETTY}/Maps", "/l/..%2f..%2fetc",
            f"/l/{BETTY}?p=Nowhere", f"/l/{BETTY}?p=../..", f"/l/{BETTY}?p=Maps/sheet%200001.tif",
            f"/l/{OWN.uuid}?p=..", "/nothing", "/css/", "/css/x", "/img/../s", "/index.html",
            f"/l/{'9' * 10_000}", f"/l/{BETTY}?p={'%ff' * 1000}",
        ):  # fmt: skip
            self.assertIn("Not here", self.page(uri, 404).words)


class Elsewhere(WithASite):
    """Where others take things to be."""

    def test_goforbans_link_to_all_files_leads_there(self) -> None:
        answer = ask(self.site, "/bundles/")
        self.assertEqual((answer.code, answer.headers["Location"]), (302, f"/l/{OWN.uuid}"))
        self.page(answer.headers["Location"])
        self.page("/bundles/a", 404)


class Lacking(WithASite):
    """What somebody has and this node has not."""

    def test_it_is_all_but_what_is_here(self) -> None:
        seen = self.page(f"/v/{BETTY}")
        self.assertIn("betty's laptop has 1 260 files that are not here", seen.words)
        self.assertNotIn("read me first.txt", seen.words)
        last = self.page(f"/v/{BETTY}?n=7")
        self.assertIn("Page 7 of 7", last.words)

    def test_nothing_may_be_lacking(self) -> None:
        self.site.indexes.put(BETTY, [(b"read me first.txt", 812)])
        self.assertIn("is here too", self.page(f"/v/{BETTY}").words)


class Searching(WithASite):
    """Where something is."""

    def test_it_is_found_here_and_there(self) -> None:
        seen = self.page("/q/?v=SPRING+meeting")
        self.assertIn("2 files.", seen.words)
        self.assertEqual(sum("/s/?g=" in link for link in seen.links), 2)

    def test_markup_in_the_words_is_words(self) -> None:
        seen = self.page(f"/q/?v={quote('<script>alert')}")
        self.assertIn("<script>alert('x')<_script>", seen.words)
        self.assertIn("2 files.", seen.words)

    def test_much_is_not_shown_all(self) -> None:
        seen = self.page("/q/?v=sheet")
        self.assertIn("100 files and perhaps more", seen.words)

    def test_it_can_be_looked_at_again_and_again(self) -> None:
        for asked, seconds in (("60", "60"), ("0", "5"), ("99999", "3600")):
            self.assertEqual(ask(self.site, f"/q/?v=a&r={asked}").headers["Refresh"], seconds)
        for asked in ("", "x", "-5", "5;url=http://evil.example"):
            self.assertNotIn("Refresh", ask(self.site, f"/q/?v=a&r={quote(asked)}").headers)

    def test_nothing_is_found_if_there_is_nothing(self) -> None:
        self.assertIn("Nothing was found", self.page("/q/?v=nowhere-at-all").words)
        for nothing in ("/q/", "/q/?v=", "/q/?v=%20%0a"):
            self.assertIn("What are you looking for?", self.page(nothing).words)

    @settings(suppress_health_check=[HealthCheck.differing_executors], deadline=None)
    @given(st.text(max_size=20) | st.binary(max_size=20))
    def test_any_words_make_a_page(self, term: str | bytes) -> None:
        encoded = quote(term.encode("utf-8", "replace") if isinstance(term, str) else term)
        self.page(f"/q/?v={encoded}")


class Anything(WithASite):
    """Whatever neighbours say."""

    @settings(suppress_health_check=[HealthCheck.differing_executors], deadline=None)
    @given(
        st.text(max_size=80),
        st.lists(strategies.names(), min_size=1, max_size=3),
        st.integers(0, 1 << 50),
    )
    def test_it_is_only_text(self, name: str, parts: list[bytes], size: int) -> None:
        self.site.hear(BETTY, name, "192.168.1.23")
        self.site.indexes.put(BETTY, [(b"/".join(parts), size)])
        folder = quote(b"/".join(parts[:-1]))
        for uri in ("/", f"/l/{BETTY}?p={folder}", f"/v/{BETTY}"):
            self.page(uri)
        term = quote(parts[-1])
        self.page(f"/q/?v={term}")


class Looks(WithASite):
    """What pages are dressed with."""

    def test_it_is_kept_for_a_while(self) -> None:
        for uri, kind in (
            ("/css/site.css", "text/css; charset=utf-8"),
            ("/img/mark.svg", "image/svg+xml"),
            ("/favicon.ico", "image/x-icon"),
        ):
            answer = ask(self.site, uri)
            self.assertEqual((answer.code, answer.headers["Content-Type"]), (200, kind))
            again = ask(self.site, uri, If_None_Match=answer.headers["ETag"])
            self.assertEqual(again.code, 304)

    def test_pages_use_nothing_else(self) -> None:
        for uri in ("/", f"/l/{BETTY}", "/q/?v=a"):
            for link in self.page(uri).links:
                if link.startswith(("/css/", "/img/", "/favicon")):
                    self.assertEqual(ask(self.site, link).code, 200)


class Crowds(SynchronousTestCase):
    """Too many want pages at a time."""

    def test_some_are_told_to_come_again(self) -> None:
        waiting: list[Any] = []

        class Later(AtOnce):
            """Threads that do nothing for now."""

            def callInThreadWithCallback(self, *arguments: Any) -> None:
                waiting.append(arguments)

        site = TestSite(StillReactor(), self.mktemp(), Later(), per_host=512)
        connections = []
        for _ in range(IN_LINE + 5):
            connections.append(Connection(site.site))
            connections[-1].send(b"GET / HTTP/1.1\r\n\r\n")
        # Two are at it, and wait for the same.
        self.assertEqual(len(waiting), 1)
        early = [Answer.parse(data)[0].code for c in connections if (data := c.take())]
        self.assertEqual(early, [503] * 3)
        while waiting:
            AtOnce().callInThreadWithCallback(*waiting.pop())
        late = [Answer.parse(data)[0].code for c in connections if (data := c.take())]
        self.assertEqual(late, [200] * (IN_LINE + 2))
