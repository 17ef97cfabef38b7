"""Every face of many photos: find known people, and sort unknown ones."""
