"""Metrics for Prometheus, read from the database at each scrape, so that every process returns the same."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

from django.db.models import Count

from pubsubpull import exceptions
from pubsubpull.capture import sql
from pubsubpull.delivery import meter
from pubsubpull.log import feed, partitions
from pubsubpull.subscriptions import lag
from pubsubpull.subscriptions.models import SERVED, Counter, Failure, Host, Subscription

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pubsubpull.conf import Settings
    from pubsubpull.log.present import Present

SUBSCRIPTION_LABELS = ("consumer", "subscription")
"""The labels of the metrics of a subscription."""
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


def text(settings: Settings) -> bytes:
    """Return all metrics in Prometheus's text format. Raises `MetricsUnavailable` without `prometheus-client`."""
    # Imported here: the package is an extra, which all but this call do without.
    try:
        import prometheus_client
        from prometheus_client import core
    except ImportError as error:
        raise exceptions.MetricsUnavailable(
            "Metrics need the package prometheus-client: pip install 'pubsubpull[metrics]'"
        ) from error
    # A registry of its own: the global one also has the metrics of this process, which differ by process.
    registry = prometheus_client.CollectorRegistry()
    registry.register(_Collector(settings, core))
    return prometheus_client.generate_latest(registry)


class _Collector:
    """The collector that Prometheus's library calls; `core` is its module of metric families."""

    def __init__(self, settings: Settings, core: Any) -> None:
        self.settings = settings
        self.using = settings.DATABASE
        self.core = core

    def describe(self) -> list[Any]:
        """Return no metrics."""
        # Without this method, the library would collect at once, to learn the names.
        return []

    def collect(self) -> Iterator[Any]:
        """Yield each family of metrics."""
        # Read once: all lags and counts of a scrape are of one moment.
        present = feed.present(self.using)
        yield from self._log(present)
        yield from self._workers()
        yield from self._subscriptions(present)
        yield from self._counted()

    def _gauge(self, name: str, words: str, value: float) -> Any:
        return self.core.GaugeMetricFamily(f"pubsubpull_{name}", words, value=value)

    def _log(self, present: Present) -> Iterator[Any]:
        partitions_ = partitions.read(present, self.using)
        ((rows,),) = sql.run(self.using, sql.template("queries/maintain/size"))
        yield self.core.CounterMetricFamily(
            "pubsubpull_captured", "Versions taken by changes, including rolled back changes.", value=present.reached
        )
        yield self._gauge("log_changes", "The approximate number of changes in the log.", rows)
        yield self._gauge("log_bytes", "The size of the log with its indexes.", sum(each.bytes for each in partitions_))
        yield self._gauge("log_partitions", "Partitions without the default partition.", len(partitions_) - 1)
        ahead = max(partitions.end(partitions_) - 1 - present.reached, 0)
        yield self._gauge("log_versions_ahead", "Free versions of existing partitions.", ahead)
        overflowed = partitions.overflowed(partitions_)
        yield self._gauge("log_overflowed", "1 while the default partition has changes.", int(overflowed))
        yield self._gauge("log_dropped_version", "The version up to which changes were deleted.", present.dropped)

    def _workers(self) -> Iterator[Any]:
        ((workers, _),) = sql.run(self.using, sql.compose("queries/delivery/standing", served=sorted(SERVED)))
        yield self._gauge("workers", "Delivery workers that are alive.", workers)
        open_ = Host.objects.using(self.using).filter(failures__gte=self.settings.BREAKER_FAILURES).count()
        yield self._gauge("hosts_given_up", "Hosts of callbacks whose breaker is open.", open_)

    def _subscriptions(self, present: Present) -> Iterator[Any]:
        gauge = self.core.GaugeMetricFamily
        names = SUBSCRIPTION_LABELS
        delivered = self.core.CounterMetricFamily("pubsubpull_delivered", "Changes delivered.", labels=names)
        changes = gauge("pubsubpull_lag_changes", "The most changes that the subscription is behind.", labels=names)
        seconds = gauge("pubsubpull_lag_seconds", "Seconds since the first undelivered change.", labels=names)
        attempts = gauge("pubsubpull_failed_attempts", "Attempts that failed since the last success.", labels=names)
        state = gauge("pubsubpull_subscription_state", "1 for the subscription's state.", labels=[*names, "state"])
        aside = gauge("pubsubpull_set_aside", "Dead letters.", labels=names)
        subscriptions = self._all()
        behind = lag.of(subscriptions, present, self.using)
        for subscription, its_lag in zip(subscriptions, behind, strict=True):
            labels = (subscription.consumer.name, subscription.name)
            delivered.add_metric(labels, subscription.delivered)
            changes.add_metric(labels, its_lag.changes)
            seconds.add_metric(labels, its_lag.seconds)
            attempts.add_metric(labels, subscription.attempts)
            state.add_metric((*labels, subscription.state), 1)
        columns = ("subscription__consumer__name", "subscription__name")
        for *labels, n in Failure.objects.using(self.using).values_list(*columns).annotate(Count("pk")):
            aside.add_metric(labels, n)
        yield from (delivered, changes, seconds, attempts, state, aside)

    def _all(self) -> list[Subscription]:
        return list(Subscription.objects.using(self.using).select_related("consumer"))

    def _counted(self) -> Iterator[Any]:
        values = {(each.name, each.label): each.value for each in Counter.objects.using(self.using).all()}
        outcomes = self.core.CounterMetricFamily(
            "pubsubpull_exchanges", "Exchanges with receivers, by outcome.", labels=["outcome"]
        )
        for (name, label), value in sorted(values.items()):
            if name == meter.OUTCOMES:
                outcomes.add_metric([label], value)
        yield outcomes
        for name, words in (
            (meter.EXCHANGE, "Seconds until receivers answered."),
            (meter.DELIVERY, "The age in seconds of a notification's first change when it was accepted."),
        ):
            yield self.core.HistogramMetricFamily(
                f"pubsubpull_{name}_seconds",
                words,
                buckets=cumulated(name, values),
                sum_value=values.get((name, meter.SUM), 0.0),
            )


def cumulated(name: str, values: dict[tuple[str, str], float]) -> list[tuple[str, float]]:
    """Return a histogram's buckets for Prometheus: each includes the counts of the lower buckets."""
    # The counters are stored one by one, so that a change writes one row and not all above it.
    ends = [*map(str, meter.BUCKETS), meter.REST]
    return list(zip(ends, itertools.accumulate(values.get((name, end), 0.0) for end in ends), strict=True))
