"""The command that watches videos and cameras."""

import json
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from visavis.cli.options import detector_options, model_option, options, people_depth_option, print_note, quiet_option

__all__ = ["watch"]

FOUND, NONE, INTERRUPTED = 0, 1, 130


@contextmanager
def _stop_on_signal() -> Iterator[Callable[[], bool]]:
    """Yield what says whether the first Ctrl-C or SIGTERM has come; the second one acts as ever."""
    came: list[int] = []

    def note(number: int, frame: object) -> None:
        came.append(number)
        restore()

    before = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    try:
        yield lambda: bool(came)
    finally:
        restore()


@click.command(epilog="Example: visavis watch /dev/video0 --gallery door.gallery")
@click.argument("source")
@click.option(
    "--gallery",
    "known",
    required=True,
    metavar="KNOWN",
    help="Who is known: a gallery, a folder with one sub-folder per person, or a photo.",
)
@click.option("--fps", type=float, default=5.0, show_default=True, help="Frames a second that are searched for faces.")
@click.option("--out", type=click.Path(path_type=Path), help="Write an MP4 of the searched frames with boxes and names.")
@click.option("--threshold", type=float, help="Minimum comparison score, instead of one for --target-fpir.")
@click.option(
    "--target-fpir",
    type=float,
    help="Choose the threshold for this false positive identification rate (FPIR) of a track; default: 0.01.",
)
@click.option(
    "--frames",
    type=click.IntRange(min=1),
    default=10,
    show_default=True,
    help="Decide about a track after this many usable frames, or at its end.",
)
@click.option("--gap", type=float, default=2.0, show_default=True, help="Seconds for which a track is continued without its face.")
@click.option("--format", "input_format", help="Format or device of FFmpeg, such as v4l2, avfoundation, dshow; default: by itself.")
@click.option(
    "--max-pixels", type=click.IntRange(min=1), default=10_000_000, show_default=True, help="Refuse videos with more pixels."
)
@options(people_depth_option, model_option, detector_options, quiet_option)
@click.pass_context
def watch(
    context: click.Context,
    /,
    source: str,
    known: str,
    *,
    model: str,
    finder: Any,
    quiet: bool,
    gap: float,
    fps: float,
    input_format: str | None,
    max_pixels: int,
    **choices: Any,
) -> None:
    """Watch a video or a camera for known people.

    SOURCE is a video file, a device such as /dev/video0, or any address that FFmpeg opens. Prints a JSON object a line for each
    event: a face appears, is identified or not, disappears; and a summary at the end. Each face that passes gets one decision.
    Exit codes: 0 a known person was seen, 1 none was, 2 an error, 130 interrupted.
    """
    from visavis.albums.reading import ReadingSettings
    from visavis.albums.watching import WatchOptions, WatchSummary, watch_video
    from visavis.faces import AcquisitionSettings
    from visavis.video import TrackingSettings, VideoSettings

    reading = ReadingSettings(model, AcquisitionSettings("all", finder=finder), progress=not quiet)
    video = VideoSettings(fps=fps, max_pixels=max_pixels, input_format=input_format)
    with _stop_on_signal() as stop:
        query = WatchOptions(video, TrackingSettings(gap=gap), stop=stop, **choices)
        for event in watch_video(source, known, settings=reading, options=query):
            click.echo(json.dumps(event.to_json()))
            if isinstance(event, WatchSummary):
                print_note("\n".join(event.describe()), quiet=quiet)
                context.exit(INTERRUPTED if event.interrupted else FOUND if event.named else NONE)
