"""Ways to run statements behind the doors of `core.db`: two databases, each natively and through SQLAlchemy."""
