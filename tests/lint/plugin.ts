/**
 * Lint rules for what the layout of this repository promises; deno.json names this file under
 * `lint.plugins`.
 */

const ROOT = new URL("../../", import.meta.url);

/**
 * The rooms, and the files beside them, in the order in which data flows, read backwards: each imports
 * from itself and from those before it only. ARCHITECTURE.md says what is in each.
 */
const ROOM_ORDER = [
  "ffi",
  "lib/version.ts",
  "lib/printable.ts",
  "lib/errors.ts",
  "lib/arch",
  "lib/os",
  "lib/output.ts",
  "lib/log.ts",
  "lib/watch.ts",
  "lib/decode",
  "lib/protocol",
  "lib/seccomp",
  "lib/oci",
  "lib/hooks.ts",
  "lib/network",
  "lib/guest",
  "lib/monitor",
  "lib/config",
  "lib/host",
  "lib/kernels",
  "lib/block",
  "lib/cgroups",
  "lib/inspect",
  "lib/plan",
  "lib/launch",
  "lib/container",
  "lib/runc",
  "lib/doctor",
  "lib/install",
  "lib/shim",
  "lib/cli",
  "lib/entry.ts",
  "main.ts",
  "lib/build",
];

/** Rooms whose every function is pure. */
const PURE_ROOMS = [
  "lib/arch/",
  "lib/decode/",
  "lib/seccomp/",
  "lib/oci/",
  "lib/guest/",
  "lib/monitor/",
  "lib/plan/",
  "lib/config/",
  "lib/doctor/checks/",
];

/** The half of a monitor that deals with one that runs: not pure, in the monitor's own folder. */
const RUNNING_MONITOR = /^lib\/monitor\/[^/]+\/running\//;

/** Functions that every room may need → the file that has them. */
const HELPERS = new Map(
  ["lib/errors.ts", ...filesIn("lib/os")].flatMap((file) => {
    const text = Deno.readTextFileSync(new URL(file, ROOT));
    return Array.from(
      text.matchAll(/^export (?:async )?function (\w+)/gm),
      ([, name]): [string, string] => [name!, file],
    );
  }),
);

/** Not part of the shipped executable. */
const OFF_THE_START_UP_PATH = ["tests/", "lib/build/", "fixtures/"];

const pureRooms: Deno.lint.Rule = {
  create(context) {
    const file = repositoryPath(context.filename);
    if (!isBelow(file, PURE_ROOMS) || RUNNING_MONITOR.test(file)) return {};
    return {
      ...onImport((specifier, node) => {
        if (resolve(file, specifier)?.startsWith("ffi/")) {
          context.report({ node, message: "A pure room must not import from ffi/." });
        }
      }),
      Identifier(node) {
        if (node.name === "Deno" && isReference(node)) {
          context.report({
            node,
            message: "A pure room must not use Deno.*: facts come in as arguments.",
          });
        }
      },
    };
  },
};

const ffiDoor: Deno.lint.Rule = {
  create(context) {
    const file = repositoryPath(context.filename);
    if (!file.startsWith("lib/")) return {};
    return onImport((specifier, node) => {
      const target = resolve(file, specifier);
      if (target?.startsWith("ffi/") && target !== "ffi/linux.ts") {
        context.report({ node, message: "lib/ imports from ffi/ through ffi/linux.ts only." });
      }
    });
  },
};

