"""The routes: each parses its form, calls engine or gallery, and returns a response."""
