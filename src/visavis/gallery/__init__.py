"""Galleries: people are enrolled, searched for, verified and deleted."""

from visavis.gallery.opening import KEY_VARIABLE, open_gallery
from visavis.gallery.records import Gallery, Hit, Subject
from visavis.gallery.sqlite import SqliteGallery

__all__ = ["KEY_VARIABLE", "Gallery", "Hit", "SqliteGallery", "Subject", "open_gallery"]
