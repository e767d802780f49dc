"""The pool of sealing processes: bounded, cancellable, and no process outlives whoever needs it."""

import io
import os
import random
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import psutil
import pytest
import trio
import trio.testing

from node.roles import sealer
from node.roles.seal_worker import (
    MESSAGE_MAX_BYTES,
    MessageError,
    message_length,
    open_request,
    pack_message,
    read_reply,
    seal_request,
    serve,
    unpack_fields,
)
from node.roles.sealer import SealKey, SealPool, SealWorkerError, seal_chunk
from pallets.datdot.sealing import CHUNK_MAX_BYTES, Lane, LaneKey, SealingError, SealingFault

KEY = SealKey.generate(1_024, random.Random(41).getrandbits)
LANE = Lane(bytes(32), 4, 0, KEY.public)
CHUNK = random.Random(42).randbytes(500)
SEALED = seal_chunk(LANE, KEY, 9, CHUNK)
LARGEST = random.Random(43).randbytes(CHUNK_MAX_BYTES)
ROOT = Path(__file__).parents[3]


def is_running(pid: int) -> bool:
    return psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE


async def one_worker(pool: SealPool) -> int:
    """Start the pool's worker with a first job and return its process id."""
    assert await pool.open(LANE, 9, SEALED) == CHUNK
    (pid,) = pool.worker_pids
    return pid


async def test_workers_seal_and_open_like_the_functions() -> None:
    async with SealPool(workers=1) as pool:
        assert await pool.seal(LANE, KEY, 9, CHUNK) == SEALED
        assert await pool.open(LANE, 9, SEALED) == CHUNK
        sealed = await pool.seal(LANE, KEY, 2**64 - 1, LARGEST)
        assert await pool.open(LANE, 2**64 - 1, sealed) == LARGEST
        assert await pool.open(LANE, 1, await pool.seal(LANE, KEY, 1, b"")) == b""


async def test_what_a_worker_refuses_arrives_with_its_reason_and_the_worker_lives_on() -> None:
    async with SealPool(workers=1) as pool:
        pid = await one_worker(pool)
        for index, sealed, fault in [
            (8, SEALED, SealingFault.HEADER),
            (9, b"", SealingFault.LENGTH),
            (9, b"\xff" * 128, SealingFault.RANGE),
        ]:
            with pytest.raises(SealingError) as caught:
                await pool.open(LANE, index, sealed)
            assert caught.value.fault is fault
        stranger = SealKey.generate(1_024, random.Random(44).getrandbits)
        with pytest.raises(SealingError, match="does not belong"):
            await pool.seal(LANE, stranger, 0, CHUNK)
        assert pool.worker_pids == (pid,)


async def test_oversized_work_is_refused_before_it_reaches_a_worker() -> None:
    async with SealPool(workers=1) as pool:
        with pytest.raises(SealingError):
            await pool.seal(LANE, KEY, 0, bytes(CHUNK_MAX_BYTES + 1))
        with pytest.raises(SealingError):
            await pool.open(LANE, 0, bytes(1_000_000))
        for index in (-1, 2**64):
            with pytest.raises(SealingError):
                await pool.seal(LANE, KEY, index, CHUNK)
        assert pool.worker_pids == ()


async def test_no_more_processes_than_workers_and_waiting_callers_are_served_in_order() -> None:
    finished: list[int] = []

    async def open_one(pool: SealPool, number: int) -> None:
        assert await pool.open(LANE, 9, SEALED) == CHUNK
        finished.append(number)

    async with SealPool(workers=1) as pool, trio.open_nursery() as nursery:
        pid = await one_worker(pool)
        os.kill(pid, signal.SIGSTOP)
        for number in range(5):
            nursery.start_soon(open_one, pool, number)
            await trio.testing.wait_all_tasks_blocked()
        assert pool.worker_pids == (pid,)
        os.kill(pid, signal.SIGCONT)
    assert finished == [0, 1, 2, 3, 4]


async def test_two_workers_work_at_the_same_time() -> None:
    async with SealPool(workers=2) as pool, trio.open_nursery() as nursery:
        pid = await one_worker(pool)
        os.kill(pid, signal.SIGSTOP)
        nursery.start_soon(pool.open, LANE, 9, SEALED)
        await trio.testing.wait_all_tasks_blocked()
        with trio.fail_after(30):
            assert await pool.open(LANE, 9, SEALED) == CHUNK
        assert len(pool.worker_pids) == 2
        os.kill(pid, signal.SIGCONT)


