import type { OptionSpecs } from "./options.ts";

/** Options of `urunc doctor`. */
export const doctorOptions = {
  user: {
    kind: "text",
    names: ["-u", "--user"],
    metavar: "UID:GID",
    help: "Check whether a monitor of this user gets in (default: 65534:65534).",
    default: "65534:65534",
  },
  groups: {
    kind: "text",
    names: ["--groups"],
    metavar: "GID,…",
    help: "The user's supplementary groups.",
  },
  json: {
    kind: "flag",
    names: ["--json"],
    help: "Print the report and the facts behind it as JSON.",
  },
  compare: {
    kind: "text",
    names: ["--compare"],
    metavar: "FILE",
    help: "Compare the report in this file, of doctor --json, with that of another node.",
  },
} as const satisfies OptionSpecs;
