"""Where the accuracy goes: what ``compile/check.py --layers`` measures of each call and module."""
