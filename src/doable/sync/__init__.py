"""How a client that keeps copies of its lists learns, in one call, what they lack."""
