"""Galleries of enrolled subjects: enrol, search (1:N), verify (1:1) and delete."""

from visavis.gallery.maintenance import Reembedding, back_up, reembed, rotate
from visavis.gallery.opening import KEY_VARIABLE, binding_of, open_gallery
from visavis.gallery.records import Enrolment, Gallery, Hit, LogEntry, Subject
from visavis.gallery.sqlite import SqliteGallery
from visavis.gallery.transfer import export_gallery, import_gallery

__all__ = [
    "KEY_VARIABLE",
    "Enrolment",
    "Gallery",
    "Hit",
    "LogEntry",
    "Reembedding",
    "SqliteGallery",
    "Subject",
    "back_up",
    "binding_of",
    "export_gallery",
    "import_gallery",
    "open_gallery",
    "reembed",
    "rotate",
]
