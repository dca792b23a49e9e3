"""The proof that every committed write arrived, and how fast."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from example.demo.acts import Act
    from example.demo.display import Display
    from example.demo.measure import Comparison, Delivery


def tell(show: Display, acts: Sequence[Act], compared: Sequence[Comparison], delivery: Delivery) -> list[str]:
    """Show the proof and the figures; return the failed expectations."""
    show.chapter("The proof: every committed write has reached billing")
    show.table(
        ("table", "rows in shop", "in billing", "hash in shop", "in billing", ""),
        [
            (
                one.table,
                *(f"{rows:,}" for rows in one.rows),
                *(digest[:12] for digest in one.hashes),
                "equal" if one.equal else "DIFFERENT",
            )
            for one in compared
        ],
    )
    committed = sum(act.committed for act in acts)
    faults = {"missing": delivery.missing, "applied twice": delivery.twice, "never committed": delivery.strange}
    show.outcome(
        f"{committed:,} changes committed; {', '.join(f'{count:,} {what}' for what, count in faults.items())}",
        good=not any(faults.values()),
    )
    _figures(show, acts, delivery)
    return [
        *(f"{one.table}: billing's copy differs from the shop's table" for one in compared if not one.equal),
        *(f"{count:,} changes {what}" for what, count in faults.items() if count),
    ]


def _figures(show: Display, acts: Sequence[Act], delivery: Delivery) -> None:
    show.chapter("How fast that was, with all of it on this one machine")
    show.table(
        ("written by", "changes", "captured/s", "delivered/s", "p50", "p99"),
        [
            (
                act.title,
                f"{act.captured:,}",
                f"{act.captured / act.writing:,.0f}",
                f"{act.applied / act.arriving:,.0f}",
                f"{delivery.percentile(0.5, act.first, act.last) * 1000:,.0f} ms",
                f"{delivery.percentile(0.99, act.first, act.last) * 1000:,.0f} ms",
            )
            for act in acts
        ],
        numbers=1,
    )
    since = "its commit in the shop" if delivery.exact else "the statement that wrote it in the shop"
    show.say(f"p50, p99: from {since} until billing's is committed.")
