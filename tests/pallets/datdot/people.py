"""The people of a market, their keys, their hypercores, and what they send to the chain."""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from hypercore.crypto import KeyPair
from hypercore.io.core import Core
from hypercore.proof import create_range_proof, encode_block_sizes_proof
from pallets.datdot.components import (
    Components,
    DatasetInput,
    FeedInput,
    FormInput,
    PlanInput,
    ProgramInput,
    Resources,
    RoleOffer,
)
from pallets.datdot.types import Prices, Role

DAT = 10**9
GENEROUS = 100_000 * DAT
GIB = 2**30
FREE_ASK = Prices(0, 0, 0, 0, 0)
CHUNK_BYTES = 900


@dataclass(frozen=True)
class Person:
    """An account with its keys."""

    name: str

    @property
    def account(self) -> bytes:
        return self.login.public_key

    @property
    def login(self) -> KeyPair:
        return key_pair(f"{self.name}/account")

    @property
    def noise(self) -> KeyPair:
        return key_pair(f"{self.name}/noise")

    @property
    def signing(self) -> KeyPair:
        return key_pair(f"{self.name}/signing")


@cache
def key_pair(name: str) -> KeyPair:
    return KeyPair.from_seed(hashlib.blake2b(name.encode(), digest_size=32).digest())


@cache
def core(length: int, name: str = "feed") -> Core:
    """A hypercore with chunks of `CHUNK_BYTES` bytes."""
    made = Core.create(None, key_pair=key_pair(name))
    made.append([bytes([index % 251]) * CHUNK_BYTES for index in range(length)])
    return made


def sizes_proof(source: Core, first: int, last: int) -> bytes:
    return encode_block_sizes_proof(create_range_proof(source.view(), first, last))


def offer_arguments(
    roles: Iterable[Role], capacity: int, *, storage: int = GIB, components: Components | None = None, **form: Any
) -> dict[str, Any]:
    defaults: dict[str, Any] = {
        "from_": None,
        "until": None,
        "timetables": (),
        "regions": (),
        "performances": (),
        "resources": -1,
        "ask": FREE_ASK,
    }
    given = components or Components(resources=(Resources(storage, 10**7, 10**7),))
    return {
        "form": FormInput(**(defaults | form)),
        "components": given,
        "roles": tuple(RoleOffer(role, capacity) for role in roles),
    }


def plan_arguments(
    feed: Core,
    ranges: Sequence[tuple[int, int]],
    until: int,
    *,
    from_: int | None = None,
    deposit: int = GENEROUS,
    prices: Prices | None = None,
    proofs: Sequence[bytes] | None = None,
    **components: Any,
) -> dict[str, Any]:
    given = [sizes_proof(feed, first, last) for first, last in ranges] if proofs is None else proofs
    dataset = DatasetInput(-1, tuple(ranges), tuple(given))
    program = (ProgramInput((-1,), (), ()),)
    return {
        "plan": PlanInput(from_, until, program, prices),
        "components": Components(feeds=(FeedInput(feed.key, feed.head_proof()),), datasets=(dataset,), **components),
        "deposit": deposit,
    }
