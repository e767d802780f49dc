import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hypercore import crypto
from hypercore.errors import (
    BlockNotAvailable,
    CoreClosed,
    DecodeError,
    InvalidSignature,
    LocalProtocolError,
    ReadOnly,
    StoreCorrupt,
    StoreExists,
    StoreLocked,
    StoreMissing,
)
from hypercore.io.core import MAXIMUM_BLOCK_BYTES, Appended, Cleared, Core, CoreEvent, Downloaded, Truncated
from hypercore.io.files import MemoryDirectory
from hypercore.manifest import Manifest, Signer
from hypercore.proof import BlockRequest, Proof, ProofRequest, UpgradeRequest


def head_of(core: Core) -> Proof:
    return core.proof(ProofRequest(core.fork, upgrade=UpgradeRequest(0, core.length), manifest=True))


def block_of(core: Core, reader: Core, index: int) -> Proof:
    return core.proof(ProofRequest(core.fork, block=BlockRequest(index, reader.missing_nodes(2 * index))))


def copy_of(core: Core, **options: Any) -> Core:
    clone = Core.open(None, core.key, **options)
    clone.apply(head_of(core))
    for index in range(core.length):
        clone.apply(block_of(core, clone, index))
    return clone


def test_truncating_and_appending_gives_the_golden_heads(vectors: Callable[[str], Any], key_pair: Any) -> None:
    golden = vectors("08_truncate_fork")
    core = Core.create(None, key_pair=key_pair)
    assert core.key.hex() == golden["key"]
    operations: dict[str, Callable[[], Any]] = {
        "append 10 small blocks": lambda: core.append([b"block-%d" % index for index in range(10)]),
        "truncate(5)": lambda: core.truncate(5),
        "append new-5,new-6": lambda: core.append([b"new-5", b"new-6"]),
        "truncate(0)": lambda: core.truncate(0),
        "append z": lambda: core.append(b"z"),
        "truncate(1, fork 9)": lambda: core.truncate(1, 9),
    }
    for step in golden["steps"]:
        operations[step["op"]]()
        roots = [{"index": node.index, "size": node.size, "hash": node.hash.hex()} for node in core.roots()]
        assert (core.length, core.byte_length, core.fork) == (step["length"], step["byteLength"], step["fork"])
        assert roots == step["roots"]
        assert core.tree_hash().hex() == step["treeHash"]
        assert core.signature.hex() == (step["signature"] or "")


@pytest.mark.parametrize("durability", ["fsync", "process"])
def test_a_closed_core_opens_with_everything_it_had(
    durability: Any, tmp_path: Path, content: Any, key_pair: Any
) -> None:
    blocks = [content("mixed", index) for index in range(40)] + [content("64k", 3)]
    core = Core.create(tmp_path / "core", key_pair=key_pair, durability=durability)
    core.append(blocks[:7])
    for block in blocks[7:]:
        core.append(block)
    facts = (core.key, core.length, core.byte_length, core.tree_hash(), core.signature, core.manifest)
    core.close()
    again = Core.open(tmp_path / "core", durability=durability)
    assert (again.key, again.length, again.byte_length, again.tree_hash(), again.signature, again.manifest) == facts
    assert [again.get(index) for index in range(again.length)] == blocks
    assert again.recovered is None
    assert again.writable
    assert again.contiguous_length == 41
    assert again.append(b"more") == 42
    again.close()


def test_identities_follow_from_the_key_pair(key_pair: crypto.KeyPair) -> None:
    core = Core.create(None, key_pair=key_pair)
    assert core.key == Manifest.default(key_pair.public_key).key()
    assert core.discovery_key == crypto.discovery_key(core.key)
    assert crypto.parse_key(core.public_id) == core.key
    old = Core.create(None, key_pair=key_pair, compat=True)
    assert (old.key, old.manifest) == (key_pair.public_key, None)
    assert Core.create(None).key != Core.create(None).key


