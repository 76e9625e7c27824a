/**
 * A publisher that is killed by a test: publishes one task, prints its id, and stays.
 *
 * @module
 */

import { TaskQueue } from "../../mod.ts";

const queue = new TaskQueue();
console.log(await queue.publish("rel", "run"));
setInterval(() => {}, 60_000);