const noNode: Deno.lint.Rule = {
  create(context) {
    const file = repositoryPath(context.filename);
    if (isBelow(file, OFF_THE_START_UP_PATH)) return {};
    const references: Deno.lint.Node[] = [];
    let declared = false;
    return {
      ...onImport((specifier, node) => {
        if (specifier.startsWith("node:") || specifier === "process") {
          context.report({
            node,
            message: "Node's modules cost 15 ms of start-up: not on the executable's path.",
          });
        }
      }),
      Identifier(node) {
        if (node.name !== "process") return;
        if (isDeclaration(node)) declared = true;
        // A shorthand property is visited as key and as value.
        else if (isReference(node) && !references.some((it) => same(it, node))) {
          references.push(node);
        }
      },
      MemberExpression(node) {
        if (
          node.object.type === "Identifier" && node.object.name === "globalThis" &&
          node.property.type === "Identifier" && node.property.name === "process"
        ) {
          context.report({ node, message: GLOBAL_PROCESS });
        }
      },
      "Program:exit"() {
        // A file with a variable of that name (the specification has a `process`) means that one.
        if (declared) return;
        for (const node of references) context.report({ node, message: GLOBAL_PROCESS });
      },
    };
  },
};

const GLOBAL_PROCESS =
  "The global `process` loads Node's compatibility layer, 15 ms of start-up: use Deno.";

const TIMERS = ["setTimeout", "clearTimeout", "setInterval", "clearInterval", "setImmediate"];

const ownTimers: Deno.lint.Rule = {
  create(context) {
    const file = repositoryPath(context.filename);
    if (isBelow(file, OFF_THE_START_UP_PATH)) return {};
    return {
      Identifier(node) {
        if (!TIMERS.includes(node.name) || !isReference(node)) return;
        context.report({
          node,
          message: "The first use of it loads Node's timers, 5 to 15 ms: use lib/os/timer.ts.",
        });
      },
    };
  },
};

const exitInMain: Deno.lint.Rule = {
  create(context) {
    const file = repositoryPath(context.filename);
    if (file === "main.ts" || isBelow(file, OFF_THE_START_UP_PATH)) return {};
    return {
      MemberExpression(node) {
        if (
          node.object.type === "Identifier" && node.object.name === "Deno" &&
          node.property.type === "Identifier" && node.property.name === "exit"
        ) {
          context.report({
            node,
            message: "Only main.ts exits: throw, or return the exit code.",
          });
        }
      },
    };
  },
};

const preloadedFiles: Deno.lint.Rule = {
  create(context) {
    const file = repositoryPath(context.filename);
    if (!file.startsWith("lib/")) return {};
    return {
      CallExpression(node) {
        if (node.callee.type !== "Identifier" || node.callee.name !== "preload") return;
        const [argument] = node.arguments;
        if (argument?.type !== "Literal" || typeof argument.value !== "string") return;
        const target = resolve(file, argument.value);
        if (target !== undefined && !isFile(target)) {
          context.report({
            node,
            message: `There is no ${target}: only the bundler looks for it.`,
          });
        }
      },
    };
  },
};

const roomOrder: Deno.lint.Rule = {
  create(context) {
    const file = repositoryPath(context.filename);
    const place = ROOM_ORDER.indexOf(roomOf(file));
    if (!isInRooms(file)) return {};
    return {
      ...(place >= 0 ? {} : {
        Program(node) {
          context.report({ node, message: `${roomOf(file)} is not in the order of rooms.` });
        },
      }),
      ...onImport((specifier, node) => {
        const target = resolve(file, specifier);
        if (target === undefined || !isInRooms(target)) return;
        if (ROOM_ORDER.indexOf(roomOf(target)) > place) {
          const message = `${roomOf(file)} comes before ${roomOf(target)}: data flows one way.`;
          context.report({ node, message });
        }
      }),
    };
  },
};

/** What other rooms may know of monitors: none of them in particular. */
const MONITOR_DOOR = ["registry.ts", "signals.ts", "types.ts"].map((it) => `lib/monitor/${it}`);

const monitorDoor: Deno.lint.Rule = {
  create(context) {
    const file = repositoryPath(context.filename);
    if (!file.startsWith("lib/") || file.startsWith("lib/monitor/")) return {};
    return onImport((specifier, node) => {
      const target = resolve(file, specifier);
      if (target?.startsWith("lib/monitor/") && !MONITOR_DOOR.includes(target)) {
        const message = "Only lib/monitor knows one monitor: the registry has all of them.";
        context.report({ node, message });
      }
    });
  },
};

