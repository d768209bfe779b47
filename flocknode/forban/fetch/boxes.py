# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
Where what is fetched goes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import attrs

from flocknode.forban.catalogue import tops
from flocknode.forban.shelf import Shelf


@attrs.frozen
class Boxes:
    """
    The public boxes.

    With several public boxes, a path whose first component stands for one
    (L{flocknode.forban.catalogue.tops}) goes into that one, without it; everything
    else into the default one.

    @ivar shelves: the public boxes, by name; at least one.
    @ivar default: name of one of them.
    @ivar is_shared: does a flock share the box of this name?
    """

    shelves: Mapping[str, Shelf]
    default: str
    is_shared: Callable[[str], bool]

    @property
    def tops(self) -> dict[str, str]:
        """First component of a path to the name of the box."""
        return {top[:-1].decode(): name for name, top in tops(self.shelves).items() if top}
