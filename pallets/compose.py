"""Parts from which a runtime is composed: the pallets that every node needs, and constants from the chain file.

A runtime factory is a function `runtime_for(spec, *, source_digest) -> Runtime`; `pallets.chain` holds ours, and a
chain builder's looks like it:

    configure = Configure.of(spec)
    core = core_pallets(configure, spec.slot_duration_ms)
    notes = Notes(configure("Notes", NotesConfig()))
    configure.refuse_others()
    return compose("demo", 1, (*core, notes), source_digest)
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from typing import NamedTuple, TypeVar

from pallets.aura import Aura, AuraConfig
from pallets.balances import Balances, BalancesConfig
from pallets.multisig import Multisig, MultisigConfig
from pallets.proxy import Proxy, ProxyConfig
from pallets.randomness import Randomness, RandomnessConfig
from pallets.runtime_apis import apis_of
from pallets.scheduler import Scheduler, SchedulerConfig
from pallets.session import Session
from pallets.sudo import Sudo
from pallets.system import System, SystemConfig
from pallets.timestamp import Timestamp, TimestampConfig
from pallets.transaction_payment import TransactionPayment, TransactionPaymentConfig
from pallets.utility import Utility, UtilityConfig
from runtime.construct import Runtime
from runtime.genesis import ChainSpec
from runtime.genesis_fields import GenesisError, GenesisPath, read_integer, read_mapping
from runtime.pallet import Pallet
from runtime.types import camel_case
from runtime.version import UNKNOWN_SOURCE, RuntimeVersion, api_id

C = TypeVar("C")

Constants = Mapping[str, Mapping[str, int]]
"""Constants that differ from the defaults, by pallet and name as in the metadata: {"DatDot": {"ChallengeDelay": 5}}."""


class CorePallets(NamedTuple):
    """The pallets without which no node makes blocks and no client feels at home; a runtime adds its own to them."""

    system: System
    timestamp: Timestamp
    aura: Aura
    session: Session
    randomness: Randomness
    balances: Balances
    fees: TransactionPayment
    sudo: Sudo
    utility: Utility
    scheduler: Scheduler
    multisig: Multisig
    proxy: Proxy


def core_pallets(configure: Configure, slot_duration_ms: int) -> CorePallets:
    """Make them for a slot time, with the constants of the chain file. Raises GenesisError."""
    system = System(SystemConfig())
    aura = Aura(AuraConfig(slot_duration_ms), system=system)
    balances = Balances(configure("Balances", BalancesConfig()), system=system)
    fees_config = configure("TransactionPayment", TransactionPaymentConfig())
    return CorePallets(
        system=system,
        timestamp=Timestamp(TimestampConfig(slot_duration_ms // 2), aura=aura),
        aura=aura,
        session=Session(aura=aura),
        randomness=Randomness(configure("Randomness", RandomnessConfig()), system=system, aura=aura),
        balances=balances,
        fees=TransactionPayment(fees_config, system=system, aura=aura, balances=balances),
        sudo=Sudo(),
        utility=Utility(configure("Utility", UtilityConfig())),
        scheduler=Scheduler(configure("Scheduler", SchedulerConfig()), system=system),
        multisig=Multisig(configure("Multisig", MultisigConfig()), system=system, balances=balances),
        proxy=Proxy(configure("Proxy", ProxyConfig()), system=system, balances=balances),
    )


def compose(
    spec_name: str,
    spec_version: int,
    pallets: Iterable[Pallet],
    source_digest: bytes = UNKNOWN_SOURCE,
    *,
    transaction_version: int = 1,
) -> Runtime:
    """Make a runtime of pallets; its version lists the runtime APIs that they answer.

    `spec_version` rises with every change of what blocks do, `transaction_version` with every change of how a call is
    encoded. `source_digest` (32 bytes) is what `:code` says about the source.
    """
    parts = tuple(pallets)
    version = RuntimeVersion(
        spec_name=spec_name,
        impl_name="datdot-python",
        authoring_version=1,
        spec_version=spec_version,
        impl_version=1,
        apis=tuple((api_id(api.name), api.api_version) for api in apis_of(parts)),
        transaction_version=transaction_version,
        state_version=1,
    )
    return Runtime(parts, version, source_digest)


class Configure:
    """Makes each pallet's Config from its defaults and the constants of a chain file, strictly."""

    def __init__(self, constants: Constants, at: GenesisPath) -> None:
        if not isinstance(constants, Mapping):
            raise GenesisError(at, "an object with one section per pallet")
        self.constants = constants
        self.at = at
        self.known: list[str] = []

    @classmethod
    def of(cls, spec: ChainSpec) -> Configure:
        """Read `genesis.constants` of a chain file."""
        return cls(spec.genesis.get("constants", {}), GenesisPath("genesis.constants"))

    def __call__(self, pallet: str, defaults: C) -> C:
        """Return the Config with what the chain file sets; integers may be set, by the name in the metadata."""
        self.known.append(pallet)
        at = self.at[pallet]
        fields: dict[str, str] = {}
        for field in dataclasses.fields(defaults):  # type: ignore[arg-type]
            if isinstance(getattr(defaults, field.name), int):
                fields[field.metadata.get("name") or camel_case(field.name)] = field.name
        section = read_mapping(self.constants.get(pallet, {}), at, required=(), optional=tuple(fields))
        values = {fields[name]: read_integer(value, at[name]) for name, value in section.items()}
        try:
            return dataclasses.replace(defaults, **values)  # type: ignore[type-var]
        except ValueError as error:
            raise GenesisError(at, f"constants that agree with each other ({error})") from None

    def refuse_others(self) -> None:
        """Refuse a section for a pallet that does not exist or has no constants to choose."""
        read_mapping(self.constants, self.at, required=(), optional=tuple(self.known))
