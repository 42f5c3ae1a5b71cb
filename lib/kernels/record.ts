import { UruncError } from "../errors.ts";
import { Fields, integer, listOf, Place, text } from "../decode/decode.ts";

/** The record's format; another version's is refused. */
const VERSION = 1;

/** A file of a stored kernel. */
export interface StoredFile {
  /** Of its content, in hexadecimal. */
  sha256: string;
  bytes: number;
}

/** What is kept of a kernel beside its files. */
export interface KernelRecord {
  /** As uname(2) has it in the guest. */
  release: string;
  /** ISO 8601. */
  added: string;
  /** As QEMU starts it. */
  image: StoredFile;
  /** The same unpacked, as Firecracker starts it; undefined where it could not be unpacked. */
  elf?: StoredFile;
  /** The archive with its modules; undefined: it has none. */
  modules?: StoredFile;
  /** Names of the modules, in the order in which they are loaded. */
  moduleNames: string[];
  /** Of these, what is loaded only when the guest's kernel asks for it; undefined: none. */
  askedNames?: string[];
  /** Drivers for guests that are in the kernel itself. */
  builtin: string[];
  /** Drivers for guests that it does not have. */
  missing: string[];
}

const bytes = integer(0, Number.MAX_SAFE_INTEGER);

/** The text of a record's file. */
export function formatRecord(record: KernelRecord): string {
  return `${JSON.stringify({ version: VERSION, ...record }, null, 2)}\n`;
}

/**
 * @param path where the text comes from, for the error
 * @throws UruncError naming the path and what is wrong
 */
export function parseRecord(content: string, path: string): KernelRecord {
  const place = new Place({
    error: (field, reason) =>
      new UruncError({
        operation: "read the kernel's record",
        subject: path,
        reason: field === "" ? reason : `${field}: ${reason}`,
        remedy: "urunc kernel rm removes the kernel, and kernel add stores it anew",
      }),
  });
  const record = Fields.ofJson(content, place);
  record.required("version", integer(VERSION, VERSION));
  return {
    release: record.required("release", text),
    added: record.required("added", text),
    image: record.required("image", readFile),
    elf: record.optional("elf", readFile),
    modules: record.optional("modules", readFile),
    moduleNames: record.required("moduleNames", listOf(text)),
    askedNames: record.optional("askedNames", listOf(text)),
    builtin: record.required("builtin", listOf(text)),
    missing: record.required("missing", listOf(text)),
  };
}

function readFile(value: unknown, at: Place): StoredFile {
  const file = new Fields(value, at);
  return { sha256: file.required("sha256", text), bytes: file.required("bytes", bytes) };
}
