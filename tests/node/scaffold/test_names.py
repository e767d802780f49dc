"""Names of chains and pallets: what Python, the installed modules and the written files leave free."""

import pytest

from node.scaffold.names import NameRefused, check_name, check_package_name, check_pallet_name, identifiers

PRESENT = ("System", "TransactionPayment", "DatDot")
SOURCE = "from a.b import C as D\ndef f(x: int) -> None:\n    y = x\nclass Added: ...\n"


@pytest.mark.parametrize("name", ["n", "notes", "my_notes2", "x" * 40])
def test_small_letters_digits_and_single_underscores_are_a_name(name: str) -> None:
    check_name(name)
    check_pallet_name(name, PRESENT, [SOURCE])


@pytest.mark.parametrize(
    "name",
    ["", "Notes", "1a", "_a", "a_", "a__b", "a-b", "a.b", "a/b", "../a", "a b", "ä", "x" * 41, "a\n", "a\0"],
)
def test_anything_else_is_refused(name: str) -> None:
    with pytest.raises(NameRefused, match="no name for a Python module"):
        check_name(name)


@pytest.mark.parametrize(("name", "proposal"), [("MyNotes", "my_notes"), ("my-notes", "my_notes"), ("a__b", "a_b")])
def test_a_refusal_proposes_what_would_do(name: str, proposal: str) -> None:
    with pytest.raises(NameRefused, match=f": {proposal} would do"):
        check_name(name)


@pytest.mark.parametrize("name", ["class", "match", "type", "list", "print", "async"])
def test_words_of_python_are_refused(name: str) -> None:
    with pytest.raises(NameRefused, match="Python itself"):
        check_name(name)


@pytest.mark.parametrize("name", ["json", "typing", "node", "runtime", "pallets", "hypercore", "genesis", "trio"])
def test_a_package_is_not_called_like_a_module_that_would_be_found_first(name: str) -> None:
    with pytest.raises(NameRefused, match="choose another"):
        check_package_name(name)


@pytest.mark.parametrize("name", ["system", "transaction_payment", "transactionpayment", "datdot", "dat_dot"])
def test_a_pallet_is_not_called_like_one_of_the_runtime(name: str) -> None:
    with pytest.raises(NameRefused, match="has a pallet"):
        check_pallet_name(name, PRESENT, [])


@pytest.mark.parametrize("name", ["added", "f", "x", "y", "a", "b", "c"])
def test_a_pallet_is_not_called_like_something_in_the_files_written_for_it(name: str) -> None:
    with pytest.raises(NameRefused, match="used in the files"):
        check_pallet_name(name, PRESENT, [SOURCE])


def test_identifiers_are_what_a_source_binds_or_reads() -> None:
    assert identifiers(SOURCE) == {"a", "b", "C", "f", "x", "int", "y", "Added"}
