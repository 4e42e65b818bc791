"""The places of a page that are written by a program."""


def between(text: str, name: str, content: str) -> str:
    """The text with what stands between the marks of this name replaced."""
    start, end = f"<!-- {name} -->", f"<!-- /{name} -->"
    before, rest = text.split(start)
    _, after = rest.split(end)
    return f"{before}{start}\n{content}\n{end}{after}"
