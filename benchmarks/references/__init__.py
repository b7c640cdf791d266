"""Two small applications to compare with: `raw` (as bare as it gets) and `orm` (as most are written)."""
