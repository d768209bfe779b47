# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
The configuration: a text file (L{flocknode.configtext} reads its lines) and
what the options of C{twistd} put in its place, as frozen values.  All that can
be wrong with it is found here, before anything is opened, and said in one
sentence that names file, line and key and what was expected.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import attrs

from flocknode import configkeys, configtext
from flocknode.box import retention
from flocknode.box.retention import Policy
from flocknode.errors import ConfigError
from flocknode.forban.settings import ForbanSettings
from flocknode.media import names


@attrs.frozen
class BoxConfig:
    """
    @ivar path: absolute, or a folder on a medium: C{label:…}, C{uuid:…}.
    @ivar forban: also public through Forban.
    @ivar versions: which replaced and deleted content is kept.
    @ivar versions_size: bytes that it may take in all; C{None}: as many as it takes.
    @ivar symlinks: C{copy}, C{follow} or C{ignore}.
    @ivar watch: how changes are heard of: C{auto}, C{inotify}, C{watchdog} or
        C{polling}.
    @ivar media: media that carry the marker of this box join it: C{auto}, or
        C{off}.
    @ivar confirm_deletes: see L{BoxSettings}.
    """

    name: str
    path: str
    forban: bool = False
    versions: Policy = retention.DEFAULT
    symlinks: str = "copy"
    versions_size: int | None = None
    watch: str = "auto"
    media: str = "off"
    confirm_deletes: float | None = None


@attrs.frozen
class FlockConfig:
    """
    @ivar protocol: C{auto}, C{2} or C{1.0}.
    @ivar cover: C{rounds} or C{constant}.
    @ivar uplink: what this node may send in all, bytes per second.
    @ivar cover_rate: bytes per second and link under constant cover.
    @ivar decoys: rounds an hour that are called for nothing.
    @ivar min_members: rounds wait below this many alive, this node counted.
    """

    protocol: str = "auto"
    cover: str = "rounds"
    uplink: int = 12_500_000
    cover_rate: int = 65_536
    min_members: int = 2
    decoys: int = 0


@attrs.frozen
class ConsoleConfig:
    """
    @ivar listen: a Twisted endpoint string; C{None}: no console.
    """

    listen: str | None = "tcp:12556:interface=127.0.0.1"


@attrs.frozen
class Config:
    """
    What a node is told.  Every path is absolute, every endpoint in the normal
    form of L{flocknode.addresses}.

    @ivar hostnames: where others reach this node; at least one.
    @ivar nodes: the peers; never one of C{hostnames}, none twice.
    @ivar notes: sentences on what is set but not used by this version.
    @ivar places: endpoint, of the flock or of C{listen}, to where it was
        configured, for errors.
    """

    hostnames: tuple[str, ...]
    nodes: tuple[str, ...]
    boxes: tuple[BoxConfig, ...]
    keystore: str
    privatekey: str
    state: str
    flock: FlockConfig = FlockConfig()
    forban: ForbanSettings = attrs.field(factory=ForbanSettings)
    console: ConsoleConfig = ConsoleConfig()
    notes: tuple[str, ...] = attrs.field(default=(), eq=False)
    places: Mapping[str, str] = attrs.field(factory=dict, eq=False, repr=False)


@attrs.frozen
class Overrides:
    """
    What options put in the place of the file's keys.  Relative paths in them
    are relative to the current folder.
    """

    hostnames: tuple[str, ...] = ()
    nodes: tuple[str, ...] = ()
    boxes: tuple[str, ...] = ()
    keystore: str | None = None
    privatekey: str | None = None


def _home(variable: str, otherwise: str) -> str:
    folder = os.environ.get(variable, "")
    return folder if os.path.isabs(folder) else os.path.expanduser(otherwise)


def default_folder() -> str:
    """Where configuration and keys lie if nothing else is said."""
    return os.path.join(_home("XDG_CONFIG_HOME", "~/.config"), "flocknode")


def _existing(name: str, flocksy: str) -> str:
    """Our own default path, or flocksy's if only that is there."""
    own = os.path.join(default_folder(), name)
    theirs = os.path.expanduser(flocksy)
    return theirs if os.path.exists(theirs) and not os.path.exists(own) else own


def default_file() -> str:
    """The configuration file that is read if none is named."""
    return _existing("config", "~/.flocksy")


def default_keystore() -> str:
    """The file of others' public keys, if none is named."""
    return _existing("keystore", "~/.ssh/flocksy_keystore")


def default_privatekey() -> str:
    """The file of this node's own key pairs, if none is named."""
    return _existing("privatekeys", "~/.ssh/flocksy_privatekeys")