def test_the_signing_key_is_readable_by_its_owner_only_and_never_printed(tmp_path: Path, key_pair: Any) -> None:
    core = Core.create(tmp_path, key_pair=key_pair)
    assert stat.S_IMODE((tmp_path / "secret").stat().st_mode) == 0o600
    assert key_pair.seed.hex() not in repr(core)
    core.close()


def test_a_directory_has_one_user_at_a_time(tmp_path: Path) -> None:
    core = Core.create(tmp_path)
    with pytest.raises(StoreLocked, match="open elsewhere"):
        Core.open(tmp_path)
    with pytest.raises(StoreLocked):
        Core.create(tmp_path)
    core.close()
    Core.open(tmp_path).close()


def test_a_core_is_never_created_over_another(tmp_path: Path) -> None:
    core = Core.create(tmp_path)
    core.append(b"precious")
    core.close()
    with pytest.raises(StoreExists):
        Core.create(tmp_path)
    again = Core.open(tmp_path)
    assert again.get(0) == b"precious"
    again.close()


def test_opening_needs_a_core_or_a_key_and_the_right_one(tmp_path: Path) -> None:
    with pytest.raises(StoreMissing, match="no core"):
        Core.open(tmp_path / "nothing")
    core = Core.create(tmp_path / "core")
    core.close()
    with pytest.raises(StoreMissing, match=core.public_id):
        Core.open(tmp_path / "core", bytes(32))
    with pytest.raises(DecodeError):
        Core.open(tmp_path / "core", "not a key")
    Core.open(tmp_path / "core", core.public_id).close()


def test_a_key_pair_that_is_no_signer_is_refused_and_the_directory_released(tmp_path: Path) -> None:
    Core.create(tmp_path).close()
    with pytest.raises(InvalidSignature):
        Core.open(tmp_path, key_pair=crypto.KeyPair.from_seed(bytes(32)))
    Core.open(tmp_path).close()
    signers = Manifest.create([Signer(bytes(32))])
    with pytest.raises(InvalidSignature):
        Core.create(None, manifest=signers)


def test_a_copy_is_read_only(filled: Callable[..., Core]) -> None:
    clone = copy_of(filled(3))
    assert not clone.writable
    for change in (lambda: clone.append(b"x"), lambda: clone.truncate(1)):
        with pytest.raises(ReadOnly):
            change()
    assert clone.length == 3


def test_a_block_above_the_maximum_is_refused_with_its_whole_batch(key_pair: Any) -> None:
    core = Core.create(None, key_pair=key_pair)
    with pytest.raises(LocalProtocolError, match="at most 15728640"):
        core.append([b"small", bytes(MAXIMUM_BLOCK_BYTES + 1)])
    assert core.length == 0
    assert core.append([]) == 0
    assert core.append(bytes(MAXIMUM_BLOCK_BYTES)) == 1


@pytest.mark.parametrize("index", [-1, 3, 2**60])
def test_blocks_that_do_not_exist_are_not_available(index: int, filled: Callable[..., Core]) -> None:
    with pytest.raises(BlockNotAvailable):
        filled(3).get(index)


@pytest.mark.parametrize(("length", "fork"), [(6, None), (-1, None), (2, 0), (2, -1)])
def test_truncation_goes_back_in_length_and_forward_in_forks(
    length: int, fork: Any, filled: Callable[..., Core]
) -> None:
    core = filled(5)
    with pytest.raises(LocalProtocolError):
        core.truncate(length, fork)
    assert (core.length, core.fork) == (5, 0)


def test_what_follows_a_truncation_replaces_what_was_there(tmp_path: Path, key_pair: Any) -> None:
    core = Core.create(tmp_path, key_pair=key_pair)
    core.append([bytes([index]) * 20_000 for index in range(9)])
    core.truncate(5)
    assert (core.length, core.contiguous_length, core.has(5)) == (5, 5, False)
    core.append([b"a", bytes(30_000), b"c"])
    core.close()
    again = Core.open(tmp_path)
    assert [again.get(index) for index in (4, 5, 6, 7)] == [b"\x04" * 20_000, b"a", bytes(30_000), b"c"]
    assert again.fork == 1
    assert (tmp_path / "data").stat().st_size == again.byte_length
    again.close()


