"""What may happen to accounts, sessions and tokens.

Whatever compares or sets a password takes the `Database` and opens short transactions one after the other: hashing
is never inside one, and what was counted or revoked outlives the refusal that follows. Locks are taken in the order
streams → users → sessions and tokens → attempts → the stream of endings.
"""
