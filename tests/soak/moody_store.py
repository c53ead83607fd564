"""A store that takes line protocol over HTTP, and has good and bad days on demand."""

import gzip
import http.server
import socketserver
import threading
import time

# What it does: takes everything; answers 503; takes a request and does not answer; is not there.
MOODS = ["takes", "busy", "hangs", "away"]


class MoodyStore:
    """Listens on one port as long as it is not away, and hands each line to `on_line`."""

    def __init__(self, on_line):
        self.on_line = on_line
        self.mood = "takes"
        self.requests = {}
        self._hurry = threading.Event()
        self._server = None
        self._listen(0)
        self.port = self._server.server_address[1]

    def _listen(self, port):
        store = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                store._take(self)

            def log_message(self, *_):
                pass

        class Server(socketserver.ThreadingMixIn, http.server.HTTPServer):
            daemon_threads, allow_reuse_address, request_queue_size = True, True, 64

            def handle_error(self, *_):
                pass  # A peer that went away is what this is about.

        self._server = Server(("127.0.0.1", port), Handler)
        self._connections = set()
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def _take(self, request):
        body = request.rfile.read(int(request.headers["Content-Length"]))
        mood = self.mood
        if mood == "hangs":
            # It may have taken the lines, or not, when it comes to itself: both are seen.
            self._hurry.wait(20)
            mood = "takes" if len(body) % 2 else "busy"
        self.requests[mood] = self.requests.get(mood, 0) + 1
        if mood == "away":
            request.close_connection = True
            return
        if mood == "busy":
            return self._answer(request, 503, b"too busy")
        if request.headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        for line in body.splitlines():
            self.on_line(line)
        self._answer(request, 204, b"")

    def _answer(self, request, status, body):
        request.send_response(status)
        request.send_header("Content-Length", str(len(body)))
        request.end_headers()
        request.wfile.write(body)

    def be(self, mood):
        """Changes what it does, at once."""
        was, self.mood = self.mood, mood
        if mood == "away" and was != "away":
            self._server.shutdown()
            self._server.server_close()
        if was == "away" and mood != "away":
            for _ in range(100):
                try:
                    self._listen(self.port)
                    break
                except OSError:
                    time.sleep(0.05)
        self._hurry.clear() if mood == "hangs" else self._hurry.set()
