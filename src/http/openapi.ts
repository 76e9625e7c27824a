/**
 * The OpenAPI document, made of the schemas that check requests.
 *
 * @module
 */

import { z } from "npm:zod@4.6.7";
import { VERSION } from "../version.ts";
import { BASE, type RouteInfo } from "./route.ts";
import { errorAnswerSchema } from "./schemas.ts";

/** What goes wrong, by status. */
const ERRORS: Readonly<Record<string, string>> = {
  400: "A value is bad, or there is nothing to be done.",
  401: "The token is missing or wrong.",
  403: "The token has too little right, or the host or the origin is foreign.",
  404: "There is no such task.",
  408: "The body came too slowly.",
  413: "The body is too large.",
  503: "Postgres cannot be reached.",
};
/** Those that only a body can cause. */
const OF_BODIES = ["408", "413"];

/** JSON Schema of the dialect that OpenAPI 3.1 has. */
type JsonSchema = Record<string, unknown>;

/** The document. */
export function openApi(routes: readonly RouteInfo[]): Record<string, unknown> {
  const paths: Record<string, Record<string, unknown>> = {};
  for (const one of routes) (paths[BASE + one.path] ??= {})[one.method.toLowerCase()] = operation(one);
  return {
    openapi: "3.1.0",
    info: {
      title: "tq",
      version: VERSION,
      description: "Publish tasks, look at them, cancel them and run them again.",
      license: { name: "MIT", identifier: "MIT" },
    },
    servers: [{ url: "/" }],
    security: [{ token: [] }],
    paths,
    components: {
      securitySchemes: {
        token: {
          type: "http",
          scheme: "bearer",
          description: "One of TQ_API_TOKENS, else the text in var/api_token.",
        },
      },
      schemas: { Error: schemaOf(errorAnswerSchema, "output") },
      responses: Object.fromEntries(
        Object.entries(ERRORS).map(([status, description]) => [
          `Error${status}`,
          { description, content: json({ $ref: "#/components/schemas/Error" }) },
        ]),
      ),
    },
  };
}

/** The parameters of a route, as they are documented. */
export function parametersOf(one: RouteInfo): JsonSchema[] {
  return [...inPlace(one.pathSchema, "path"), ...inPlace(one.querySchema, "query")];
}

/** The fields of a route's body, as they are documented. */
export function fieldsOf(one: RouteInfo): [name: string, schema: JsonSchema, isRequired: boolean][] {
  if (one.bodySchema === undefined) return [];
  const { properties, required } = schemaOf(one.bodySchema, "input");
  return Object.entries(properties as Record<string, JsonSchema>)
    .map(([name, schema]) => [name, schema, (required as string[] ?? []).includes(name)]);
}

function operation(one: RouteInfo): Record<string, unknown> {
  const errors = Object.keys(ERRORS).filter((status) =>
    one.bodySchema !== undefined || !OF_BODIES.includes(status)
  );
  return {
    operationId: one.summary.replaceAll(/[^A-Za-z]+(.)/g, (_, letter: string) => letter.toUpperCase()),
    summary: one.summary,
    ...(one.description === undefined ? {} : { description: one.description }),
    "x-right": one.right,
    parameters: parametersOf(one),
    ...(one.bodySchema === undefined ? {} : {
      requestBody: {
        required: true,
        content: {
          "application/json": {
            schema: schemaOf(one.bodySchema, "input"),
            ...(one.example === undefined ? {} : { example: one.example }),
          },
        },
      },
    }),
    responses: {
      200: { description: "Done.", content: json(schemaOf(one.answer, "output")) },
      ...Object.fromEntries(
        errors.map((status) => [status, { $ref: `#/components/responses/Error${status}` }]),
      ),
    },
  };
}

function inPlace(schema: z.ZodObject | undefined, place: "path" | "query"): JsonSchema[] {
  if (schema === undefined) return [];
  const { properties, required = [] } = schemaOf(schema, "input") as {
    properties: Record<string, JsonSchema>;
    required?: string[];
  };
  return Object.entries(properties).map(([name, { description, ...rest }]) => ({
    name,
    in: place,
    required: place === "path" || required.includes(name),
    ...(description === undefined ? {} : { description }),
    schema: rest,
  }));
}

function json(schema: JsonSchema): Record<string, unknown> {
  return { "application/json": { schema } };
}

function schemaOf(schema: z.ZodType, io: "input" | "output"): JsonSchema {
  const { $schema: _, ...rest } = z.toJSONSchema(schema, { io, unrepresentable: "any" });
  return rest;
}
