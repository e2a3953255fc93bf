"""From frames to a WebM file, by PyAV: VP9, which Chromium, Firefox and Safari play."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

from labs_lib.files import written_aside
from tools.film.drawing import Canvas
from tools.film.frames import frame, frame_count
from tools.film.script import FRAMES_PER_SECOND
from tools.film.shapes import HEIGHT, WIDTH

# Constant quality: flat colors cost little. A key frame every four seconds, for jumps.
_VP9 = {
    "crf": "30", "b": "0", "deadline": "good", "cpu-used": "5", "row-mt": "1",
    "g": str(4 * FRAMES_PER_SECOND),
}  # fmt: skip


def encode(path: Path, tell: Callable[[int, int], None] = lambda _done, _of: None) -> None:
    """Draw and encode every frame; `tell` is called with how many of all are done.

    A frame like the one before it is drawn once.
    """
    import av

    canvas, count = Canvas(), frame_count()
    with written_aside(path) as aside, av.open(str(aside), "w", format="webm") as container:
        stream = container.add_stream("libvpx-vp9", rate=FRAMES_PER_SECOND, options=_VP9)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        stream.codec_context.thread_count = 2
        shapes, picture = None, None
        for number in range(count):
            new = frame(number)
            if new != shapes:
                shapes = new
                picture = av.VideoFrame.from_ndarray(canvas.pixels(new), format="rgb24")
                picture = picture.reformat(format="yuv420p", dst_colorspace="ITU709")
            assert picture is not None
            picture.pts, picture.time_base = number, Fraction(1, FRAMES_PER_SECOND)
            container.mux(stream.encode(picture))
            tell(number + 1, count)
        container.mux(stream.encode())
