"""The daily digest: what is due, by mail, for whoever has asked for it."""