/** Words of one processor or its machines: of x86-64, and of others that a port would bring. */
const PROCESSOR_WORDS = new RegExp(
  "(?<![A-Za-z0-9])(" + [
    ...["x86(?:[-_]64)?", "x64", "i[3-6]86", "amd64", "arm64", "aarch64", "riscv64"],
    ...["EM_(?:386|X86_64|AARCH64|RISCV)", "CPUID", "CR[0-4]", "CPL", "bzImage"],
    ...[
      "q35",
      "microvm",
      "qboot",
      "SeaBIOS",
      "seabios",
      "edk2",
      "isa-debug-exit",
      "0x50[01]",
      "0x60[02]",
    ],
    ...["ttyS\\d", "ttyAMA\\d", "reboot=k", "kvm_intel", "kvm_amd", "VT-x", "AMD-V"],
    ...["GenuineIntel", "AuthenticAMD", "HygonGenuine"],
  ].join("|") + ")(?![A-Za-z0-9])",
  "g",
);

/** What is written for one processor as a whole: the seam itself, machine code, and how it is compiled. */
const PROCESSOR_FILES = /^lib\/(?:arch\/|build\/native\/|.*bytes\.ts$)/;

const oneArchitecture: Deno.lint.Rule = {
  create(context) {
    const file = repositoryPath(context.filename);
    if (!isBelow(file, ["lib/", "main.ts"]) || PROCESSOR_FILES.test(file)) return {};
    return {
      Program() {
        for (const { 0: word, index } of context.sourceCode.text.matchAll(PROCESSOR_WORDS)) {
          context.report({
            range: [index, index + word.length],
            message: `${word} is a word of one processor: lib/arch has what differs between them.`,
          });
        }
      },
    };
  },
};

const helpersOnce: Deno.lint.Rule = {
  create(context) {
    const file = repositoryPath(context.filename);
    if (!isBelow(file, ["lib/"])) return {};
    return {
      FunctionDeclaration(node) {
        const home = HELPERS.get(node.id?.name ?? "");
        if (home === undefined || home === file) return;
        context.report({ node, message: `${home} has a function of that name: use it.` });
      },
      ConditionalExpression({ test, consequent }) {
        if (file === "lib/errors.ts" || test.type !== "BinaryExpression") return;
        if (test.operator !== "instanceof" || consequent.type !== "MemberExpression") return;
        const { right } = test;
        const { property } = consequent;
        if (
          right.type === "Identifier" && right.name === "Error" &&
          property.type === "Identifier" && property.name === "message"
        ) {
          context.report({
            node: test,
            message: "Use errorMessage of lib/errors.ts: an error may have no message.",
          });
        }
      },
    };
  },
};

const plugin: Deno.lint.Plugin = {
  name: "urunc",
  rules: {
    "pure-rooms": pureRooms,
    "ffi-door": ffiDoor,
    "no-node": noNode,
    "own-timers": ownTimers,
    "exit-in-main": exitInMain,
    "preloaded-files": preloadedFiles,
    "room-order": roomOrder,
    "helpers-once": helpersOnce,
    "monitor-door": monitorDoor,
    "one-architecture": oneArchitecture,
  },
};

export default plugin;

/** A path relative to the repository; what is given may be relative already, or a URL. */
function repositoryPath(filename: string): string {
  const path = filename.startsWith("file:") ? new URL(filename).pathname : filename;
  return path.startsWith(ROOT.pathname) ? path.slice(ROOT.pathname.length) : path;
}

/** The file that a relative specifier means, relative to the repository; undefined for others. */
function resolve(file: string, specifier: string): string | undefined {
  if (!specifier.startsWith(".")) return undefined;
  return new URL(specifier, new URL(file, "file:///")).pathname.slice(1);
}

/** The files of a directory, relative to the repository as it is. */
function filesIn(directory: string): string[] {
  return Array.from(
    Deno.readDirSync(new URL(directory, ROOT)),
    ({ name }) => `${directory}/${name}`,
  );
}

