"""Where a service is reached: records signed by its noise key, of which the highest sequence wins."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Final, Protocol

import cbor2
import trio
from nacl.exceptions import BadSignatureError
from nacl.signing import SigningKey, VerifyKey

from node import limits
from node.net.cbor import InvalidMessage, bounded_text, decode, encode, fixed_bytes, flag, text_list, unsigned
from node.net.identity import noise_key_of, peer_id_of

SIGNATURE_DOMAIN: Final = b"dd/address/v1"
_UNSIGNED: Final = bytes(64)


class InvalidRecord(Exception):
    """An address record that its noise key did not sign for this chain, or that contradicts itself."""


@dataclass(frozen=True)
class AddressRecord:
    """Where the owner of `noise_key` is reached; signed with that ed25519 key for one chain.

    `addresses` are libp2p multiaddrs that end in its own peer id; `hypercore_host` and `hypercore_port` are the TCP
    endpoint of its hypercore replication ("" and 0 when it has none); `serves_chain` says that a chain node answers.
    """

    noise_key: bytes = fixed_bytes(32)
    addresses: tuple[str, ...] = text_list(limits.MAX_ADDRESSES_PER_RECORD, limits.MAX_MULTIADDRESS_BYTES)
    hypercore_host: str = bounded_text(limits.MAX_HOST_NAME_BYTES)
    hypercore_port: int = unsigned(16)
    serves_chain: bool = flag()
    sequence: int = unsigned(64)
    signature: bytes = fixed_bytes(64)

    @classmethod
    def create(
        cls,
        seed: bytes,
        genesis_hash: bytes,
        *,
        addresses: Sequence[str],
        sequence: int,
        hypercore: tuple[str, int] | None = None,
        serves_chain: bool = False,
    ) -> AddressRecord:
        """Sign a record with the ed25519 `seed` of the service. `sequence` must grow, as Unix time in ms does."""
        key = SigningKey(seed)
        host, port = hypercore or ("", 0)
        record = cls(bytes(key.verify_key), tuple(addresses), host, port, serves_chain, sequence, _UNSIGNED)
        return dataclasses.replace(record, signature=key.sign(record._signed_bytes(genesis_hash)).signature)

    @classmethod
    def decode(cls, data: bytes) -> AddressRecord:
        """Read a record. Raises InvalidRecord; the signature is not checked yet."""
        try:
            return decode(cls, data, limits.MAX_ADDRESS_RECORD_BYTES)
        except InvalidMessage as error:
            raise InvalidRecord(str(error)) from error

    def encode(self) -> bytes:
        """Return the canonical bytes of the record."""
        return encode(self)

    @property
    def peer_id(self) -> str:
        """The peer id of the noise key."""
        return peer_id_of(self.noise_key)

    @property
    def hypercore(self) -> tuple[str, int] | None:
        """The hypercore endpoint, None when the service has none."""
        return (self.hypercore_host, self.hypercore_port) if self.hypercore_port else None

    def verify(self, genesis_hash: bytes) -> None:
        """Raise InvalidRecord unless the noise key signed exactly this for the chain with that genesis."""
        if any(not address.endswith(f"/p2p/{self.peer_id}") for address in self.addresses):
            raise InvalidRecord("an address of the record names another peer")
        if bool(self.hypercore_host) != bool(self.hypercore_port):
            raise InvalidRecord("a hypercore endpoint needs host and port")
        try:
            VerifyKey(self.noise_key).verify(self._signed_bytes(genesis_hash), self.signature)
        except (BadSignatureError, ValueError) as error:
            raise InvalidRecord("the signature of the address record is wrong") from error

    def _signed_bytes(self, genesis_hash: bytes) -> bytes:
        fields = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        del fields["signature"]
        return SIGNATURE_DOMAIN + genesis_hash + cbor2.dumps(fields, canonical=True)


IsRegistered = Callable[[bytes], bool]
"""Whether a noise key belongs to a user of the chain."""


class AddressBook:
    """The newest record of each noise key.

    When there is no room, the one not added or looked up for longest goes, but never that of a service of ours, and
    that of a user of the chain only if there is no other: being a user costs a fee, other keys cost nothing. Of those
    others a peer brings `max_from_peer` at most, so that its flood pushes out what it brought itself.
    """

    def __init__(
        self,
        genesis_hash: bytes,
        is_registered: IsRegistered = lambda noise_key: False,
        *,
        max_records: int = limits.MAX_ADDRESS_BOOK_RECORDS,
        max_from_peer: int = limits.MAX_ADDRESS_RECORDS_FROM_PEER,
    ) -> None:
        self._genesis_hash = genesis_hash
        self._is_registered = is_registered
        self._max_records = max_records
        self._max_from_peer = max_from_peer
        self._records: dict[bytes, AddressRecord] = {}
        self._own: set[bytes] = set()
        self._bringers: dict[bytes, str] = {}
        self._brought: dict[str, dict[bytes, None]] = {}

    def __len__(self) -> int:
        return len(self._records)

    def add(self, record: AddressRecord, peer_id: str | None) -> bool:
        """Keep a record that a peer brought, or one of ours (None). Raises InvalidRecord.

        Returns False when an equal or newer one is known.
        """
        key = record.noise_key
        known = self._records.get(key)
        if known is not None and known.sequence >= record.sequence:
            return False
        record.verify(self._genesis_hash)
        if known is None:
            self._make_room(peer_id)
        if peer_id is None:
            self._own.add(key)
        elif known is None:
            self._bringers[key] = peer_id
            self._brought.setdefault(peer_id, {})[key] = None
        self._records.pop(key, None)
        self._records[key] = record
        return True

    def _make_room(self, peer_id: str | None) -> None:
        brought = self._brought.get(peer_id, {}) if peer_id is not None else {}
        if len(brought) >= self._max_from_peer:
            self._drop_one(brought)
        if len(self._records) >= self._max_records and not self._drop_one(self._records):
            self._forget(next(key for key in self._records if key not in self._own))

    def _drop_one(self, among: Iterable[bytes]) -> bool:
        """Forget the first record that may go; those before it that may not become the most recent, nobody's share."""
        for key in list(islice(among, limits.MAX_ADDRESS_RECORDS_LOOKED_AT)):
            if key not in self._own and not self._is_registered(key):
                self._forget(key)
                return True
            self._share_no_more(key)
            self._records[key] = self._records.pop(key)
        return False

    def _forget(self, key: bytes) -> None:
        self._share_no_more(key)
        del self._records[key]

    def _share_no_more(self, key: bytes) -> None:
        peer_id = self._bringers.pop(key, None)
        if peer_id is not None:
            del self._brought[peer_id][key]
            if not self._brought[peer_id]:
                del self._brought[peer_id]

    def lookup(self, who: bytes | str) -> AddressRecord | None:
        """Return the record of a noise key or peer id, None when there is none."""
        key = noise_key_of(who) if isinstance(who, str) else who
        record = self._records.pop(key, None)
        if record is not None:
            self._records[key] = record
        return record

    def newest(self, count: int) -> list[AddressRecord]:
        """Return at most `count` records, the most recently used last."""
        return list(self._records.values())[-count:] if count > 0 else []


class Publisher(Protocol):
    """Who tells the network of a record; `node.net.service.Network` is one."""

    def publish_address(self, record: AddressRecord, /) -> None: ...


async def keep_published(publisher: Publisher, make_record: Callable[[], AddressRecord]) -> None:
    """Publish a fresh record every ADDRESS_REPUBLISH_SECONDS: books are bounded, and strangers can fill them."""
    while True:
        await trio.sleep(limits.ADDRESS_REPUBLISH_SECONDS)
        publisher.publish_address(make_record())
