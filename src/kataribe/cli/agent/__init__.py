"""`kataribe agent`: a goal becomes a list of tasks, which are done, checked and revised."""
