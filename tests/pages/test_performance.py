"""The page that shows what was measured."""

from pages import performance


def test_every_table_of_the_page_has_its_marks():
    page = performance.PAGE.read_text()
    for name in [*performance.TABLES, "run"]:
        assert page.count(f"<!-- {name} -->") == page.count(f"<!-- /{name} -->") == 1
