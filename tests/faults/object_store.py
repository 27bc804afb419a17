"""A small object server: one line with a file's name in, its bytes out, late. A thread per connection."""

import contextlib
import socketserver
import struct
import sys
import time
from pathlib import Path

FOLDER, LATENCY_S = Path(sys.argv[1]), float(sys.argv[2]) / 1e3


class Objects(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        with contextlib.suppress(ConnectionError):  # the job was ended
            self.answer()

    def answer(self) -> None:
        while name := self.rfile.readline().decode().strip():
            data = (FOLDER / name).read_bytes()
            time.sleep(LATENCY_S)
            self.wfile.write(struct.pack("<I", len(data)) + data)


class Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    allow_reuse_address = True


if __name__ == "__main__":
    with Server(("127.0.0.1", 0), Objects) as server:
        print(server.server_address[1], flush=True)
        server.serve_forever()
