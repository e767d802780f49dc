"""What a node remembers of its peers: whom to dial and when, what they did wrong, who is banned. Time is passed in."""

from __future__ import annotations

import enum
from collections.abc import Collection
from dataclasses import dataclass

from node import limits
from node.net.identity import InvalidPeerId, noise_key_of


class Offence(enum.Enum):
    """What a peer can do wrong: its weight in points, `limits.BAN_THRESHOLD` of which are a ban, and a sentence."""

    BadHandshake = 50, "It broke the handshake."
    Undecodable = 25, "It sent a frame that cannot be read."
    FrameTooLarge = 50, "It announced a frame over the bound."
    Flood = 20, "It sent more messages than its rate allows."
    RejectedItem = 10, "It passed on something that can never be valid."
    SlowAnswer = 15, "It did not answer a request in time."
    WrongAnswer = 50, "It answered a request with something else."
    OtherChain = 50, "It follows a chain that cannot be ours."
    InvalidBlock = 100, "It sent a block that breaks the rules."

    def __init__(self, weight: int, sentence: str) -> None:
        self.weight = weight
        self.sentence = sentence


class TooManyReserved(Exception):
    """No more peers can be reserved."""


def peer_id_in(address: str) -> str:
    """The peer id at the end of a multiaddr. Raises InvalidPeerId when it does not end in `/p2p/<ed25519 peer id>`."""
    prefix, separator, peer_id = address.rpartition("/p2p/")
    if not separator or not prefix:
        raise InvalidPeerId(f"the address names no peer: {address[:200]!r}")
    noise_key_of(peer_id)
    return peer_id


@dataclass
class _Conduct:
    points: float
    at: float
    banned_until: float = 0.0


@dataclass
class _Target:
    address: str
    permanent: bool
    failures: int = 0
    next_dial: float = 0.0


class PeerBook:
    """Offences, bans and dial targets, all bounded."""

    def __init__(self) -> None:
        self._conduct: dict[str, _Conduct] = {}
        self._targets: dict[str, _Target] = {}

    # ---- conduct

    def offend(self, peer_id: str, offence: Offence, now: float) -> bool:
        """Note an offence; earlier ones fade with time. Returns True when this one makes a ban."""
        conduct = self._conduct.pop(peer_id, None) or _Conduct(0.0, now)
        conduct.points = self._faded(conduct, now) + offence.weight
        conduct.at = now
        if len(self._conduct) >= limits.MAX_REMEMBERED_OFFENDERS:
            del self._conduct[next(iter(self._conduct))]  # the one whose last offence is oldest
        self._conduct[peer_id] = conduct
        if conduct.points < limits.BAN_THRESHOLD or conduct.banned_until > now:
            return False
        conduct.banned_until = now + limits.BAN_SECONDS
        conduct.points = 0.0
        return True

    def points(self, peer_id: str, now: float) -> float:
        """Return the offence points that weigh on a peer now."""
        conduct = self._conduct.get(peer_id)
        return 0.0 if conduct is None else self._faded(conduct, now)

    def is_banned(self, peer_id: str, now: float) -> bool:
        """Say whether a ban on the peer is still running."""
        conduct = self._conduct.get(peer_id)
        return conduct is not None and conduct.banned_until > now

    @staticmethod
    def _faded(conduct: _Conduct, now: float) -> float:
        return max(0.0, conduct.points - (now - conduct.at) * limits.OFFENCE_DECAY_PER_SECOND)

    # ---- whom to dial

    @property
    def permanent_peers(self) -> tuple[str, ...]:
        """The bootnodes and reserved peers, who always find a slot."""
        return tuple(peer_id for peer_id, target in self._targets.items() if target.permanent)

    def add_target(self, address: str, *, permanent: bool = False) -> str:
        """Remember where a peer can be dialled and return its id; a permanent target keeps its place and address.

        Raises InvalidPeerId when the multiaddr does not end in `/p2p/<ed25519 peer id>`.
        """
        peer_id = peer_id_in(address)
        known = self._targets.get(peer_id)
        if known is not None:
            if permanent or not known.permanent:
                known.address, known.permanent = address, permanent or known.permanent
            return peer_id
        if len(self._targets) >= limits.MAX_DIAL_TARGETS and not self._drop_one_target():
            return peer_id
        self._targets[peer_id] = _Target(address, permanent)
        return peer_id

    def release(self, peer_id: str) -> None:
        """A permanent target becomes one like any other."""
        target = self._targets.get(peer_id)
        if target is not None:
            target.permanent = False

    def due(self, now: float, not_these: Collection[str], *, permanent_only: bool = False) -> list[tuple[str, str]]:
        """Return `(peer id, address)` of the targets to dial now, permanent ones first."""
        ready = [
            (not target.permanent, peer_id, target.address)
            for peer_id, target in self._targets.items()
            if target.next_dial <= now
            and peer_id not in not_these
            and not self.is_banned(peer_id, now)
            and (target.permanent or not permanent_only)
        ]
        return [(peer_id, address) for _, peer_id, address in sorted(ready)]

    def dial_failed(self, peer_id: str, now: float) -> None:
        """Wait before the next dial, twice as long after each failure."""
        target = self._targets.get(peer_id)
        if target is not None:
            delay = limits.REDIAL_FIRST_DELAY_SECONDS * 2 ** min(target.failures, 16)
            target.failures += 1
            target.next_dial = now + min(delay, limits.REDIAL_MAX_DELAY_SECONDS)

    def postpone(self, peer_id: str, now: float, seconds: float) -> None:
        """Do not dial the peer for so long."""
        target = self._targets.get(peer_id)
        if target is not None:
            target.next_dial = now + seconds

    def session_began(self, peer_id: str) -> None:
        """A session with the peer came about: its next redial starts with the shortest delay again."""
        target = self._targets.get(peer_id)
        if target is not None:
            target.failures, target.next_dial = 0, 0.0

    def _drop_one_target(self) -> bool:
        worst = max(
            ((target.failures, peer_id) for peer_id, target in self._targets.items() if not target.permanent),
            default=None,
        )
        if worst is None:
            return False
        del self._targets[worst[1]]
        return True
