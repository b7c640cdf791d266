"""The kit: sessions, connections, dispatch."""
