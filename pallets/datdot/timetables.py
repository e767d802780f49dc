"""When a timetable is active. Blocks are counted from the offer's `from`; pure integer arithmetic."""

from pallets.datdot.components import Timetable


def is_active(timetable: Timetable, offered_from: int, block: int) -> bool:
    """Whether a block lies in one of the timetable's windows."""
    elapsed = block - offered_from - timetable.delay
    if elapsed < 0:
        return False
    if timetable.interval is None:
        return elapsed < timetable.duration
    window, offset = divmod(elapsed, timetable.duration + timetable.interval)
    return offset < timetable.duration and (timetable.repeat is None or window <= timetable.repeat)


def covers(timetable: Timetable, offered_from: int, first: int, last: int) -> bool:
    """Whether all blocks from `first` to `last`, both included, lie in the timetable's windows."""
    if not is_active(timetable, offered_from, first) or not is_active(timetable, offered_from, last):
        return False
    if timetable.interval is None:
        return True
    period = timetable.duration + timetable.interval
    start = offered_from + timetable.delay
    return timetable.interval == 0 or (first - start) // period == (last - start) // period
