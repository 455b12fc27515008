"""What is asked of the tables of accounts; nothing here runs."""
