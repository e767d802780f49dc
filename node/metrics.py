"""Prometheus metrics, read off the node when they are asked for: nothing is counted twice."""

import resource
import sys
from collections.abc import Callable, Iterator, Mapping

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from node.rpc.server import Page

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
Readings = Callable[[], Mapping[str, tuple[str, float]]]
"""Current values by metric name, each with its one-sentence description."""


class _Gauges(Collector):
    def __init__(self, readings: Readings) -> None:
        self._readings = readings

    def collect(self) -> Iterator[GaugeMetricFamily]:
        for name, (documentation, value) in {**self._readings(), **_process()}.items():
            yield GaugeMetricFamily(f"datdot_{name}", documentation, value=value)


def metrics_page(readings: Readings) -> Callable[[], Page]:
    """A GET page in the Prometheus text format that shows the readings."""
    registry = CollectorRegistry()
    registry.register(_Gauges(readings))
    return lambda: Page(generate_latest(registry), CONTENT_TYPE)


def resident_bytes() -> int:
    """The process's resident memory now, bytes; its peak where /proc does not tell."""
    try:
        with open("/proc/self/statm") as file:
            return int(file.read().split()[1]) * resource.getpagesize()
    except OSError:
        scale = 1 if sys.platform == "darwin" else 1024
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * scale


def _process() -> dict[str, tuple[str, float]]:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return {
        "process_resident_bytes": ("Resident memory of the process, bytes.", resident_bytes()),
        "process_cpu_seconds": ("Processor time of the process, seconds.", usage.ru_utime + usage.ru_stime),
    }
