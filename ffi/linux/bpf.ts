/**
 * Programs that the kernel runs at a cgroup's hooks.
 * @module
 */
import {
  BPF_OBJ_GET_INFO_BY_FD,
  BPF_OBJ_NAME_LEN,
  BPF_PROG_ATTACH,
  BPF_PROG_DETACH,
  BPF_PROG_GET_FD_BY_ID,
  BPF_PROG_LOAD,
  BPF_PROG_QUERY,
} from "../constants/bpf.ts";
import { SYS_bpf } from "../constants/syscall.ts";
import { checked, LinuxError } from "../errors.ts";
import { addressOf, allocate, cString } from "../memory.ts";
import { BPF_ATTR, BPF_PROG_INFO, getField, setField, type Struct } from "../structs.ts";
import * as raw from "../symbols/syscall.ts";

type Attributes = Struct<keyof typeof BPF_ATTR.fields>;
type Part = Uint8Array<ArrayBuffer>;

/** The most that a cgroup can have of one type (BPF_CGROUP_MAX_PROGS, kernel/bpf/cgroup.c). */
const MAXIMUM_PROGRAMS = 64;

/** Size of the verifier's log, whose last lines give the reason. */
const LOG_SIZE = 64 * 1024;
const LOG_LINES = 3;
/** GPL-only helpers are not called. */
const LICENSE = "Apache-2.0";
const INSTRUCTION_SIZE = 8;

/** A program as it is loaded. */
export interface BpfProgram {
  /** BPF_PROG_TYPE_* */
  type: number;
  /** struct bpf_insn, one after the other. */
  instructions: Uint8Array<ArrayBuffer>;
  /** At most 15 characters; letters, digits, `_` and `.`. */
  name: string;
}

/**
 * @returns a descriptor of the program, verified by the kernel
 * @throws {LinuxError} when the verifier rejects it, with the last lines of the verifier's log
 * @see bpf(2), BPF_PROG_LOAD
 */
export function bpfProgLoad(program: BpfProgram): number {
  const { type, instructions, name } = program;
  const license = cString(LICENSE, "bpf");
  const { attributes, parts } = allocateAttributes(instructions.length, license.length, LOG_SIZE);
  const [code, terms, log] = parts as [Part, Part, Part];
  code.set(instructions);
  terms.set(license);
  setField(attributes, "prog_type", type);
  setField(attributes, "insn_cnt", instructions.length / INSTRUCTION_SIZE);
  setField(attributes, "insns", addressOf(code));
  setField(attributes, "license", addressOf(terms));
  setName(attributes, name);
  const subject = `load ${name}`;
  try {
    return bpf(BPF_PROG_LOAD, attributes, subject);
  } catch (error) {
    if (!(error instanceof LinuxError)) throw error;
    // Again, now with a log: it costs time, and a program that is accepted does not need it.
    setField(attributes, "log_level", 1);
    setField(attributes, "log_size", log.length);
    setField(attributes, "log_buf", addressOf(log));
    try {
      return bpf(BPF_PROG_LOAD, attributes, subject);
    } catch {
      const said = textOf(log).trim().split("\n").slice(-LOG_LINES).join("; ");
      throw said === "" ? error : new LinuxError("bpf", subject, error.errno, said);
    }
  }
}

/**
 * @param cgroupFd a cgroup2 directory
 * @param programFd from `bpfProgLoad`
 * @param attachType BPF_CGROUP_*
 * @param flags BPF_F_*
 * @throws {LinuxError} EPERM: a program of an ancestor allows no others
 * @see bpf(2), BPF_PROG_ATTACH
 */
export function bpfProgAttach(
  cgroupFd: number,
  programFd: number,
  attachType: number,
  flags: number,
): void {
  const attributes = attachment(cgroupFd, programFd, attachType);
  setField(attributes, "attach_flags", flags);
  bpf(BPF_PROG_ATTACH, attributes, `attach fd ${programFd} to fd ${cgroupFd}`);
}

/**
 * @param cgroupFd a cgroup2 directory
 * @param programFd what is attached there
 * @param attachType BPF_CGROUP_*
 * @throws {LinuxError}
 * @see bpf(2), BPF_PROG_DETACH
 */
