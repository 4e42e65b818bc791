"""Tables that read well both on a terminal and on a page."""

from benchmarks import markdown


def test_table_is_markdown():
    lines = markdown.table(["what", "per s"], [["a", "1,000"], ["longer", 5]]).splitlines()
    assert lines == [
        "| what   | per s |", "| ------ | ----: |", "| a      | 1,000 |", "| longer |     5 |",
    ]  # fmt: skip
