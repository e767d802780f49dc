"""What attestors and hosters do when the other side lies, is somebody else, has no room, or is silent."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
import trio
import trio.testing

from node.roles.lane_protocol import Bye, FaultCode, Hello, RemoteFault, Stored, lane_protocol
from node.roles.lane_stream import LaneDialer, LaneStream, PeerUnreachable, hello_of
from node.roles.sealer import SealKey
from pallets.datdot.events import HostingStarted, NotStoredCode, SetupFailed
from pallets.datdot.types import AmendmentState

from .stage import DEADLINE_BLOCKS, Script, Stage, open_stage
from .world import PATIENCE_SECONDS, until

Spoil = Callable[[Script], None]


def flip(data: bytes, at: int = 40) -> bytes:
    """The bytes with one bit changed."""
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


def spoil_chunk(script: Script) -> None:
    script.chunks[1] = replace(script.chunks[1], sealed=flip(script.chunks[1].sealed))


def send_one_chunk_twice(script: Script) -> None:
    script.chunks[1] = script.chunks[0]


def send_other_content_under_the_right_number(script: Script) -> None:
    script.chunks[1] = replace(script.chunks[0], number=1)


def spoil_proof(script: Script) -> None:
    script.chunks[1] = replace(script.chunks[1], proof=flip(script.chunks[1].proof, -1 + len(script.chunks[1].proof)))


def cut_chunk(script: Script) -> None:
    script.chunks[0] = replace(script.chunks[0], sealed=script.chunks[0].sealed[:-1])


def claim_other_root(script: Script) -> None:
    script.sealed = replace(script.sealed, root=bytes(32))


def claim_impossible_counts(script: Script) -> None:
    script.sealed = replace(script.sealed, leaf_count=script.sealed.leaf_count + 1)


def spoil_signature(script: Script) -> None:
    script.sealed = replace(script.sealed, encoder_signature=flip(script.sealed.encoder_signature))


def offer_even_modulus(script: Script) -> None:
    script.offer = replace(script.offer, modulus=script.offer.modulus[:-1] + b"\0")


def offer_short_modulus(script: Script) -> None:
    script.offer = replace(script.offer, modulus=script.offer.modulus[1:])


def offer_too_few_chunks(script: Script) -> None:
    script.offer = replace(script.offer, chunk_count=script.offer.chunk_count - 1)


def offer_unsigned_head(script: Script) -> None:
    script.offer = replace(script.offer, head_proof=flip(script.offer.head_proof, len(script.offer.head_proof) - 1))


LIES: dict[Spoil, FaultCode] = {
    spoil_chunk: FaultCode.BAD_CHUNK,
    send_one_chunk_twice: FaultCode.BAD_CHUNK,
    send_other_content_under_the_right_number: FaultCode.BAD_CHUNK,
    spoil_proof: FaultCode.BAD_CHUNK,
    cut_chunk: FaultCode.BAD_CHUNK,
    claim_other_root: FaultCode.BAD_COMMITMENT,
    claim_impossible_counts: FaultCode.BAD_COMMITMENT,
    spoil_signature: FaultCode.BAD_SIGNATURE,
    offer_even_modulus: FaultCode.BAD_OFFER,
    offer_short_modulus: FaultCode.BAD_OFFER,
    offer_too_few_chunks: FaultCode.BAD_OFFER,
    offer_unsigned_head: FaultCode.BAD_OFFER,
}


async def fault_of(dialer: LaneDialer, user_id: int, script: Script) -> FaultCode:
    """The code with which a receiver ends the lane."""
    with trio.fail_after(PATIENCE_SECONDS), pytest.raises(RemoteFault) as refused:
        async with dialer.open(user_id) as stream:
            with suppress(PeerUnreachable):
                await script.send(stream)
            await stream.receive(Stored, Bye)
    return refused.value.code


async def test_every_lie_to_a_hoster_is_refused_and_leaves_nothing_on_disk(tmp_path: Path) -> None:
    async with open_stage(tmp_path) as stage:
        terms = stage.terms()
        async with stage.actor(terms.attestors[0]) as attestor, stage.actor(terms.hoster) as hoster:
            for spoil, expected in LIES.items():
                script = await stage.script()
                spoil(script)
                assert await fault_of(attestor.dialer, terms.hoster, script) is expected, spoil.__name__
                assert hoster.store.lanes() == ()
                assert hoster.store.used_bytes == 0
            assert list((tmp_path / hoster.name / "lanes").iterdir()) == []


@pytest.mark.parametrize("spoil", [spoil_chunk, claim_other_root, offer_even_modulus], ids=lambda spoil: spoil.__name__)
async def test_lying_encoder_spoils_its_own_lane_only(tmp_path: Path, spoil: Spoil) -> None:
    async with open_stage(tmp_path) as stage, trio.open_nursery() as nursery:
        liar, honest = stage.terms(0), stage.terms(1)
        async with (
            stage.actor(liar.attestors[0]) as attestor,
            stage.actor(liar.hoster) as hoster,
            stage.actor(honest.hoster),
            stage.actor(liar.encoder) as encoder,
            stage.actor(honest.encoder) as other,
        ):
            nursery.start_soon(attestor.attestor.run, stage.amendment_id)
            await trio.testing.wait_all_tasks_blocked()
            script = await stage.script(0)
            spoil(script)
            assert await fault_of(encoder.dialer, attestor.user_id, script) is LIES[spoil]
            assert await fault_of(encoder.dialer, attestor.user_id, await stage.script(0)) is FaultCode.OVER
            await send_honestly(stage, other.dialer, 1)
            stage.pass_to_the_report()
            await until(lambda: stage.amendment.state is not AmendmentState.RUNNING)
            assert hoster.store.lanes() == ()
        nursery.cancel_scope.cancel()
    started, failed = stage.chain.of_kind(HostingStarted), stage.chain.of_kind(SetupFailed)
    assert [event.hoster for event in started] == [honest.hoster]
    codes = {0: NotStoredCode.ENCODER_INVALID, 2: NotStoredCode.ENCODER_SILENT}
    assert failed[0].codes == tuple((position, code.value) for position, code in codes.items())


async def send_honestly(stage: Stage, dialer: LaneDialer, position: int, key: SealKey | None = None) -> None:
    script = await (stage.script(position) if key is None else stage.script(position, key))
    async with dialer.open(stage.terms(position).attestors[0]) as stream:
        await script.send(stream)
        await stream.receive(Bye)


async def test_hoster_without_room_refuses_and_is_reported(tmp_path: Path) -> None:
    async with open_stage(tmp_path) as stage, trio.open_nursery() as nursery:
        terms = stage.terms(0)
        async with (
            stage.actor(terms.attestors[0]) as attestor,
            stage.actor(terms.hoster, storage_bytes=1_000) as hoster,
            stage.actor(terms.encoder) as encoder,
        ):
            nursery.start_soon(attestor.attestor.run, stage.amendment_id)
            await trio.testing.wait_all_tasks_blocked()
            code = await fault_of(encoder.dialer, attestor.user_id, await stage.script(0))
            assert code is FaultCode.HOSTER_FAILED
            assert hoster.store.lanes() == ()
            stage.pass_to_the_report()
            await until(lambda: stage.amendment.state is AmendmentState.FAILED)
        nursery.cancel_scope.cancel()
    assert (0, NotStoredCode.HOSTER_REFUSED.value) in stage.chain.of_kind(SetupFailed)[0].codes


async def test_silent_hoster_is_blamed_and_not_the_encoder(tmp_path: Path) -> None:
    async with open_stage(tmp_path) as stage, trio.open_nursery() as nursery:
        terms = stage.terms(0)
        async with stage.actor(terms.attestors[0]) as attestor, stage.actor(terms.encoder) as encoder:
            nursery.start_soon(attestor.attestor.run, stage.amendment_id)
            await trio.testing.wait_all_tasks_blocked()
            code = await fault_of(encoder.dialer, attestor.user_id, await stage.script(0))
            assert code is FaultCode.HOSTER_FAILED
            stage.pass_to_the_report()
            await until(lambda: stage.amendment.state is AmendmentState.FAILED)
        nursery.cancel_scope.cancel()
    assert (0, NotStoredCode.HOSTER_SILENT.value) in stage.chain.of_kind(SetupFailed)[0].codes


async def test_report_waits_for_no_lane_beyond_the_deadline(tmp_path: Path) -> None:
    async with open_stage(tmp_path) as stage, trio.open_nursery() as nursery:
        async with stage.actor(stage.terms(0).attestors[0]) as attestor:
            nursery.start_soon(attestor.attestor.run, stage.amendment_id)
            await trio.testing.wait_all_tasks_blocked()
            stage.pass_to_the_report(blocks_before=1)
            await trio.testing.wait_all_tasks_blocked()
            assert stage.amendment.state is AmendmentState.RUNNING
            stage.pass_blocks(1)
            await until(lambda: stage.amendment.state is AmendmentState.FAILED)
            assert stage.amendment.deadline is not None
            assert stage.chain.best_number < stage.amendment.deadline
        nursery.cancel_scope.cancel()


async def test_only_the_lanes_own_encoder_may_offer_it(tmp_path: Path) -> None:
    async with open_stage(tmp_path) as stage, trio.open_nursery() as nursery:
        terms = stage.terms(0)
        async with stage.actor(terms.attestors[0]) as attestor, stage.actor(stage.terms(1).encoder) as impostor:
            nursery.start_soon(attestor.attestor.run, stage.amendment_id)
            await trio.testing.wait_all_tasks_blocked()
            code = await fault_of(impostor.dialer, attestor.user_id, await stage.script(0))
            assert code is FaultCode.NOT_ASSIGNED
        nursery.cancel_scope.cancel()


async def test_only_the_amendments_attestor_may_bring_a_lane_to_a_hoster(tmp_path: Path) -> None:
    async with open_stage(tmp_path) as stage:
        terms = stage.terms(0)
        async with stage.actor(terms.hoster) as hoster, stage.actor(terms.encoder) as encoder:
            code = await fault_of(encoder.dialer, hoster.user_id, await stage.script(0))
            assert code is FaultCode.NOT_ASSIGNED


@pytest.mark.parametrize("wrong", ["user", "genesis", "version"])
async def test_greeting_with_another_name_chain_or_version_is_refused(tmp_path: Path, wrong: str) -> None:
    async with open_stage(tmp_path) as stage:
        terms = stage.terms(0)
        async with stage.actor(terms.hoster) as hoster, stage.actor(terms.encoder) as liar:
            hello = hello_of(stage.market.view, terms.attestors[0] if wrong == "user" else liar.user_id)
            if wrong == "genesis":
                hello = replace(hello, genesis=bytes(32))
            if wrong == "version":
                hello = replace(hello, version=2)
            await liar.endpoint.host.connect(hoster.endpoint.host.addresses[0])
            protocol = lane_protocol(stage.chain.genesis_hash)
            frames = await liar.endpoint.host.open_stream(hoster.endpoint.host.peer_id, protocol)
            stream = LaneStream(frames)
            await stream.send(hello)
            with pytest.raises(RemoteFault) as refused:
                await stream.receive(Hello)
            assert refused.value.code is (FaultCode.NOT_ASSIGNED if wrong == "user" else FaultCode.WRONG_CHAIN)
            await frames.close()


@pytest.mark.parametrize("first", [b"", b"\x00", b"\x09\xa0", b"\x00" + bytes(500_000), b"\x06\xa1"])
async def test_garbage_instead_of_a_greeting_ends_the_stream(tmp_path: Path, first: bytes) -> None:
    async with open_stage(tmp_path) as stage:
        terms = stage.terms(0)
        async with stage.actor(terms.hoster) as hoster, stage.actor(terms.encoder) as liar:
            await liar.endpoint.host.connect(hoster.endpoint.host.addresses[0])
            protocol = lane_protocol(stage.chain.genesis_hash)
            frames = await liar.endpoint.host.open_stream(hoster.endpoint.host.peer_id, protocol)
            await frames.send(first)
            with pytest.raises(RemoteFault) as refused:
                await LaneStream(frames).receive(Hello)
            assert refused.value.code is FaultCode.BAD_FRAME
            await frames.close()


async def test_lane_of_an_amendment_that_is_over_is_refused(tmp_path: Path) -> None:
    async with open_stage(tmp_path) as stage:
        terms, script = stage.terms(0), await stage.script(0)
        async with stage.actor(terms.hoster) as hoster, stage.actor(terms.attestors[0]) as attestor:
            stage.pass_blocks(DEADLINE_BLOCKS + 2)
            assert await fault_of(attestor.dialer, hoster.user_id, script) is FaultCode.OVER


async def test_broken_stream_leaves_nothing_and_a_new_one_with_another_key_is_accepted(tmp_path: Path) -> None:
    async with open_stage(tmp_path) as stage:
        terms, script = stage.terms(0), await stage.script(0)
        async with stage.actor(terms.attestors[0]) as attestor, stage.actor(terms.hoster) as hoster:
            async with attestor.dialer.open(hoster.user_id) as stream:
                await stream.send(script.offer)
                await stream.send(script.chunks[0])
            await until(lambda: hoster.store.used_bytes == 0)
            again = await stage.script(0, SealKey.generate(1_024))
            async with attestor.dialer.open(hoster.user_id) as stream:
                await again.send(stream)
                await stream.receive(Stored)
                await stream.end(Bye())
            (lane,) = hoster.store.lanes()
            assert lane.root == again.sealed.root


async def test_user_without_an_address_is_unreachable(tmp_path: Path) -> None:
    async with open_stage(tmp_path) as stage:
        terms = stage.terms(0)
        async with stage.actor(terms.attestors[0]) as attestor:
            with pytest.raises(PeerUnreachable, match="no address"):
                async with attestor.dialer.open(terms.hoster):
                    pass
            with pytest.raises(PeerUnreachable, match="does not exist"):
                async with attestor.dialer.open(10**6):
                    pass
