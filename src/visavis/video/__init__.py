"""Moving pictures: sampled frames of files, cameras and streams, and the faces in them as tracks."""

from visavis.video.detecting import detect_faces
from visavis.video.source import Frame, VideoSettings, VideoSource
from visavis.video.tracker import Tracker, TrackingSettings
from visavis.video.tracks import Sighting, Track
from visavis.video.writer import VideoWriter

__all__ = [
    "Frame",
    "Sighting",
    "Track",
    "Tracker",
    "TrackingSettings",
    "VideoSettings",
    "VideoSource",
    "VideoWriter",
    "detect_faces",
]
