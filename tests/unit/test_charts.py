"""Charts: the values computed from samples, and the course of lines."""

from __future__ import annotations

import datetime as dt

import pytest

from pubsubpull.pages import charts


def moment(seconds):
    return dt.datetime.fromtimestamp(seconds, tz=dt.UTC)


def made(values, **given):
    over = charts.Span(end=len(values) * 60.0, step=60, count=len(values))
    line = charts.Line(name="captured", kind="a", values=values)
    return charts.chart("c", "Changes", over=over, lines=[line], text=charts.count, moment=moment, **given)


def test_a_picture_ends_with_the_last_sample():
    assert charts.span(1000, every=10, step=60, count=2).edges == [880, 940, 1000]
    assert charts.span(1009, every=10, step=60, count=2) == charts.span(1000, every=10, step=60, count=2)


def test_a_rate_is_the_growth_within_each_step():
    points = [(0.0, 100.0), (30.0, 130.0), (60.0, 160.0), (120.0, 160.0), (180.0, 460.0)]
    assert charts.rates(points, charts.Span(end=180, step=60, count=3)) == [1.0, 0.0, 5.0]


def test_a_rate_is_of_the_time_between_its_samples():
    points = [(0.0, 0.0), (50.0, 100.0)]
    assert charts.rates(points, charts.Span(end=60, step=60, count=1)) == [2.0]


def test_a_rate_is_not_known_where_there_are_no_samples_or_a_count_began_anew():
    points = [(0.0, 100.0), (60.0, 160.0), (240.0, 200.0), (300.0, 10.0)]
    assert charts.rates(points, charts.Span(end=300, step=60, count=5)) == [1.0, None, None, None, None]
    assert charts.rates([], charts.Span(end=120, step=60, count=2)) == [None, None]


def test_a_line_is_broken_where_nothing_is_known_and_one_value_alone_is_seen():
    (line,) = made([0.0, 10.0, None, 5.0]).lines
    assert line.segments == ("0.0,160.0 200.0,0.0", "594.0,80.0 600.0,80.0")
    assert line.last == "5"


def test_a_chart_has_its_content_as_text_and_as_a_table():
    found = made([1.0, 2.0, None, 4.0], rows=2)
    assert found.words == "captured 4 last, 4 at most"
    assert found.scale == ("5", "2.5", "0")
    assert found.rows == ((moment(240), ("4",)), (moment(120), ("2",)))
    assert not found.empty


def test_a_picture_of_nothing_is_empty():
    found = made([None, None])
    assert found.empty
    assert found.words == "captured — last, — at most"


@pytest.mark.parametrize(("value", "top"), [(0, 1), (0.03, 0.05), (1, 1), (3, 5), (5, 5), (7, 10), (999, 1000)])
def test_a_scale_ends_at_a_round_number(value, top):
    assert charts.ceiling(value) == pytest.approx(top)


@pytest.mark.parametrize(("value", "text"), [(0, "0"), (0.25, "0.25"), (3.14, "3.1"), (12.3, "12"), (4711, "4,711")])
def test_counts_are_short(value, text):
    assert charts.count(value) == text


@pytest.mark.parametrize(
    ("value", "text"), [(0, "0 B"), (1500, "1.5 kB"), (20_000_000, "20 MB"), (4.56e8, "456 MB"), (5e15, "5,000 TB")]
)
def test_sizes_are_short(value, text):
    assert charts.size(value) == text


@pytest.mark.parametrize(("value", "text"), [(0, "0.0 s"), (90, "2 min"), (7200, "2.0 h"), (200_000, "2.3 d")])
def test_times_are_short(value, text):
    assert charts.duration(value) == text