async def test_a_worker_that_dies_at_work_is_reported_and_replaced() -> None:
    async with SealPool(workers=1) as pool:
        pid = await one_worker(pool)
        os.kill(pid, signal.SIGSTOP)
        async with trio.open_nursery() as nursery:

            async def fails() -> None:
                with pytest.raises(SealWorkerError, match=f"worker {pid} ended with status -9 while sealing chunk 3"):
                    await pool.seal(LANE, KEY, 3, CHUNK)

            nursery.start_soon(fails)
            await trio.testing.wait_all_tasks_blocked()
            os.kill(pid, signal.SIGKILL)
        assert pool.worker_pids == ()
        assert await one_worker(pool) != pid


async def test_a_worker_that_dies_idle_is_replaced_silently() -> None:
    async with SealPool(workers=1) as pool:
        pid = await one_worker(pool)
        os.kill(pid, signal.SIGKILL)
        psutil.Process(pid).wait(10)
        assert await one_worker(pool) != pid


async def test_a_cancelled_job_stops_at_once_and_leaves_a_usable_pool() -> None:
    async with SealPool(workers=1) as pool:
        pid = await one_worker(pool)
        os.kill(pid, signal.SIGSTOP)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(pool.seal, LANE, KEY, 0, LARGEST)
            await trio.testing.wait_all_tasks_blocked()
            nursery.cancel_scope.cancel()
        assert not is_running(pid)
        assert await pool.open(LANE, 9, SEALED) == CHUNK


async def test_a_caller_cancelled_while_waiting_disturbs_nobody() -> None:
    async with SealPool(workers=1) as pool, trio.open_nursery() as outer:
        pid = await one_worker(pool)
        os.kill(pid, signal.SIGSTOP)
        outer.start_soon(pool.open, LANE, 9, SEALED)
        await trio.testing.wait_all_tasks_blocked()
        async with trio.open_nursery() as inner:
            inner.start_soon(pool.open, LANE, 9, SEALED)
            await trio.testing.wait_all_tasks_blocked()
            inner.cancel_scope.cancel()
        os.kill(pid, signal.SIGCONT)
        assert await one_worker(pool) == pid


async def test_no_process_is_left_when_the_pool_closes() -> None:
    async with SealPool(workers=2) as pool:
        pid = await one_worker(pool)
    assert not is_running(pid)
    assert pool.worker_pids == ()
    with pytest.raises(SealWorkerError, match="closed"):
        await pool.open(LANE, 9, SEALED)


async def test_closing_ends_a_job_at_work_with_an_error() -> None:
    pool = SealPool(workers=1)
    async with trio.open_nursery() as nursery:

        async def fails() -> None:
            with pytest.raises(SealWorkerError):
                await pool.open(LANE, 9, SEALED)

        async with pool:
            pid = await one_worker(pool)
            os.kill(pid, signal.SIGSTOP)
            nursery.start_soon(fails)
            await trio.testing.wait_all_tasks_blocked()
    assert not is_running(pid)
    assert pool.worker_pids == ()


async def test_a_worker_that_starts_while_the_pool_closes_does_not_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    starting, may_start, started = trio.Event(), trio.Event(), []
    open_process = trio.lowlevel.open_process

    async def open_late(command: list[str], **options: Any) -> trio.Process:
        starting.set()
        await may_start.wait()
        process = await open_process(command, **options)
        started.append(process.pid)
        return process

    monkeypatch.setattr(trio.lowlevel, "open_process", open_late)
    async with trio.open_nursery() as nursery:

        async def fails(pool: SealPool) -> None:
            with pytest.raises(SealWorkerError, match="closed"):
                await pool.open(LANE, 9, SEALED)

        async with SealPool(workers=1) as pool:
            nursery.start_soon(fails, pool)
            await starting.wait()
        may_start.set()
    assert len(started) == 1
    assert not is_running(started[0])


@pytest.mark.parametrize("workers", [-1, 0, 65])
def test_a_pool_has_a_bounded_number_of_workers(workers: int) -> None:
    with pytest.raises(ValueError, match="1 to 64"):
        SealPool(workers=workers)


