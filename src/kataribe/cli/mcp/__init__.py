"""`kataribe mcp`: the tools of other programs, and Kataribe as a tool of theirs."""