def test_cleared_blocks_give_their_space_back_and_can_be_downloaded_again(tmp_path: Path, filled: Any) -> None:
    source = filled(12, "64k")
    core = Core.open(tmp_path, source.key)
    core.apply(head_of(source))
    for index in range(12):
        core.apply(block_of(source, core, index))
    core.sync()
    before = (tmp_path / "data").stat().st_blocks
    freed = core.clear(2, 10)
    assert freed in (0, 8 * 65_536)
    if freed:
        assert (tmp_path / "data").stat().st_blocks <= before - 7 * 128
    assert (core.length, core.contiguous_length) == (12, 2)
    assert [core.has(index) for index in (1, 2, 9, 10)] == [True, False, False, True]
    with pytest.raises(BlockNotAvailable):
        core.get(5)
    core.apply(block_of(source, core, 5))
    core.close()
    again = Core.open(tmp_path)
    assert again.get(5) == source.get(5)
    assert again.get(11) == source.get(11)
    assert not again.has(4)
    assert again.clear(3, 5) == 0
    again.close()


def test_listeners_hear_of_every_change_until_they_leave(filled: Callable[..., Core]) -> None:
    source, events = filled(3), list[CoreEvent]()
    leave = source.subscribe(events.append)
    source.append([b"a", b"b"])
    source.clear(1, 2)
    source.clear(1, 2)
    source.truncate(2)
    leave()
    leave()
    source.append(b"unheard")
    assert events == [Appended(5), Cleared(1, 2), Truncated(2, 1)]


def test_listeners_of_a_copy_hear_what_came_in(filled: Callable[..., Core]) -> None:
    source, events = filled(3), list[CoreEvent]()
    clone = Core.open(None, source.key)
    clone.subscribe(events.append)
    clone.apply(head_of(source))
    clone.apply(block_of(source, clone, 1))
    source.truncate(2)
    clone.apply(head_of(source))
    assert events == [Appended(3), Downloaded(1), Truncated(2, 1), Appended(2)]


def test_a_listener_of_one_block_hears_of_no_other_that_came_in_but_of_all_else(filled: Callable[..., Core]) -> None:
    source, events = filled(4), list[CoreEvent]()
    clone = Core.open(None, source.key)
    leave = clone.subscribe(events.append, block=2)
    clone.apply(head_of(source))
    for index in (0, 2, 3):
        clone.apply(block_of(source, clone, index))
    clone.clear(0, 1)
    leave()
    leave()
    clone.clear(2, 3)
    clone.apply(block_of(source, clone, 2))
    assert events == [Appended(4), Downloaded(2), Cleared(0, 1)]


def test_a_copy_learns_the_manifest_and_keeps_it(tmp_path: Path, filled: Callable[..., Core]) -> None:
    source = filled(3)
    clone = Core.open(tmp_path, source.key)
    assert clone.manifest is None
    clone.apply(Proof(manifest=source.manifest))
    assert clone.manifest == source.manifest
    clone.close()
    again = Core.open(tmp_path, source.key)
    assert again.manifest == source.manifest
    with pytest.raises(InvalidSignature):
        Core.open(None, source.key).apply(Proof(manifest=Manifest.default(bytes(32))))
    again.close()


