"""What was measured for a target, in MetaSchedule's files: tuning sessions write it, builds use it.

Knows kernels and files, but nothing of passes or of how a session finds out what it records.
"""
