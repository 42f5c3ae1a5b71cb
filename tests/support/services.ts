/**
 * Ordinary services of Debian, and what is asked of each as a guest: that it starts as a user who is not
 * root, keeps what is in its volume when it is started again, and passes a test of its own.
 */
import assert from "node:assert/strict";
import { debianPostgres, debianServices } from "./debian_image.ts";
import { type CommandOptions, type CommandResult, waitFor } from "./process.ts";

/** A command in the service's container, and what it prints. */
interface Question {
  command: string[];
  answer: RegExp;
}

/** A service; its volume is at `/data`, and its user 1000. */
export interface Service {
  /** The tar file of its image's only layer. */
  layer(): Promise<string>;
  command: string[];
  /** Asked until it is answered. */
  ready: Question;
  /** Writes into the volume. */
  write: Question;
  /** The test that its makers or users have for it. */
  smoke: Question;
  /** Whether what was written is still there. */
  kept: Question;
}

/** Of the image, and of the owner of what is in the volume. */
export const SERVICE_USER = "1000:1000";

/** In the environment: every caller runs every service. */
export const EVERY = "URUNC_EVERY_SERVICE";

/** How a caller runs one. */
export interface ServiceCaller {
  /** Starts the service with its volume. */
  start(): Promise<unknown>;
  /** Runs a further process in it. */
  exec(command: string[], options: CommandOptions): Promise<CommandResult>;
  /** Stops it and starts it again, with the same volume. */
  restart(): Promise<unknown>;
}

const sh = (script: string) => ["sh", "-c", script];

/** For programs that as the container's first process would not hear SIGTERM. */
const ENDS = "trap 'exit 0' TERM; ";

const PYTHON_TEST = `
import sqlite3, subprocess, sys, threading, unittest, urllib.request
class Guest(unittest.TestCase):
    def test_database(self):
        with sqlite3.connect('/data/db') as db:
            db.execute('create table if not exists t (n integer)')
            db.executemany('insert into t values (?)', [(n,) for n in range(1000)])
        self.assertEqual(db.execute('select sum(n) from t').fetchone()[0] % 499500, 0)
    def test_child(self):
        run = subprocess.run([sys.executable, '-c', 'print(6 * 7)'], capture_output=True)
        self.assertEqual(run.stdout, b'42\\\\n')
    def test_thread(self):
        done = threading.Event()
        threading.Thread(target=done.set).start()
        self.assertTrue(done.wait(60))
    def test_fetch(self):
        with urllib.request.urlopen('http://127.0.0.1:8080/kept') as answer:
            self.assertEqual(answer.read(), b'kept\\\\n')
`;

const NGINX = "pid /tmp/pid; error_log stderr; events {} http { access_log off; " +
  ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map((it) => `${it}_temp_path /tmp/${it};`)
    .join(" ") +
  " server { listen 8080; root /data; } }";

const FETCH = ["wget", "-q", "-O", "-", "http://127.0.0.1:8080/kept"];
const BIN = "/usr/lib/postgresql/17/bin";
/** `-h`: the socket is where the server's user may write. */
const psql = (statement: string) => [
  ...[`${BIN}/psql`, "-h", "/tmp", "-d", "postgres", "-A", "-t", "-c", statement],
];
/** In the guest where all services are run by all callers, as it takes minutes without KVM. */
const MAKE_DATABASE = Deno.env.has(EVERY)
  ? `${BIN}/initdb -D /data/db -A trust -U service --locale=C -E UTF8`
  : "cp -r /cluster/db /data/ && chmod 700 /data/db";