export function bpfProgDetach(cgroupFd: number, programFd: number, attachType: number): void {
  const attributes = attachment(cgroupFd, programFd, attachType);
  bpf(BPF_PROG_DETACH, attributes, `detach fd ${programFd} from fd ${cgroupFd}`);
}

/**
 * @param cgroupFd a cgroup2 directory
 * @param attachType BPF_CGROUP_*
 * @returns ids of the programs attached to this cgroup itself
 * @throws {LinuxError}
 * @see bpf(2), BPF_PROG_QUERY
 */
export function bpfProgQuery(cgroupFd: number, attachType: number): number[] {
  const { attributes, parts } = allocateAttributes(4 * MAXIMUM_PROGRAMS);
  const ids = parts[0]!;
  setField(attributes, "query.target_fd", cgroupFd);
  setField(attributes, "query.attach_type", attachType);
  setField(attributes, "query.prog_ids", addressOf(ids));
  setField(attributes, "query.prog_cnt", MAXIMUM_PROGRAMS);
  bpf(BPF_PROG_QUERY, attributes, `query fd ${cgroupFd}`);
  const count = getField(attributes, "query.prog_cnt");
  return [...new Uint32Array(ids.buffer, ids.byteOffset, count)];
}

/**
 * @param id from `bpfProgQuery`
 * @returns a descriptor
 * @throws {LinuxError} ENOENT: it is gone
 * @see bpf(2), BPF_PROG_GET_FD_BY_ID
 */
export function bpfProgGetFdById(id: number): number {
  const { attributes } = allocateAttributes();
  setField(attributes, "prog_id", id);
  return bpf(BPF_PROG_GET_FD_BY_ID, attributes, `open program ${id}`);
}

/**
 * @param programFd a program
 * @returns the name it was loaded with
 * @throws {LinuxError}
 * @see bpf(2), BPF_OBJ_GET_INFO_BY_FD
 */
export function bpfProgName(programFd: number): string {
  const { attributes, parts } = allocateAttributes(BPF_PROG_INFO.size);
  const info = parts[0]!;
  setField(attributes, "info.bpf_fd", programFd);
  setField(attributes, "info.info_len", info.length);
  setField(attributes, "info.info", addressOf(info));
  bpf(BPF_OBJ_GET_INFO_BY_FD, attributes, `describe fd ${programFd}`);
  const { offset, size } = BPF_PROG_INFO.fields.name;
  return textOf(info.subarray(offset, offset + size));
}

function attachment(cgroupFd: number, programFd: number, attachType: number): Attributes {
  const { attributes } = allocateAttributes();
  setField(attributes, "target_fd", cgroupFd);
  setField(attributes, "attach_bpf_fd", programFd);
  setField(attributes, "attach_type", attachType);
  return attributes;
}

function setName(attributes: Attributes, name: string): void {
  const bytes = cString(name, "bpf");
  if (bytes.length > BPF_OBJ_NAME_LEN) throw new RangeError(`program name ${name} is too long`);
  attributes.bytes.set(bytes, BPF_ATTR.fields.prog_name.offset);
}

/** Attributes and, behind them in the same memory, what they point to. */
function allocateAttributes(...sizes: number[]): { attributes: Attributes; parts: Part[] } {
  const memory = allocate(sizes.reduce((sum, size) => sum + aligned(size), BPF_ATTR.size));
  let end = BPF_ATTR.size;
  const parts = sizes.map((size) => {
    const part = memory.subarray(end, end + size);
    end += aligned(size);
    return part;
  });
  const view = new DataView(memory.buffer);
  return { attributes: { layout: BPF_ATTR, bytes: memory, view }, parts };
}

function aligned(size: number): number {
  return Math.ceil(size / BPF_ATTR.alignment) * BPF_ATTR.alignment;
}

function bpf(command: number, attributes: Attributes, subject: string): number {
  return checked(
    "bpf",
    subject,
    () => raw.bpf(BigInt(SYS_bpf), command, attributes.bytes, BPF_ATTR.size),
  );
}

function textOf(bytes: Uint8Array): string {
  const end = bytes.indexOf(0);
  return new TextDecoder().decode(end < 0 ? bytes : bytes.subarray(0, end));
}
