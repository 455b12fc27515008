// Fastify and pg: schemas for what comes in and goes out, prepared statements, the user by SELECT for each request.

import { randomUUID } from "node:crypto";
import jwt from "@fastify/jwt";
import Fastify from "fastify";
import pg from "pg";

const pool = new pg.Pool({ connectionString: process.env.DATABASE_URL, max: 32 });
const app = Fastify();
app.register(jwt, {
  secret: process.env.SECRET_KEY,
  verify: { algorithms: ["HS256"], allowedAud: "doable", allowedIss: "doable" },
});

const COLUMNS = `t.id, t.list_id, t.parent_id, t.position, t.title, t.description, t.priority, t.completed_at,
  t.due_date, t.due_time, t.due_timezone, t.due_at, t.rule, t.basis, t.done, t.labels, t.assignee_id, t.created_by,
  t.created_at, t.updated_at, t.deleted_at, t.version`;
const SEEN = `FROM todos t JOIN members m ON m.list_id = t.list_id JOIN lists l ON l.id = t.list_id
  WHERE m.user_id = $1 AND l.deleted_at IS NULL`;
const LISTED = `${SEEN} AND t.deleted_at IS NULL AND l.archived_at IS NULL`;
const USER = `SELECT id, username, is_admin, timezone, inbox_id, disabled_at, deleted_at FROM users WHERE id = $1`;
const ONE = `SELECT ${COLUMNS} ${SEEN} AND t.id = $2`;
const PAGE = `SELECT ${COLUMNS} ${LISTED} ORDER BY t.id DESC LIMIT $2 OFFSET $3`;
const TOTAL = `SELECT count(*)::int AS total FROM (SELECT 1 ${LISTED} LIMIT 10001) AS counted`;
const MEMBER = `SELECT role FROM members WHERE list_id = $1 AND user_id = $2`;
const INSERT = `INSERT INTO todos AS t (id, list_id, position, title, title_key, description, priority, created_by,
  created_at, updated_at, version) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $9, 1) RETURNING ${COLUMNS}`;
const UPDATE = `UPDATE todos t SET title = coalesce($3, t.title), title_key = coalesce($4, t.title_key),
  description = coalesce($5, t.description), priority = coalesce($6, t.priority), updated_at = $7,
  version = t.version + 1 FROM members m JOIN lists l ON l.id = m.list_id WHERE m.list_id = t.list_id
  AND m.user_id = $1 AND m.role <> 'viewer' AND l.deleted_at IS NULL AND t.id = $2 RETURNING ${COLUMNS}`;

const ask = async (name, text, ...values) => (await pool.query({ name, text, values })).rows;

const text = { type: "string" };
const maybe = { type: "string", nullable: true };
const todo = {
  type: "object",
  properties: {
    id: text, list_id: text, parent_id: maybe, position: text, title: text, description: maybe,
    priority: { type: "integer" }, completed: { type: "boolean" }, completed_at: maybe,
    due: { type: "object", nullable: true, properties: { date: text, time: maybe, timezone: maybe, at: maybe } },
    recurrence: { type: "object", nullable: true, properties: { rule: text, basis: text, done: { type: "integer" } } },
    labels: { type: "array", items: text }, assignee_id: maybe, created_by: text, created_at: text, updated_at: text,
    deleted_at: maybe, version: { type: "integer" },
  },
};
const number = { type: "integer" };
const page = { type: "object", properties: { items: { type: "array", items: todo }, page: number, size: number, total: number } };
const members = {
  title: { type: "string", minLength: 1, maxLength: 200 },
  description: { type: "string", nullable: true, maxLength: 10000 },
  priority: { type: "integer", minimum: 1, maximum: 5 },
};
const created = { type: "object", required: ["title"], additionalProperties: false, properties: members };
const changed = { type: "object", additionalProperties: false, properties: members };
const named = { type: "object", properties: { todo_id: { type: "string", format: "uuid" } } };
const paging = {
  type: "object",
  properties: { page: { type: "integer", minimum: 1, default: 1 }, size: { type: "integer", minimum: 1, maximum: 200, default: 20 } },
};

const refuse = (status, message) => Object.assign(new Error(message), { statusCode: status });

const shown = (row) => ({
  ...row,
  completed: row.completed_at !== null,
  due: row.due_date && { date: row.due_date, time: row.due_time, timezone: row.due_timezone, at: row.due_at },
  recurrence: row.rule && { rule: row.rule, basis: row.basis, done: row.done },
  labels: JSON.parse(row.labels),
});

const authenticate = async (request) => {
  const claims = await request.jwtVerify();
  const [user] = await ask("user", USER, claims.sub);
  if (!user || user.disabled_at || user.deleted_at) throw refuse(401, "Unauthorized");
  request.person = user;
};

app.get("/health/live", async () => true);

app.register(async (api) => {
  api.decorateRequest("person", null);
  api.addHook("onRequest", authenticate);

  api.get("/todos/:todo_id", { schema: { params: named, response: { 200: todo } } }, async (request) => {
    const [row] = await ask("one", ONE, request.person.id, request.params.todo_id);
    if (!row) throw refuse(404, "Not found");
    return shown(row);
  });

  api.get("/todos", { schema: { querystring: paging, response: { 200: page } } }, async (request) => {
    const { page, size } = request.query;
    const rows = await ask("page", PAGE, request.person.id, size, (page - 1) * size);
    const [{ total }] = await ask("total", TOTAL, request.person.id);
    return { items: rows.map(shown), page, size, total };
  });

  api.post("/todos", { schema: { body: created, response: { 201: todo } } }, async (request, reply) => {
    const { title, description = null, priority = 3 } = request.body;
    const { id, inbox_id } = request.person;
    const [member] = await ask("member", MEMBER, inbox_id, id);
    if (!member || member.role === "viewer") throw refuse(404, "Not found");
    const key = randomUUID();
    const values = [key, inbox_id, key, title, title.toLowerCase(), description, priority, id, new Date()];
    const [row] = await ask("insert", INSERT, ...values);
    reply.code(201);
    return shown(row);
  });

  api.patch("/todos/:todo_id", { schema: { params: named, body: changed, response: { 200: todo } } }, async (request) => {
    const { title = null, description = null, priority = null } = request.body;
    const values = [title, title && title.toLowerCase(), description, priority, new Date()];
    const [row] = await ask("update", UPDATE, request.person.id, request.params.todo_id, ...values);
    if (!row) throw refuse(404, "Not found");
    return shown(row);
  });
}, { prefix: "/api/v1" });

await app.listen({ port: Number(process.env.PORT), host: "127.0.0.1" });
