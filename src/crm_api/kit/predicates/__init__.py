"""The one language for questions about contacts: who is in a segment, what a search finds, when a journey goes on.

A rule is a tree of ``all``, ``any`` and ``not`` over tests of fields (``{"field": "language", "op": "eq", "value":
"uk"}``) and of figures over what hangs on a contact (``{"related": "gifts", "where": …, "aggregate": "sum", "field":
"amount", "op": "gte", "value": …}``). `parsing` checks it against the `catalogue`, `compiling` makes one SELECT of it,
`judging` decides it for one contact in memory and says why. The tests hold the last two equal.
"""
