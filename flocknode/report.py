# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
What the C{flocknode} command shows, as tables.  Names of files and boxes come
from others: nothing in them reaches the terminal as anything but text.
"""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from flocknode.status import BoxStatus, NodeStatus

SHOWN = 10
"""Conflicts and problems shown of each box; the rest is counted."""

_CODES = {
    100: "idle",
    150: "round ended",
    155: "round stopping",
    410: "giving up a round",
}


def plain(text: str) -> str:
    """
    @return: the text with all that is not printable written as an escape.
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def size(count: int) -> str:
    """
    @param count: bytes.
    @return: with a binary unit: C{17 B}, C{1.5 MiB}.
    """
    value, unit = float(count), "B"
    for larger in ("KiB", "MiB", "GiB", "TiB"):
        if value < 1024:
            break
        value, unit = value / 1024, larger
    return f"{value:.0f} B" if unit == "B" else f"{value:.1f} {unit}"


def doing(code: int) -> str:
    """
    @param code: a Flock status code.
    @return: what it means, for people.
    """
    if code in _CODES:
        return _CODES[code]
    return "in a round" if 110 <= code < 120 or 140 <= code < 150 else "preparing a round"


def show_status(console: Console, status: NodeStatus) -> None:
    """
    What a node is doing: members, flock, boxes, what is wrong.
    """
    console.print(_flock(status))
    console.print(_members(status))
    console.print(_boxes(status))
    for box in status.boxes:
        for line in _notes(box):
            console.print(Text(line), soft_wrap=True)
    if status.last_error:
        console.print(Text(f"last error: {plain(status.last_error)}"), soft_wrap=True)


def show_keys(console: Console, own: Mapping[str, str], others: Mapping[str, str]) -> None:
    """
    @param own: endpoint to public key of this node.
    @param others: the same of the keystore.
    """
    rows = table("whose", "public key", "endpoint")
    rows.columns[1].no_wrap = True  # to be copied
    for endpoint, public in own.items():
        rows.add_row("own", Text(public), Text(plain(endpoint)))
    for endpoint, public in others.items():
        if endpoint not in own:
            rows.add_row("other", Text(public), Text(plain(endpoint)))
    console.print(rows)


def show_versions(console: Console, versions: Sequence[Mapping[str, Any]]) -> None:
    """
    @param versions: what the node answers to C{versions}.
    """
    rows = table("kept", "id", "changed", "size", "kind", "path")
    for version in versions:
        rows.add_row(
            moment(version["kept"]),
            version["id"][:8],
            moment(version["mtime"]),
            size(version["size"]),
            version["kind"],
            Text(plain(version["path"])),
        )
    console.print(rows)


def show_conflicts(console: Console, boxes: Mapping[str, Sequence[Mapping[str, Any]]]) -> None:
    """
    @param boxes: what the node answers to C{conflicts}.
    """
    rows = table("box", "file", "conflict copy", "changed", "size")
    for name, conflicts in boxes.items():
        for conflict in conflicts:
            gone = "" if conflict["there"] else " (gone)"
            rows.add_row(
                Text(plain(name)),
                Text(plain(conflict["of"]) + gone),
                Text(plain(conflict["path"])),
                moment(conflict["mtime"]),
                size(conflict["size"]),
            )
    console.print(rows)


def moment(seconds: float) -> str:
    """
    @param seconds: since the epoch.
    @return: local time, as C{flocknode restore} takes it.
    """
    try:
        return datetime.datetime.fromtimestamp(seconds).isoformat(" ", "seconds")
    except (ValueError, OverflowError, OSError):
        return "?"


def table(*columns: str) -> Table:
    """One without lines, its columns under these names."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for column in columns:
        table.add_column(column, overflow="fold")
    return table


def _flock(status: NodeStatus) -> RenderableType:
    constant = status.cover == "constant"
    what = "under constant cover" if constant else doing(status.code)
    lines = [
        f"flocknode {plain(status.version)}: {what} (status {status.code})",
        f"crowd: a change hides among {status.crowd} nodes"
        if status.crowd > 1
        else "crowd: no other node is alive",
        "cover: all the time"
        if constant
        else f"rounds: {status.rounds} since the start, {status.unfinished} of them with something"
        " left over",
        f"link rate: {size(status.rate)}/s{_bound(status)}",
    ]
    if status.rounds or constant:
        _mean, median, late, worst = status.lateness_ms
        lines.append(
            f"emission is late by {median:.2f} ms (median), {late:.1f} ms (99 %),"
            f" {worst:.0f} ms (worst)"
        )
    if status.round_id:
        lines.insert(1, f"round: {status.round_id}")
    return Group(*map(Text, lines), "")


def _bound(status: NodeStatus) -> str:
    """What keeps the rate from being greater, if that can be set."""
    if not status.narrowest:
        return ""
    what = "cover_rate or uplink" if status.cover == "constant" else "uplink"
    return f" (limit: {what} of {plain(status.narrowest)})"


def _members(status: NodeStatus) -> RenderableType:
    if not status.members:
        return Text("no other nodes are configured\n")
    rows = table("member", "is", "lacks")
    for member in status.members:
        presence = "alive" if member.alive else "absent"
        rows.add_row(*map(Text, (plain(member.address), presence, size(member.lacking))))
    return Group(rows, "")


def _boxes(status: NodeStatus) -> RenderableType:
    if not status.boxes:
        return Text("no boxes are configured")
    rows = table("box", "folder", "is", "holds")
    for box in status.boxes:
        holds = f"{box.files} files, {size(box.size)}{', public' if box.public else ''}"
        rows.add_row(*map(Text, (plain(box.name), plain(box.path), _state(box), holds)))
    return rows


def _state(box: BoxStatus) -> str:
    if box.state == "receiving":
        return f"receiving {box.needed} of {box.files + box.needed} ({size(box.needed_bytes)})"
    if box.state == "scanning":
        return f"scanning, {box.scanned} so far"
    return box.state


def _notes(box: BoxStatus) -> list[str]:
    name = plain(box.name)
    lines = [f"{name}: {plain(box.reason)}"] if box.reason else []
    if box.watching:
        lines.append(f"{name}: watched by {plain(box.watcher)}: {plain(box.watching)}")
    for path in box.conflicts[:SHOWN]:
        lines.append(f"{name}: conflict: {plain(path)}")
    if len(box.conflicts) > SHOWN:
        lines.append(f"{name}: and {len(box.conflicts) - SHOWN} conflicts more")
    for path, reason in box.problems[:SHOWN]:
        lines.append(f"{name}: {plain(path)}: {plain(reason)}")
    if len(box.problems) > SHOWN:
        lines.append(f"{name}: and {len(box.problems) - SHOWN} problems more")
    return lines
