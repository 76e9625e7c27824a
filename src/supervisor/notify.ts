/**
 * Tells systemd how the supervisor does, over the socket that a unit with `Type=notify` names in NOTIFY_SOCKET:
 *
 *     starting ──READY──► ready ──RELOADING──► reloading ──READY──► ready
 *         └──────────────────┴──────STOPPING───────┴──► stopping: the last word
 *
 * and WATCHDOG at each turn of the supervisor's own beat, so that systemd restarts one that hangs.
 *
 * @module
 */

import { messageOf } from "../errors.ts";
import { logger } from "../log.ts";
import { DatagramSender, monotonicMicroseconds } from "../posix.ts";
import type { SupervisorStatus } from "./status_file.ts";

/** Where systemd listens, and what it expects. */
export interface NotifyAddress {
  /** An absolute path, or `@` and an abstract name. */
  readonly socket: string;
  /** Microseconds within which it wants a sign of life; undefined when it wants none. */
  readonly watchdog: number | undefined;
}

/** The variables in which systemd tells them. */
const VARIABLES = ["NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"] as const;
/** A beat may take this long to come round while Postgres is away, microseconds. */
const LONGEST_TURN = 20_000_000;
/** Characters of a status: systemd passes over datagrams of more than 4096 bytes. */
const LONGEST_STATUS = 1000;

/** Speaks to systemd. What it did not take is sent again with the next word, at the latest with the next beat. */
export class Notifier implements Disposable {
  /** For the program that takes this one's place. */
  readonly address: NotifyAddress;
  readonly #sender: DatagramSender;
  readonly #log = logger("supervisor");
  #state: "starting" | "ready" | "reloading" | "stopping" = "starting";
  #status = "";
  /** What systemd has not taken yet, the oldest first. */
  #owed: string[] = [];
  #isHeard = true;

  /** @throws {RangeError} when the address is none of a Unix socket */
  constructor(address: NotifyAddress) {
    this.address = address;
    this.#sender = new DatagramSender(address.socket);
    if (address.watchdog !== undefined && address.watchdog < LONGEST_TURN) {
      this.#log.warn("WatchdogSec of the unit is too short for the beats of tq", {
        seconds: address.watchdog / 1e6,
        least: LONGEST_TURN / 1e6,
      });
    }
  }

  /** Engines take tasks, for the first time or after a reload. */
  ready(): void {
    if (this.#state === "ready" || this.#state === "stopping") return;
    this.#state = "ready";
    this.#send("READY=1");
  }

  /** New code is being taken; `ready` ends it. Nothing that starts or stops reloads. */
  reloading(): void {
    if (this.#state !== "ready") return;
    this.#state = "reloading";
    this.#send(`RELOADING=1\nMONOTONIC_USEC=${monotonicMicroseconds()}`);
  }

  /** The supervisor drains, and ends. */
  stopping(): void {
    if (this.#state === "stopping") return;
    this.#state = "stopping";
    this.#send("STOPPING=1");
  }

  /** The supervisor's beat came round. */
  alive(): void {
    if (this.address.watchdog !== undefined) this.#send("WATCHDOG=1");
    else this.#flush();
  }

  /** One line for `systemctl status`. */
  tell(status: string): void {
    const line = status.replaceAll(/\s+/g, " ").slice(0, LONGEST_STATUS);
    if (line === this.#status) return;
    this.#status = line;
    this.#send(`STATUS=${line}`);
  }

  /** Says no more. */
  [Symbol.dispose](): void {
    this.#sender[Symbol.dispose]();
  }

  #send(message: string): void {
    const name = nameOf(message);
    // An older word of the same kind says nothing any more; so does a reload that is over.
    this.#owed = this.#owed.filter((one) =>
      nameOf(one) !== name && !(name === "READY" && nameOf(one) === "RELOADING")
    );
    this.#owed.push(message);
    this.#flush();
  }

  #flush(): void {
    while (this.#owed[0] !== undefined && this.#sender.send(this.#owed[0])) this.#owed.shift();
    const isHeard = this.#owed.length === 0;
    if (this.#isHeard && !isHeard) {
      this.#log.warn("systemd does not take what it is told", { socket: this.address.socket });
    }
    this.#isHeard = isHeard;
  }
}

function nameOf(message: string): string {
  return message.slice(0, message.indexOf("="));
}

/**
 * Finds out who listens: whom systemd named to this process, or to the program before it.
 *
 * The variables are taken out of the environment, so that no child of this process speaks for it.
 *
 * @param left what the program before this one left
 * @returns undefined when nobody listens
 */
export function takeNotifyAddress(left?: NotifyAddress): NotifyAddress | undefined {
  const [socket, watchdog, watched] = VARIABLES.map((name) => Deno.env.get(name));
  for (const name of VARIABLES) Deno.env.delete(name);
  if (left !== undefined) return left;
  if (!socket || Deno.build.os !== "linux") return undefined;
  const isWatched = Number(watchdog) > 0 && (!watched || Number(watched) === Deno.pid);
  return { socket, watchdog: isWatched ? Number(watchdog) : undefined };
}

/** Speaks to whoever listens; undefined where nobody does, or where tq cannot reach them, which is logged. */
export function makeNotifier(address: NotifyAddress | undefined): Notifier | undefined {
  if (address === undefined) return undefined;
  try {
    return new Notifier(address);
  } catch (error) {
    logger("supervisor").warn("NOTIFY_SOCKET is of no use", { error: messageOf(error) });
    return undefined;
  }
}

/** The state of a supervisor on one line: `2 engines ready, 5 tasks running, commit 0123456789ab`. */
export function statusLine(status: SupervisorStatus): string {
  const count = (state: string) => status.engines.filter((engine) => engine.state === state).length;
  const ready = count("ready");
  const draining = count("draining");
  const running = status.engines.reduce((sum, engine) => sum + (engine.status?.running ?? 0), 0);
  const { refresh } = status;
  return [
    `${ready} ${ready === 1 ? "engine" : "engines"} ready`,
    ...(draining === 0 ? [] : [`${draining} draining`]),
    `${running} ${running === 1 ? "task" : "tasks"} running`,
    ...(status.commit === null ? [] : [`commit ${status.commit.slice(0, 12)}`]),
    ...(status.trouble === null ? [] : [status.trouble]),
    ...(refresh?.outcome === "refused" ? [`new code was refused: ${refresh.reason}`] : []),
  ].join(", ");
}
