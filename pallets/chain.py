"""The DatDot chain: which pallets it is made of, at which indices, with which constants."""

from __future__ import annotations

from pallets.compose import Configure, Constants, compose, core_pallets
from pallets.datdot.config import DatDotConfig
from pallets.datdot.pallet import DatDot
from runtime.construct import Runtime
from runtime.genesis import ChainSpec
from runtime.genesis_fields import GenesisPath
from runtime.version import UNKNOWN_SOURCE

SPEC_NAME = "datdot"
SPEC_VERSION = 1
TRANSACTION_VERSION = 1
DEFAULT_SLOT_DURATION_MS = 6_000


def build_runtime(
    *,
    slot_duration_ms: int = DEFAULT_SLOT_DURATION_MS,
    datdot_config: DatDotConfig | None = None,
    constants: Constants | None = None,
    source_digest: bytes = UNKNOWN_SOURCE,
) -> Runtime:
    """Compose the runtime of a chain with this slot time and the constants that differ from the defaults.

    `datdot_config` replaces DatDot's defaults. `source_digest` (32 bytes) is what `:code` says about the runtime's
    source. Raises GenesisError for a constant that does not exist or has no meaning.
    """
    configure = Configure({} if constants is None else constants, GenesisPath("genesis.constants"))
    core = core_pallets(configure, slot_duration_ms)
    market = DatDot(
        configure("DatDot", datdot_config or DatDotConfig()),
        system=core.system,
        balances=core.balances,
        randomness=core.randomness,
        scheduler=core.scheduler,
    )
    configure.refuse_others()
    pallets = (*core, market)
    return compose(SPEC_NAME, SPEC_VERSION, pallets, source_digest, transaction_version=TRANSACTION_VERSION)


def runtime_for(spec: ChainSpec, *, source_digest: bytes = UNKNOWN_SOURCE) -> Runtime:
    """Return the runtime of a chain file: its slot time, and its `genesis.constants`. Raises GenesisError."""
    constants = spec.genesis.get("constants", {})
    return build_runtime(slot_duration_ms=spec.slot_duration_ms, constants=constants, source_digest=source_digest)


__all__ = ["Constants", "build_runtime", "runtime_for"]
