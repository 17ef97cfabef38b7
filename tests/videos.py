"""Small videos for tests, written by PyAV."""

import io

import numpy as np
from PIL import Image


def write_video(path, frames, *, rate=10, form=None):
    """Write frames, `(h, w, 3)` uint8 or image files, as a video of good quality, and return its path."""
    import av

    pictures = [np.asarray(Image.open(io.BytesIO(frame)).convert("RGB")) if isinstance(frame, bytes) else frame for frame in frames]
    with av.open(str(path), "w", format=form) as container:
        stream = container.add_stream("libx264", rate=rate, options={"crf": "10", "g": "10"})
        stream.height, stream.width, stream.pix_fmt = *pictures[0].shape[:2], "yuv420p"
        for picture in pictures:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode(None))
    return path
