"""Exceptions that nurseries have wrapped in groups."""

from collections.abc import Iterator


def leaves_of(error: BaseException) -> Iterator[BaseException]:
    """The exceptions inside an exception group, however deep; an ordinary exception itself."""
    if isinstance(error, BaseExceptionGroup):
        for part in error.exceptions:
            yield from leaves_of(part)
    else:
        yield error


def first_of(error: BaseException, kinds: tuple[type[Exception], ...]) -> Exception | None:
    """The first exception of one of the kinds in an exception or exception group."""
    return next((leaf for leaf in leaves_of(error) if isinstance(leaf, kinds)), None)
