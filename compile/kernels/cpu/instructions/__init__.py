"""Instructions that multiply small integers and add up, as tensor intrinsics."""
