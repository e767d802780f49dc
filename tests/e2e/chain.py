"""A chain as its users see it: JSON-RPC over HTTP, heads over WebSocket, state decoded by the runtime's codecs."""

from __future__ import annotations

import http.client
import json
import socket
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, TypeVar, cast
from urllib.parse import urlsplit

from wsproto import ConnectionType, WSConnection
from wsproto.events import AcceptConnection, Request, TextMessage

from node.keys.derivation import keypair_from_uri
from node.runtime_source import node_runtime
from pallets.aura import AURA_ENGINE
from pallets.balances import Balances
from pallets.datdot.pallet import DatDot
from pallets.system import System
from runtime.codec import codec_for
from runtime.construct import Runtime
from runtime.events import Event
from runtime.genesis import ChainSpec
from runtime.header import DigestItem, PreRuntime
from runtime.state import DictState

CALL_SECONDS = 20.0
BLOCK_SECONDS = 60.0
KEYS_PER_PAGE = 1_000
RECEIVE_BYTES = 65_536

E = TypeVar("E", bound=Event)
_DIGEST_ITEM = codec_for(DigestItem)


class SubscriptionEnded(AssertionError):
    """The node ended a subscription that was to go on."""


class Chain:
    """One node's view of the chain, through its JSON-RPC port."""

    def __init__(self, rpc_url: str, spec: ChainSpec) -> None:
        self.url = rpc_url
        self.spec = spec
        self.runtime: Runtime = node_runtime(spec)

    @classmethod
    def of_directory(cls, rpc_url: str, directory: Path) -> Chain:
        """The chain whose file stands in a directory of `dev` or `localnet`."""
        return cls(rpc_url, ChainSpec.parse((directory / "chain.json").read_bytes()))

    # --- calls

    def call(self, method: str, *parameters: object) -> Any:
        """The result of a JSON-RPC call."""
        address = urlsplit(self.url)
        assert address.hostname is not None
        request = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": parameters})
        with closing(http.client.HTTPConnection(address.hostname, address.port, timeout=CALL_SECONDS)) as connection:
            connection.request("POST", "/", request, {"Content-Type": "application/json"})
            response = connection.getresponse()
            answer = json.loads(response.read())
        assert "error" not in answer, f"{method}: {answer['error']}"
        return answer["result"]

    def height(self) -> int:
        """Number of the best block."""
        return int(self.call("chain_getHeader")["number"], 16)

    def hash_at(self, number: int) -> str:
        """Hash of the best chain's block at a height."""
        return cast(str, self.call("chain_getBlockHash", number))

    def header_at(self, number: int) -> dict[str, Any]:
        """Header of the best chain's block at a height, as JSON-RPC shows it."""
        return cast("dict[str, Any]", self.call("chain_getHeader", self.hash_at(number)))

    def author_of(self, header: dict[str, Any]) -> int:
        """Index of the authority that made a block: its slot modulo their number."""
        items = [_DIGEST_ITEM.decode(bytes.fromhex(log[2:])) for log in header["digest"]["logs"]]
        (slot,) = [item.data for item in items if isinstance(item, PreRuntime) and item.engine == AURA_ENGINE]
        return int.from_bytes(slot, "little") % len(self.spec.genesis["Aura"]["authorities"])

    # --- new heads

    def heads(self, within_seconds: float = BLOCK_SECONDS) -> Generator[dict[str, Any], None, None]:
        """Headers of new best blocks, beginning with the current one, as the node announces them over WebSocket.

        Fails when `within_seconds` have passed; close the iterator to end the subscription earlier.
        """
        address = urlsplit(self.url)
        deadline = time.monotonic() + within_seconds
        connection = WSConnection(ConnectionType.CLIENT)
        subscribe = {"jsonrpc": "2.0", "id": 1, "method": "chain_subscribeNewHeads", "params": []}
        with socket.create_connection((address.hostname, address.port), CALL_SECONDS) as stream:
            stream.sendall(connection.send(Request(host=address.netloc, target="/")))
            text = ""
            while True:
                left_seconds = deadline - time.monotonic()
                assert left_seconds > 0, f"what was waited for did not come within {within_seconds:g} s"
                stream.settimeout(left_seconds)
                try:
                    data = stream.recv(RECEIVE_BYTES)
                except TimeoutError:
                    continue
                if not data:
                    raise SubscriptionEnded("the node ended the subscription")
                connection.receive_data(data)
                for event in connection.events():
                    if isinstance(event, AcceptConnection):
                        stream.sendall(connection.send(TextMessage(data=json.dumps(subscribe))))
                    elif isinstance(event, TextMessage):
                        text += event.data
                        if event.message_finished:
                            message, text = json.loads(text), ""
                            if message.get("method") == "chain_newHead":
                                yield message["params"]["result"]

    def blocks(self, start: int, within_seconds: float = BLOCK_SECONDS) -> Generator[int, None, None]:
        """The numbers from `start` on, each once its block is there; fails when `within_seconds` have passed."""
        with closing(self.heads(within_seconds)) as heads:
            for head in heads:
                while start <= int(head["number"], 16):
                    yield start
                    start += 1

    def wait_for_block(self, number: int, within_seconds: float = BLOCK_SECONDS) -> None:
        """Waits for a block of this height."""
        with closing(self.blocks(number, within_seconds)) as numbers:
            next(numbers)

    # --- state

    def state(self, number: int | None = None) -> DictState:
        """All of the state after a block, the best one by default, fetched page by page."""
        at = self.call("chain_getBlockHash") if number is None else self.hash_at(number)
        pairs: dict[bytes, bytes] = {}
        start: str | None = None
        while True:
            keys = self.call("state_getKeysPaged", "0x", KEYS_PER_PAGE, start, at)
            (changes,) = self.call("state_queryStorageAt", keys, at)
            pairs |= {bytes.fromhex(key[2:]): bytes.fromhex(value[2:]) for key, value in changes["changes"]}
            if len(keys) < KEYS_PER_PAGE:
                return DictState(pairs)
            start = keys[-1]

    @contextmanager
    def market(self, number: int | None = None) -> Iterator[DatDot]:
        """The hosting market after a block, to be read with its own storage items."""
        with self.runtime.at(self.state(number)):
            yield self.datdot

    @property
    def datdot(self) -> DatDot:
        """The market's pallet; its storage can be read inside `runtime.at`."""
        return cast(DatDot, self.runtime.pallet("DatDot"))

    @property
    def balances(self) -> Balances:
        """The balances pallet; its storage can be read inside `runtime.at`."""
        return cast(Balances, self.runtime.pallet("Balances"))

    @property
    def system(self) -> System:
        """The system pallet; its storage can be read inside `runtime.at`."""
        return cast(System, self.runtime.pallet("System"))

    def user_id(self, uri: str) -> int:
        """The market's user with the account of a development URI."""
        with self.market() as market:
            user_id = market.user_id_by_account.get(keypair_from_uri(uri).account_id)
        assert user_id is not None, f"{uri} is not a user"
        return user_id

    # --- events

    def events(self, number: int) -> list[Event]:
        """What happened in a block."""
        key = self.system.events.key_of()
        value = self.call("state_getStorage", "0x" + key.hex(), self.hash_at(number))
        with self.runtime.at(DictState({key: bytes.fromhex(value[2:])} if value else {})):
            return [record.event for record in self.system.events.get()]

    def events_between(self, first: int, last: int, kind: type[E]) -> list[E]:
        """The events of one kind in the blocks `first … last`."""
        return [event for number in range(first, last + 1) for event in self.events(number) if isinstance(event, kind)]

    def wait_for_event(
        self, kind: type[E], wanted: Callable[[E], bool], start: int, within_seconds: float = BLOCK_SECONDS
    ) -> tuple[int, E]:
        """The first such event from block `start` on, with the number of its block."""
        with closing(self.blocks(start, within_seconds)) as numbers:
            return next(
                (number, event)
                for number in numbers
                for event in self.events(number)
                if isinstance(event, kind) and wanted(event)
            )


def check_money(chain: Chain, first: int = 0, last: int | None = None) -> int:
    """Checks after each of these blocks that no money appeared or vanished; returns how many blocks were checked.

    Total issuance is that of genesis and the sum of all balances; what sponsors hold for plans is exactly the plans'
    escrows; and every invariant that the pallets state about themselves holds.
    """
    with chain.runtime.at(chain.state(0)):
        issued = chain.balances.total_issuance.get()
    assert issued > 0
    last = chain.height() if last is None else last
    for number in range(first, last + 1):
        with chain.runtime.at(chain.state(number)):
            assert chain.balances.total_issuance.get() == issued, f"block {number}"
            accounts = [info.data for _, info in chain.system.account.items()]
            assert sum(data.free + data.reserved for data in accounts) == issued, f"block {number}"
            escrows = sum(funds.escrow for _, funds in chain.datdot.funds.items())
            holds = [hold for _, held in chain.balances.holds.items() for hold in held]
            assert sum(hold.amount for hold in holds) == escrows == sum(data.reserved for data in accounts)
            for pallet in chain.runtime.pallets:
                pallet.try_state()
    return last + 1 - first
