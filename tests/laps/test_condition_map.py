"""Laps and pace over conditions, as the report has them."""

import re

from racing_env.laps import condition_map


def drive(row, driver, lap_s=None, profile_s=50.0):
    return {
        "row": row, "driver": driver, "finished": lap_s is not None, "flying_lap_s": lap_s,
        "profile_lap_s": profile_s,
    }  # fmt: skip


RECORDS = [
    drive("nominal", "a", 51.0), drive("nominal", "b", 55.0),
    drive("nominal", "a", 52.0), drive("nominal", "b", 55.0),
    drive("wet", "a", 88.0, 80.0), drive("wet", "b"),
    drive("wet", "a"), drive("wet", "b"),
]  # fmt: skip


def cells(html):
    return [re.sub("<[^>]*>", "", cell) for cell in re.findall("<t[dh].*?</t[dh]>", html)]


def test_rows_hold_each_drivers_drives():
    rows = condition_map.rows_of(RECORDS)
    assert {row: list(drivers) for row, drivers in rows.items()} == {
        "nominal": ["a", "b"], "wet": ["a", "b"]
    }  # fmt: skip
    assert condition_map.pace(rows["nominal"]["a"]) == 1.03
    assert condition_map.pace(rows["wet"]["a"]) == 1.1  # of the one that was finished
    assert condition_map.pace(rows["wet"]["b"]) is None
    assert condition_map.share_finished(rows["wet"]["a"]) == 0.5
    assert condition_map.rows_of([{"driver": "a"}]) == {}


def test_the_table_has_a_row_a_condition_and_one_of_all():
    table = condition_map.condition_table(condition_map.rows_of(RECORDS), ["A", "<b>"])
    assert cells(table) == [
        "condition", "A", "&lt;b&gt;",
        "nominal", "2 of 2 1.030", "2 of 2 1.100",
        "wet", "1 of 2 1.100", "0 of 2 -",
        "all", "3 of 4 1.053", "2 of 4 1.100",
    ]  # fmt: skip
    assert re.findall(r"class=\"(share[ a-z]*)\" style=\"--share:([0-9.]+)", table)[2:4] == [
        ("share lost", "0.5000"), ("share lost", "0.0000")
    ]  # fmt: skip


def test_one_condition_needs_no_row_of_all():
    table = condition_map.condition_table(condition_map.rows_of(RECORDS[:2]), ["A", "B"])
    assert "all" not in cells(table)
