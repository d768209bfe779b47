# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
What Forban needs of a box: a public box is a shelf.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from twisted.internet.defer import Deferred

from flocknode.box.listing import Known, ListedFile, Listing, Mark, Offer, OpenFile
from flocknode.box.values import Path
from flocknode.errors import BoxError


class Shelf(Protocol):
    """
    A box whose files are public (L{flocknode.box.public.PublicBox} is one).
    Everything is called, and answers, in the reactor's thread, which never
    waits for a disk.
    """

    @property
    def name(self) -> str:
        """Of the box."""

    def tell(self, changed: Callable[[], object]) -> None:
        """Call this whenever L{listing} may say something else."""

    def mark(self) -> Deferred[Mark]:
        """
        Remember this moment.

        @raise BoxError: that cannot be said now.
        """

    def listing(self, mark: Mark | None = None) -> Deferred[Listing]:
        """
        What the box holds now.

        @param mark: after which nothing is settled; without it, all is.
        @raise BoxError: that cannot be said now.
        """

    def open(self, file: ListedFile) -> Deferred[OpenFile]:
        """
        Open a file as it was listed, for reading.

        @raise BoxError: it is not there any more as it was listed.
        """

    def known(self, paths: Sequence[Path]) -> Deferred[list[Known]]:
        """
        What the box knows of each of these paths.

        @raise BoxError: that cannot be said now.
        """

    def find(self, content: bytes) -> Deferred[ListedFile | None]:
        """
        A file that the box holds with this content.

        @param content: its hash, see L{flocknode.box.content}.
        @raise BoxError: that cannot be said now.
        """

    def adopt(self, offers: Sequence[Offer]) -> Deferred[list[Path | BoxError]]:
        """
        Take files into the box, as if its owner had put them there, one after
        the other.  Nothing is replaced: if something else is at the path of one,
        it gets the name of a conflict beside it.  What the owner deleted, also
        under the name of a conflict, comes back only if it was asked for.

        The sources are copied (or cloned, where the file system can) and left
        alone.  Together they cost much less than each alone; whoever has many
        offers some hundred at a time.

        @return: for each, where it lies now, or where the same content lay
            already; or one sentence on why it cannot be taken (L{Refused
            <flocknode.box.listing.Refused>}: nor another time).
        @raise BoxError: that cannot be done now.
        """
