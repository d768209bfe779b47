# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
CURVE key pairs, the files they lie in, and which keys a node needs.

Two JSON files, in flocksy's format, with endpoints as in the configuration
(relative ipc paths are relative to the key file):

 - the keystore, others' public keys:
   C{{"<endpoint>": "<Z85 public key>", …}}
 - the private key file, this node's own pairs, readable by its owner alone:
   C{{"<endpoint>": {"public_key": "<Z85>", "private_key": "<Z85>"}, …}}

A node is one member, whatever the number of its hostnames: it has the pair of
the first hostname that the private key file lists.

The keys of the sample configuration are known to everybody.  A file that holds
nothing else may be readable by all (a checkout makes it so), and in return
they are refused for every address that can be reached from outside.
"""

from __future__ import annotations

import contextlib
import json
import os
import stat
import tempfile
from collections.abc import Iterable, Sequence

import attrs
import nacl.encoding
import nacl.hash
import nacl.public

from flocknode import addresses, z85
from flocknode.config import Config
from flocknode.errors import ConfigError, KeyFileError

SAMPLE_KEYS = frozenset(
    {
        # conf/keystore of this project
        "td*X*fU=pGZR792x/.Z2whof}NjULRXjx{k9Fly!",
        "kp=tFXZ:%9vA#0Mr<DPFr5@ai4AVL[!Tzs2gg#s:",
        "am7jU0VEV@N-E4.Lw0<BG9d>nC#dcwteoCr+=Leh",
        # published with flocksy
        "hs&C:4)t7?7oTaBa}(cuZDU#4sYv[77+{Jj73Jzt",
        "f:A+)dsWPEp+5rNbX3#oI*DMDJGta*Q(PPgv!MYa",
        "RACQAZNT]S1p!^>d0j+]LA?T@?*k(w6:Amm&Kvf3",
    }
)
"""Public keys whose secret halves are published; never for real use."""

LONGEST = 1 << 20
"""Bytes of a key file: some ten thousand nodes."""


def member_id(public: str) -> bytes:
    """
    @param public: a Z85 public key.
    @return: 16 bytes: BLAKE2b of the 40 characters.
    """
    encoder = nacl.encoding.RawEncoder
    return nacl.hash.blake2b(public.encode("ascii"), digest_size=16, encoder=encoder)


@attrs.frozen
class KeyPair:
    """
    @ivar public: 40 characters of Z85.
    @ivar secret: 40 characters of Z85; never shown.
    """

    public: str
    secret: str = attrs.field(repr=False)

    @classmethod
    def generate(cls) -> KeyPair:
        """A new pair from the system's randomness."""
        secret = nacl.public.PrivateKey.generate()
        return cls(z85.encode(bytes(secret.public_key)), z85.encode(bytes(secret)))

    @property
    def id(self) -> bytes:
        """The member id: 16 bytes."""
        return member_id(self.public)


@attrs.frozen
class Credentials:
    """
    The keys that a node needs.

    @ivar own: its pair.
    @ivar peers: (endpoint, Z85 public key) of each configured node, in order.
    """

    own: KeyPair
    peers: tuple[tuple[str, str], ...]


def credentials(config: Config) -> Credentials:
    """
    @raise KeyFileError: a file is missing, unreadable, too readable, or wrong.
    @raise ConfigError: it has no key for a hostname or node that is configured.
    """
    pairs = read_pairs(config.privatekey)
    own = next((pairs[name] for name in config.hostnames if name in pairs), None)
    if own is None:
        name = config.hostnames[0]
        raise ConfigError(
            f"{_place(config, name)}: hostname = {name}: {config.privatekey} has no key pair for"
            f" it, expected one, which 'flocknode keys create {name}' makes"
        )
    known = read_keystore(config.keystore) if config.nodes or _exists(config.keystore) else {}
    peers = tuple((node, _peer(config, known, node)) for node in config.nodes)
    _check_distinct(config, own, peers, known)
    _check_samples([(name, own.public) for name in config.hostnames] + list(peers), config)
    return Credentials(own, peers)


