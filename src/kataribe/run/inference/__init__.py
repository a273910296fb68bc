"""Checkpoint in, `LM` out: sequences, cache blocks, scheduler, sampler, constraint, engine, runner.

The life of a request here: `engine` takes it from an event loop, `scheduler` decides what the next
step computes, `blocks` says where its keys and values lie, the runner (behind the seam of `step`)
turns token ids into logits, `sampler` and `constraint` draw the next token, `reply` turns tokens
into text and finds stop strings, and `mailbox` carries the events back to the event loop.
Nothing of that but the runner knows torch.
"""
