"""One process of a contestant on Python: `main.py prepare|publisher|worker <driver> <config>`.

It speaks as role/main.ts does. What a driver has to have is in driver.ts, but that nothing here is asynchronous:
`publisher(config)` gives an object with `publish(handler, data)` and perhaps `publish_many(handler, list)`, and
`worker(config, handlers, ready)` calls `ready` when it takes tasks, and does not return.
"""

import importlib.util
import json
import os
import sys
import threading

from publishing import publish
from reporter import make_handlers


def main():
    role, path, config_text = sys.argv[1:]
    config = json.loads(config_text)
    driver = load(path)
    if role == "publisher":
        publisher = driver.publisher(config)
        say({"ready": True})
        for line in sys.stdin:
            say(publish(publisher, json.loads(line)))
        # Not sys.exit(): libraries wait for their threads.
        os._exit(0)
    elif role == "worker":
        threading.Thread(target=end_with_stdin, daemon=True).start()
        driver.worker(config, make_handlers(config["reports"]), lambda: say({"ready": True}))
    elif role != "prepare":
        raise ValueError(f"there is no role {role}")


def load(path):
    spec = importlib.util.spec_from_file_location("driver", path)
    module = importlib.util.module_from_spec(spec)
    # By name: RQ imports the functions of tasks.
    sys.modules["driver"] = module
    spec.loader.exec_module(module)
    return module


def say(message):
    # Past sys.stdout: Celery takes that for its log.
    os.write(1, f"@ {json.dumps(message)}\n".encode())


def end_with_stdin():
    # Past sys.stdin: a process that is forked meanwhile would inherit its lock.
    while os.read(0, 4096):
        pass
    os._exit(0)


if __name__ == "__main__":
    main()
