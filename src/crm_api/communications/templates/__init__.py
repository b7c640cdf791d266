"""Letters to donors: the bundled templates, the sandbox for an organization's own ones, and rendering."""
