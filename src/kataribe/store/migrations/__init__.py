"""Steps from one form of the database to the next, run in order; none is ever changed again."""