/** By name. */
export const SERVICES = {
  redis: {
    layer: debianServices,
    command: [
      ...["redis-server", "--dir", "/data", "--appendonly", "yes", "--protected-mode", "no"],
    ],
    ready: { command: ["redis-cli", "ping"], answer: /^PONG\n$/ },
    write: { command: ["redis-cli", "set", "key", "kept"], answer: /^OK\n$/ },
    smoke: {
      command: ["redis-benchmark", "-q", "-n", "2000", "-t", "set,get,lpush"],
      answer: /SET: .* per second[^]*GET: .* per second[^]*LPUSH: .* per second/,
    },
    kept: { command: ["redis-cli", "get", "key"], answer: /^kept\n$/ },
  },
  nginx: {
    layer: debianServices,
    command: sh(
      `echo '${NGINX}' >/data/nginx.conf; echo up >/data/up; ` +
        "exec nginx -e stderr -c /data/nginx.conf -g 'daemon off;'",
    ),
    ready: { command: sh("wget -q -O - http://127.0.0.1:8080/up"), answer: /^up\n$/ },
    write: { command: sh("echo kept >/data/kept"), answer: /^$/ },
    smoke: { command: FETCH, answer: /^kept\n$/ },
    kept: { command: FETCH, answer: /^kept\n$/ },
  },
  postgres: {
    layer: debianPostgres,
    command: sh(
      `test -e /data/db/PG_VERSION || { ${MAKE_DATABASE}; }; ` +
        `exec ${BIN}/postgres -D /data/db -k /tmp -h 127.0.0.1`,
    ),
    ready: { command: psql("select 1"), answer: /^1\n$/ },
    write: {
      command: psql("create table t as select 'kept' as value"),
      answer: /^SELECT 1\n$/,
    },
    smoke: {
      command: sh(
        `${BIN}/pgbench -h /tmp -i -q postgres 2>&1 && ` +
          `${BIN}/pgbench -h /tmp -c 2 -t 20 postgres`,
      ),
      answer: /actually processed: 40\/40\n[^]*failed transactions: 0 /,
    },
    kept: {
      command: psql("select value, (select count(*) from pgbench_history) from t"),
      answer: /^kept\|40\n$/,
    },
  },
  python: {
    layer: debianServices,
    command: sh(`${ENDS}python3.13 -m http.server --directory /data 8080 & wait`),
    ready: {
      command: sh("wget -q -O - http://127.0.0.1:8080/ && echo up"),
      answer: /up\n$/,
    },
    write: {
      command: sh(`echo kept >/data/kept; echo "${PYTHON_TEST}" >/data/test.py`),
      answer: /^$/,
    },
    smoke: {
      command: ["python3.13", "-m", "unittest", "-v", "/data/test.py"],
      answer: /Ran 4 tests in [^]*\nOK\n$/,
    },
    kept: {
      command: [
        ...["python3.13", "-c"],
        "import sqlite3; print(*sqlite3.connect('/data/db').execute('select count(*) from t'))",
      ],
      answer: /^\(1000,\)\n$/,
    },
  },
  busybox: {
    layer: debianServices,
    command: sh(`${ENDS}sleep 100000 & wait`),
    ready: { command: ["id", "-u"], answer: /^1000\n$/ },
    write: { command: sh("mkdir /data/new && cp /usr/bin/busybox /data/new/kept"), answer: /^$/ },
    smoke: {
      command: sh(
        "for it in 1 2 3; do echo $it >/data/$it; done; cat /data/1 /data/2 /data/3 | sort -r; " +
          "mv /data/1 /data/new/; rm /data/2; ls /data /data/new",
      ),
      answer: /^3\n2\n1\n\/data:\n3\nnew\n\n\/data\/new:\n1\nkept\n$/,
    },
    kept: {
      command: sh("md5sum </usr/bin/busybox; md5sum </data/new/kept"),
      answer: /^(.*\n)\1$/,
    },
  },
} satisfies Record<string, Service>;

/** One of them. */
export type ServiceName = keyof typeof SERVICES;

/** Which services a caller's test runs: these, unless it is to be all of them. */
export function servicesOf(...few: ServiceName[]): ServiceName[] {
  return Deno.env.has(EVERY) ? Object.keys(SERVICES) as ServiceName[] : few;
}

/** Starts a service, has it write and tested, starts it again, and asks for what it wrote. */
export async function checkService(name: ServiceName, caller: ServiceCaller): Promise<void> {
  const service: Service = SERVICES[name];
  const ask = ({ command }: Question) => caller.exec(command, { timeoutSeconds: 120 });
  const check = async (what: "write" | "smoke" | "kept") => {
    const { code, stdout, stderr } = await ask(service[what]);
    assert.equal(code, 0, `${name}: ${what}: ${stderr}`);
    // The unit tests of Python are reported as errors are.
    assert.match(what === "smoke" ? stdout + stderr : stdout, service[what].answer, stderr);
  };
  const ready = () =>
    waitFor(async () => service.ready.answer.test((await ask(service.ready)).stdout), {
      timeoutSeconds: 180,
      what: `${name} to be ready`,
      intervalMilliseconds: 500,
    });
  await caller.start();
  await ready();
  await check("write");
  await check("smoke");
  await caller.restart();
  await ready();
  await check("kept");
}
