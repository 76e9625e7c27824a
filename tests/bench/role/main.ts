/**
 * One process of a contestant: `main.ts prepare|publisher|worker <driver> <config>`. A publisher takes orders as
 * lines of JSON on its stdin and answers each with one on its stdout; a worker says when it is ready. Both end with
 * their stdin. Runs on Deno and on Node.
 *
 * @module
 */

import process from "node:process";
import { createInterface } from "node:readline";
import { pathToFileURL } from "node:url";
import type { Driver, DriverConfig } from "./driver.ts";
import { makeHandlers } from "./handlers.ts";
import { publish } from "./publishing.ts";

const [role, path = "", configText = "{}"] = process.argv.slice(2);
const config: DriverConfig = JSON.parse(configText);
const driver: Driver = await import(pathToFileURL(path).href);

switch (role) {
  case "prepare":
    await driver.prepare?.(config);
    process.exit(0);
    break;
  case "publisher": {
    const publisher = await driver.publisher(config);
    say({ ready: true });
    for await (const line of createInterface({ input: process.stdin })) {
      say(await publish(publisher, JSON.parse(line)));
    }
    process.exit(0);
    break;
  }
  case "worker":
    await driver.worker?.(config, makeHandlers(config.reports));
    say({ ready: true });
    process.stdin.on("end", () => process.exit(0)).resume();
    break;
  default:
    throw new Error(`there is no role ${role}`);
}

function say(message: unknown): void {
  // Marked: libraries print lines of their own.
  process.stdout.write(`@ ${JSON.stringify(message)}\n`);
}
