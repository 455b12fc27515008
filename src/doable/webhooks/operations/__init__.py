"""What may happen to webhooks, and what is sent."""
