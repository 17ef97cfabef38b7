"""The routes: each reads its form, asks the engine or the gallery, and answers."""
