"""What may happen to a list, its members and the invitations to it. No HTTP here."""