def default_state() -> str:
    """The state folder, if none is named."""
    return os.path.join(_home("XDG_STATE_HOME", "~/.local/state"), "flocknode")


def load(path: str | None = None, overrides: Overrides = Overrides()) -> Config:
    """
    @param path: the file; C{None}: the default one, or options alone if that
        does not exist.
    @raise ConfigError: one sentence.
    """
    file = path if path is not None else default_file()
    try:
        with open(file, "rb") as opened:
            data = opened.read(configtext.LONGEST + 1)
    except FileNotFoundError:
        if path is not None:
            raise ConfigError(f"{file}: there is no such configuration file") from None
        data, file = b"", f"{file} (which does not exist)"
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise ConfigError(f"{file}: expected a readable configuration file: {reason}") from None
    return parse(data, file, overrides)


def parse(data: bytes, file: str, overrides: Overrides = Overrides()) -> Config:
    """
    @param data: what is in the file.
    @param file: its path; relative paths in it are relative to its folder.
    @raise ConfigError: one sentence.
    """
    return _Reading(data, file, overrides).config()


@attrs.frozen
class _Found:
    value: Any
    where: str


class _Reading:
    """What was found while a file and the options are read."""

    def __init__(self, data: bytes, file: str, overrides: Overrides) -> None:
        self._file = file
        self._found: dict[tuple[str, str, str], list[_Found]] = {}
        self._sections: dict[str, str] = {}
        self._notes: list[str] = []
        folder = os.path.dirname(os.path.abspath(file))
        for setting in configtext.settings(data, file):
            self._read(setting, folder)
        # boxes that options replace may still have their sections
        self._replaced = {found.value[0] for found in self._all("box")}
        self._override("hostname", overrides.hostnames)
        self._override("node", overrides.nodes)
        self._override("box", overrides.boxes)
        for key, value in (("keystore", overrides.keystore), ("privatekey", overrides.privatekey)):
            self._override(key, () if value is None else (value,))

    def _read(self, setting: configtext.Setting, folder: str) -> None:
        where = f"{self._file}, line {setting.line}"
        keys = configkeys.KEYS.get(setting.section)
        if keys is None or (setting.name != "") != (setting.section == "box"):
            title = shown(f"[{setting.section} {setting.name}]".replace(" ]", "]"))
            raise ConfigError(
                f"{where}: {title} is no section, expected [box NAME], [flock], [forban]"
                " or [console]"
            )
        key = keys.get(setting.key)
        if key is None:
            place = f" in [{setting.section}]" if setting.section else ""
            hint = ""
            if setting.key in configkeys.KEYS[""]:
                hint = f"; {setting.key} belongs above the first section"
            raise ConfigError(
                f"{where}: {setting.key} is no key{place}, expected {', '.join(keys)}{hint}"
            )
        values = self._found.setdefault((setting.section, setting.name, setting.key), [])
        if values and not key.repeats:
            raise ConfigError(
                f"{where}: {setting.key} is already set at {values[0].where}, expected it once"
            )
        value = _parsed(key.parse, setting.key, setting.value, folder, where)
        values.append(_Found(value, where))
        if setting.section == "box":
            self._sections.setdefault(setting.name, where)
        if key.instead and value not in key.same:
            self._notes.append(
                f"{where}: {setting.key} = {shown(setting.value)} is not used by this version,"
                f" which {key.instead}"
            )

    def _override(self, key: str, values: tuple[str, ...]) -> None:
        if values:
            where, folder = f"option --{key}", os.getcwd()
            parse = configkeys.KEYS[""][key].parse
            self._found["", "", key] = [
                _Found(_parsed(parse, key, value, folder, where), where) for value in values
            ]

    def _all(self, key: str) -> list[_Found]:
        return self._found.get(("", "", key), [])

    def _one(self, key: str, otherwise: Callable[[], str]) -> _Found:
        values = self._all(key)
        return values[0] if values else _Found(otherwise(), self._file)

    def _section(self, section: str, name: str = "") -> dict[str, Any]:
        """The keyword arguments that a section's value takes."""
        found = {}
        for key, takes in configkeys.KEYS[section].items():
            values = [each.value for each in self._found.get((section, name, key), ())]
            if values:
                found[key] = tuple(values) if takes.repeats else values[0]
        return found

    def config(self) -> Config:
        """
        All of it, checked for what one line alone does not show.

        @raise ConfigError: one sentence.
        """
        if not self._all("hostname"):
            raise ConfigError(
                f"{self._file}: hostname is missing, expected where others reach this node,"
                " such as hostname = tcp://192.0.2.10:5671"
            )
        places: dict[str, str] = {}
        for found in self._all("hostname") + self._all("node"):
            places.setdefault(found.value, found.where)
        for found in self._found.get(("forban", "", "listen"), ()):
            places.setdefault(found.value, found.where)
        hostnames = tuple(dict.fromkeys(found.value for found in self._all("hostname")))
        nodes = dict.fromkeys(found.value for found in self._all("node"))
        keystore = self._one("keystore", default_keystore)
        privatekey = self._one("privatekey", default_privatekey)
        state = self._one("state", default_state)
        boxes = tuple(self._boxes())
        self._check_folders(state, {"keystore": keystore, "privatekey": privatekey})
        self._check_public(boxes)
        return Config(
            hostnames=hostnames,
            # flocksy lets a node be named twice; one's own name in a list that
            # all machines share does no harm either
            nodes=tuple(node for node in nodes if node not in hostnames),
            boxes=boxes,
            keystore=keystore.value,
            privatekey=privatekey.value,
            state=state.value,
            flock=FlockConfig(**self._section("flock")),
            forban=ForbanSettings(**self._section("forban")),
            console=ConsoleConfig(**self._section("console")),
            notes=tuple(self._notes),
            places=places,
        )

    def _boxes(self) -> Iterator[BoxConfig]:
        named: dict[str, str] = {}
        for found in self._all("box"):
            name, path = found.value
            if name in named:
                raise ConfigError(
                    f"{found.where}: box {name} is already set at {named[name]}, expected"
                    " another name"
                )
            named[name] = found.where
            yield BoxConfig(name, path, **self._section("box", name))
        for name, where in self._sections.items():
            if name not in named and name not in self._replaced:
                raise ConfigError(
                    f"{where}: [box {shown(name)}] has no box, expected a line box = <name>@<path>"
                    " above the first section"
                )

    def _check_public(self, boxes: tuple[BoxConfig, ...]) -> None:
        public = [box.name for box in boxes if box.forban]
        replaced = self._replaced - {box.name for box in boxes}
        for found in self._found.get(("forban", "", "into"), ()):
            if found.value not in public and found.value not in replaced:
                raise ConfigError(
                    f"{found.where}: into = {shown(found.value)} is no public box, expected a box"
                    f" with forban = yes{': ' * bool(public)}{', '.join(public)}"
                )

    def _check_folders(self, state: _Found, files: dict[str, _Found]) -> None:
        """
        Boxes, state and key files keep out of each other, also by way of links.
        """
        boxes = sorted(
            (_place(found.value[1]), found.value[0], found.where) for found in self._all("box")
        )
        # sorted by component, whatever lies in a folder follows it at once
        for (outer, name, _), (inner, nested, where) in itertools.pairwise(boxes):
            if inner[: len(outer)] == outer:
                raise ConfigError(
                    f"{where}: box {nested} is the folder of box {name} or lies in it,"
                    " expected folders that do not contain each other"
                )
        home = _parts(state.value)
        for folder, name, where in boxes:
            if home[: len(folder)] == folder:
                raise ConfigError(
                    f"{state.where}: state {state.value} lies in box {name}, expected a"
                    " folder outside of every box"
                )
            if folder[: len(home)] == home:
                raise ConfigError(
                    f"{where}: box {name} lies in the state folder {state.value}, expected a"
                    " folder outside of it"
                )
            for key, found in files.items():
                if _parts(found.value)[: len(folder)] == folder:
                    raise ConfigError(
                        f"{found.where}: {key} {found.value} lies in box {name} and would be"
                        " shared, expected a path outside of every box"
                    )


def _parts(path: str) -> tuple[str, ...]:
    return tuple(part for part in os.path.realpath(path).split(os.sep) if part)


def _place(path: str) -> tuple[str, ...]:
    """The parts of a box's path; those of a medium begin with its name."""
    if not names.is_spot(path):
        return _parts(path)
    spot = names.parse(path)
    return (f"{spot.kind}:", os.fsdecode(spot.name), *map(os.fsdecode, spot.path))


def shown(text: str) -> str:
    """What somebody wrote, fit for a message: short, without control characters."""
    return text[:200] if text.isprintable() else ascii(text[:200])


def _parsed(parse: configkeys.Parser, key: str, value: str, folder: str, where: str) -> object:
    try:
        return parse(value, folder)
    except UnicodeError:
        raise ConfigError(f"{where}: {key}: expected text in UTF-8") from None
    except ValueError as error:
        raise ConfigError(f"{where}: {key} = {shown(value)}: {error}") from None
