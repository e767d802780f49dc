"""The hosting market as a pallet: its calls, its hooks, nothing else.

State is declared in `storage`, what calls check and do stands in `calls/`, what happens in blocks in `lifecycle`.
"""

from collections.abc import Iterator, Sequence
from typing import Annotated

from pallets.datdot import contracts, invariants, lifecycle, proofs
from pallets.datdot.calls import feeds, plans, reports, users
from pallets.datdot.components import (
    HEAD_PROOF_BOUND,
    Components,
    FormInput,
    KeyProofs,
    LeafEvidence,
    PlanInput,
    PositionResult,
    RoleOffer,
)
from pallets.datdot.events import DatDotError
from pallets.datdot.storage import Market
from pallets.datdot.types import POSITIONS_BOUND, ItemId, Role
from pallets.weights import dat_dot as weights
from runtime.errors import ensure
from runtime.origin import Origin, ensure_root, ensure_signed
from runtime.pallet import call
from runtime.types import U128, Bytes32, MaxLength
from runtime.weights import (
    OPERATIONAL,
    PICOSECONDS_PER_MICROSECOND,
    Pays,
    PostDispatchInfo,
    Weight,
)

EVIDENCE_BOUND = 256
OFFERS_BOUND = 3
HASH_BYTES = 32


def _microseconds(count: int) -> Weight:
    return Weight(count * PICOSECONDS_PER_MICROSECOND)


# What the benchmark does not tell apart is bounded by hand.
TASK_WEIGHT = _microseconds(1_000)
DRAW_WEIGHT = _microseconds(500)
CANDIDATE_WEIGHT = _microseconds(15)
HEAD_BYTE_WEIGHT = _microseconds(1)
"""A head may have many signers; each takes about 130 bytes of its proof and less than 130 microseconds."""
REFERENCE_WEIGHT = _microseconds(20)
RANGE_WEIGHT = _microseconds(2)
CHUNK_WEIGHT = _microseconds(8)
LANE_WEIGHT = _microseconds(250)
"""Settling a lane writes two or three keys."""


