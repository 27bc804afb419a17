"""A small object server: one line with a file's name in, its bytes out, late. A thread per connection.

With a rate in bytes/s, all connections share it, as they share a network card: bytes leave in small pieces, one after the other.
"""

import contextlib
import socketserver
import struct
import sys
import threading
import time
from pathlib import Path

FOLDER, LATENCY_S = Path(sys.argv[1]), float(sys.argv[2]) / 1e3
BYTES_PER_S = float(sys.argv[3]) if len(sys.argv) > 3 else None
PIECE = 16384


class Line:
    """A line that carries so many bytes a second, whoever sends them."""

    def __init__(self) -> None:
        self.lock, self.free_at = threading.Lock(), 0.0

    def send(self, out, data: bytes) -> None:
        for start in range(0, len(data), PIECE):
            piece = data[start : start + PIECE]
            with self.lock:
                self.free_at = max(self.free_at, time.monotonic()) + len(piece) / BYTES_PER_S
                free_at = self.free_at
            time.sleep(max(0.0, free_at - time.monotonic()))
            out.write(piece)


LINE = Line()


class Objects(socketserver.StreamRequestHandler):
    disable_nagle_algorithm = True  # or the last piece of each file waits 40 ms for the client's delayed answer

    def handle(self) -> None:
        with contextlib.suppress(ConnectionError):  # the job was ended
            self.answer()

    def answer(self) -> None:
        while name := self.rfile.readline().decode().strip():
            data = (FOLDER / name).read_bytes()
            time.sleep(LATENCY_S)
            if BYTES_PER_S is None:
                self.wfile.write(struct.pack("<I", len(data)) + data)
            else:
                LINE.send(self.wfile, struct.pack("<I", len(data)) + data)


class Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    allow_reuse_address = True


if __name__ == "__main__":
    with Server(("127.0.0.1", 0), Objects) as server:
        print(server.server_address[1], flush=True)
        server.serve_forever()
