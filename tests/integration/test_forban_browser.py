# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
The site in a real browser, Debian's Chromium: looked at, searched, downloaded
from, on a small and a large screen, by day and by night.  Nothing that anybody
says runs, and nothing is loaded from elsewhere.

The pictures that are taken lie in the folder that C{FLOCKNODE_SCREENSHOTS} names,
or else in trial's.
"""

from __future__ import annotations

import os
import shutil
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from twisted.internet.threads import deferToThread
from twisted.python.threadpool import ThreadPool
from twisted.trial.unittest import TestCase

from flocknode.forban.site.pages import Own
from tests.forban.site.sites import BETTY, MARKUP, OWN, TestSite, furnish

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")

CAROL = "0c0c0c0c-0c0c-4c0c-8c0c-0c0c0c0c0c0c"

THEIRS = bytes(range(256)) * 5000

WIDTHS = (360, 1280)
"""Of a small phone and of a laptop, in CSS pixels."""

PATIENCE = 60_000
"""Milliseconds after which the browser gives up; generous, since the machine may
be busy."""


class Visit:
    """
    Somebody who looks at the site; for a thread.

    @ivar wrong: what happened that must not.
    """

    def __init__(self, base: str, other: str, pictures: Path) -> None:
        """
        @param base: the site, and C{other} that of a neighbour; URLs.
        @param pictures: folder for them.
        """
        self.base = base
        self.other = other
        self.pictures = pictures
        self.wrong: list[str] = []

    def run(self) -> None:
        """Look at it on all screens."""
        from playwright.sync_api import sync_playwright

        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(
                # It is told to do without its sandbox where it would refuse to run.
                executable_path=CHROMIUM,
                chromium_sandbox=os.getuid() != 0,
            )
            for scheme in ("light", "dark"):
                for width in WIDTHS:
                    context = browser.new_context(
                        viewport={"width": width, "height": 800},
                        color_scheme=scheme,
                        accept_downloads=True,
                    )
                    context.set_default_timeout(PATIENCE)
                    page = context.new_page()
                    page.on("dialog", self.dialog)
                    page.on("pageerror", lambda error: self.wrong.append(str(error)))
                    page.on("console", lambda message: self.wrong.append(message.text))
                    page.on("request", self.request)
                    self.walk(page, f"{width}-{scheme}")
                    context.close()
            browser.close()

    def dialog(self, dialog: Any) -> None:
        """A script has run."""
        self.wrong.append(f"dialog: {dialog.message}")
        dialog.dismiss()

    def request(self, request: Any) -> None:
        """The browser wants something."""
        if not request.url.startswith((self.base, self.other)):
            self.wrong.append(f"asked for {request.url}")

    def walk(self, page: Any, screen: str) -> None:
        """The way of one visitor."""
        page.goto(self.base)
        self.look(page, f"home-{screen}")
        page.get_by_role("link", name="Browse", exact=True).click()
        self.look(page, f"own-{screen}")
        self.take(page, "read me first.txt", bytes(812))
        page.get_by_role("link", name="Photos").click()
        page.get_by_role("link", name="roof").click()
        self.look(page, f"folder-{screen}")
        page.get_by_role("link", name="Who is here").click()
        page.get_by_role("link", name="betty's laptop", exact=True).click()
        page.get_by_role("link", name="Maps").click()
        page.get_by_role("link", name="Next").click()
        self.look(page, f"pages-{screen}")
        page.get_by_role("searchbox").fill("<script>alert")
        page.get_by_role("searchbox").press("Enter")
        page.get_by_role("heading", name="<script>alert”").wait_for()
        self.look(page, f"search-{screen}")
        if page.get_by_text(MARKUP.replace("/", "_")).count() < 1:
            self.wrong.append("what was searched for is not shown")
        page.get_by_role("searchbox").fill("zebra")
        page.get_by_role("button", name="Search").click()
        page.get_by_text("Nothing was found").wait_for()
        self.look(page, f"nothing-{screen}")
        page.goto(f"{self.base}v/{CAROL}")
        self.look(page, f"lacking-{screen}")
        self.take(page, "a+b & c.bin", THEIRS)

    def look(self, page: Any, name: str) -> None:
        """Is it all to be seen?  Take a picture of it."""
        if page.evaluate("document.documentElement.scrollWidth > window.innerWidth"):
            self.wrong.append(f"{name} is wider than the screen")
        small = page.evaluate(
            """[...document.querySelectorAll('.row, .search button, .brand, .button')]
               .filter(e => e.getBoundingClientRect().height < 40).map(e => e.className)"""
        )
        if small:
            self.wrong.append(f"{name}: too small for a finger: {small}")
        page.screenshot(path=self.pictures / f"{name}.png", full_page=True)

    def take(self, page: Any, name: str, data: bytes) -> None:
        """Download a file."""
        with page.expect_download() as waiting:
            page.get_by_role("link", name=name).click()
        download = waiting.value
        if download.suggested_filename != name:
            self.wrong.append(f"{name} is called {download.suggested_filename}")
        if Path(download.path()).read_bytes() != data:
            self.wrong.append(f"{name} is not as it was")


class InABrowser(TestCase):
    """Chromium."""

    timeout = 600

    if find_spec("playwright") is None or CHROMIUM is None:
        skip = "Needs Chromium, and playwright to lead it."

    def setUp(self) -> None:
        from twisted.internet import reactor

        self.reactor: Any = reactor
        self.threads = ThreadPool(0, 4)
        self.threads.start()
        self.addCleanup(self.threads.stop)

    def listen(self, own: Own) -> tuple[TestSite, int]:
        """A site on loopback, and its port."""
        site = TestSite(self.reactor, self.mktemp(), self.threads, own)
        port = self.reactor.listenTCP(0, site.site, interface="127.0.0.1")
        self.addCleanup(port.stopListening)
        return site, port.getHost().port

    async def test_it_can_be_looked_at_searched_and_taken_from(self) -> None:
        site, port = self.listen(OWN)
        furnish(site)
        carol, other = self.listen(Own(CAROL, "carol"))
        carol.put(b"a+b & c.bin", THEIRS)
        site.hear(CAROL, "carol", "127.0.0.1", other)
        site.indexes.put(CAROL, [(b"a+b & c.bin", len(THEIRS))])
        self.assertIsNotNone(site.neighbours.get(BETTY))
        pictures = Path(os.environ.get("FLOCKNODE_SCREENSHOTS") or self.mktemp())
        pictures.mkdir(parents=True, exist_ok=True)
        visit = Visit(f"http://127.0.0.1:{port}/", f"http://127.0.0.1:{other}/", pictures)
        await deferToThread(visit.run)
        self.assertEqual(visit.wrong, [])
        self.assertEqual(len(list(pictures.glob("*.png"))), 7 * 2 * len(WIDTHS))
        for shown in site, carol:
            for opened in shown.shelf.opened:
                self.assertEqual(opened._descriptor, -1)