def test_blocks_may_live_in_a_source_while_the_store_keeps_the_tree(
    tmp_path: Path, filled: Callable[..., Core]
) -> None:
    source = filled(10, "64k")

    class Sealed:
        def __init__(self) -> None:
            self.blocks: dict[int, bytes] = {}

        def has(self, index: int) -> bool:
            return index in self.blocks

        def read(self, index: int) -> bytes | None:
            return self.blocks[index] or None

    sealed = Sealed()
    core = Core.open(tmp_path, source.key, block_source=sealed)
    core.apply(head_of(source))
    for index in range(10):
        sealed.blocks[index] = source.get(index)
        assert core.apply(block_of(source, core, index), keep_block=False).block_index == index
    assert core.contiguous_length == 10
    assert [core.get(index) for index in range(10)] == [source.get(index) for index in range(10)]
    assert copy_of(core).contiguous_length == 10
    sealed.blocks[3] = b"rotten"
    sealed.blocks[4] = b""
    del sealed.blocks[5]
    for index in (3, 4, 5):
        with pytest.raises(BlockNotAvailable):
            core.get(index)
    core.close()
    assert sum(file.stat().st_size for file in tmp_path.iterdir()) < 65_536


def test_damaged_blocks_are_noticed_and_not_served(tmp_path: Path, content: Any, key_pair: Any) -> None:
    core = Core.create(tmp_path, key_pair=key_pair)
    core.append([content("64k", index) for index in range(3)])
    core.close()
    data = bytearray((tmp_path / "data").read_bytes())
    data[70_000] ^= 1
    (tmp_path / "data").write_bytes(data)
    again = Core.open(tmp_path)
    assert again.get(0) == content("64k", 0)
    with pytest.raises(StoreCorrupt, match="block 1"):
        again.get(1)
    with pytest.raises(StoreCorrupt):
        again.proof(ProofRequest(0, block=BlockRequest(1, 0)))
    again.close()


@pytest.mark.parametrize("name", ["tree", "identity", "journal.0"])
def test_a_damaged_tree_identity_or_checkpoint_is_noticed_at_once(name: str, tmp_path: Path, key_pair: Any) -> None:
    core = Core.create(tmp_path, key_pair=key_pair)
    core.append(b"x")
    core.close()
    for file in tmp_path.glob("journal.*" if name == "journal.0" else name):
        file.write_bytes(b"\x01" * max(40, file.stat().st_size))
    with pytest.raises(StoreCorrupt):
        Core.open(tmp_path)


def test_a_with_block_closes_a_core_also_when_it_fails(tmp_path: Path) -> None:
    with Core.create(tmp_path) as core:
        core.append(b"kept")
    assert core.closed
    with pytest.raises(ZeroDivisionError), Core.open(tmp_path) as again:
        assert again.get(0) == b"kept"
        _ = 1 // 0
    assert again.closed
    Core.open(tmp_path).close()


def test_a_closed_core_refuses_further_use(filled: Callable[..., Core]) -> None:
    core = filled(3)
    core.close()
    core.close()
    assert core.closed
    for use in (
        lambda: core.get(0),
        lambda: core.append(b"x"),
        lambda: core.truncate(1),
        lambda: core.clear(0, 1),
        lambda: core.proof(ProofRequest()),
        lambda: core.apply(Proof()),
        lambda: core.tree_hash(),
        lambda: core.head_proof(),
        lambda: core.sync(),
    ):
        with pytest.raises(CoreClosed):
            use()


def test_a_memory_store_keeps_its_content_between_openings(key_pair: Any) -> None:
    directory = MemoryDirectory()
    core = Core.create(None, key_pair=key_pair, directory=directory)
    core.append([bytes(100_000), b"tail"])
    with pytest.raises(StoreLocked):
        Core.open(None, directory=directory)
    core.clear(0, 1)
    core.close()
    again = Core.open(None, directory=directory)
    assert (again.has(0), again.get(1)) == (False, b"tail")


def test_a_core_of_several_signers_keeps_its_own_part_of_the_signature(tmp_path: Path, key_pair: Any) -> None:
    manifest = Manifest.create([Signer(key_pair.public_key), Signer(bytes(32))])
    core = Core.create(tmp_path, key_pair=key_pair, manifest=manifest)
    core.append(b"x")
    assert len(core.signature) == 64
    core.close()
    again = Core.open(tmp_path)
    assert again.length == 1
    clone = Core.open(None, again.key)
    with pytest.raises(InvalidSignature):
        clone.apply(head_of(again))
    again.close()
