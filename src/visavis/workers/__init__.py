"""Work in other processes: many tasks, and work that is killed when it needs too much."""
