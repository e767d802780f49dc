"""`datdot dev`: a whole market in one process."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import trio

from node.app.status import StatusPage
from node.config import LOOPBACK, NOWHERE, BlockMode, FindingConfig, NodeConfig, StartRefused
from node.devnet.chain_file import (
    ENDOWMENT_PLANCK,
    ChainFileMismatch,
    development_spec,
    open_chain_file,
    provider_uri,
    validator_uri,
)
from node.devnet.market import share_all, show_blocks, wait_for_users
from node.devnet.ports import bind_port, free_or_any
from node.devnet.progress import JsonReporter, Reporter, TextReporter
from node.garbage import settle_garbage_collection
from node.keys.derivation import keypair_from_uri
from node.keys.keypair import Keypair
from node.node import Node, open_node
from runtime.crypto import ss58_encode

PROVIDERS: Final = 9
DEFAULT_RPC_PORT: Final = 9944
DEFAULT_APP_PORT: Final = 8080
SEALING_WORKERS: Final = 2


@dataclass(frozen=True)
class DevConfig:
    """What `datdot dev` was asked for; a port of None is the default one if free, else any."""

    directory: Path | None
    block_time_seconds: float
    block_time_given: bool
    blocks: BlockMode
    rpc_port: int | None
    app_port: int | None
    shares: tuple[str, ...]
    timeout_seconds: float | None
    finding: FindingConfig = NOWHERE


async def run_dev(config: DevConfig, as_json: bool) -> bool:
    """Runs the market until stopped; with shares and a timeout, until all is available (True) or time is up (False)."""
    reporter: Reporter = JsonReporter() if as_json else TextReporter()
    try:
        with data_directory(config.directory, "datdot-dev-") as directory:
            return await _run(config, directory, reporter)
    finally:
        reporter.close()


@contextmanager
def data_directory(chosen: Path | None, prefix: str) -> Iterator[Path]:
    """The chosen directory, made if missing, or a temporary one that is removed afterwards."""
    if chosen is None:
        with tempfile.TemporaryDirectory(prefix=prefix, ignore_cleanup_errors=True) as temporary:
            yield Path(temporary)
        return
    try:
        chosen.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StartRefused(f"cannot use {chosen}: {error.strerror}") from None
    yield chosen.resolve()


async def _run(config: DevConfig, directory: Path, reporter: Reporter) -> bool:
    providers = tuple(keypair_from_uri(provider_uri(index)) for index in range(PROVIDERS))
    async with AsyncExitStack() as stack:
        node = await stack.enter_async_context(open_node(_node_config(config, directory, providers)))
        nursery = await stack.enter_async_context(trio.open_nursery())
        stack.callback(nursery.cancel_scope.cancel)
        nursery.start_soon(show_blocks, node.api, reporter)
        accounts = tuple(provider.account_id for provider in providers)
        app_url = await _serve_status(config, node, accounts, nursery)
        if config.blocks != "manual" and not await wait_for_users(node.api, accounts):
            raise StartRefused("the providers could not register within two minutes; see the log with --log-level info")
        settle_garbage_collection()
        reporter.event("ready", rpc=node.rpc_url, app=app_url, accounts=_accounts(providers))
        done = await share_all(node, config.shares, config.timeout_seconds, reporter, stack)
        if not config.shares or config.timeout_seconds is None:
            await trio.sleep_forever()
        return done


def _node_config(config: DevConfig, directory: Path, providers: tuple[Keypair, ...]) -> NodeConfig:
    wanted = development_spec(
        1,
        PROVIDERS,
        block_time_seconds=config.block_time_seconds,
        name="DatDot Development",
        chain_type="Development",
    )
    try:
        spec = open_chain_file(directory, wanted, block_time_given=config.block_time_given)
    except ChainFileMismatch as error:
        raise StartRefused(str(error)) from None
    return NodeConfig(
        spec=spec,
        base_path=directory,
        validator=keypair_from_uri(validator_uri(0)),
        providers=providers,
        rpc_port=free_or_any(config.rpc_port, DEFAULT_RPC_PORT),
        blocks=config.blocks,
        sealing_workers=SEALING_WORKERS,
        finding=config.finding,
        rpc_origins=frozenset({"*"}),
    )


async def _serve_status(
    config: DevConfig, node: Node, accounts: tuple[bytes, ...], nursery: trio.Nursery
) -> str:
    listeners = await bind_port(free_or_any(config.app_port, DEFAULT_APP_PORT), "--app-port")
    page = StatusPage(node.api, node.rpc_url, accounts, ENDOWMENT_PLANCK)
    nursery.start_soon(page.server().serve, listeners)
    return f"http://{LOOPBACK}:{listeners[0].socket.getsockname()[1]}/"


def _accounts(providers: tuple[Keypair, ...]) -> dict[str, str]:
    uris = [validator_uri(index) for index in range(6)] + [provider_uri(index) for index in range(len(providers))]
    return {uri: ss58_encode(keypair_from_uri(uri).account_id) for uri in uris}
