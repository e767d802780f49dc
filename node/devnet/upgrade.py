"""Upgrades of a development chain: `sudo(system.set_code)` in a block made at once, as any chain would be upgraded.

The upgrade is an ordinary call in an ordinary block: the block before it and the block itself are of the old runtime,
what follows is of the new one. Before it is sent, every stored value is decoded as the new runtime declares it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import trio

from node.client.errors import SubmitFailed
from node.devnet.meanings import items_read_anew
from node.keys.keypair import Keypair
from node.node import Node
from node.runtime_source import RuntimeRefused, node_runtime
from runtime.call import RuntimeCall
from runtime.construct import Runtime
from runtime.errors import CodecError
from runtime.genesis_fields import GenesisError
from runtime.pallet import Pallet
from runtime.state import StateView
from runtime.storage import StorageItem, read_key

MAX_VALUES_CHECKED: Final = 100_000
KEYS_AT_ONCE: Final = 1_000
UPGRADE_SECONDS: Final = 30.0


class UpgradeRefused(Exception):
    """The chain keeps its runtime: why, and what to do."""


async def bring_up_to_date(node: Node) -> bool:
    """Upgrade the chain to the source at hand if it runs another one; says whether it did. Raises UpgradeRefused."""
    runtime = build_next(node)
    if runtime is None:
        return False
    await upgrade(node, runtime)
    return True


def build_next(node: Node) -> Runtime | None:
    """The runtime of the source at hand, numbered after the chain's; None if the chain runs that source already.

    Raises UpgradeRefused for source that makes no runtime.
    """
    current = node.chain.runtime
    try:
        runtime = node_runtime(node.config.spec)
        if runtime.source_digest == current.source_digest:
            return None
        runtime.renumber(max(runtime.version.spec_version, current.version.spec_version + 1))
        _ = runtime.metadata_v14  # while the modules that it was made from are the loaded ones
    except GenesisError as error:
        raise UpgradeRefused(f"the chain file has a mistake for this runtime: {error}") from None
    except RuntimeRefused as error:
        raise UpgradeRefused(str(error)) from None
    except (TypeError, ValueError) as error:
        raise UpgradeRefused(f"the runtime has no metadata: {error}") from None
    return runtime


async def upgrade(node: Node, runtime: Runtime) -> tuple[str, ...]:
    """Put a runtime into force. Raises UpgradeRefused, and then the old one stays.

    Returns the items, such as `Counter.Total`, whose stored values decode and are now read as another type.
    """
    signer = _sudo_key(node)
    view = node.chain.store.state(node.chain.best.hash)
    check_state(runtime, view)
    read_anew = _read_anew(node.chain.runtime, runtime, view)
    node.chain.offer_runtime(runtime)
    set_code = RuntimeCall("System", "set_code", {"code": runtime.code})
    with trio.move_on_after(UPGRADE_SECONDS):
        try:
            async with trio.open_nursery() as nursery:
                # It runs once the call waits in the pool.
                nursery.start_soon(_make_block, node, runtime, nursery.cancel_scope)
                await node.api.submit(RuntimeCall("Sudo", "sudo", {"call": set_code}), signer)
        except* SubmitFailed as failed:
            raise UpgradeRefused(f"the upgrade was not accepted: {failed.exceptions[0]}") from None
    if node.chain.runtime is not runtime:
        raise UpgradeRefused("the upgrade did not come into force: does this chain still make blocks?")
    return read_anew


async def _make_block(node: Node, wanted: Runtime, submission: trio.CancelScope) -> None:
    """Make the block of the upgrade; where a hook of the old runtime fails, the new source stands in for the old."""
    made = await node.author.author_block()
    current = node.chain.runtime
    if made is None and current is not wanted:
        digest, spec_version = current.source_digest, current.version.spec_version
        node.chain.offer_runtime(node_runtime(node.config.spec, digest=digest, spec_version=spec_version))
        await node.author.author_block()
    submission.cancel()


def _sudo_key(node: Node) -> Keypair:
    """The validator's key, which must be the sudo key too: both are //Alice on a development chain."""
    key = node.config.validator
    names = {pallet.name for pallet in node.chain.runtime.pallets}
    if "Sudo" not in names or key is None or node.api.query("Sudo", "Key") != key.account_id:
        raise UpgradeRefused("only the sudo key can upgrade the runtime, and this chain's is not that of its validator")
    return key


def check_state(runtime: Runtime, view: StateView) -> None:
    """Decode what is stored as a runtime declares it, up to MAX_VALUES_CHECKED values. Raises UpgradeRefused."""
    left = MAX_VALUES_CHECKED
    mistakes = []
    for pallet, item in _stored_items(runtime):
        checked, mistake = _check_item(runtime, view, item, left)
        left -= checked
        if mistake is not None:
            mistakes.append(f"  {pallet.name}.{item.name}: {mistake}")
    if mistakes:
        raise UpgradeRefused(
            "the state holds values that the new declarations cannot read, so the old runtime stays:\n"
            + "\n".join(mistakes)
            + "\nGive the new type another storage name and keep the old item, or begin a new chain: stop this one and"
            " start it again, with --data in a new directory."
        )


def _read_anew(old: Runtime, new: Runtime, view: StateView) -> tuple[str, ...]:
    changed = items_read_anew(old.metadata_v14, new.metadata_v14)
    return tuple(
        f"{pallet.name}.{item.name}"
        for pallet, item in _stored_items(new)
        if (pallet.name, item.name) in changed and view.keys(item.prefix, None, 1)
    )


def _stored_items(runtime: Runtime) -> Iterator[tuple[Pallet, StorageItem]]:
    """What outlives a block: its events do not, and are read by the runtime that deposited them."""
    for pallet in runtime.pallets:
        for attribute in pallet.storage():
            item = getattr(pallet, attribute)
            if (pallet.name, item.name) != ("System", "Events"):
                yield pallet, item


def _check_item(runtime: Runtime, view: StateView, item: StorageItem, most: int) -> tuple[int, str | None]:
    """How many entries were decoded, and what is wrong with the first that could not be."""
    decode = runtime.codecs.codec_for(item.value_type).decode
    keys = [(hasher, runtime.codecs.codec_for(kind)) for kind, hasher in item.hashers]
    start: bytes | None = None
    checked = 0
    while checked < most:
        page = view.keys(item.prefix, start, min(KEYS_AT_ONCE, most - checked))
        for raw in page:
            try:
                end = len(item.prefix)
                for hasher, codec in keys:
                    end = read_key(raw, end, hasher, codec)[1] if hasher.concat else end + hasher.digest_bytes
                if end != len(raw):
                    raise CodecError("the key has another length")
                decode(view.get(raw) or b"")
            except CodecError as error:
                return checked, f"{error} (under 0x{raw.hex()})"
            checked += 1
        if not page:
            break
        start = page[-1]
    return checked, None
