"""The places of a page that are written by a program."""

import pytest

from pages.marks import between


def test_only_what_is_between_the_marks_changes():
    text = "before <!-- a -->\nold\n<!-- /a --> after <!-- b -->\nkept\n<!-- /b -->"
    assert between(text, "a", "new") == text.replace("old", "new")
    with pytest.raises(ValueError):
        between(text, "c", "new")
