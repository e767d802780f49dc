"""A token bucket: so many at once, so many a second. Time is passed in."""

from __future__ import annotations


class TokenBucket:
    """Starts full with `burst` tokens and refills with `per_second`."""

    def __init__(self, per_second: float, burst: float, now: float) -> None:
        self._per_second = per_second
        self._burst = burst
        self._tokens = burst
        self._at = now

    def take(self, count: float, now: float) -> bool:
        """Take `count` tokens if they are there; otherwise take none and return False."""
        self._tokens = min(self._burst, self._tokens + (now - self._at) * self._per_second)
        self._at = now
        if count > self._tokens:
            return False
        self._tokens -= count
        return True
