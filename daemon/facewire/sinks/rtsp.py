"""The RTSP server: one encoder however many clients, none at all while nobody watches.

gst-rtsp-server does the protocol. Its shared media is one pipeline that is made when the first client asks and
freed when the last one leaves:

    appsrc -> queue (2, drops the oldest) -> H.264 encoder -> rtph264pay -> every client, TCP or UDP
"""

from __future__ import annotations

import logging
import threading
import time
from typing import Any

import cv2
import numpy as np

from facewire.errors import SinkError
from facewire.showing.planes import fitted
from facewire.sinks import gst
from facewire.sinks.base import SinkStats, even
from facewire.sinks.encoders import best_encoder, bitrate
from facewire.sinks.feed import FRONT, Feed
from facewire.sinks.listening import check_free, reachable
from facewire.sinks.spec import RtspSpec
from facewire.types import Picture

log = logging.getLogger("facewire.sinks")

KEY_FRAME_SECONDS = 1.0
KEY_FRAME_PAUSE = 0.5
"""Clients that join in a crowd share a key frame: at most one in so many seconds."""
MAX_CLIENTS = 32
GREETING_SECONDS = 15.0
"""A connection that has not asked for a stream after so long is closed; places are few."""
SILENCE_SECONDS = 0.3
"""With nothing new to show for so long, the last picture is sent again at the usual rate: players look at some twenty
pictures before they show the first, and give up on silent streams."""
STUCK_SECONDS = 20.0
"""With clients but an encoder that takes nothing for so long, something is broken that did not say so."""
ROUND_SECONDS = 1.0
"""How often the server looks for clients that are gone."""