async def test_a_worker_that_cannot_start_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    async with SealPool(workers=1) as pool:
        monkeypatch.setattr(sys, "executable", "/nonexistent/python")
        with pytest.raises(SealWorkerError, match="could not be started"):
            await pool.open(LANE, 9, SEALED)


async def test_a_worker_that_answers_nonsense_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    async with SealPool(workers=1) as pool:
        monkeypatch.setattr(sealer, "WORKER_PROGRAM", "import sys; print('\\x7f' * 64, flush=True); sys.stdin.read()")
        with pytest.raises(SealWorkerError, match="while opening chunk 9"):
            await pool.open(LANE, 9, SEALED)
        assert pool.worker_pids == ()


async def test_a_worker_is_nice_ignores_interrupts_and_shows_no_key() -> None:
    async with SealPool(workers=1) as pool:
        await pool.seal(LANE, KEY, 9, CHUNK)
        pid = await one_worker(pool)
        process = psutil.Process(pid)
        assert process.nice() >= 10
        os.kill(pid, signal.SIGINT)
        assert await one_worker(pool) == pid
        shown = " ".join([*process.cmdline(), *process.environ().values()])
        for secret in (KEY.prime_p, KEY.prime_q):
            assert str(secret) not in shown
            assert f"{secret:x}" not in shown


def test_workers_end_when_their_parent_is_killed() -> None:
    program = f"""
import random, trio
from node.roles.sealer import SealKey, SealPool
from pallets.datdot.sealing import Lane
async def main():
    key = SealKey.generate(1024, random.Random(41).getrandbits)
    async with SealPool(workers=2) as pool:
        await pool.open(Lane(bytes(32), 4, 0, key.public), 9, bytes.fromhex("{SEALED.hex()}"))
        print(*pool.worker_pids, flush=True)
        await trio.sleep_forever()
trio.run(main)
"""
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, cwd=ROOT) as parent:
        assert parent.stdout is not None
        workers = [psutil.Process(int(pid)) for pid in parent.stdout.readline().split()]
        parent.kill()
    assert len(workers) == 1
    _, alive = psutil.wait_procs(workers, timeout=20)
    assert not [process for process in alive if process.status() != psutil.STATUS_ZOMBIE]


def replies_to(*requests: bytes) -> list[bytes]:
    output = io.BytesIO()
    serve(io.BytesIO(b"".join(requests)), output)
    data, replies = output.getvalue(), []
    while data:
        length = message_length(data[:4])
        replies.append(data[4 : 4 + length])
        data = data[4 + length :]
    return replies


def test_the_worker_answers_each_request_in_order_until_the_input_ends() -> None:
    sealed, opened = replies_to(seal_request(LANE, KEY, 9, CHUNK), open_request(LANE, 9, SEALED))
    assert read_reply(sealed) == SEALED
    assert read_reply(opened) == CHUNK


def test_a_bad_private_key_is_refused_without_being_quoted() -> None:
    request = unpack_fields(seal_request(LANE, KEY, 9, CHUNK)[4:])
    request[-1] = request[-1][:-1]
    (reply,) = replies_to(pack_message(request))
    with pytest.raises(SealingError, match="bad lane key"):
        read_reply(reply)
    assert request[-1][:64] not in reply


@pytest.mark.parametrize(
    "request_bytes",
    [
        (MESSAGE_MAX_BYTES + 1).to_bytes(4, "big"),
        b"\0\0",
        pack_message([]),
        pack_message([b"seal"]),
        pack_message([b"destroy", *[b""] * 7]),
        b"\0\0\0\x03\0\0\0",
        b"\0\0\0\x05\0\0\0\x02x",
    ],
    ids=["too long", "cut prefix", "no fields", "few fields", "unknown", "cut length", "cut field"],
)
def test_a_malformed_request_is_an_error(request_bytes: bytes) -> None:
    with pytest.raises(MessageError):
        replies_to(request_bytes)


def test_a_message_has_a_largest_size() -> None:
    with pytest.raises(MessageError):
        pack_message([bytes(MESSAGE_MAX_BYTES)])


def test_a_key_of_the_wrong_shape_is_refused_by_the_worker() -> None:
    request = unpack_fields(open_request(LANE, 9, SEALED)[4:])
    request[5] = LaneKey(KEY.public.modulus).to_bytes()[1:]
    (reply,) = replies_to(pack_message(request))
    with pytest.raises(SealingError, match="bad lane key"):
        read_reply(reply)
