"""Calls on their way into a block of a remote chain: nonces, fate, receipts.

A signed call can enter the chain only once. So when a connection is lost over it, the same bytes are looked for in the
blocks since and, where they are not found, sent again; nothing is ever signed twice for one call.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import trio

from node.client.chain import BlockRef, Receipt
from node.client.errors import (
    BadAnswer,
    CallRefused,
    ClientError,
    ConnectionLost,
    SubmitFailed,
    SubmitFailure,
)
from node.client.hexadecimal import to_bytes, to_hex
from node.client.link import Feed
from node.client.remote_reader import RemoteReader
from node.client.signing import SignedCall, Terms, sign_call
from runtime.call import RuntimeCall
from runtime.crypto import ss58_encode
from runtime.era import Mortal
from runtime.errors import CodecError
from runtime.extrinsic import Signer

ERA_BLOCKS: Final = 64
"""How long a call is valid; blocks of this many are looked through for one whose fate is unknown."""
INVALID_TRANSACTION: Final = 1010
ALREADY_IMPORTED: Final = 1013
ENDS: Final = {
    "dropped": SubmitFailure.DROPPED,
    "invalid": SubmitFailure.INVALID,
    "usurped": SubmitFailure.USURPED,
}


class _Account:
    """Nonces of calls that were signed and whose fate is open."""

    def __init__(self) -> None:
        self.lock = trio.Lock()
        self.open: set[int] = set()
        self.users = 0


class Submissions:
    """Signs, sends and follows the calls of one connection."""

    def __init__(self, chain: RemoteReader) -> None:
        self._chain = chain
        self._accounts: dict[bytes, _Account] = {}

    async def submit(
        self, call: RuntimeCall, signer: Signer, tip: int, finalized: bool, timeout_seconds: float
    ) -> Receipt:
        """See `ChainConnection.submit`."""
        why = f"{call.name} is not in a block after {timeout_seconds:g} s"
        with trio.move_on_after(timeout_seconds):
            async with self._account(signer.account_id) as account:
                signed, feed = await self._start(call, signer, tip, account)
                try:
                    return await self._follow(signed, feed, finalized)
                except ConnectionLost as error:
                    why = f"{call.name} was sent, and then {error}"
                finally:
                    account.open.discard(signed.terms.nonce)
        raise SubmitFailed(f"{why}; it may still come into one", SubmitFailure.UNKNOWN)

    async def _start(
        self, call: RuntimeCall, signer: Signer, tip: int, account: _Account
    ) -> tuple[SignedCall, Feed | None]:
        """Signs and sends, one call of an account at a time: then the node counts it when it is asked for a nonce."""
        async with account.lock:
            signed = await self._sign(call, signer, tip, account)
            account.open.add(signed.terms.nonce)
            try:
                return signed, await self._send(signed)
            except BaseException as error:
                account.open.discard(signed.terms.nonce)
                if isinstance(error, CallRefused):
                    raise SubmitFailed(f"{call.name} was refused: {error}") from None
                raise

    @asynccontextmanager
    async def _account(self, account_id: bytes) -> AsyncIterator[_Account]:
        account = self._accounts.setdefault(account_id, _Account())
        account.users += 1
        try:
            yield account
        finally:
            account.users -= 1
            if not account.users:
                del self._accounts[account_id]

    # --- there

    async def _sign(self, call: RuntimeCall, signer: Signer, tip: int, account: _Account) -> SignedCall:
        chain = self._chain
        metadata = await chain.refresh()
        best = await chain.head()
        era = Mortal.starting(best.number, ERA_BLOCKS)
        birth = era.birth(best.number)
        (birth_hash,) = await chain.hashes([birth])
        if birth_hash is None:
            raise BadAnswer("the node lacks a block of its own chain")
        nonce = await chain.link.call("system_accountNextIndex", ss58_encode(signer.account_id))
        if not isinstance(nonce, int):
            raise BadAnswer("the node sent something else than a nonce")
        terms = Terms(era, birth, birth_hash, max([nonce, *(one + 1 for one in account.open)]), tip)
        try:
            return sign_call(metadata, chain.version, chain.genesis_hash, call, signer, terms)
        except CodecError as error:
            raise ClientError(f"{call.name} does not fit the chain: {error}") from None

    async def _send(self, signed: SignedCall) -> Feed | None:
        """What the node tells about a call that it takes; None when the fate of the call must be found in blocks.

        Raises CallRefused.
        """
        try:
            names = ("author_submitAndWatchExtrinsic", "author_unwatchExtrinsic")
            return await self._chain.link.subscribe(*names, to_hex(signed.encoded))
        except ConnectionLost:
            return None
        except CallRefused as error:
            if error.code == ALREADY_IMPORTED:
                return None
            raise

    # --- and back

    async def _follow(self, signed: SignedCall, feed: Feed | None, finalized: bool) -> Receipt:
        moves = self._chain.moves(finalized)
        try:
            while True:
                if feed is not None:
                    told = await self._watch(feed, finalized)
                    if isinstance(told, bytes) and (number := await self._chain.number_of(told)) is not None:
                        return await self._receipt(signed, BlockRef(number, told))
                    if isinstance(told, SubmitFailure) and await self._find(signed) is None:
                        raise SubmitFailed(f"{signed.call_name} is in no block: {told.value}", told)
                place = await self._find(signed)
                feed = await self._send_again(signed) if place is None else None
                if place is not None and (not finalized or await self._is_finalized(place)):
                    return await self._receipt(signed, place)
                if feed is None:
                    await moves.wait()
        finally:
            await moves.aclose()

    async def _watch(self, feed: Feed, finalized: bool) -> SubmitFailure | bytes | None:
        """The block where the call is as it should be, or why the node gave it up; None when it tells no more."""
        try:
            while True:
                status = await feed.receive()
                name, value = next(iter(status.items())) if isinstance(status, dict) and status else (status, None)
                if name in ENDS:
                    return ENDS[str(name)]
                if name == "finalized" or (name == "inBlock" and not finalized):
                    return to_bytes(value)
                if name == "finalityTimeout":
                    return None
        except trio.EndOfChannel:
            return None
        finally:
            await feed.aclose()

    async def _send_again(self, signed: SignedCall) -> Feed | None:
        """The same bytes once more, after they were in no block. Raises SubmitFailed when they can be in none."""
        best = await self._chain.head(finalized=True)
        if best.number >= signed.terms.death_number:
            raise SubmitFailed(
                f"{signed.call_name} is in no block: {SubmitFailure.EXPIRED.value}", SubmitFailure.EXPIRED
            )
        try:
            return await self._send(signed)
        except CallRefused as error:
            if await self._find(signed) is not None:  # that is why
                return None
            kind = SubmitFailure.USURPED if error.code == INVALID_TRANSACTION else SubmitFailure.DROPPED
            raise SubmitFailed(f"{signed.call_name} was sent again and refused: {error}", kind) from None

    async def _find(self, signed: SignedCall) -> BlockRef | None:
        """The block of the best chain that holds the call."""
        best = await self._chain.head()
        last = min(best.number, signed.terms.death_number - 1)
        wanted = to_hex(signed.encoded)
        numbers = range(signed.terms.birth_number, last + 1)
        for number, block_hash in zip(reversed(numbers), reversed(await self._chain.hashes(numbers)), strict=True):
            if block_hash is not None and wanted in await self._chain.body(block_hash):
                return BlockRef(number, block_hash)
        return None

    async def _is_finalized(self, place: BlockRef) -> bool:
        final = await self._chain.head(finalized=True)
        return final.number >= place.number and (await self._chain.hashes([place.number]))[0] == place.hash

    async def _receipt(self, signed: SignedCall, place: BlockRef) -> Receipt:
        body, extrinsic = await self._chain.body(place.hash), to_hex(signed.encoded)
        if extrinsic not in body:
            raise BadAnswer("the node named a block for a call that is not in it")
        return (await self._chain.block(place)).receipt(signed.hash, body.index(extrinsic))
