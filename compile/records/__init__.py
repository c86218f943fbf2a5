"""What was measured for a target, in MetaSchedule's files: tuning sessions write it, builds use it.

Knows kernels and files, but nothing of passes or of how a session finds out what it records.
"""

from pathlib import Path

#: Where the records of tuning sessions are that this project ships.
TUNING_LOGS = Path(__file__).parents[2] / "tuning_logs"
