import assert from "node:assert/strict";
import { composeFile, dockerfile } from "../../src/service_files/docker.ts";
import type { ServicePlan } from "../../src/service_files/plan.ts";
import { planOf } from "./plans.ts";

function compose(changes: Partial<ServicePlan> = {}): string {
  return composeFile(planOf(changes), "1.2.3");
}

/** The part of a compose file that describes one service. */
function service(text: string, name: string): string {
  return new RegExp(`^  ${name}:\\n((?:(?:    .*)?\\n)+)`, "m").exec(text)?.[1] ?? "";
}

Deno.test("the Dockerfile takes dist/tq and the handlers, and runs tq in the foreground as nobody special", () => {
  const text = dockerfile(planOf({ handlers: "tasks of $all" }), "1.2.3");
  const instructions = text.split("\n").filter((line) => line !== "" && !line.startsWith("#"));
  assert.deepEqual(instructions, [
    "FROM debian:trixie-slim",
    "RUN useradd --system --uid 10001 --home-dir /var/lib/tq --create-home tq",
    "COPY --chmod=755 dist/tq /usr/local/bin/tq",
    String.raw`COPY ["tasks of \\$all", "/srv/tq/handlers"]`,
    "ENV TQ_ROOT=/srv/tq TQ_VAR=/var/lib/tq/var",
    "WORKDIR /srv/tq",
    "USER tq",
    "VOLUME /var/lib/tq",
    'HEALTHCHECK --interval=30s --timeout=10s --start-period=60s CMD ["tq", "status"]',
    'ENTRYPOINT ["tq"]',
    'CMD ["run"]',
  ]);
});

Deno.test("handlers outside the project are mounted, not copied", () => {
  const outside = { handlers: undefined, handlersFolder: "/opt/tasks" };
  assert.doesNotMatch(dockerfile(planOf(outside), "1.2.3"), /COPY.*tasks/);
  assert.match(service(compose(outside), "tq"), /^ {6}- "\/opt\/tasks:\/srv\/tq\/handlers:ro"$/m);
  assert.doesNotMatch(compose(), /handlers:ro/);
});

Deno.test("the compose file has tq, Postgres and Redis, with volumes and healthchecks, and tq waits for both", () => {
  const text = compose();
  for (const name of ["postgres", "redis"]) {
    assert.match(service(text, name), /^ {4}healthcheck:\n(.*\n)*? {6}test: \[CMD, /m);
    assert.match(service(text, name), new RegExp(`^ {4}volumes:\\n {6}- ${name}:/`, "m"));
    assert.match(service(text, "tq"), new RegExp(`^ {6}${name}: \\{ condition: service_healthy \\}$`, "m"));
  }
  assert.match(service(text, "tq"), /^ {4}volumes:\n {6}- tq:\/var\/lib\/tq$/m);
  assert.match(text, /^volumes:\n {2}tq:\n {2}postgres:\n {2}redis:\n$/m);
  assert.doesNotMatch(text, /\t/);
});

Deno.test("settings go into the compose file, but those of servers, and secrets are variables of .env", () => {
  const text = compose({
    drainTimeout: 90,
    settings: [
      { name: "TQ_REDIS_URL", value: "redis://127.0.0.1", isInFile: true },
      { name: "TQ_REDACT", value: 'cost $,"x\\', isInFile: true },
    ],
    secrets: [
      { name: "TQ_DATABASE_URL", masked: "postgres://shop:PASSWORD@db/shop", isInFile: false },
      { name: "TQ_WEB_SECRET", masked: "PASSWORD", isInFile: true },
    ],
  });
  const environment = /^ {4}environment:\n((?: {6}.*\n)+)/m.exec(service(text, "tq"))?.[1];
  assert.deepEqual(environment?.trimEnd().split("\n").map((line) => line.trim()), [
    'TQ_DATABASE_URL: "postgres://tq:${POSTGRES_PASSWORD:?write it into .env}@postgres:5432/tq"',
    'TQ_REDIS_URL: "redis://redis:6379/0"',
    'TQ_HTTP: "0.0.0.0:7654"',
    String.raw`TQ_REDACT: "cost $$,\"x\\"`,
    'TQ_API_TOKENS: "${TQ_API_TOKENS:?write it into .env}"',
    'TQ_WEB_SECRET: "${TQ_WEB_SECRET:?write it into .env}"',
  ]);
  assert.doesNotMatch(text, /shop:PASSWORD|127\.0\.0\.1"/);
  for (const name of ["POSTGRES_PASSWORD", "TQ_API_TOKENS", "TQ_WEB_SECRET"]) {
    assert.match(text, new RegExp(`^#   echo "${name}=.*" >> \\.env$`, "m"));
  }
  assert.match(service(text, "tq"), /^ {4}stop_grace_period: 120s$/m);
});

Deno.test("REST is published on the host's loopback, on the port of TQ_HTTP, or not at all", () => {
  assert.match(service(compose({ httpPort: 9000 }), "tq"), /^ {4}ports:\n {6}- "127\.0\.0\.1:9000:9000"$/m);
  assert.match(compose({ httpPort: 0 }), /127\.0\.0\.1:7654:7654/);
  const off = compose({ httpPort: undefined });
  assert.doesNotMatch(off, /ports:|TQ_API_TOKENS/);
  assert.match(off, /^ {6}TQ_HTTP: "off"$/m);
});
