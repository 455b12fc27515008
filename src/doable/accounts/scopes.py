"""What an API token may be allowed to do: the closed list."""

from typing import Literal

type Scope = Literal["todos:read", "todos:write", "lists:read", "lists:write", "account"]
