"""A latency session: engines in processes of their own, timed in turns, and what the times say."""