def _place(config: Config, endpoint: str) -> str:
    return config.places.get(endpoint, "the configuration")


def _peer(config: Config, known: dict[str, str], node: str) -> str:
    if node not in known:
        raise ConfigError(
            f"{_place(config, node)}: node = {node}: the keystore {config.keystore} has no key"
            f" for it, expected the one its owner gives out, added with"
            f" 'flocknode keys add {node} KEY'"
        )
    return known[node]


def _check_distinct(
    config: Config, own: KeyPair, peers: Iterable[tuple[str, str]], known: dict[str, str]
) -> None:
    """
    Nobody has this node's own key.  Two endpoints with one key are fine: they
    are one member that is reached in two ways.
    """
    for node, public in peers:
        if public == own.public:
            raise ConfigError(
                f"{_place(config, node)}: node = {node}: the keystore {config.keystore} gives it"
                " this node's own key, expected a key of its own"
            )
    for name in config.hostnames:
        if known.get(name, own.public) != own.public:
            raise ConfigError(
                f"{_place(config, name)}: hostname = {name}: the keystore {config.keystore} and"
                f" the private key file {config.privatekey} disagree on its public key,"
                " expected the same in both"
            )


def _check_samples(members: Iterable[tuple[str, str]], config: Config) -> None:
    for endpoint, public in members:
        if public in SAMPLE_KEYS and not addresses.is_local(endpoint):
            raise ConfigError(
                f"{_place(config, endpoint)}: {endpoint} has a sample key, whose secret half is"
                " published, expected a key of its own for an address that others can reach"
            )


def read_keystore(path: str) -> dict[str, str]:
    """
    @return: endpoint in normal form to Z85 public key.
    @raise KeyFileError: one sentence.
    """
    entries, mode = _read(path)
    if mode & stat.S_IWOTH:
        raise KeyFileError(
            f"{path} can be written by everybody, who could then let anybody in;"
            " run chmod o-w on it"
        )
    keys: dict[str, str] = {}
    for endpoint, public in entries.items():
        keys[_endpoint(path, endpoint, keys)] = _key(path, endpoint, public)
    return keys


def read_pairs(path: str) -> dict[str, KeyPair]:
    """
    @return: endpoint in normal form to key pair.
    @raise KeyFileError: one sentence.
    """
    entries, mode = _read(path)
    pairs: dict[str, KeyPair] = {}
    for endpoint, entry in entries.items():
        if not isinstance(entry, dict):
            raise KeyFileError(f"{path}: {endpoint}: expected public_key and private_key")
        public = _key(path, endpoint, entry.get("public_key"), "public_key")
        secret = _key(path, endpoint, entry.get("private_key"), "private_key")
        if bytes(nacl.public.PrivateKey(z85.decode(secret)).public_key) != z85.decode(public):
            raise KeyFileError(f"{path}: {endpoint}: the two keys are not halves of one pair")
        pairs[_endpoint(path, endpoint, pairs)] = KeyPair(public, secret)
    published = all(pair.public in SAMPLE_KEYS for pair in pairs.values())
    if mode & 0o077 and not published:
        raise KeyFileError(f"{path} can be read by others than its owner; run chmod 600 on it")
    return pairs


def create(path: str, endpoints: Sequence[str]) -> dict[str, KeyPair]:
    """
    Make sure that all these hostnames of one node have a key pair, the same
    for all that have none yet; what is there stays as it is.

    @param path: the private key file; made if it does not exist.
    @param endpoints: in normal form.
    @return: the pair of each.
    @raise KeyFileError: one sentence.
    """
    pairs = read_pairs(path) if _exists(path) else {}
    mine = {endpoint: pairs[endpoint] for endpoint in endpoints if endpoint in pairs}
    new = next(iter(mine.values()), None) or KeyPair.generate()
    entries = _read(path)[0] if pairs else {}
    lacking = [endpoint for endpoint in endpoints if endpoint not in mine]
    for endpoint in lacking:
        mine[endpoint] = new
        entries[endpoint] = {"public_key": new.public, "private_key": new.secret}
    if lacking:
        _write(path, entries, 0o600)
    return mine


