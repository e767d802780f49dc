"""Reporting on an amendment."""

from collections.abc import Sequence

from pallets.datdot import lifecycle
from pallets.datdot.components import PositionResult, Stored
from pallets.datdot.events import DatDotError
from pallets.datdot.sealing import LaneCommitment, SealingError, commitment_message, max_sealed_bytes
from pallets.datdot.storage import Market
from pallets.datdot.types import Amendment, AmendmentState
from runtime.crypto import verify_ed25519
from runtime.errors import ModuleError, ensure


def amendment_report(market: Market, account: bytes, amendment_id: int, results: Sequence[PositionResult]) -> None:
    """Take an attestor's only report. Positions that it leaves out count as not stored."""
    reporter = market.caller(account)
    amendment = market.amendment_by_id.get(amendment_id)
    ensure(amendment is not None, DatDotError.MISSING_AMENDMENT)
    assert amendment is not None
    ensure(reporter in amendment.attestors, DatDotError.NOT_ASSIGNED)
    reported = (AmendmentState.DONE, AmendmentState.DONE_PARTIAL, AmendmentState.FAILED)
    ensure(amendment.state not in reported, DatDotError.ALREADY_REPORTED)
    ensure(amendment.state is AmendmentState.RUNNING, DatDotError.EXPIRED)
    assert amendment.deadline is not None
    ensure(market.now() <= amendment.deadline, DatDotError.EXPIRED)
    plan_until = market.plan(market.contract(amendment.contract).plan).until
    ensure(market.now() < plan_until, DatDotError.EXPIRED)
    positions = [result.position for result in results]
    ensure(len(set(positions)) == len(positions), DatDotError.BAD_REFERENCE)
    ensure(set(positions) <= set(amendment.positions), DatDotError.BAD_REFERENCE)
    for result in results:
        if isinstance(result, Stored):
            _check_stored(market, amendment_id, amendment, result)
    lifecycle.accept_report(market, reporter, amendment_id, amendment, results)


def _check_stored(market: Market, amendment_id: int, amendment: Amendment, result: Stored) -> None:
    """Counts that fit the contract, and both signatures over the same commitment."""
    largest = market.contract(amendment.contract).chunks * max_sealed_bytes(market.config.seal_key_bits)
    ensure(result.encoded_bytes <= largest, DatDotError.BAD_PROOF)
    try:
        commitment = LaneCommitment(result.root, result.leaves, result.encoded_bytes, result.key_hash)
    except SealingError:
        raise ModuleError(DatDotError.BAD_PROOF) from None
    message = commitment_message(
        market.genesis_hash(), amendment.contract, amendment_id, result.position, commitment
    )
    place = amendment.positions.index(result.position)
    for user_id, signature in (
        (amendment.encoders[place], result.encoder_signature),
        (amendment.hosters[place], result.hoster_signature),
    ):
        assert user_id is not None
        key = market.user(user_id).signing_key
        ensure(verify_ed25519(signature, message, key), DatDotError.BAD_SIGNATURE)
