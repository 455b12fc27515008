"""The platform: knows HTTP, SQL and clocks, has never heard of a todo."""
