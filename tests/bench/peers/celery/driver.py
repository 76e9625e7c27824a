"""Celery, set up for many short tasks: https://docs.celeryq.dev/en/v5.2.6/userguide/optimizing.html.

Its pool is the one that comes by itself and that its documentation recommends for most uses: prefork, with a process
for each core, because one process of Python uses one core. Tried with 6,000 no-op tasks on 2 cores (2026-11-27, run
a second): this pool 650 to 700, with 1 process 500, with 4 570, threads 690, solo 950 (no pool at all: one task at a
time where the messages are read, so that a long one stops the worker). Two workers: 1,050.
"""

import os

from celery import Celery, signals

# Tasks fetched ahead for each process. "Say 64, or 128 for example", its optimizing guide has said of short tasks;
# here 4 (which is what comes by itself), 64 and 128 ran the same.
PREFETCH = 128


class Publisher:
    def __init__(self, app):
        self._app = app

    def publish(self, handler, data):
        self._app.tasks[handler].delay(data)

    def publish_many(self, handler, batch):
        """There is no call for many: one after another, through one producer."""
        task = self._app.tasks[handler]
        with self._app.producer_or_acquire() as producer:
            for data in batch:
                task.apply_async((data,), producer=producer)


def publisher(config):
    # "The value should be based on the number of active threads using broker connections."
    return Publisher(app_of(config, None, broker_pool_limit=config["callers"]))


def worker(config, handlers, ready):
    app = app_of(config, handlers)
    signals.worker_ready.connect(lambda **_: ready(), weak=False)
    # Workers of one machine need names of their own.
    app.worker_main(["worker", "--loglevel=WARNING", f"--hostname=bench{os.getpid()}@%h"])


def app_of(config, handlers, **more):
    app = Celery("bench", broker=config["redis"])
    app.conf.update(task_ignore_result=True, worker_prefetch_multiplier=PREFETCH, **more)

    @app.task(name="noop")
    def noop(data):
        handlers.noop(data)

    @app.task(name="stamp")
    def stamp(data):
        handlers.stamp(data)

    return app
