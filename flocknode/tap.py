# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
C{twistd flocknode}: its options, with flocksy's letters, and the service.

What a user can have done wrong ends as one sentence on standard error and exit
code 1, before the reactor runs.
"""

from __future__ import annotations

import signal
from collections.abc import Sequence
from typing import Any

from twisted.application.service import IService, MultiService
from twisted.python import usage

from flocknode import config, keys, ownprocess
from flocknode.errors import FlocknodeError

_TWISTD_PIDFILE = "twistd.pid"
"""twistd's own default, relative to the current folder."""


class Options(usage.Options):
    """
    Command line options.

    @ivar config: the configuration, once the options are parsed.
    """

    synopsis = "[options]"
    longdesc = (
        "Runs one node of a flock. Options take the place of what the configuration file says;"
        " --node, --box and --hostname may be repeated."
    )
    optParameters = (
        ("config", "c", None, "configuration file [default: ~/.config/flocknode/config]"),
        ("keystore", None, None, "file of the other nodes' public keys"),
        ("privatekey", None, None, "file of this node's own key pairs"),
    )
    optFlags = (
        (
            "create-private-keys",
            None,
            "make a key pair for the hostnames that have none, and exit",
        ),
    )
    compData = usage.Completions(
        optActions={
            "config": usage.CompleteFiles(),
            "keystore": usage.CompleteFiles(),
            "privatekey": usage.CompleteFiles(),
        }
    )

    config: config.Config

    def __init__(self) -> None:
        super().__init__()
        self._nodes: list[str] = []
        self._boxes: list[str] = []
        self._hostnames: list[str] = []

    def opt_node(self, endpoint: str) -> None:
        """A peer, such as tcp://192.0.2.11:5671"""
        self._nodes.append(endpoint)

    def opt_box(self, box: str) -> None:
        """A folder to share, as name@path"""
        self._boxes.append(box)

    def opt_hostname(self, endpoint: str) -> None:
        """Where others reach this node, such as tcp://192.0.2.10:5671"""
        self._hostnames.append(endpoint)

    opt_n = opt_node
    opt_b = opt_box
    opt_p = opt_hostname

    def opt_version(self) -> None:
        """Print the version and exit."""
        from flocknode import __version__

        raise _finished(f"flocknode {__version__}")

    def parseOptions(self, options: Sequence[str] | None = None) -> None:
        """
        @raise SystemExit: with one sentence, instead of twistd's page of help.
        """
        try:
            super().parseOptions(options)
        except (usage.UsageError, FlocknodeError) as error:
            raise SystemExit(f"flocknode: {error}") from None

    def postOptions(self) -> None:
        """
        Read the configuration.

        @raise FlocknodeError: it is wrong.
        """
        # twistd looks for its pidfile even with -n, and refuses a second node in
        # one folder because of it; what keeps nodes apart is the lock in the
        # state folder.  A pidfile that was asked for is left alone.
        if self.parent is not None and self.parent.get("pidfile") == _TWISTD_PIDFILE:
            self.parent["pidfile"] = ""
        overrides = config.Overrides(
            hostnames=tuple(self._hostnames),
            nodes=tuple(self._nodes),
            boxes=tuple(self._boxes),
            keystore=self["keystore"],
            privatekey=self["privatekey"],
        )
        self.config = config.load(self["config"], overrides)
        if self["create-private-keys"]:
            pairs = keys.create(self.config.privatekey, self.config.hostnames)
            lines = [f"{endpoint} {pair.public}" for endpoint, pair in pairs.items()]
            raise _finished("\n".join(lines))


def _finished(text: str) -> SystemExit:
    """What an option that only says something ends with."""
    print(text)
    return SystemExit(0)


def build(reactor: Any, settings: config.Config) -> IService:
    """
    @return: the node, not started.
    @raise FlocknodeError: keys or state folder say no.
    """
    from flocknode.node import Node

    return Node.from_config(reactor, settings)


class _Whole(MultiService):
    """What twistd starts and stops: the node."""

    def __init__(self, reactor: Any) -> None:
        super().__init__()
        self._reactor = reactor

    def startService(self) -> None:
        """
        @raise SystemExit: with one sentence, instead of a traceback.
        """
        try:
            super().startService()
        except FlocknodeError as error:
            raise SystemExit(f"flocknode: {error}") from None
        self._reactor.callWhenRunning(self._catch)

    def _catch(self) -> None:
        """
        Being asked to end is no failure.  twistd stops on these signals as
        well, but then ends by the signal, which service supervisors and shells
        take for one.
        """
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda _number, _frame: self._reactor.callFromThread(self._end))

    def _end(self) -> None:
        if self._reactor.running:
            self._reactor.stop()


def makeService(options: Options) -> IService:
    """
    What twistd runs.

    @raise SystemExit: with one sentence.
    """
    from twisted.internet import reactor

    ownprocess.prepare()
    whole = _Whole(reactor)
    try:
        build(reactor, options.config).setServiceParent(whole)
    except FlocknodeError as error:
        raise SystemExit(f"flocknode: {error}") from None
    return whole
