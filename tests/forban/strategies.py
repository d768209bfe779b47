# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
Hypothesis strategies for what Forban nodes say.
"""

from __future__ import annotations

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from flocknode.box.paths import check_path
from flocknode.box.values import Path
from flocknode.errors import PathError
from flocknode.forban.protocol.announcement import Announcement, clean_name
from flocknode.forban.protocol.items import LARGEST, Item, is_listable
from tests.strategies import names

unhurried = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
"""For every property: no test is decided by how busy the machine is."""

uuids = st.uuids().map(str)

hmacs = st.one_of(st.just(""), st.binary(min_size=20, max_size=20).map(bytes.hex))

announcements = st.builds(Announcement, uuids, st.text().map(clean_name), hmacs)


def _listable(path: bytes) -> bool:
    try:
        return is_listable(check_path(path))
    except PathError:
        return False


paths = (
    st.lists(names(), min_size=1, max_size=5).map(b"/".join).filter(_listable).map(Path)
)
"""What can stand in an index."""

items = st.builds(Item, paths, st.integers(0, LARGEST))
