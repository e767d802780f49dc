"""How far the encoders of this process are, for whoever shows it."""

from collections import OrderedDict

LANES_REMEMBERED = 4_096


class SealingBoard:
    """Chunks sealed so far by (amendment, position); the lanes touched longest ago are forgotten first."""

    def __init__(self) -> None:
        self._sealed: OrderedDict[tuple[int, int], int] = OrderedDict()

    def note(self, amendment: int, position: int, chunks: int) -> None:
        """An encoder has sealed so many chunks of a lane."""
        self._sealed[(amendment, position)] = chunks
        self._sealed.move_to_end((amendment, position))
        if len(self._sealed) > LANES_REMEMBERED:
            self._sealed.popitem(last=False)

    def sealed(self, amendment: int, position: int) -> int:
        """Chunks of a lane that are sealed; 0 when its encoder is elsewhere."""
        return self._sealed.get((amendment, position), 0)
