"""The DatDot chain: which pallets it is made of, at which indices, with which constants."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import TypeVar

from pallets.aura import Aura, AuraConfig
from pallets.balances import Balances, BalancesConfig
from pallets.datdot.config import DatDotConfig
from pallets.datdot.pallet import DatDot
from pallets.multisig import Multisig, MultisigConfig
from pallets.proxy import Proxy, ProxyConfig
from pallets.randomness import Randomness, RandomnessConfig
from pallets.runtime_apis import APIS
from pallets.scheduler import Scheduler, SchedulerConfig
from pallets.session import Session
from pallets.sudo import Sudo
from pallets.system import System, SystemConfig
from pallets.timestamp import Timestamp, TimestampConfig
from pallets.transaction_payment import TransactionPayment, TransactionPaymentConfig
from pallets.utility import Utility, UtilityConfig
from runtime.construct import Runtime
from runtime.genesis import ChainSpec, GenesisError, GenesisPath, read_integer, read_mapping
from runtime.types import camel_case
from runtime.version import RuntimeVersion, api_id

SPEC_NAME = "datdot"
SPEC_VERSION = 1
TRANSACTION_VERSION = 1
UNKNOWN_SOURCE = bytes(32)
"""The source digest of a runtime that will not author: tools and tests."""

DEFAULT_SLOT_DURATION_MS = 6_000
C = TypeVar("C")

Constants = Mapping[str, Mapping[str, int]]
"""Constants that differ from the defaults, by pallet and name as in the metadata: {"DatDot": {"ChallengeDelay": 5}}."""


def runtime_version() -> RuntimeVersion:
    """Return the version of this runtime, as clients read it."""
    return RuntimeVersion(
        spec_name=SPEC_NAME,
        impl_name="datdot-python",
        authoring_version=1,
        spec_version=SPEC_VERSION,
        impl_version=1,
        apis=tuple((api_id(api.name), api.api_version) for api in APIS),
        transaction_version=TRANSACTION_VERSION,
        state_version=1,
    )


def build_runtime(
    *,
    slot_duration_ms: int = DEFAULT_SLOT_DURATION_MS,
    datdot_config: DatDotConfig | None = None,
    constants: Constants | None = None,
    source_digest: bytes = UNKNOWN_SOURCE,
) -> Runtime:
    """Compose the runtime of a chain with this slot time and the constants that differ from the defaults.

    `datdot_config` replaces DatDot's constants. `source_digest` (32 bytes) is what `:code` says about the runtime's
    source. Raises GenesisError for a constant that does not exist or has no meaning.
    """
    configure = _Configure({} if constants is None else constants, GenesisPath("genesis.constants"))
    system = System(SystemConfig())
    aura = Aura(AuraConfig(slot_duration_ms), system=system)
    timestamp = Timestamp(TimestampConfig(slot_duration_ms // 2), aura=aura)
    session = Session(aura=aura)
    randomness = Randomness(configure("Randomness", RandomnessConfig), system=system, aura=aura)
    balances = Balances(configure("Balances", BalancesConfig), system=system)
    fees = TransactionPayment(
        configure("TransactionPayment", TransactionPaymentConfig), system=system, aura=aura, balances=balances
    )
    sudo = Sudo()
    utility = Utility(configure("Utility", UtilityConfig))
    scheduler = Scheduler(configure("Scheduler", SchedulerConfig), system=system)
    multisig = Multisig(configure("Multisig", MultisigConfig), system=system, balances=balances)
    proxy = Proxy(configure("Proxy", ProxyConfig), system=system, balances=balances)
    market_config = configure("DatDot", DatDotConfig) if datdot_config is None else datdot_config
    market = DatDot(market_config, system=system, balances=balances, randomness=randomness, scheduler=scheduler)
    configure.refuse_others()
    consensus = (system, timestamp, aura, session, randomness)
    services = (balances, fees, sudo, utility, scheduler, multisig, proxy)
    return Runtime((*consensus, *services, market), runtime_version(), source_digest)


def runtime_for(spec: ChainSpec, *, source_digest: bytes = UNKNOWN_SOURCE) -> Runtime:
    """Return the runtime of a chain file: its slot time, and its `genesis.constants`. Raises GenesisError."""
    constants = spec.genesis.get("constants", {})
    return build_runtime(slot_duration_ms=spec.slot_duration_ms, constants=constants, source_digest=source_digest)


class _Configure:
    """Makes each pallet's Config from the constants of a chain file, strictly."""

    def __init__(self, constants: Constants, at: GenesisPath) -> None:
        if not isinstance(constants, Mapping):
            raise GenesisError(at, "an object with one section per pallet")
        self.constants = constants
        self.at = at
        self.known: list[str] = []

    def __call__(self, pallet: str, kind: type[C]) -> C:
        """Return a Config whose integer fields may be set by the name that the metadata shows."""
        self.known.append(pallet)
        at = self.at[pallet]
        fields: dict[str, str] = {}
        for field in dataclasses.fields(kind):  # type: ignore[arg-type]
            if isinstance(field.default, int):
                fields[field.metadata.get("name") or camel_case(field.name)] = field.name
        section = read_mapping(self.constants.get(pallet, {}), at, required=(), optional=tuple(fields))
        values = {fields[name]: read_integer(value, at[name]) for name, value in section.items()}
        try:
            return kind(**values)
        except ValueError as error:
            raise GenesisError(at, f"constants that agree with each other ({error})") from None

    def refuse_others(self) -> None:
        """Refuse a section for a pallet that does not exist or has no constants to choose."""
        read_mapping(self.constants, self.at, required=(), optional=tuple(self.known))
