"""Every family of methods that the port offers."""

from node.rpc.backend import Backend
from node.rpc.methods.archive import ArchiveMethods
from node.rpc.methods.author import AuthorMethods
from node.rpc.methods.chain import ChainMethods
from node.rpc.methods.chain_head import ChainHeadMethods
from node.rpc.methods.datdot import DatDotMethods
from node.rpc.methods.dev import DevMethods
from node.rpc.methods.offchain import OffchainMethods
from node.rpc.methods.operator import OperatorMethods
from node.rpc.methods.payment import PaymentMethods
from node.rpc.methods.state import StateMethods
from node.rpc.methods.system import SystemMethods
from node.rpc.methods.transaction import TransactionMethods
from node.rpc.registry import Registry

FAMILIES = (
    ArchiveMethods,
    AuthorMethods,
    ChainHeadMethods,
    ChainMethods,
    DatDotMethods,
    OperatorMethods,
    PaymentMethods,
    StateMethods,
    TransactionMethods,
)


def registry_of(backend: Backend) -> Registry:
    """A registry of all methods that one node answers; a method that it cannot answer is not in it."""
    registry = Registry()
    for family in FAMILIES:
        registry.add(family(backend))
    registry.add(SystemMethods(backend, registry))
    if backend.offchain is not None:
        registry.add(OffchainMethods(backend, backend.offchain))
    if backend.development is not None:
        registry.add(DevMethods(backend, backend.development))
    return registry
