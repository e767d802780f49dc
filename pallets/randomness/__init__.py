"""Randomness: a beacon of hash onions that the authorities peel, one layer per block."""

from pallets.randomness.config import RandomnessConfig
from pallets.randomness.onion import OnionLayers, onion_layer, onion_secret, onion_seed, onion_tip
from pallets.randomness.pallet import Randomness
from pallets.randomness.types import ONION_ENGINE, Onion, OnionCommitment, OnionDuty, OnionReveal, Reveal, onion_item

__all__ = [
    "ONION_ENGINE",
    "Onion",
    "OnionCommitment",
    "OnionDuty",
    "OnionLayers",
    "OnionReveal",
    "Randomness",
    "RandomnessConfig",
    "Reveal",
    "onion_item",
    "onion_layer",
    "onion_secret",
    "onion_seed",
    "onion_tip",
]
