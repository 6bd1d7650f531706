"""Models behind one protocol: adapters for endpoints, and one that follows a script."""
