# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
What the node is doing, as frozen values: the log, the C{flocknode} command and
the console all read these and nothing else.  They never hold a secret, and
never say who made a change.
"""

from __future__ import annotations

import attrs


@attrs.frozen
class BoxStatus:
    """
    @ivar state: C{"starting"}, C{"scanning"}, C{"in sync"}, C{"receiving"},
        C{"waiting"} (for somebody's answer), C{"offline"} or C{"error"}.
    @ivar reason: one sentence when waiting, offline or in error, or if the
        index had to be built anew since the start; else empty.
    @ivar files: files and symlinks held; C{size} their bytes.
    @ivar needed: files still to be received or placed; C{needed_bytes} of them.
    @ivar conflicts: names of conflict siblings that are there now.
    @ivar problems: (path as text, one sentence) of what cannot be read or
        placed, at most 100.
    @ivar scanned: entries looked at by the scan that is going on.
    @ivar watcher: how changes are heard of: C{"inotify"}, C{"watchdog"} or
        C{"polling"}; empty while the folder is not there.
    @ivar watching: one sentence if that is less than the system's own way.
    @ivar public: everybody on the local network may have it, by Forban.
    """

    name: str
    path: str
    state: str = "starting"
    reason: str = ""
    files: int = 0
    size: int = 0
    needed: int = 0
    needed_bytes: int = 0
    conflicts: tuple[str, ...] = ()
    problems: tuple[tuple[str, str], ...] = ()
    scanned: int = 0
    watcher: str = ""
    watching: str = ""
    public: bool = False


@attrs.frozen
class MemberStatus:
    """
    @ivar address: where this node reaches it.
    @ivar id: the member id, hexadecimal.
    @ivar lacking: bytes held complete here that it does not show complete.
    """

    address: str
    id: str
    alive: bool
    lacking: int = 0


@attrs.frozen
class NodeStatus:
    """
    @ivar crowd: members alive, this node included: among how many a change
        hides.
    @ivar cover: C{"rounds"} or C{"constant"}: what is in force, whoever asks for it.
    @ivar code: Flock status code shown in the heartbeats.
    @ivar round_id: 0 when no round is on, and under constant cover.
    @ivar rate: bytes per second and link in force.
    @ivar narrowest: whose C{uplink} (or cover rate, under constant cover) the rate is
        bounded by: an address, C{"this node"}, or empty: it is what the network carries.
    @ivar filled: share (0 to 1) of frames sent that carried something.
    @ivar lateness_ms: of emission: mean, median, 99th percentile, worst.
    @ivar content_sent: bytes of content sent in pieces since the start, and
        C{content_received}.
    @ivar last_error: one sentence, or empty.
    """

    version: str
    members: tuple[MemberStatus, ...] = ()
    boxes: tuple[BoxStatus, ...] = ()
    crowd: int = 1
    cover: str = "rounds"
    code: int = 100
    round_id: int = 0
    rate: int = 0
    narrowest: str = ""
    rounds: int = 0
    unfinished: int = 0
    filled: float = 0.0
    lateness_ms: tuple[float, float, float, float] = (0.0, 0.0, 0.0, 0.0)
    content_sent: int = 0
    content_received: int = 0
    last_error: str = ""
