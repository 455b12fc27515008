"""The end of a command's help."""

_AS_IT_IS = "\b"  # click fills the lines of a paragraph unless it begins with this


def epilog(*lines: str) -> str:
    return "\n".join((_AS_IT_IS, "Example:", *(f"  {line}" for line in lines)))
