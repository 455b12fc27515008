"""Lists, who may see them, and the inbox that everybody has."""
