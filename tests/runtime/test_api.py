"""Runtime APIs are declared once: arguments are decoded, results encoded, mistakes named."""

from __future__ import annotations

import pytest

from node.keys.keypair import Keypair
from runtime.api import (
    FRAMEWORK_APIS,
    OpaqueExtrinsic,
    RuntimeApi,
    RuntimeApis,
    TransactionValidityError,
    UnknownFunction,
)
from runtime.codec import codec_for
from runtime.errors import CodecError, InvalidTransaction, Validity
from runtime.header import Header
from runtime.state import StateView
from runtime.types import U8, U32, Bytes
from tests.runtime.conftest import TinyChain


class Sums(RuntimeApi):
    """Adds."""

    name = "Sums"

    def add(self, left: U8, right: U32) -> U32:
        """The sum."""
        return left + right

    def length(self, tx: OpaqueExtrinsic) -> U32:
        """How many bytes an extrinsic has, with its prefix."""
        return len(tx)

    def number(self) -> U32 | None:
        """The number of the block, if it is known."""
        return self.header.number

    def _hidden(self) -> U32:
        return 0


class Stateless(RuntimeApi):
    """Reads no state."""

    name = "Stateless"
    stateless = True

    def one(self) -> U8:
        """One."""
        return 1


@pytest.fixture
def apis(chain: TinyChain) -> RuntimeApis:
    return RuntimeApis(chain.runtime, (*FRAMEWORK_APIS, Sums, Stateless))


def called(chain: TinyChain, apis: RuntimeApis, name: str, data: bytes = b"") -> bytes:
    return apis.call(name, data, chain.head, lambda: chain.state)


def test_arguments_are_decoded_and_results_encoded(chain: TinyChain, apis: RuntimeApis) -> None:
    assert called(chain, apis, "Sums_add", bytes([2, 3, 1, 0, 0])) == bytes([5, 1, 0, 0])
    assert called(chain, apis, "Sums_number") == b"\x01" + chain.head.number.to_bytes(4, "little")


@pytest.mark.parametrize("body", [b"", b"abc", bytes(100)], ids=len)
def test_an_extrinsic_is_passed_on_whole(chain: TinyChain, apis: RuntimeApis, body: bytes) -> None:
    data = codec_for(Bytes).encode(body)
    assert called(chain, apis, "Sums_length", data) == len(data).to_bytes(4, "little")


@pytest.mark.parametrize(
    ("name", "data", "place"),
    [
        ("Sums_add", b"", "left"),
        ("Sums_add", bytes(4), "right"),
        ("Sums_add", bytes(6), "left over"),
        ("Sums_number", b"\0", "left over"),
        ("Sums_length", b"", "tx"),
        ("Sums_length", b"\x08a", "tx"),
        ("AccountNonceApi_account_nonce", bytes(31), "account"),
        ("Metadata_metadata_at_version", bytes(3), "version"),
    ],
)
def test_wrong_arguments_are_named(chain: TinyChain, apis: RuntimeApis, name: str, data: bytes, place: str) -> None:
    with pytest.raises(CodecError, match=place):
        called(chain, apis, name, data)


@pytest.mark.parametrize("name", ["", "Sums", "Sums_", "Sums_hidden", "Sums__hidden", "Sums_name", "sums_add"])
def test_unknown_functions_are_refused(chain: TinyChain, apis: RuntimeApis, name: str) -> None:
    with pytest.raises(UnknownFunction, match="no API function"):
        called(chain, apis, name)


def test_a_stateless_api_needs_no_state(chain: TinyChain, apis: RuntimeApis) -> None:
    def gone() -> StateView:
        raise LookupError("the state is gone")

    header: Header = chain.head
    assert apis.call("Stateless_one", b"", header, gone) == b"\x01"
    assert apis.call("Metadata_metadata_versions", b"", header, gone) == bytes([8, 14, 0, 0, 0, 15, 0, 0, 0])
    with pytest.raises(LookupError):
        apis.call("Sums_number", b"", header, gone)


@pytest.mark.parametrize("kind", list(Validity))
def test_every_kind_of_invalidity_has_a_value(kind: Validity) -> None:
    encoded = InvalidTransaction(kind, custom=9).to_scale()
    codec = codec_for(TransactionValidityError)
    assert codec.encode(codec.decode(encoded)) == encoded


def test_a_valid_transaction_is_described(chain: TinyChain, apis: RuntimeApis, alice: Keypair) -> None:
    extrinsic = chain.signed(alice, "count", amount=1)
    name = "TaggedTransactionQueue_validate_transaction"
    assert called(chain, apis, name, b"\x02" + extrinsic + bytes(32))[0] == 0
    with pytest.raises(CodecError, match="source"):
        called(chain, apis, name, b"\x03" + extrinsic + bytes(32))