def _components_weight(components: Components) -> Weight:
    """Heads are verified, hashes grown over proven chunks, every other component is stored once."""
    head_bytes = sum(len(feed.head_proof) for feed in components.feeds)
    ranges = sum(len(dataset.ranges) for dataset in components.datasets)
    proof_bytes = sum(len(proof) for dataset in components.datasets for proof in dataset.sizes_proofs)
    others = len(components.datasets) + len(components.timetables) + len(components.regions)
    others += len(components.performances) + len(components.resources)
    return (
        weights.PUBLISH_FEED * len(components.feeds)
        + HEAD_BYTE_WEIGHT * head_bytes
        + RANGE_WEIGHT * ranges
        + CHUNK_WEIGHT * (proof_bytes // (HASH_BYTES + 1))
        + weights.REGISTER_FOR_WORK_PER_COMPONENT * others
    )


def _registration_weight(pallet: Market, form: FormInput, components: Components, **_: object) -> Weight:
    references = len(form.timetables) + len(form.regions) + len(form.performances)
    return weights.REGISTER_FOR_WORK + _components_weight(components) + REFERENCE_WEIGHT * references


def _feed_weight(pallet: Market, key: bytes, head_proof: bytes) -> Weight:
    return weights.PUBLISH_FEED + HEAD_BYTE_WEIGHT * len(head_proof)


def _plan_weight(pallet: Market, plan: PlanInput, components: Components, **_: object) -> Weight:
    """What reading the plan takes, and its contracts: those of its datasets, the most allowed for stored ones."""
    most = pallet.config.max_contracts_per_plan
    made = 0
    for reference in _datasets_of(plan):
        ranges = _local_ranges(components, reference)
        made += most if ranges is None else max(contracts.count_sets(ranges, pallet.config.contract_set_size), 0)
    return _reading_weight(pallet, plan, components) + weights.PUBLISH_PLAN_PER_CONTRACT * min(made, most)


def _reading_weight(pallet: Market, plan: PlanInput, components: Components) -> Weight:
    """Components are stored, references looked up, and ranges sorted for each dataset that the program names."""
    references = sum(len(entry.datasets) + len(entry.regions) + len(entry.performances) for entry in plan.program)
    local = (_local_ranges(components, reference) for reference in _datasets_of(plan))
    ranges = sum(pallet.config.max_ranges_per_dataset if found is None else len(found) for found in local)
    looked_up = REFERENCE_WEIGHT * references + RANGE_WEIGHT * ranges
    return weights.PUBLISH_PLAN + _components_weight(components) + looked_up


def _datasets_of(plan: PlanInput) -> Iterator[int]:
    return (reference for entry in plan.program for reference in entry.datasets)


def _local_ranges(components: Components, reference: int) -> Sequence[tuple[int, int]] | None:
    """The ranges of a dataset that comes with the call, None for a stored one."""
    is_local = 0 < -reference <= len(components.datasets)
    return components.datasets[-reference - 1].ranges if is_local else None


def _evidence_weight(pallet: Market, evidence: Sequence[LeafEvidence], **_: object) -> Weight:
    """The last answer settles every lane of the hoster."""
    return _answer_weight(len(evidence), pallet.config.max_hosting_slots)


def _answer_weight(leaves: int, lanes: int) -> Weight:
    checked = weights.SUBMIT_STORAGE_CHALLENGE + weights.SUBMIT_STORAGE_CHALLENGE_PER_LEAF * leaves
    return checked + LANE_WEIGHT * lanes


class DatDot(Market):
    """A market in which data of hypercores is hosted: publish a plan, and providers are drawn, checked and paid."""

    @call(weight=weights.NEW_USER)
    def new_user(self, origin: Origin, noise_key: Bytes32, signing_key: Bytes32, key_proofs: KeyProofs) -> None:
        """Join the market with two ed25519 keys, each of which has signed for this account on this chain."""
        users.new_user(self, ensure_signed(origin), noise_key, signing_key, key_proofs)

    @call(weight=_registration_weight)
    def register_for_work(
        self,
        origin: Origin,
        form: FormInput,
        components: Components,
        roles: Annotated[tuple[RoleOffer, ...], MaxLength(OFFERS_BOUND)],
    ) -> None:
        """Offer storage and work in roles; a repeated call replaces the form and changes the named roles."""
        users.register_for_work(self, ensure_signed(origin), form, components, roles)

    @call(weight=_feed_weight)
    def publish_feed(
        self, origin: Origin, key: Bytes32, head_proof: Annotated[bytes, MaxLength(HEAD_PROOF_BOUND)]
    ) -> None:
        """Make a hypercore known by its key and a signed head. A known feed keeps its id and its head."""
        feeds.publish_feed(self, self.caller(ensure_signed(origin)), key, head_proof)

    @call(weight=_plan_weight)
    def publish_plan(self, origin: Origin, plan: PlanInput, components: Components, deposit: U128) -> PostDispatchInfo:
        """Order hosting and put the deposit into escrow; it must cover what the plan may cost at most."""
        made = plans.publish_plan(self, ensure_signed(origin), plan, components, deposit)
        return PostDispatchInfo(_reading_weight(self, plan, components) + weights.PUBLISH_PLAN_PER_CONTRACT * made)

    @call(weight=weights.AMENDMENT_REPORT, dispatch_class=OPERATIONAL)
    def amendment_report(
        self,
        origin: Origin,
        amendment: ItemId,
        results: Annotated[tuple[PositionResult, ...], MaxLength(POSITIONS_BOUND)],
    ) -> PostDispatchInfo:
        """Report as an attestor what became of the positions of an amendment. An accepted report costs no fee."""
        reports.amendment_report(self, ensure_signed(origin), amendment, results)
        return PostDispatchInfo(pays_fee=Pays.NO)

    @call(weight=_evidence_weight, dispatch_class=OPERATIONAL)
    def submit_storage_challenge(
        self,
        origin: Origin,
        challenge: ItemId,
        evidence: Annotated[tuple[LeafEvidence, ...], MaxLength(EVIDENCE_BOUND)],
    ) -> PostDispatchInfo:
        """Answer a storage challenge, whole or in parts. Accepted evidence costs no fee."""
        hoster = self.caller(ensure_signed(origin))
        lanes = len(self.hosting.get(hoster).lanes)
        proofs.answer(self, hoster, challenge, evidence)
        return PostDispatchInfo(_answer_weight(len(evidence), lanes), Pays.NO)

    @call(weight=weights.START_PLAN)
    def start_plan(self, origin: Origin, plan: ItemId) -> None:
        """Start a plan, as root: the scheduler does it at the plan's `from`."""
        ensure_root(origin)
        ensure(self.plan_by_id.contains(plan), DatDotError.MISSING_PLAN)
        lifecycle.start_plan(self, plan)

    @call(weight=weights.END_PLAN)
    def end_plan(self, origin: Origin, plan: ItemId) -> None:
        """End a plan, as root: the scheduler does it at the plan's `until`."""
        ensure_root(origin)
        ensure(self.plan_by_id.contains(plan), DatDotError.MISSING_PLAN)
        lifecycle.end_plan(self, plan)

    def on_initialize(self, number: int) -> Weight:
        """Carry out what is due, draw providers, open challenges."""
        work = lifecycle.run_block(self)
        looked_at = sum(min(self.pool_size.get(role), self.config.max_selected_per_role) for role in Role)
        draw = DRAW_WEIGHT + CANDIDATE_WEIGHT * looked_at
        return weights.ON_INITIALIZE + TASK_WEIGHT * (work.tasks + work.challenges) + draw * work.draws

    def try_state(self) -> None:
        """Check the market's invariants (`invariants` lists them)."""
        invariants.check(self)
