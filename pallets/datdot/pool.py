"""Who is free and who is booked: the idle pools, one per role, and the reservations of every user.

A provider is in the pool of a role exactly while it has a slot left there. A pool is an array in storage: leaving it
moves the last entry into the gap, so every change is one or two writes whatever the size of the market.
"""

from dataclasses import replace

from pallets.datdot.storage import Market
from pallets.datdot.types import Bookings, PoolEntry, Role, RoleData, Task


def offer(market: Market, user_id: int, role: Role, capacity: int) -> None:
    """Set how many jobs a user takes in a role; 0 leaves it. The user must not have more jobs than that.

    A provider that offers anew joins the pool anew: draws that are under way do not count it.
    """
    data = market.roles.get(role, user_id) or RoleData(0, 0, None)
    if data.seat is not None:
        _leave(market, role, data.seat)
    data = RoleData(capacity, data.used, None)
    if capacity == 0:
        market.roles.remove(role, user_id)
    elif data.used < capacity:
        _join(market, user_id, role, data)
    else:
        market.roles.put(role, user_id, data)


def book(market: Market, user_id: int, role: Role, amendment_id: int, storage_bytes: int) -> None:
    """Reserve a slot and storage of a user for an amendment; the caller has checked that both are free."""
    data = market.roles.get(role, user_id)
    assert data is not None
    used = data.used + 1
    if used == data.capacity and data.seat is not None:
        _leave(market, role, data.seat)
        data = replace(data, seat=None)
    market.roles.put(role, user_id, replace(data, used=used))
    bookings = market.bookings.get(user_id)
    task = Task(amendment_id, role, storage_bytes)
    market.bookings.put(user_id, Bookings(bookings.storage + storage_bytes, (*bookings.tasks, task)))


def release(market: Market, user_id: int, amendment_id: int) -> None:
    """Give a reservation back; nothing happens when there is none."""
    bookings = market.bookings.get(user_id)
    task = next((task for task in bookings.tasks if task.amendment == amendment_id), None)
    if task is None:
        return
    tasks = tuple(other for other in bookings.tasks if other is not task)
    if tasks:
        market.bookings.put(user_id, Bookings(bookings.storage - task.storage, tasks))
    else:
        market.bookings.remove(user_id)
    data = market.roles.get(task.role, user_id)
    assert data is not None
    data = replace(data, used=data.used - 1)
    if data.seat is None and data.used < data.capacity:
        _join(market, user_id, task.role, data)
    else:
        market.roles.put(task.role, user_id, data)
    market.capacity_gained.put(market.now())


def shrink(market: Market, user_id: int, amendment_id: int, storage_bytes: int) -> None:
    """Replace the estimate of a reservation's storage by what is really used."""
    bookings = market.bookings.get(user_id)
    tasks = tuple(
        replace(task, storage=storage_bytes) if task.amendment == amendment_id else task for task in bookings.tasks
    )
    market.bookings.put(user_id, Bookings(sum(task.storage for task in tasks), tasks))


def _join(market: Market, user_id: int, role: Role, data: RoleData) -> None:
    seat = market.pool_size.get(role)
    market.pool.put(role, seat, PoolEntry(user_id, market.now()))
    market.pool_size.put(role, seat + 1)
    market.roles.put(role, user_id, replace(data, seat=seat))
    market.capacity_gained.put(market.now())


def _leave(market: Market, role: Role, seat: int) -> None:
    """Free a seat; the caller writes the leaving user's RoleData."""
    last = market.pool_size.get(role) - 1
    if seat != last:
        moved = market.pool.get(role, last)
        assert moved is not None
        market.pool.put(role, seat, moved)
        moved_data = market.roles.get(role, moved.user)
        assert moved_data is not None
        market.roles.put(role, moved.user, replace(moved_data, seat=seat))
    market.pool.remove(role, last)
    market.pool_size.put(role, last)
