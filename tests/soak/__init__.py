"""A soak: runs of a tiny model are broken off in many ways, taken up, and held against an
undisturbed one.

A *fault* is one thing that befalls a process: SIGKILL at a random moment, SIGKILL before one of its
writes, syncs and renames or in the middle of a write, a full disk, a hub's wrong reply, another
process on the same journal and report folder. Only faults that took place are counted: a kill after
the process has ended is none.

After each fault the run is taken up as a user would: by the same command, by
``harness eval --resume RUN``, or, once the run is complete, by ``harness report``. A fault is
*survived* if nothing had to be removed or mended by hand for that, no command ended in a traceback,
and in the end (see `tests.soak.compared`)

- the run is complete, and its rows, estimates, groups and prompt digests are those of the
  undisturbed run (log-probabilities within 1e-4, for other questions shared their batch; no cost,
  time or id is compared);
- so are the finished tasks of every run that was broken off;
- the journal holds each answer of the undisturbed run, no other, and none twice (two processes at
  once may both ask a question; then both answers are the same);
- the report is, byte for byte, the one that is written from the same runs into an empty folder;
- no temporary file is left, and no lock.

The processes are forks of one that has imported everything, so that a kill costs a second or two.
"""