/** @param path relative to the repository */
function isFile(path: string): boolean {
  try {
    return Deno.statSync(new URL(path, ROOT)).isFile;
  } catch {
    return false;
  }
}

/** Whether the order of rooms is about a file. */
function isInRooms(file: string): boolean {
  return file === "main.ts" || isBelow(file, ["lib/", "ffi/"]);
}

/** `lib/plan` of lib/plan/types.ts, `ffi` of all below it, `main.ts` of itself. */
function roomOf(file: string): string {
  const [top = "", room] = file.split("/");
  return top === "lib" && room !== undefined ? `${top}/${room}` : top;
}

function isBelow(file: string, directories: string[]): boolean {
  return directories.some((it) => file.startsWith(it));
}

/** Visitors for every form in which a module names another. */
function onImport(
  visit: (specifier: string, node: Deno.lint.Node) => void,
): Deno.lint.LintVisitor {
  const visitSource = (source: { type: string; value?: unknown } | null, node: Deno.lint.Node) => {
    if (source?.type === "Literal" && typeof source.value === "string") visit(source.value, node);
  };
  return {
    ImportDeclaration: (node) => visitSource(node.source, node),
    ImportExpression: (node) => visitSource(node.source, node),
    ExportAllDeclaration: (node) => visitSource(node.source, node),
    ExportNamedDeclaration: (node) => visitSource(node.source, node),
  };
}

/** True when the identifier is looked up in scope: not a property's name, not a declaration. */
function isReference(node: Deno.lint.Identifier): boolean {
  return !isName(node) && !isDeclaration(node);
}

/** True for the name of a property, method, member or label. */
function isName(node: Deno.lint.Identifier): boolean {
  const parent = node.parent as unknown as Record<string, unknown> & { type: string };
  switch (parent.type) {
    case "MemberExpression":
      return same(parent.property, node) && parent.computed !== true;
    case "Property":
      return same(parent.key, node) && parent.computed !== true && parent.shorthand !== true;
    case "PropertyDefinition":
    case "MethodDefinition":
    case "AccessorProperty":
    case "TSPropertySignature":
    case "TSMethodSignature":
    case "TSEnumMember":
      return same(parent.key ?? parent.id, node);
    case "TSQualifiedName":
      return same(parent.right, node);
    case "ImportSpecifier":
    case "ExportSpecifier":
    case "LabeledStatement":
    case "TSNamedTupleMember":
      return true;
  }
  return false;
}

/** True where the identifier brings a name into scope. */
function isDeclaration(node: Deno.lint.Identifier): boolean {
  const parent = node.parent as unknown as Record<string, unknown> & { type: string };
  switch (parent.type) {
    case "VariableDeclarator":
    case "FunctionDeclaration":
    case "ClassDeclaration":
      return same(parent.id, node) || includes(parent.params, node);
    case "FunctionExpression":
    case "ArrowFunctionExpression":
    case "TSFunctionType":
    case "TSMethodSignature":
      return includes(parent.params, node);
    case "Property":
      return (parent.parent as { type: string }).type === "ObjectPattern";
    case "AssignmentPattern":
      return same(parent.left, node);
    case "ArrayPattern":
    case "RestElement":
    case "ImportSpecifier":
    case "ImportDefaultSpecifier":
    case "ImportNamespaceSpecifier":
    case "TSParameterProperty":
    case "CatchClause":
      return true;
  }
  return false;
}

/** Nodes are handed out anew on every access: what they cover says whether they are the same. */
function same(a: unknown, b: Deno.lint.Node): boolean {
  const node = a as { type?: string; range?: [number, number] } | null | undefined;
  return node?.type === b.type && node.range?.[0] === b.range[0] && node.range[1] === b.range[1];
}

function includes(list: unknown, node: Deno.lint.Node): boolean {
  return Array.isArray(list) && list.some((it) => same(it, node));
}
