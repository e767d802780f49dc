"""`datdot dev`: a whole market in one process, or the chain of a chain builder's project."""

from __future__ import annotations

from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import trio

from node.app.status import StatusPage
from node.config import LOOPBACK, NOWHERE, BlockMode, FindingConfig, NodeConfig, StartRefused
from node.devnet.chain_file import (
    ENDOWMENT_PLANCK,
    ChainFileMismatch,
    at_block_time,
    development_spec,
    open_chain_file,
    provider_uri,
    validator_uri,
)
from node.devnet.market import share_all, show_blocks, wait_for_users
from node.devnet.ports import bind_port, free_or_any
from node.devnet.progress import Reporter
from node.devnet.upgrade import UpgradeRefused, bring_up_to_date
from node.devnet.watch import watch_project
from node.devnet.workplace import workplace
from node.garbage import settle_garbage_collection
from node.keys.derivation import keypair_from_uri
from node.keys.keypair import Keypair
from node.node import Node, has_market, open_node
from node.runtime_source import RuntimeRefused, explained, node_runtime, project_files
from runtime.crypto import ss58_encode
from runtime.genesis import ChainSpec
from runtime.genesis_fields import GenesisError

PROVIDERS: Final = 9
DEFAULT_BLOCK_SECONDS: Final = 1.0
DEFAULT_RPC_PORT: Final = 9944
DEFAULT_APP_PORT: Final = 8080
SEALING_WORKERS: Final = 2


@dataclass(frozen=True)
class DevConfig:
    """What `datdot dev` was asked for; a port of None is the default one if free, else any.

    `chain` is a project's chain file; without it the chain is DatDot's. A block time of None is the chain file's.
    """

    directory: Path | None
    block_time_seconds: float | None
    blocks: BlockMode
    rpc_port: int | None
    app_port: int | None
    shares: tuple[str, ...]
    timeout_seconds: float | None
    finding: FindingConfig = NOWHERE
    chain: ChainSpec | None = None
    watch: bool = False


async def run_dev(config: DevConfig, as_json: bool) -> bool:
    """Runs the chain until stopped; with shares and a timeout, until all is available (True) or time is up (False)."""
    with workplace(config.directory, "datdot-dev-", as_json) as (directory, reporter):
        return await _run(config, directory, reporter)


async def _run(config: DevConfig, directory: Path, reporter: Reporter) -> bool:
    spec = _chain_spec(config, directory)
    providers = _providers(spec)
    if config.shares and not providers:
        raise StartRefused("--share: this chain's runtime has no hosting market (the pallet DatDot)")
    async with AsyncExitStack() as stack:
        everything = stack.enter_context(trio.CancelScope())
        node = await stack.enter_async_context(open_node(_node_config(config, spec, directory, providers, reporter)))
        nursery = await stack.enter_async_context(trio.open_nursery())
        stack.callback(nursery.cancel_scope.cancel)
        await _take_up_source(node, reporter)
        if config.watch and spec.runtime is not None:
            nursery.start_soon(watch_project, node, spec.runtime, reporter)
        if not providers:
            reporter.event("chain_ready", rpc=node.rpc_url, accounts=_accounts(providers))
        else:
            nursery.start_soon(show_blocks, node.api, reporter)
            accounts = tuple(provider.account_id for provider in providers)
            app_url = await _serve_status(config, node, accounts, nursery)
            if config.blocks != "manual" and not await wait_for_users(node.api, accounts):
                raise StartRefused(
                    "the providers could not register within two minutes; see the log with --log-level info"
                )
            reporter.event("ready", rpc=node.rpc_url, app=app_url, accounts=_accounts(providers))
        _tell_watching(config, spec, reporter)
        settle_garbage_collection()
        done = await share_all(node, config.shares, config.timeout_seconds, reporter, stack)
        if not config.shares or config.timeout_seconds is None:
            await trio.sleep_forever()
        # All at once, as a signal does it: one after another, services would take the ends of others for failures.
        everything.cancel()
    return done


def _chain_spec(config: DevConfig, directory: Path) -> ChainSpec:
    """The chain of the directory, which is begun from the project's chain file or from DatDot's development chain."""
    if config.watch and (config.chain is None or config.chain.runtime is None):
        raise StartRefused("--watch follows the pallets of a project: make one with `datdot new chain NAME`")
    if config.chain is None:
        wanted = development_spec(
            1,
            PROVIDERS,
            block_time_seconds=config.block_time_seconds or DEFAULT_BLOCK_SECONDS,
            name="DatDot Development",
            chain_type="Development",
        )
    else:
        wanted = at_block_time(config.chain, config.block_time_seconds)
    try:
        found = open_chain_file(directory, wanted, block_time_given=config.block_time_seconds is not None)
    except ChainFileMismatch as error:
        raise StartRefused(str(error)) from None
    if config.chain is not None and (found.runtime, found.genesis) != (wanted.runtime, wanted.genesis):
        raise StartRefused(f"the chain in {directory} was begun from another chain file: choose a new directory")
    return found


def _providers(spec: ChainSpec) -> tuple[Keypair, ...]:
    """The accounts that offer hosting, none on a chain without a market."""
    try:
        if spec.runtime is not None and not has_market(node_runtime(spec)):
            return ()
    except RuntimeRefused as refusal:
        raise StartRefused(str(refusal)) from None
    except GenesisError as error:
        raise StartRefused(f"the chain file has a mistake: {error}") from None
    return tuple(keypair_from_uri(provider_uri(index)) for index in range(PROVIDERS))


def _node_config(
    config: DevConfig, spec: ChainSpec, directory: Path, providers: tuple[Keypair, ...], reporter: Reporter
) -> NodeConfig:
    told: set[str] = set()

    def tell_bug(error: Exception) -> None:
        text = explained(error)
        if text not in told:
            told.add(text)
            reporter.event("runtime_bug", error=text)

    return NodeConfig(
        spec=spec,
        base_path=directory,
        validator=keypair_from_uri(validator_uri(0)),
        providers=providers,
        rpc_port=free_or_any(config.rpc_port, DEFAULT_RPC_PORT),
        blocks=config.blocks,
        sealing_workers=SEALING_WORKERS,
        finding=config.finding,
        upgradable=True,
        on_runtime_bug=tell_bug if config.watch else None,
        rpc_origins=frozenset({"*"}),
    )


async def _take_up_source(node: Node, reporter: Reporter) -> None:
    """A directory that was begun with other source goes on with the source at hand."""
    try:
        if await bring_up_to_date(node):
            reporter.event("upgraded", spec_version=node.chain.runtime.version.spec_version)
    except UpgradeRefused as refusal:
        raise StartRefused(str(refusal)) from None


def _tell_watching(config: DevConfig, spec: ChainSpec, reporter: Reporter) -> None:
    if config.watch and spec.runtime is not None:
        files = project_files(spec.runtime)
        reporter.event("watching", package=spec.runtime.partition(".")[0], files=len(files))


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