class RtspSink:
    """Serves `rtsp://host:port/path`. Raises SinkError when it cannot listen, MissingDependency without GStreamer."""

    def __init__(self, spec: RtspSpec, size: int, fps: float) -> None:
        self._gst = gst.gstreamer()
        self._glib = gst.repository("GLib")
        self._server_module = gst.repository("GstRtspServer")
        gst.repository("GstVideo")
        gst.need_elements("appsrc", "queue", "videoconvert", "h264parse", "rtph264pay")
        self._size, self._fps = even(size), fps
        self._lock = threading.Lock()
        self._feed: Feed | None = None
        self._last: bytes = _i420(np.full((self._size, self._size, 3), 16, np.uint8))
        self._last_show = 0.0
        self._last_key = 0.0
        self._shown = self._dropped = self._idle = 0
        self._waiting: Picture | None = None
        self._arrivals: dict[Any, float] = {}
        self._ended = threading.Event()
        self._orphans: set[str] = set()
        self._trouble = ""
        self._closed = False

        encoder = best_encoder(spec.encoder, self._size, fps)
        words = encoder.description(spec.kbps or bitrate(self._size, fps), max(1, round(KEY_FRAME_SECONDS * fps)))
        launch = f"( {FRONT} ! {words} ! h264parse ! rtph264pay name=pay0 pt=96 config-interval=-1 )"
        self._server: Any = self._listen(spec, launch)
        self.port: int = self._server.get_bound_port()
        self.address = f"rtsp://{reachable(spec.host)}:{self.port}{spec.path}"
        """What to type into a player."""
        self.name = self.address
        for thread in self._threads:
            thread.start()

    @property
    def stats(self) -> SinkStats:
        """Counters at this moment; `clients` counts connections, and notices within a second that one has gone."""
        with self._lock:
            dropped = self._dropped + (self._feed.dropped if self._feed else 0)
            return SinkStats(self._shown, dropped, self._idle, len(self._arrivals))

    def show(self, picture: Picture) -> None:
        """Send to all clients; without clients only the reference is kept. Raises SinkError when the encoder failed."""
        if self._closed:
            raise SinkError(f"{self.name} is closed; open it again")
        feed = self._feed
        if feed is not None and feed.trouble:
            self._trouble = feed.trouble
        if self._trouble:
            raise SinkError(f"{self.name}: the encoder failed: {self._trouble}")
        if feed is None:
            with self._lock:
                self._idle += 1
                self._waiting = picture  # converted only if somebody comes
            return
        self._last_show = time.monotonic()
        self._push(_i420(fitted(picture, self._size)))

    def close(self) -> None:
        """Drop the clients, free the port, stop the server's thread."""
        if self._closed:
            return
        self._closed = True
        self._stop()

    # -- pictures

    def _push(self, data: bytes) -> None:
        with self._lock:
            self._last = data
            feed = self._feed
            if feed is None:
                return
            if feed.push(data):
                self._shown += 1
            elif not feed.stuck:
                self._idle += 1

    def _keep_alive(self) -> None:
        """The second thread: send the last picture again while there are no new ones. Not the server's thread, which
        may itself be waiting for the encoder's first pictures."""
        while not self._ended.wait(1 / self._fps):
            if self._feed is not None and time.monotonic() - self._last_show > SILENCE_SECONDS:
                self._push(self._last)

    def _round(self) -> bool:
        """On the server's thread, once a second: see who is still there."""
        self._show_out()
        self._forget_sessions()
        if self._is_stuck():
            self._trouble = f"it took no picture for {STUCK_SECONDS:g} s"
        return True

    # -- called by gst-rtsp-server, on its threads

    def _configure(self, _factory: Any, media: Any) -> None:
        """The first client has come and the pipeline is built: feed it at once, so that nobody waits for a picture."""
        line = media.get_element()
        side, rate = self._size, round(self._fps * 1000)
        caps = (
            f"video/x-raw,format=I420,width={side},height={side},framerate={rate}/1000,"
            "pixel-aspect-ratio=1/1,colorimetry=bt601,interlace-mode=progressive"
        )
        feed = Feed(line, caps, side * side * 3 // 2)
        if hasattr(media, "set_rate_control"):  # GStreamer 1.18
            # What leaves the encoder is sent at once: it comes at the right time already.
            media.set_rate_control(False)
        feed.watch(line.get_parent().get_bus())
        media.connect("unprepared", self._unprepared, feed)
        with self._lock:
            waiting, self._waiting = self._waiting, None
            self._feed = feed
        self._push(self._last if waiting is None else _i420(fitted(waiting, self._size)))
        log.debug("%s: the first client has come, encoding starts", self.name)

    def _unprepared(self, _media: Any, feed: Feed) -> None:
        with self._lock:
            self._dropped += feed.dropped
            self._trouble = self._trouble or feed.trouble
            if self._feed is feed:
                self._feed = None
        log.debug("%s: nobody watches, encoding stops", self.name)

    def _connected(self, _server: Any, client: Any) -> None:
        """On the server's thread. A client cannot be closed here yet, it is still being put together."""
        client.connect("play-request", self._played)
        self._arrivals[client] = time.monotonic()
        if len(self._arrivals) > MAX_CLIENTS:
            soon = self._glib.idle_source_new()
            soon.set_priority(self._glib.PRIORITY_HIGH)
            soon.set_callback(lambda *_: self._show_out())
            soon.attach(self._context)

    def _show_out(self) -> bool:
        """On the server's thread: close connections that say nothing, and the newest ones above the limit."""
        present = self._server.client_filter(None)
        now = time.monotonic()
        self._arrivals = {client: self._arrivals.get(client, now) for client in present}
        by_age = sorted(present, key=lambda client: self._arrivals[client])
        silent = [c for c in by_age if now - self._arrivals[c] > GREETING_SECONDS and not c.session_filter(None)]
        leave = {*by_age[MAX_CLIENTS:], *silent}
        if leave:
            verdicts = self._server_module.RTSPFilterResult
            self._server.client_filter(lambda _, client: verdicts.REMOVE if client in leave else verdicts.KEEP)
            for client in leave:
                del self._arrivals[client]
        return False

    def _forget_sessions(self) -> None:
        """On the server's thread: end sessions that ran out, or whose connection is gone since the last round.

        The server keeps the latter for a minute; places are few, and players that crash and come back would fill
        them. A round apart, because a session is made a moment before its client knows it.
        """
        pool = self._server.get_session_pool()
        pool.cleanup()
        every = {session.get_sessionid() for session in pool.filter(None)}
        clients = self._server.client_filter(None)
        owned = {session.get_sessionid() for client in clients for session in client.session_filter(None)}
        orphans = every - owned
        for name in orphans & self._orphans:
            session = pool.find(name)
            if session is not None:
                pool.remove(session)
        self._orphans = orphans

    def _is_stuck(self) -> bool:
        """Whether players wait for an encoder that takes nothing. Clients that only described or paused do not count:
        nobody out there may make us start the server again."""
        feed = self._feed
        if feed is None or feed.stuck < STUCK_SECONDS * self._fps:
            return False
        playing = gst.repository("GstRtsp").RTSPState.PLAYING
        sessions = self._server.get_session_pool().filter(None)
        return any(media.get_rtsp_state() == playing for session in sessions for media in session.filter(None))

    def _played(self, _client: Any, _context: Any) -> None:
        """Somebody joins a running stream: a key frame now, instead of grey until the next one."""
        with self._lock:
            now = time.monotonic()
            if self._feed is not None and now - self._last_key > KEY_FRAME_PAUSE:
                self._last_key = now
                self._feed.key_frame()

    # -- the server and its thread

    def _listen(self, spec: RtspSpec, launch: str) -> Any:
        check_free(spec.host, spec.port)
        glib, rtsp = self._glib, self._server_module
        server = rtsp.RTSPServer()
        server.set_address(spec.host)
        server.set_service(str(spec.port))
        server.set_backlog(MAX_CLIENTS)
        server.get_session_pool().set_max_sessions(MAX_CLIENTS)
        # All clients on our one thread: closing one from any other thread is a race inside the library, which then
        # spins on a connection that is gone.
        pool = rtsp.RTSPThreadPool()
        pool.set_max_threads(0)
        server.set_thread_pool(pool)
        factory = rtsp.RTSPMediaFactory()
        factory.set_launch(launch)
        factory.set_shared(True)
        factory.set_latency(0)
        rtsp_protocols = gst.repository("GstRtsp").RTSPLowerTrans
        factory.set_protocols(rtsp_protocols.UDP | rtsp_protocols.TCP)
        handlers: list[tuple[Any, int]] = [(factory, factory.connect("media-configure", self._configure))]
        server.get_mount_points().add_factory(spec.path, factory)
        handlers.append((server, server.connect("client-connected", self._connected)))
        self._handlers = handlers
        self._context = glib.MainContext()
        self._loop = glib.MainLoop.new(self._context, False)
        try:
            source = server.create_source(None)
        except glib.Error as error:
            raise SinkError(f"rtsp: cannot listen on {spec.host} port {spec.port}: {error.message}") from None
        source.attach(self._context)
        rounds = glib.timeout_source_new(round(ROUND_SECONDS * 1000))
        rounds.set_callback(lambda *_: self._round())
        rounds.attach(self._context)
        self._sources: tuple[Any, ...] = (source, rounds)
        self._threads = [
            threading.Thread(target=work, name="facewire-rtsp", daemon=True)
            for work in (self._loop.run, self._keep_alive)
        ]
        return server

    def _stop(self) -> None:
        self._ended.set()
        # From inside the loop: clients belong to its thread, and a quit that comes before the thread has begun to run
        # the loop would be lost.
        last = self._glib.idle_source_new()
        last.set_callback(lambda *_: self._finish())
        last.attach(self._context)
        for thread in self._threads:
            thread.join(5.0)
        for thing, handler in self._handlers:
            thing.disconnect(handler)
        # The socket stays open as long as anything of these is referred to, and so would the port.
        self._handlers, self._sources, self._server = [], (), None
        self._arrivals.clear()
        with self._lock:
            self._feed = None

    def _finish(self) -> bool:
        """On the server's thread, its last act."""
        for source in self._sources:
            source.destroy()
        self._server.client_filter(lambda *_: self._server_module.RTSPFilterResult.REMOVE)
        self._loop.quit()
        return False


def _i420(picture: Picture) -> bytes:
    """Planar 4:2:0, BT.601 limited range. OpenCV needs 0.1 ms for 512x512, GStreamer's videoconvert five times that."""
    return bytes(cv2.cvtColor(picture, cv2.COLOR_RGB2YUV_I420).tobytes())
