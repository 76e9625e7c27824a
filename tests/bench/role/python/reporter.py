"""What handlers report, as in role/reporter.ts, and the handlers of role/handlers.ts that these contestants need."""

import os
import threading
import time
from collections import deque

from publishing import wall

# Runs between two stamps.
STAMP_EVERY = 50
# Seconds between two writes while handlers run.
FLUSH = 0.01


class Reporter:
    """Counts runs in this process, one at a time. Opened at the first, since a pool forks its processes before."""

    def __init__(self, folder):
        self._folder = folder
        self._file = None
        self._count = 0
        # Appended to by the one thread and emptied by the other, without a lock.
        self._lines = deque()
        self._runs = threading.Event()

    def ran(self):
        if self._file is None:
            self._file = os.open(
                os.path.join(self._folder, str(os.getpid())), os.O_WRONLY | os.O_CREAT | os.O_APPEND
            )
            threading.Thread(target=self._flush, daemon=True).start()
        self._count += 1
        if self._count % STAMP_EVERY == 1:
            self._lines.append(f"{self._count} {wall()}\n")
        if not self._runs.is_set():
            self._runs.set()

    def started(self, latency):
        self._lines.append(f"latency {latency:.3f}\n")
        self.ran()

    def _flush(self):
        while True:
            # An idle worker must be idle.
            self._runs.wait()
            self._runs.clear()
            time.sleep(FLUSH)
            text = ""
            while self._lines:
                text += self._lines.popleft()
            os.write(self._file, f"{text}{self._count} {wall()}\n".encode())


class Handlers:
    """Handlers by name."""

    def __init__(self, folder):
        self._reporter = Reporter(folder)

    def noop(self, _data):
        self._reporter.ran()

    def stamp(self, data):
        self._reporter.started(wall() - data["at"])


def make_handlers(folder):
    """Makes the handlers of one process; it reports into `folder`."""
    return Handlers(folder)
