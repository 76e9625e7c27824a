"""The ways in which tasks are published, as in role/publishing.ts; callers are threads."""

import threading
import time

# Around the text in `{"at": 1764000000000.123, "text": ""}`, which is how Python writes it.
ENVELOPE = 38


def wall():
    """Milliseconds since the epoch, on the clock that role/wall.ts reads."""
    return time.time_ns() / 1e6


def publish(publisher, order):
    """Carries out an order."""
    text = text_of(order["bytes"] - ENVELOPE)
    handler = order["handler"]
    how = order["how"]

    def one():
        publisher.publish(handler, {"at": wall(), "text": text})
        return 1

    def batch():
        publisher.publish_many(handler, [{"at": wall(), "text": text} for _ in range(order["size"])])
        return order["size"]

    if how == "callers":
        return timed(order["callers"], order, one)
    if how == "batches":
        return timed(1, order, batch)
    if how == "load":
        return load(order, batch)
    if how == "rate":
        return at_rate(order, one)
    raise ValueError(f"publishing by {how} is not written for Python")


def timed(callers, order, act):
    """Counts what is done within the time. A caller that is busy when it ends is not counted."""
    act()  # Connects.
    start = wall() + order["warmMs"]
    end = start + order["ms"]
    counts = []

    def call():
        count, last = 0, start
        while True:
            done = act()
            now = wall()
            if now > end:
                break
            if now >= start:
                count, last = count + done, now
        counts.append((count, last))

    threads = [threading.Thread(target=call) for _ in range(callers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    # A caller whose publish has failed has no count, and its error is on stderr.
    if len(counts) < callers:
        raise RuntimeError(f"{callers - len(counts)} of {callers} callers failed")
    count = sum(count for count, _ in counts)
    last = max(last for _, last in counts)
    return {"count": count, "ms": order["ms"] if count == 0 else max(last - start, order["ms"] / 2)}


def load(order, batch):
    start = wall()
    left = order["count"]
    while left > 0:
        left -= batch()
    return {"count": order["count"], "ms": wall() - start}


def at_rate(order, act):
    start = wall()
    for i in range(order["count"]):
        wait = start + i * 1000 / order["perSecond"] - wall()
        if wait > 0:
            time.sleep(wait / 1000)
        act()
    return {"count": order["count"], "ms": wall() - start}


def text_of(length):
    """The text of role/publishing.ts."""
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+-"
    text = ""
    seed = 1
    while len(text) < length:
        seed = seed * 48271 % 2147483647
        text += letters[seed % 64]
    return text