def add(path: str, endpoint: str, public: str) -> bool:
    """
    Put another node's public key into the keystore.

    @param path: the keystore; made if it does not exist.
    @param endpoint: in normal form.
    @param public: its Z85 public key.
    @return: whether it had none: false, it is the one that was there already.
    @raise KeyFileError: one sentence; also if the endpoint has another key.
    """
    _key("the key", endpoint, public)
    known = read_keystore(path) if _exists(path) else {}
    if known.get(endpoint, public) != public:
        raise KeyFileError(
            f"{path}: {endpoint} has another key already; if that is no longer its key, take it"
            " out of the file first"
        )
    if endpoint in known:
        return False
    entries = _read(path)[0] if known else {}
    _write(path, {**entries, endpoint: public}, _read(path)[1] if entries else 0o644)
    return True


def _exists(path: str) -> bool:
    return os.path.lexists(path)


def _read(path: str) -> tuple[dict[str, object], int]:
    """The entries of a key file as they are written, and its permission bits."""
    try:
        with open(path, "rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            data = file.read(LONGEST + 1)
    except FileNotFoundError:
        raise KeyFileError(
            f"there is no key file {path}; 'flocknode keys' makes one, --keystore and --privatekey"
            " name another"
        ) from None
    except OSError as error:
        raise KeyFileError(f"the key file {path} cannot be read: {error.strerror}") from None
    try:
        if len(data) > LONGEST:
            raise ValueError
        entries = json.loads(data.decode("utf-8"), object_pairs_hook=_unique)
        if not isinstance(entries, dict):
            raise ValueError
    except (ValueError, RecursionError):
        raise KeyFileError(
            f"{path} is no key file: expected a JSON object with each endpoint once"
        ) from None
    return entries, stat.S_IMODE(mode)


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    entries = dict(pairs)
    if len(entries) != len(pairs):
        raise ValueError
    return entries


def _endpoint(path: str, text: str, taken: Iterable[str]) -> str:
    try:
        endpoint = addresses.normal(text, os.path.dirname(os.path.abspath(path)))
    except ValueError as error:
        raise KeyFileError(f"{path}: {text[:200]!r}: {error}") from None
    if endpoint in taken:
        raise KeyFileError(f"{path}: {endpoint} is there twice, expected it once")
    return endpoint


def _key(path: str, endpoint: str, text: object, name: str = "public key") -> str:
    """Checks that it is a key; never puts what may be a secret into the error."""
    if isinstance(text, str) and len(text) == 40:
        with contextlib.suppress(KeyFileError):
            z85.decode(text)
            return text
    raise KeyFileError(f"{path}: {endpoint[:200]}: expected a {name} of 40 characters of Z85")


def _write(path: str, entries: dict[str, object], mode: int) -> None:
    """All or nothing: a file beside it that takes its place when it is on disk."""
    data = (json.dumps(entries, indent=1) + "\n").encode()
    target = os.path.realpath(path)
    folder = os.path.dirname(target)
    try:
        os.makedirs(folder, 0o700, exist_ok=True)
        # mkstemp makes it 0600, so a secret is never readable by others
        descriptor, beside = tempfile.mkstemp(prefix=".flocknode-", dir=folder)
        try:
            with open(descriptor, "wb") as file:
                file.write(data)
                os.fchmod(descriptor, mode)
                file.flush()
                os.fsync(descriptor)
            os.rename(beside, target)
        except BaseException:
            os.unlink(beside)
            raise
        parent = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(parent)
        finally:
            os.close(parent)
    except OSError as error:
        raise KeyFileError(f"the key file {path} cannot be written: {error.strerror}") from None
