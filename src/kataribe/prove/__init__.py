"""Prove: is it good enough, what does it cost, is it still true."""
