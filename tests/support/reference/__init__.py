"""The backbone's arithmetic in plain NumPy; shares no line with the compiler that it judges."""
