import assert from "node:assert/strict";
import { InvalidConfigurationError } from "../../../lib/errors.ts";
import { linux } from "../../../lib/guest/families/linux.ts";
import type { GuestInput } from "../../../lib/guest/types.ts";
import { boot, nextArg } from "./kernel_model.ts";

const bare: GuestInput = { args: [], env: [], hasInitrd: false };
const network: GuestInput["network"] = {
  mac: "02:42:0a:58:03:07",
  mtu: 1500,
  ipv4: { address: "10.88.3.7", prefixLength: 20, gateway: "10.88.0.1" },
};

function commandLine(input: Partial<GuestInput>): string {
  return linux.commandLine({ ...bare, ...input })!;
}

const lines: { name: string; input: Partial<GuestInput>; line: string }[] = [
  { name: "nothing", input: {}, line: "panic=-1 console=ttyS0 net.ifnames=0" },
  {
    name: "all of it",
    input: {
      args: ["/sbin/init", "-c", "hello world", "x=y"],
      env: ["A=1", "PATH=/bin"],
      hasInitrd: true,
      network,
    },
    line: "panic=-1 console=ttyS0 net.ifnames=0 root=/dev/ram0 rw " +
      "ip=10.88.3.7::10.88.0.1:255.255.240.0:urunc:eth0:off " +
      'A=1 PATH=/bin rdinit=/sbin/init -- -c "hello world" x=y',
  },
  {
    name: "an init without arguments, no initrd",
    input: { args: ["app"] },
    line: "panic=-1 console=ttyS0 net.ifnames=0 init=app",
  },
  {
    name: "an initrd's default init",
    input: { hasInitrd: true },
    line: "panic=-1 console=ttyS0 net.ifnames=0 root=/dev/ram0 rw",
  },
  {
    name: "the image's command line",
    input: { cmdline: ' /bin/sh  -c "echo hi"\tà ' },
    line: 'panic=-1 console=ttyS0 net.ifnames=0 init=/bin/sh -- -c "echo hi" "à"',
  },
  {
    name: "a blank command line in the image",
    input: { cmdline: "  " },
    line: "panic=-1 console=ttyS0 net.ifnames=0",
  },
  {
    name: "arguments win over the image's command line",
    input: { args: ["a"], cmdline: "b" },
    line: "panic=-1 console=ttyS0 net.ifnames=0 init=a",
  },
  {
    name: "the last of a variable given twice",
    input: { env: ["A=1", "B=2", "A=3"] },
    line: "panic=-1 console=ttyS0 net.ifnames=0 A=3 B=2",
  },
];

for (const { name, input, line } of lines) {
  Deno.test(`linux command line: ${name}`, () => assert.equal(commandLine(input), line));
}

const addresses: { name: string; input: Partial<GuestInput>; ip?: string }[] = [
  {
    name: "the container's hostname",
    input: { network, hostname: "web-0.local" },
    ip: "10.88.3.7::10.88.0.1:255.255.240.0:web-0.local:eth0:off",
  },
  {
    name: "no gateway",
    input: { network: { ...network, ipv4: { address: "192.0.2.9", prefixLength: 32 } } },
    ip: "192.0.2.9:::255.255.255.255:urunc:eth0:off",
  },
  {
    name: "a prefix of 0",
    input: { network: { ...network, ipv4: { address: "192.0.2.9", prefixLength: 0 } } },
    ip: "192.0.2.9:::0.0.0.0:urunc:eth0:off",
  },
  {
    name: "a prefix of 25",
    input: { network: { ...network, ipv4: { address: "192.0.2.9", prefixLength: 25 } } },
    ip: "192.0.2.9:::255.255.255.128:urunc:eth0:off",
  },
  {
    name: "IPv6 only",
    input: { network: { mac: network.mac, mtu: 1500, ipv6: { address: "::2", prefixLength: 64 } } },
  },
  { name: "no network", input: { hostname: "web" } },
];

for (const { name, input, ip } of addresses) {
  Deno.test(`linux ip=: ${name}`, () => {
    const found = boot(commandLine(input)).parameters.find(([key]) => key === "ip");
    assert.equal(found?.[1], ip);
  });
}

const carried = [
  "plain",
  "hello world",
  "",
  " ",
  "a,b,,c",
  "line\nbreak",
  "tab\there",
  "naïve à la carte",
  "à",
  "日本語",
  "🙂",
  "it's",
  "back\\slash",
  "$HOME",
  "x=y",
  "x= y z",
  "x=",
  "=x",
  "=",
  "a=b=c d",
  '{"a":1}',
  '{"a":"b c"}',
  'say "hi"',
  ' "hi" ',
  '"quoted"',
  '""',
  "-",
  "---",
  "--flag",
  "--flag=a b",
  "console=tty0",
  "a.b",
  "a.b=c",
  "init=/bin/sh",
];

for (const argument of carried) {
  const shown = JSON.stringify(argument);
  Deno.test(`linux carries the argument ${shown} unchanged`, () => {
    const { args, init } = boot(commandLine({ args: ["/init", "before", argument, "after"] }));
    assert.deepEqual({ args, init }, { args: ["before", argument, "after"], init: "/init" });
  });
  if (argument === "") continue;
  Deno.test(`linux carries ${shown} in a variable and as init, or refuses`, () => {
    const env = [`NAME=${argument}`, "AFTER=x y"];
    let line: string;
    try {
      line = commandLine({ args: [argument, "after"], env });
    } catch (error) {
      assert.ok(error instanceof InvalidConfigurationError);
      assert.match(error.message, /process\.(args\[0\]|env\[0\])/);
      assert.ok(argument.includes('"'));
      return;
    }
    const booted = boot(line);
    assert.equal(booted.init, argument);
    assert.deepEqual(booted.args, ["after"]);
    assert.deepEqual(booted.env.slice(2), env);
  });
}

