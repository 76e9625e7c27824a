"""RQ with its SimpleWorker, which https://github.com/rq/rq/blob/master/docs/benchmark.md recommends for tasks of a few
milliseconds: the worker that comes by itself forks for each task. More at once is more workers, as
https://python-rq.org/docs/workers/ says.
"""

from redis import Redis
from rq import Queue, SimpleWorker

QUEUE = "bench"
# An ended task is removed at once, not kept for 500 seconds.
RESULT_TTL = 0

# Tasks are functions of a module, and find what they work with there.
handlers = None


def noop(data):
    handlers.noop(data)


def stamp(data):
    handlers.stamp(data)


TASKS = {"noop": noop, "stamp": stamp}


class Publisher:
    def __init__(self, queue):
        self._queue = queue

    def publish(self, handler, data):
        self._queue.enqueue(TASKS[handler], data, result_ttl=RESULT_TTL)

    def publish_many(self, handler, batch):
        self._queue.enqueue_many(
            [Queue.prepare_data(TASKS[handler], (data,), result_ttl=RESULT_TTL) for data in batch]
        )


def publisher(config):
    return Publisher(Queue(QUEUE, connection=Redis.from_url(config["redis"])))


def worker(config, made, ready):
    global handlers
    handlers = made
    simple = SimpleWorker([QUEUE], connection=Redis.from_url(config["redis"]))
    ready()
    # A line for every task would be measured too.
    simple.work(logging_level="WARNING")
