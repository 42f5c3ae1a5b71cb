/**
 * The fenced code blocks of this repository's documents, and what is to be done with each. A comment
 * before a block, which no reader of the rendered page sees, says more than its language does:
 *
 * - `<!-- skip: REASON -->`: no test runs it;
 * - `<!-- file: PATH -->`: it is the content of this file. One that the repository has must be the same;
 *   any other is written before the blocks after it are run;
 * - `<!-- output -->`: what the block of shell commands before it prints. `…` stands for anything;
 * - `<!-- exit N -->`: these shell commands end with this code instead of 0.
 */

/** A fenced block. */
export interface Block {
  /** Path of the document in the repository. */
  document: string;
  /** Of the opening fence, from 1. */
  line: number;
  language: string;
  text: string;
  mark?: Mark;
}

/** What the comment before a block says. */
export type Mark =
  | { kind: "skip"; reason: string }
  | { kind: "file"; path: string }
  | { kind: "output" }
  | { kind: "exit"; code: number };

/**
 * The blocks of a document, in order.
 *
 * @param document its path, for errors
 * @param text Markdown, of which only fences of three backticks are known
 * @throws Error for a comment that looks like a mark and is none, or a fence that is not closed
 */
export function blocksOf(document: string, text: string): Block[] {
  const blocks: Block[] = [];
  let open: Block | undefined;
  let mark: Mark | undefined;
  for (const [index, line] of text.split("\n").entries()) {
    const [, indent, language] = /^(\s*)```(\S*)$/.exec(line) ?? [];
    if (open !== undefined) {
      if (language === undefined) open.text += `${line}\n`;
      else {
        blocks.push(open);
        open = undefined;
      }
    } else if (language !== undefined) {
      if (indent !== "") throw new Error(`${document}:${index + 1}: an indented block`);
      open = { document, line: index + 1, language, text: "", mark };
      mark = undefined;
    } else if (line.trim() !== "") {
      mark = markOf(line, `${document}:${index + 1}`);
    }
  }
  if (open !== undefined) throw new Error(`${document}:${open.line}: the block is not closed`);
  return blocks;
}

function markOf(line: string, where: string): Mark | undefined {
  const [, comment] = /^<!--\s*(.*?)\s*-->$/.exec(line) ?? [];
  if (comment === undefined) return undefined;
  const [, kind, value = ""] = /^(skip|file|output|exit)\b:?\s*(.*)$/.exec(comment) ?? [];
  if (kind === "skip" && value !== "") return { kind, reason: value };
  if (kind === "file" && value !== "") return { kind, path: value };
  if (kind === "output" && value === "") return { kind };
  if (kind === "exit" && /^\d+$/.test(value)) return { kind, code: Number(value) };
  throw new Error(`${where}: there is no such mark: ${comment}`);
}

/** Whether what was printed is what a document shows: `…` stands for anything, white space for any. */
export function isOutput(printed: string, shown: string): boolean {
  const words = (text: string) => text.trim().replace(/\s+/g, " ");
  const pattern = words(shown).split("…").map((part) => RegExp.escape(part)).join(".*");
  return new RegExp(`^${pattern}$`, "s").test(words(printed));
}

/** The headings of a document as GitHub's anchors. */
export function anchorsOf(text: string): string[] {
  return text.replace(/^```[^]*?^```$/gm, "").split("\n").filter((line) => /^#+ /.test(line)).map(
    (line) =>
      line.replace(/^#+ /, "").toLowerCase().replace(/[^\p{L}\p{N} _-]/gu, "").replaceAll(" ", "-"),
  );
}

/** The targets of a document's links that lead to files of the repository, as they are written. */
export function linksOf(text: string): string[] {
  return [...text.replace(/^```[^]*?^```$/gm, "").matchAll(/\]\(([^)\s]+)\)/g)]
    .map(([, target]) => target!)
    .filter((target) => !/^[a-z]+:/.test(target));
}

/** The documents whose shell commands are run, each in a session of its own. */
export const RUN_DOCUMENTS = [
  "README.md",
  "docs/non-root.md",
  "docs/building.md",
  "docs/images.md",
  "docs/troubleshooting.md",
] as const;

/** The documents of the repository, by their paths. */
export function readDocuments(root: string): Map<string, string> {
  const paths = [...Deno.readDirSync(root)].map(({ name }) => name)
    .filter((name) => name.endsWith(".md"));
  for (const { name } of Deno.readDirSync(`${root}docs`)) {
    if (name.endsWith(".md")) paths.push(`docs/${name}`);
  }
  return new Map(paths.sort().map((path) => [path, Deno.readTextFileSync(`${root}${path}`)]));
}
