"""Pure accounts: made, lived in through proxies, given up."""

from __future__ import annotations

from hashlib import blake2b
from typing import Any

from pallets.proxy import ProxyError, PureKilled, pure_account
from runtime.account import Id
from runtime.call import RuntimeCall
from runtime.types import Err, Ok
from tests.pallets.chainfiles import account
from tests.pallets.harness import Chain, address
from tests.pallets.proxies import (
    ANY,
    BASE,
    FACTOR,
    GOOD,
    MARKET,
    NON_TRANSFER,
    act,
    batch,
    create,
    error,
    proxy_admin,
    reserved,
    result_of,
)


def test_a_pure_account_is_derived_as_frame_does() -> None:
    who = account("Alice")
    height, extrinsic_index = (300).to_bytes(4, "little"), (2).to_bytes(4, "little")
    entropy = b"modlpy/proxy____" + who + height + extrinsic_index + b"\x01" + b"\x07\x00"
    assert pure_account(who, 300, 2, NON_TRANSFER, 7) == blake2b(entropy, digest_size=32).digest()


def kill_call(created_at: int, **changed: Any) -> RuntimeCall:
    arguments = {"spawner": address("Bob"), "proxy_type": ANY, "index": 0, "height": created_at, "ext_index": 1}
    return RuntimeCall("Proxy", "kill_pure", {**arguments, **changed})


def test_a_pure_account_lives_through_its_proxies_and_is_given_up_by_them(chain: Chain) -> None:
    pure = create(chain, "Bob")
    height = chain.header.number
    assert pure == pure_account(account("Bob"), height, 1, ANY, 0)
    assert reserved(chain, account("Bob")) == BASE + FACTOR
    chain.submit("Dave", "Balances", "transfer_keep_alive", dest=Id(pure), value=10**12)
    assert result_of(act(chain, "Bob", pure, GOOD)) == Ok(None)
    assert result_of(act(chain, "Bob", pure, proxy_admin("add_proxy", ANY))) == Ok(None)
    assert (reserved(chain, pure), reserved(chain, account("Bob"))) == (FACTOR, BASE + FACTOR)
    for wrong in ({"index": 1}, {"ext_index": 0}, {"proxy_type": MARKET}, {"spawner": address("Dave")}, {"height": 0}):
        refused = act(chain, "Bob", pure, kill_call(height, **wrong))
        assert result_of(refused) == Err(error(ProxyError.NO_PERMISSION))
    assert chain.block_with("Bob", kill_call(height)).error == error(ProxyError.NO_PERMISSION)
    killed = act(chain, "Dave", pure, kill_call(height))
    assert PureKilled(pure, account("Bob"), ANY, 0) in killed.events
    assert (reserved(chain, pure), reserved(chain, account("Bob"))) == (0, 0)
    assert act(chain, "Bob", pure, GOOD).error == error(ProxyError.NOT_PROXY)


def test_a_pure_account_that_drops_its_proxies_gives_its_spawner_the_deposit_back(chain: Chain) -> None:
    pure = create(chain, "Bob")
    assert result_of(act(chain, "Bob", pure, RuntimeCall("Proxy", "remove_proxies", {}))) == Ok(None)
    assert reserved(chain, account("Bob")) == 0


def test_one_extrinsic_makes_each_pure_account_once(chain: Chain) -> None:
    def spawn(index: int) -> RuntimeCall:
        return RuntimeCall("Proxy", "create_pure", {"proxy_type": ANY, "delay": 0, "index": index})

    twice = chain.block_with("Bob", batch(spawn(0), spawn(0), function="batch_all"))
    assert twice.error == error(ProxyError.DUPLICATE)
    assert chain.block_with("Bob", batch(spawn(0), spawn(1), function="batch_all")).error is None
    assert reserved(chain, account("Bob")) == 2 * (BASE + FACTOR)