Deno.test("linux either carries an argument unchanged or refuses it, whatever its characters", () => {
  // Every string of up to five of these, so that no arrangement of quotes is left out.
  const alphabet = ['"', " ", "=", "a", "-"];
  let words = [""];
  let refused = 0;
  let kept = 0;
  for (let length = 0; length <= 5; length++) {
    for (const word of words) {
      let line: string;
      try {
        line = commandLine({ args: ["i", word, "z"] });
      } catch (error) {
        assert.ok(error instanceof InvalidConfigurationError);
        for (const written of [word, `"${word}"`]) {
          assert.ok(!isCarried(written, word), `${JSON.stringify(word)} could be carried`);
        }
        refused++;
        continue;
      }
      assert.deepEqual(boot(line).args, [word, "z"], JSON.stringify(word));
      kept++;
    }
    words = words.flatMap((word) => alphabet.map((letter) => word + letter));
  }
  assert.ok(kept > 1000 && refused > 1000, `${kept} kept, ${refused} refused`);
});

/** Whether the kernel reads `written` as the argument `word`, and goes on undisturbed. */
function isCarried(written: string, word: string): boolean {
  try {
    return JSON.stringify(boot(`init=i -- ${written} z`).args) === JSON.stringify([word, "z"]);
  } catch {
    return false;
  }
}

const refused: { name: string; input: Partial<GuestInput>; message: RegExp }[] = [
  {
    name: "an odd quote",
    input: { args: ["/init", 'a"b'] },
    message: /process\.args\[1\].*cannot be escaped/,
  },
  {
    name: "a quoted value",
    input: { args: ["/init", '--x="a b"'] },
    message: /process\.args\[1\]/,
  },
  {
    name: "a second --",
    input: { args: ["/init", "a", "--", "b"] },
    message: /process\.args\[2\]/,
  },
  {
    name: "an empty init",
    input: { args: [""] },
    message: /process\.args\[0\].*program is empty \(name a program/,
  },
  {
    name: "33 arguments",
    input: { args: ["/init", ...Array(33).fill("a")] },
    message: /process\.args.*33.*32/,
  },
  {
    name: "a variable console",
    input: { env: ["console=x"] },
    message: /process\.env\[0\].*console/,
  },
  {
    name: "a variable root",
    input: { env: ["A=1", "root=x"] },
    message: /process\.env\[1\].*root/,
  },
  { name: "a dashed kernel name", input: { env: ["log-buf-len=1"] }, message: /log-buf-len/ },
  { name: "a dotted name", input: { env: ["my.name=x"] }, message: /process\.env\[0\].*my\.name/ },
  { name: "a variable without name", input: { env: ["=x"] }, message: /process\.env\[0\]/ },
  { name: "a quote in a variable", input: { env: ['A="x y"'] }, message: /process\.env\[0\]/ },
  {
    name: "too many variables",
    input: { env: Array.from({ length: 32 }, (_, index) => `V${index}=1`) },
    message: /process\.env.*32 variables.*31/,
  },
  {
    name: "an open quote in the image",
    input: { cmdline: 'sh "a' },
    message: /unikernel\.cmdline/,
  },
  {
    name: "a hostname with a colon",
    input: { network, hostname: "a:b" },
    message: /hostname.*"a:b"/,
  },
];

for (const { name, input, message } of refused) {
  Deno.test(`linux refuses ${name}`, () => {
    assert.throws(() => commandLine(input), (error) => {
      assert.ok(error instanceof InvalidConfigurationError);
      assert.match(error.message, message);
      return true;
    });
  });
}

Deno.test("linux: as many arguments and variables as the kernel takes", () => {
  const args = ["/init", ...Array(32).fill("a")];
  const env = ["HOME=/root", "TERM=xterm", ...Array.from({ length: 31 }, (_, i) => `V${i}=1`)];
  const booted = boot(commandLine({ args, env }));
  assert.equal(booted.args.length, 32);
  assert.deepEqual(booted.env, env);
  assert.throws(() => boot(`x=y ${commandLine({ env })}`), /panic/);
});

Deno.test("linux: 2047 bytes fit, 2048 do not, and the message says how many", () => {
  const fixed = commandLine({ args: ["/init", "x"] }).length - 1;
  assert.equal(commandLine({ args: ["/init", "x".repeat(2047 - fixed)] }).length, 2047);
  assert.throws(
    () => commandLine({ args: ["/init", "x".repeat(2048 - fixed)] }),
    /2048 bytes.*at most 2047/,
  );
  // Bytes, not characters.
  assert.throws(() => commandLine({ args: ["/init", "é".repeat(1020)] }), /bytes long/);
});

Deno.test("the model of next_arg agrees with examples worked out by hand", () => {
  const examples: [string, ReturnType<typeof nextArg>][] = [
    ["a b", { param: "a", rest: "b" }],
    ['"a b" c', { param: "a b", rest: "c" }],
    ['k="v w" c', { param: "k", val: "v w", rest: "c" }],
    ['"k=v w"  c', { param: "k", val: "v w", rest: "c" }],
    ['a"b c"d', { param: 'a"b c"d', rest: "" }],
    ['"" c', { param: "", rest: "c" }],
    ["\u00c3\u00a0", { param: "\u00c3", rest: "" }],
    ['"k=" c', { param: "k", val: "", rest: "c" }],
  ];
  for (const [line, word] of examples) assert.deepEqual(nextArg(line), word, line);
});
